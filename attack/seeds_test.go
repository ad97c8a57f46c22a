package attack_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// feed is somebody's open stream.
type feed struct {
	t     *testing.T
	lines *bufio.Scanner
}

// listen opens a stream, which ends with the test.
func (u user) listen(path string) *feed {
	u.lab.t.Helper()
	ctx, cancel := context.WithTimeout(u.lab.t.Context(), patience)
	u.lab.t.Cleanup(cancel)
	resp, err := u.lab.open(ctx, "GET", path, "", u.bearer())
	if err != nil {
		u.lab.t.Fatal(err)
	}
	u.lab.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		u.lab.t.Fatalf("GET %s: %s", path, resp.Status)
	}
	return &feed{u.lab.t, bufio.NewScanner(resp.Body)}
}

// next is the data of the next event that has some.
func (f *feed) next() string {
	f.t.Helper()
	for f.lines.Scan() {
		if data, ok := strings.CutPrefix(f.lines.Text(), "data: "); ok {
			return data
		}
	}
	f.t.Fatalf("the stream ended: %v", f.lines.Err())
	return ""
}

// Attack: mallory speaks on alice's talk with the server, whose session mallory
// has come to know.
func TestTalkOfAnother(t *testing.T) {
	l := start(t, "--seed-routes")
	talk := l.alice.listen("/downward")
	var welcome struct{ SessionID string }
	if err := json.Unmarshal([]byte(talk.next()), &welcome); err != nil || len(welcome.SessionID) < 26 {
		t.Fatalf("%v, session %q", err, welcome.SessionID)
	}
	absent := l.mallory.do("POST", "/upward", `{"text":"4711"}`, "X-Session-ID: ABSENT")
	absent.want(t, http.StatusBadRequest)
	for _, session := range []string{welcome.SessionID, strings.ToLower(welcome.SessionID), welcome.SessionID + " ", welcome.SessionID[:25], "*", "../" + welcome.SessionID} {
		same(t, l.mallory.do("POST", "/upward", `{"text":"4711"}`, "X-Session-ID: "+session), absent, session, "ABSENT")
	}
	l.do("POST", "/upward", `{"text":"4711"}`, "X-Session-ID: "+welcome.SessionID).want(t, http.StatusUnauthorized)
	l.alice.do("POST", "/upward", `{"text":"it is me\n\nevent: forged\ndata: 4711x"}`, "X-Session-ID: "+welcome.SessionID).want(t, http.StatusCreated)
	var reply struct{ Text string }
	if data := talk.next(); json.Unmarshal([]byte(data), &reply) != nil || !strings.HasSuffix(reply.Text, "it is me\n\nevent: forged\ndata: 4711x") {
		t.Errorf("alice got %s", data)
	}
}

// Attack: mallory reads the notifications of others.
func TestNotificationsOfAnother(t *testing.T) {
	l := start(t, "--seed-routes")
	l.bob.do("POST", "/api/notify", fmt.Sprintf(`{"userId":"alice","message":%q,"type":"info"}`, secretText)).want(t, http.StatusCreated)
	same(t, l.mallory.do("GET", "/notifications?userId=alice", ""), l.mallory.do("GET", "/notifications?userId=nobody", ""), "alice", "nobody")
	l.mallory.do("GET", "/notifications?userId=alice", "").want(t, http.StatusForbidden)
	l.mallory.do("GET", "/notifications?userId=alice&userId=mallory", "").want(t, http.StatusForbidden)
	mine := l.mallory.listen("/notifications?last_event_id=0&userId=mallory&userId=alice")
	mine.next() // connected
	l.bob.do("POST", "/api/notify", fmt.Sprintf(`{"userId":"alice","message":%q}`, secretText)).want(t, http.StatusCreated)
	l.bob.do("POST", "/api/notify", `{"message":"to everybody","userId":""}`).want(t, http.StatusCreated)
	if data := mine.next(); !strings.Contains(data, "to everybody") {
		t.Errorf("mallory got %s", data)
	}
	// Nor is the sender who the body says.
	l.mallory.do("POST", "/api/notify", `{"message":"x","sender":"alice"}`).want(t, http.StatusBadRequest)
	l.traced("request", "mallory", "GET /notifications 403")
}

