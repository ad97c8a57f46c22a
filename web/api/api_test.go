package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"go.uber.org/goleak"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/web/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type userSet []string

func (u userSet) Exists(name string) bool { return slices.Contains(u, name) }

func (u userSet) Names() []string { return u }

// lab is a server over a hub in memory with alice, bob and carol, and 60 others.
type lab struct {
	hub     *hub.Hub
	api     *api.Server
	handler http.Handler
}

func newLab(t *testing.T, change func(*api.Options)) *lab {
	t.Helper()
	users := userSet{"alice", "bob", "carol"}
	for i := range 60 {
		users = append(users, fmt.Sprintf("user%02d", i))
	}
	h, err := hub.New(t.Context(), hub.Options{Log: hub.NewMemoryLog(1 << 20), Users: users, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &lab{hub: h}
	o := api.Options{
		Hub: h,
		Actor: func(ctx context.Context) hub.Actor {
			id, _ := auth.FromContext(ctx)
			return hub.Actor{Name: id.Subject, Via: id.Client}
		},
		Permit: func(ctx context.Context, needed auth.Scopes) (string, bool) {
			id, _ := auth.FromContext(ctx)
			return "Bearer scope=" + needed.String(), id.Scopes.Include(needed)
		},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&o)
	}
	l.api = api.New(o)
	handlers := l.api.Handlers()
	r := mux.NewRouter().SkipClean(true)
	for _, path := range slices.SortedFunc(maps.Keys(handlers), func(a, b string) int { return len(b) - len(a) }) {
		r.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			for name, value := range mux.Vars(r) {
				r.SetPathValue(name, value)
			}
			handlers[path].ServeHTTP(w, r)
		})
	}
	l.handler = r
	return l
}

// answer is an HTTP answer, read in whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// into decodes the body.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
}

// do sends a request of a user, with a token for everything. A body is JSON
// unless a header says something else.
func (l *lab) do(t *testing.T, user, request, body string, headers ...string) answer {
	t.Helper()
	return l.as(t, auth.Identity{Subject: user, Scopes: auth.ScopeAdmin}, request, strings.NewReader(body), headers...)
}

