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
	"testing"

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