// Attack: a page that mallory has lured alice to makes her browser ask, with the
// cookie of her login.
func TestForeignPageWithCookie(t *testing.T) {
	const ally = "http://localhost:3000"
	l := start(t, "--seed-routes", "--allowed-origin="+ally)
	in := fmt.Sprintf(`{"username":"alice","password":%q}`, passwordOf("alice"))
	cookie := "Cookie: auth_token=" + l.do("POST", "/api/login", in).field(t, "token")
	l.do("GET", "/api/session", "", cookie, "Origin: "+ally).want(t, http.StatusOK)

	asks := []struct{ method, path, body string }{
		{"GET", "/events", ""},
		{"GET", "/secure-events", ""},
		{"GET", "/notifications", ""},
		{"GET", "/downward", ""},
		{"GET", "/stream", ""},
		{"GET", "/api/logs/stream", ""},
		{"GET", "/api/session", ""},
		{"GET", "/api/rooms", ""},
		{"GET", "/api/tokens", ""},
		{"POST", "/send-message", `{"message":"4711"}`},
		{"POST", "/stream-message", `{"message":"4711"}`},
		{"POST", "/api/notify", `{"message":"4711"}`},
		{"POST", "/api/rooms/general/messages", `{"message":"4711"}`},
		{"POST", "/upward", `{"text":"4711"}`},
		{"POST", "/api/tokens", `{"name":"4711","scopes":"chat:read"}`},
		{"POST", "/api/logout", ""},
	}
	for _, ask := range asks {
		for _, from := range [][]string{
			{"Origin: https://evil.example"},
			{"Origin: null"},
			{"Origin: http://localhost:3000.evil.example", "Sec-Fetch-Site: cross-site"},
			{"Origin: http://localhost:3001", "Sec-Fetch-Site: same-site"},
			{"Sec-Fetch-Site: cross-site"}, // a link, an image
			{"Sec-Fetch-Site: same-site"},
		} {
			a := l.do(ask.method, ask.path, ask.body, append(from, cookie)...)
			a.want(t, http.StatusForbidden)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("%s %s from %s may be read by %s", ask.method, ask.path, from, got)
			}
		}
	}
	// A form needs no leave to be sent; but it cannot send JSON.
	for _, path := range []string{"/send-message", "/stream-message", "/api/notify"} {
		l.do("POST", path, `{"message":"4711"}`, cookie, "Content-Type: text/plain").want(t, http.StatusUnsupportedMediaType)
	}
	before := l.do("OPTIONS", "/send-message", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
	if before.header.Get("Access-Control-Allow-Origin") != "" || before.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("a foreign page is let in: %v", before.header)
	}
	// The cookie is for no more than where it is meant for, and no longer.
	l.do("POST", "/mcp", ping, cookie, accept, "Origin: "+ally).want(t, http.StatusUnauthorized)
	l.do("GET", "/sse", "", cookie).want(t, http.StatusUnauthorized)
	if a := l.bob.call("read_messages", `{}`); strings.Contains(a.body, "4711") {
		t.Errorf("it was sent: %s", a.body)
	}
	l.do("POST", "/api/logout", "", cookie, "Origin: "+ally).want(t, http.StatusOK)
	l.do("GET", "/api/session", "", cookie).want(t, http.StatusUnauthorized)
	l.traced("request", "", "GET /events 403")
	l.untold(strings.TrimPrefix(cookie, "Cookie: auth_token="))
}

// Attack: who has no account reads what is not public, where some of it is.
func TestGuestReadsMore(t *testing.T) {
	l := start(t, "--public-read", "--seed-routes")
	l.alice.must("open_room", `{"room":"vault","private":true}`)
	id := l.alice.must("send_message", fmt.Sprintf(`{"room":"vault","message":%q}`, secretText))["id"]
	l.alice.must("send_message", fmt.Sprintf(`{"to":"bob","message":%q}`, secretText))
	l.alice.must("notify", fmt.Sprintf(`{"level":"info","message":%q}`, secretText))
	l.alice.must("send_message", `{"message":"the end"}`)
	guest := user{l, "", ""}
	for _, query := range []string{"?last_event_id=0", fmt.Sprintf("?last_event_id=%v", id), "?since=2000-01-01T00:00:00Z", "?last_event_id=0&partials=delta&rooms=general"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		resp, err := l.open(ctx, "GET", "/events"+query, "")
		if err != nil {
			t.Fatal(err)
		}
		f := &feed{t, bufio.NewScanner(resp.Body)}
		for data := ""; !strings.Contains(data, "the end"); {
			if data = f.next(); strings.Contains(data, "4711") || strings.Contains(data, "vault") {
				t.Errorf("%s: %s", query, data)
			}
		}
		resp.Body.Close()
		cancel()
	}
	same(t, l.do("GET", "/events?rooms=vault", ""), l.do("GET", "/events?rooms=attic", ""), "vault", "attic")
	same(t, l.do("GET", "/events?rooms=dm/alice/bob", ""), l.do("GET", "/events?rooms=dm/alice/eve", ""), "dm/alice/bob", "dm/alice/eve")
	for _, query := range []string{"?types=notification", "?types=message,presence", "?types=log", "?types=typing", "?log_level=debug"} {
		l.do("GET", "/events"+query, "").want(t, http.StatusForbidden)
	}
	for _, path := range []string{"/secure-events", "/notifications", "/stream", "/downward", "/api/logs/stream", "/api/rooms", "/api/presence", "/api/search?q=safe", "/api/session"} {
		l.do("GET", path, "").want(t, http.StatusUnauthorized)
	}
	l.do("POST", "/send-message", `{"message":"x"}`).want(t, http.StatusUnauthorized)
	l.do("POST", "/mcp", ping, accept).want(t, http.StatusUnauthorized)
	guest.do("GET", "/events", "").want(t, http.StatusUnauthorized) // with a token that is empty
}