func (l *lab) as(t *testing.T, id auth.Identity, request string, body io.Reader, headers ...string) answer {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequestWithContext(auth.NewContext(t.Context(), id), method, path, body)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// want sends a request and checks the answer's status, and that it has a text.
func (l *lab) want(t *testing.T, status int, has, user, request, body string, headers ...string) answer {
	t.Helper()
	a := l.do(t, user, request, body, headers...)
	if a.status != status || !strings.Contains(a.body, has) {
		t.Errorf("%s, %s %s: %v; want %d with %q", user, request, body, a, status, has)
	}
	return a
}

type messages struct {
	Messages []struct{ ID, Room, Message string }
	Next     string
	More     bool
}

func (m messages) texts() string {
	var texts []string
	for _, one := range m.Messages {
		texts = append(texts, one.Message)
	}
	return strings.Join(texts, " ")
}

// A message is sent and read, by every name of its room, and in pages.
func TestMessages(t *testing.T) {
	l := newLab(t, nil)
	var first struct {
		ID, Type, Room, Message, Time string
		Sender                        struct{ Name string }
	}
	l.want(t, 201, "", "alice", "POST /api/rooms/general/messages", `{"message":"one"}`).into(t, &first)
	if first.Type != "message" || first.Room != "general" || first.Message != "one" || first.Sender.Name != "alice" || first.ID == "" || first.Time == "" {
		t.Errorf("%+v", first)
	}
	l.want(t, 201, `"reply_to":"`+first.ID+`"`, "bob", "POST /api/rooms/general/messages", fmt.Sprintf(`{"message":"two","reply_to":%q}`, first.ID))
	l.want(t, 201, "", "carol", "POST /api/rooms/general/messages", `{"message":"three"}`)
	read := func(query string) (got messages) {
		l.want(t, 200, "", "alice", "GET /api/rooms/general/messages?"+query, "").into(t, &got)
		return got
	}
	page := read("after=0&limit=2")
	if page.texts() != "one two" || !page.More {
		t.Errorf("the first page: %+v", page)
	}
	if page = read("limit=2&after=" + page.Next); page.texts() != "three" || page.More {
		t.Errorf("the second page: %+v", page)
	}
	if page = read("after=" + page.Next); page.Messages == nil || len(page.Messages) != 0 || page.Next == "" {
		t.Errorf("nothing more: %+v", page)
	}
	if page = read("limit=1"); page.texts() != "three" {
		t.Errorf("the latest: %+v", page)
	}
	if page = read("limit=1&before=" + page.Messages[0].ID); page.texts() != "two" || !page.More {
		t.Errorf("the one before: %+v", page)
	}
	if page = read("since=2000-01-01T00:00:00Z"); page.texts() != "one two three" {
		t.Errorf("since then: %+v", page)
	}
	if page = read("since=2100-01-01T00:00:00Z"); len(page.Messages) != 0 {
		t.Errorf("since a time to come: %+v", page)
	}

	l.want(t, 201, `"room":"dm/alice/bob"`, "alice", "POST /api/people/bob/messages", `{"message":"psst"}`)
	for user, path := range map[string]string{"alice": "/api/people/bob", "bob": "/api/people/alice"} {
		l.want(t, 200, "psst", user, "GET "+path+"/messages", "")
		l.want(t, 204, "", user, "POST "+path+"/typing", "")
		for _, room := range []string{"dm/alice/bob", "dm%2Falice%2Fbob"} {
			l.want(t, 200, "psst", user, "GET /api/rooms/"+room+"/messages", "")
			l.want(t, 200, `"members":["alice","bob"]`, user, "GET /api/rooms/"+room, "")
		}
	}
}

// The same GET again is answered with 304 as long as nothing has changed.
func TestTags(t *testing.T) {
	l := newLab(t, nil)
	for _, path := range []string{"/api/rooms", "/api/rooms/general", "/api/rooms/general/members", "/api/rooms/general/messages", "/api/search?q=x"} {
		first := l.want(t, 200, "", "alice", "GET "+path, "")
		if first.header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%s: %v", path, first.header)
		}
		tag := "If-None-Match: " + first.header.Get("ETag")
		if again := l.want(t, 304, "", "alice", "GET "+path, "", tag); again.body != "" {
			t.Errorf("%s: %v", path, again)
		}
		if path == "/api/rooms/general/messages" {
			l.want(t, 201, "", "bob", "POST /api/rooms/general/messages", `{"message":"new"}`)
			l.want(t, 200, "new", "alice", "GET "+path, "", tag)
		}
	}
}

// What is refused, how, and what is said of it. What alice may not see is
// answered as what is not there.
func TestRefusals(t *testing.T) {
	l := newLab(t, nil)
	l.want(t, 201, "", "bob", "POST /api/rooms", `{"name":"secret","private":true}`)
	l.want(t, 201, "", "bob", "POST /api/people/carol/messages", `{"message":"hi"}`)
	hidden := l.want(t, 201, "", "bob", "POST /api/rooms/secret/messages", `{"message":"hidden"}`)
	var m struct{ ID string }
	hidden.into(t, &m)
	long := strings.Repeat("x", hub.MaxText)
	for _, c := range []struct {
		request, body string
		status        int
		says          string
	}{
		{"GET /api/rooms?limit=0", "", 400, `"argument":"limit"`},
		{"GET /api/rooms?limit=101", "", 400, "1 to 100"},
		{"GET /api/rooms?limit=2&limit=3", "", 400, `"argument":"limit"`},
		{"GET /api/rooms?%zz", "", 400, "not well-formed"},
		{"GET /api/rooms/general/messages?since=yesterday", "", 400, `"argument":"since"`},
		{"GET /api/rooms/general/messages?after=0&before=0", "", 400, `"argument":"before"`},
		{"GET /api/rooms/general/messages?after=nonsense", "", 400, `"argument":"after"`},
		{"GET /api/rooms/general/messages?after=other-1", "", 410, `"code":"reset","argument":"after","oldest":"0","reason":"the cursor is of another log"`},
		{"GET /api/rooms/general/messages?before=other-1", "", 410, `"oldest":"0"`},
		{"GET /api/notifications?unread=yes", "", 400, `"argument":"unread"`},
		{"GET /api/notifications?after=other-1", "", 410, `"oldest"`},
		{"GET /api/logs?level=loud", "", 400, `"argument":"level"`},
		{"GET /api/logs?until=x", "", 400, `"argument":"until"`},
		{"GET /api/search", "", 400, `"argument":"q"`},
		{"GET /api/search?q=x&room=general&to=bob", "", 400, `"argument":"to"`},
		{"GET /api/rooms/No%20room", "", 400, `"argument":"room"`},
		{"GET /api/rooms/missing", "", 404, `"code":"not_found","argument":"room"`},
		{"GET /api/rooms/secret", "", 404, `"code":"not_found","argument":"room"`},
		{"GET /api/rooms/secret/messages", "", 404, ""},
		{"GET /api/rooms/secret/members", "", 404, ""},
		{"GET /api/rooms/dm/bob/carol/messages", "", 404, ""},
		{"GET /api/presence?room=secret", "", 404, ""},
		{"GET /api/search?q=hidden&room=secret", "", 404, ""},
		{"GET /api/people/nobody/messages", "", 404, `"argument":"to"`},
		{"GET /api/people/alice/messages", "", 400, "yourself"},
		{"POST /api/rooms/secret/messages", `{"message":"x"}`, 404, ""},
		{"POST /api/rooms/secret/typing", "", 404, ""},
		{"PUT /api/rooms/secret/members/alice", "", 404, ""},
		{"DELETE /api/rooms/secret/members/bob", "", 404, ""},
		{"POST /api/rooms/general/messages", `{}`, 400, `"argument":"message"`},
		{"POST /api/rooms/general/messages", `{"message":"` + long + `x"}`, 400, "at most 65536"},
		{"POST /api/rooms/general/messages", `{"message":"` + strings.Repeat(long, 8) + `"}`, 413, "512 KiB"},
		{"POST /api/rooms/general/messages?room=x", `{"message":"x"}`, 400, "there are no parameters here"},
		{"POST /api/people/bob/messages", `{"message":"x","sender":"bob"}`, 400, "Allowed are message, reply_to"},
		{"POST /api/people/carol/messages", fmt.Sprintf(`{"message":"x","reply_to":%q}`, m.ID), 404, `"argument":"reply_to"`},
		{"POST /api/rooms", `{"name":"dm/alice/bob"}`, 400, `"argument":"room"`},
		{"POST /api/rooms", `{"name":"x","private":true,"invite":["nobody"]}`, 404, `"argument":"invite"`},
		{"POST /api/notifications", `{"message":"x","level":"loud"}`, 400, `"argument":"level"`},
		{"POST /api/notifications", `{"message":"x","to":"nobody"}`, 404, `"argument":"to"`},
		{"POST /api/notifications", `{"message":"x","progress":"half"}`, 400, `"argument":"progress"`},
		{"POST /api/notifications/read", `{"up_to":"nonsense"}`, 400, `"argument":"up_to"`},
		{"POST /api/notifications/read", `{}`, 400, `"argument":"up_to"`},
		{"POST /api/logs", `{"message":"x","level":"loud"}`, 400, `"argument":"level"`},
		{"POST /api/logs", `{"message":"x","fields":[]}`, 400, `"argument":"fields"`},
		{"POST /api/logs", `{"message":"x","fields":` + strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 10), 400, "nested"},
		{"PATCH /api/rooms/general", "", 405, "GET, HEAD"},
		{"DELETE /api/search", "", 405, "GET, HEAD"},
		{"GET /api/rooms/dm/members/zoe", "", 405, "DELETE, PUT"},
		{"POST /api/rooms/general/typing?x=" + long[:1000], "", 400, "no parameters"},
		{"GET /api/rooms?" + strings.Repeat("y", 100) + "=1", "", 400, "after, limit"},
		{"GET /api/rooms/" + strings.Repeat("z", 100) + "/members", "", 400, `"argument":"room"`},
	} {
		a := l.want(t, c.status, c.says, "alice", c.request, c.body)
		if a.header.Get("Content-Type") != "application/problem+json" || strings.Contains(a.body, "hidden") {
			t.Errorf("%s: %v %v", c.request, a.header, a)
		}
	}
	l.want(t, 415, "application/json", "alice", "POST /api/rooms/general/messages", "message=x", "Content-Type: text/plain")
	for _, path := range []string{"/api/rooms/missing", "/api/rooms/missing/messages", "/api/rooms/missing/members"} {
		missing := l.do(t, "alice", "GET "+path, "")
		secret := l.do(t, "alice", "GET "+strings.Replace(path, "missing", "secret", 1), "")
		if strings.ReplaceAll(missing.body, "missing", "secret") != secret.body {
			t.Errorf("what is not there: %v; what may not be seen: %v", missing, secret)
		}
	}
	var found messages
	if l.want(t, 200, "", "alice", "GET /api/search?q=hidden", "").into(t, &found); len(found.Messages) != 0 {
		t.Errorf("found: %+v", found)
	}
	for _, room := range []string{"secret", "dm/bob/carol"} {
		if a := l.want(t, 200, "general", "alice", "GET /api/rooms", ""); strings.Contains(a.body, room) {
			t.Errorf("alice is told of %s: %v", room, a)
		}
	}
}

// With a key nothing is stored twice, whoever is first.
func TestIdempotency(t *testing.T) {
	l := newLab(t, nil)
	const key = "Idempotency-Key: k 1"
	for request, body := range map[string]string{
		"POST /api/rooms/general/messages": `{"message":"once"}`,
		"POST /api/notifications":          `{"message":"once","to":"bob"}`,
		"POST /api/logs":                   `{"message":"once"}`,
	} {
		first := l.want(t, 201, "once", "alice", request, body, key)
		again := l.want(t, 201, "once", "alice", request, body, key)
		if first.body != again.body || first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %v, then %v %v", request, first, again, again.header)
		}
		l.want(t, 409, `"code":"conflict","argument":"idempotency_key"`, "alice", request, strings.Replace(body, "once", "other", 1), key)
		if other := l.want(t, 201, "once", "carol", request, body, key); other.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s: another user's key: %v", request, other.header)
		}
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, "Idempotency-Key: "+strings.Repeat("x", 129))
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, "Idempotency-Key: ")
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, "Idempotency-Key: \u00e9")
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, key, key)
	}
	l.want(t, 409, "idempotency_key", "alice", "POST /api/people/bob/messages", `{"message":"once"}`, key) // elsewhere is something else

	var wg sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		wg.Go(func() {
			answers[i] = l.do(t, "bob", "POST /api/rooms/general/messages", `{"message":"together"}`, "Idempotency-Key: k2")
		})
	}
	wg.Wait()
	fresh := 0
	for _, a := range answers {
		if a.status != 201 || a.body != answers[0].body {
			t.Errorf("%v, and %v", a, answers[0])
		}
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d of them were the first", fresh)
	}
	var got messages
	if l.want(t, 200, "", "bob", "GET /api/rooms/general/messages", "").into(t, &got); got.texts() != "once once together" {
		t.Errorf("the room has %q", got.texts())
	}
}

// Rooms are made, listed in pages, joined and left.
func TestRooms(t *testing.T) {
	l := newLab(t, nil)
	for _, name := range []string{"a", "b", "c"} {
		l.want(t, 201, `"kind":"public"`, "alice", "POST /api/rooms", `{"name":"`+name+`","topic":"T <`+name+`>"}`)
	}
	l.want(t, 200, `"topic":"T <a>"`, "alice", "POST /api/rooms", `{"name":"a"}`)
	var names []string
	for after := ""; ; {
		var page struct {
			Rooms []struct{ Name string }
			Next  string
		}
		l.want(t, 200, "", "bob", "GET /api/rooms?limit=2&after="+after, "").into(t, &page)
		for _, r := range page.Rooms {
			names = append(names, r.Name)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if fmt.Sprint(names) != "[a b c general]" {
		t.Errorf("the rooms are %v", names)
	}

	var invited []string
	for i := range 60 {
		invited = append(invited, fmt.Sprintf("user%02d", i))
	}
	many, _ := json.Marshal(invited)
	l.want(t, 201, `"member_count":61`, "alice", "POST /api/rooms", `{"name":"many","private":true,"invite":`+string(many)+`}`)
	var people struct {
		Members []struct {
			Name   string
			Online bool
		}
		Next string
	}
	l.want(t, 200, "", "alice", "GET /api/rooms/many/members?after=user58", "").into(t, &people)
	if len(people.Members) != 1 || people.Members[0].Name != "user59" || people.Next != "" {
		t.Errorf("%+v", people)
	}
	l.want(t, 200, `{"members":[{"name":"alice","online":true}],"next":"alice"}`, "alice", "GET /api/rooms/many/members?limit=1", "")
	l.want(t, 200, `{"people":[{"name":"bob","online":true},{"name":"carol","online":false}],"next":"carol"}`, "bob", "GET /api/presence?after=alice&limit=2", "")

	l.want(t, 404, "", "bob", "GET /api/rooms/many", "")
	l.want(t, 204, "", "alice", "PUT /api/rooms/many/members/bob", "")
	l.want(t, 204, "", "bob", "PUT /api/rooms/many/members/carol", "")
	l.want(t, 200, "", "carol", "GET /api/rooms/many", "")
	l.want(t, 403, `"code":"forbidden","argument":"user"`, "bob", "DELETE /api/rooms/many/members/carol", "")
	l.want(t, 204, "", "carol", "DELETE /api/rooms/many/members/carol", "")
	l.want(t, 404, "", "carol", "GET /api/rooms/many", "")
	l.want(t, 204, "", "alice", "DELETE /api/rooms/many/members/bob", "")
	l.want(t, 404, "", "bob", "GET /api/rooms/many", "")
}

type inbox struct {
	Notifications []struct{ ID, Message, To string }
	Next          string
	Unread        int
	UnreadMore    bool   `json:"unread_more"`
	ReadTo        string `json:"read_to"`
}

// What somebody was notified of is read and marked, by nobody else.
func TestNotifications(t *testing.T) {
	l := newLab(t, nil)
	read := func(user, query string) (got inbox) {
		t.Helper()
		l.want(t, 200, "", user, "GET /api/notifications"+query, "").into(t, &got)
		return got
	}
	if got := read("bob", ""); got.Notifications == nil || got.Unread != 0 || got.Next == "" {
		t.Errorf("nothing: %+v", got)
	}
	l.want(t, 201, `"level":"info"`, "alice", "POST /api/notifications", `{"message":"one","to":"bob"}`)
	l.want(t, 201, `"progress":0`, "alice", "POST /api/notifications", `{"message":"two","progress":0,"level":"success","title":"t","key":"k"}`)
	l.want(t, 201, "", "carol", "POST /api/notifications", `{"message":"for alice","to":"alice"}`)
	got := read("bob", "?unread=true&after=0")
	if len(got.Notifications) != 2 || got.Unread != 2 || got.ReadTo != "" || got.UnreadMore {
		t.Errorf("of bob: %+v", got)
	}
	first := got.Notifications[0].ID
	l.want(t, 200, fmt.Sprintf(`{"unread":1,"unread_more":false,"read_to":%q}`, first), "bob", "POST /api/notifications/read", fmt.Sprintf(`{"up_to":%q}`, first))
	l.want(t, 200, `{"unread":1,`, "bob", "GET /api/notifications/unread", "")
	if got := read("bob", "?unread=true"); len(got.Notifications) != 1 || got.Notifications[0].Message != "two" || got.ReadTo != first {
		t.Errorf("of bob, unread: %+v", got)
	}
	if got := read("bob", "?limit=1&before="+got.Notifications[1].ID); len(got.Notifications) != 1 || got.Notifications[0].ID != first {
		t.Errorf("of bob, before: %+v", got)
	}
	if got := read("carol", ""); len(got.Notifications) != 2 || got.Unread != 1 || got.ReadTo != "" {
		t.Errorf("of carol: %+v", got)
	}
}

// Log lines are found by level, logger and time; and their numbers are what
// they were.
func TestLogs(t *testing.T) {
	l := newLab(t, nil)
	l.want(t, 201, `"level":"info"`, "alice", "POST /api/logs", `{"message":"one","logger":"build"}`)
	l.want(t, 201, `"fields":{"id":12345678901234567890}`, "alice", "POST /api/logs", `{"message":"two","level":"error","fields":{"id":12345678901234567890}}`)
	l.want(t, 201, "", "bob", "POST /api/logs", `{"message":"three","level":"debug","logger":"build"}`)
	for query, want := range map[string]string{
		"":                                   "one two three",
		"?level=info":                        "one two",
		"?logger=build":                      "one three",
		"?logger=build&level=info":           "one",
		"?since=2100-01-01T00:00:00Z":        "",
		"?until=2100-01-01T00:00:00Z":        "one two three",
		"?until=2000-01-01T00:00:00%2B01:00": "",
		"?limit=1":                           "three",
		"?after=0&limit=1":                   "one",
	} {
		var got struct {
			Lines []struct{ Message string }
			Next  string
			Cut   bool
		}
		l.want(t, 200, "", "carol", "GET /api/logs"+query, "").into(t, &got)
		var texts []string
		for _, line := range got.Lines {
			texts = append(texts, line.Message)
		}
		if strings.Join(texts, " ") != want || got.Lines == nil || got.Cut {
			t.Errorf("%s: %+v", query, got)
		}
	}
}

func TestSearch(t *testing.T) {
	l := newLab(t, nil)
	for _, text := range []string{"the Quick fox", "a quick brown dog", "slow"} {
		l.want(t, 201, "", "alice", "POST /api/rooms/general/messages", `{"message":"`+text+`"}`)
	}
	l.want(t, 201, "", "alice", "POST /api/people/bob/messages", `{"message":"quick, in private"}`)
	for user, queries := range map[string]map[string]string{
		"bob": {
			"q=QUICK":                   "quick, in private a quick brown dog the Quick fox",
			"q=quick+dog":               "a quick brown dog",
			"q=quick&limit=1":           "quick, in private",
			"q=quick&to=alice":          "quick, in private",
			"q=quick&room=dm/alice/bob": "quick, in private",
			"q=quick&sender=bob":        "",
		},
		"carol": {"q=quick": "a quick brown dog the Quick fox", "q=private": ""},
	} {
		for query, want := range queries {
			var got messages
			if l.want(t, 200, `"cut":false`, user, "GET /api/search?"+query, "").into(t, &got); got.texts() != want || got.Messages == nil {
				t.Errorf("%s, %s: %+v", user, query, got)
			}
		}
	}
}

// Whoever asks too often, or for too much at a time, waits; and the server tells
// which requests write.
func TestPace(t *testing.T) {
	var writes []bool
	wait := time.Duration(0)
	l := newLab(t, func(o *api.Options) {
		o.Pace = func(_ context.Context, write bool) time.Duration {
			writes = append(writes, write)
			return wait
		}
	})
	l.want(t, 200, "", "alice", "GET /api/rooms", "")
	l.want(t, 200, "", "alice", "GET /api/logs", "")
	l.want(t, 204, "", "alice", "POST /api/rooms/general/typing", "")
	l.want(t, 201, "", "alice", "POST /api/notifications", `{"message":"x"}`)
	if fmt.Sprint(writes) != "[false false true true]" {
		t.Errorf("writes: %v", writes)
	}
	wait = 1500 * time.Millisecond
	if a := l.want(t, 429, "too often", "alice", "GET /api/rooms", ""); a.header.Get("Retry-After") != "2" {
		t.Errorf("%v", a.header)
	}
}

// A user has so many requests running and no more; who shuts down waits for
// them, and lets nobody in.
func TestRunning(t *testing.T) {
	l := newLab(t, func(o *api.Options) { o.MaxCallsPerUser = 1 })
	body, send := io.Pipe()
	done := make(chan answer, 1)
	go func() {
		a := l.as(t, auth.Identity{Subject: "alice", Scopes: auth.ScopeAdmin}, "POST /api/rooms/general/messages", body)
		_ = body.Close() // when it is not read, whoever writes it is told
		done <- a
	}()
	if _, err := io.WriteString(send, `{"message":`); err != nil { // it is being read
		t.Fatal(err)
	}
	l.want(t, 429, "let one finish", "alice", "GET /api/rooms", "")
	l.want(t, 200, "", "bob", "GET /api/rooms", "")
	ended := make(chan error)
	go func() { ended <- l.api.Shutdown(t.Context()) }()
	for l.do(t, "bob", "GET /api/rooms", "").status != http.StatusServiceUnavailable { // until it has begun
	}
	if a := l.want(t, 503, "shutting down", "bob", "GET /api/rooms", ""); a.header.Get("Retry-After") == "" {
		t.Errorf("%v", a.header)
	}
	select {
	case err := <-ended:
		t.Fatalf("it does not wait: %v", err)
	default:
	}
	if _, err := io.WriteString(send, `"last"}`); err != nil {
		t.Fatal(err)
	}
	_ = send.Close()
	if a := <-done; a.status != 201 {
		t.Errorf("what ran: %v", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newLab(t, nil).api.Shutdown(late); err != nil && err != context.Canceled { //nolint:errorlint // either is right
		t.Error(err)
	}
}
