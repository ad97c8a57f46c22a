package attack_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// restOnRooms are requests for what is alice's, and for what is not there: %s is
// the name of a room.
var restOnRooms = []struct{ name, method, path, body string }{
	{"look at it", "GET", "/api/rooms/%s", ""},
	{"list its members", "GET", "/api/rooms/%s/members", ""},
	{"read it", "GET", "/api/rooms/%s/messages", ""},
	{"read it from the beginning", "GET", "/api/rooms/%s/messages?after=0", ""},
	{"read it since a time", "GET", "/api/rooms/%s/messages?since=2000-01-01T00:00:00Z", ""},
	{"search in it", "GET", "/api/search?q=safe&room=%s", ""},
	{"see who is there", "GET", "/api/presence?room=%s", ""},
	{"write there", "POST", "/api/rooms/%s/messages", `{"message":"let me in"}`},
	{"stream there", "PUT", "/api/rooms/%s/stream", "let me in"},
	{"seem to write there", "POST", "/api/rooms/%s/typing", ""},
	{"invite oneself", "PUT", "/api/rooms/%s/members/mallory", ""},
	{"invite a friend", "PUT", "/api/rooms/%s/members/bob", ""},
	{"expel alice", "DELETE", "/api/rooms/%s/members/alice", ""},
	{"leave it", "DELETE", "/api/rooms/%s/members/mallory", ""},
}

// Attack: mallory uses over REST the name of a room that is private, and of one
// of two others. It is as if there were no such room.
func TestRESTRooms(t *testing.T) {
	l := start(t)
	l.alice.do("POST", "/api/rooms", `{"name":"vault","private":true,"invite":["bob"],"topic":"what mallory may not know"}`).want(t, http.StatusCreated)
	l.alice.do("POST", "/api/rooms/vault/messages", fmt.Sprintf(`{"message":%q}`, secretText)).want(t, http.StatusCreated)
	direct := l.alice.do("POST", "/api/people/bob/messages", fmt.Sprintf(`{"message":%q}`, secretText))
	direct.want(t, http.StatusCreated)
	for _, attack := range restOnRooms {
		t.Run(attack.name, func(t *testing.T) {
			for name, absent := range map[string]string{"vault": "attic", "dm/alice/bob": "dm/alice/eve"} {
				ask := func(room string) answer {
					headers := []string{"Content-Type: text/plain"}
					if strings.HasPrefix(attack.body, "{") {
						headers = nil
					}
					return l.mallory.do(attack.method, strings.ReplaceAll(attack.path, "%s", room), attack.body, headers...)
				}
				there := ask(name)
				there.want(t, http.StatusNotFound)
				same(t, there, ask(absent), name, absent)
				if strings.Contains(there.body, "4711") {
					t.Error("the text is out")
				}
			}
		})
	}
	for _, path := range []string{"/api/rooms", "/api/search?q=safe", "/api/rooms/general/messages", "/api/rooms/general/members", "/api/notifications", "/api/logs"} {
		a := l.mallory.do("GET", path, "")
		a.want(t, http.StatusOK)
		if strings.Contains(a.body, "vault") || strings.Contains(a.body, "4711") || strings.Contains(a.body, "dm/alice") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	// Nor does making it again get mallory in, or a quote.
	for _, body := range []string{`{"name":"vault"}`, `{"name":"vault","private":true,"invite":["mallory"]}`} {
		if a := l.mallory.do("POST", "/api/rooms", body); a.status < 400 || strings.Contains(a.body, "alice") || strings.Contains(a.body, "may not know") {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	quote := l.mallory.do("POST", "/api/rooms/general/messages", fmt.Sprintf(`{"message":"see","reply_to":%q}`, direct.field(t, "id")))
	quote.want(t, http.StatusNotFound)
	l.traced("request", "mallory", "GET /api/rooms/vault 404")
	if a := l.alice.do("GET", "/api/rooms/vault/messages", ""); strings.Contains(a.body, "let me in") {
		t.Errorf("alice finds %s", a.body)
	}
	if a := l.alice.do("GET", "/api/rooms/vault", ""); !strings.Contains(a.body, `"members":["alice","bob"]`) {
		t.Errorf("alice finds %s", a.body)
	}
	// A member is not who made the room.
	l.bob.do("DELETE", "/api/rooms/vault/members/alice", "").want(t, http.StatusForbidden)
}

// Attack: mallory says who is asking, in a body, a query or a header.
func TestRESTAsAnother(t *testing.T) {
	l := start(t)
	for _, attack := range []struct{ path, body string }{
		{"/api/rooms/general/messages", `{"message":"hi","sender":"alice"}`},
		{"/api/rooms/general/messages", `{"message":"hi","sender":{"name":"alice"}}`},
		{"/api/rooms/general/messages", `{"message":"hi","Message":"it is alice"}`},
		{"/api/rooms/general/messages", `{"message":"hi","message":"it is alice"}`},
		{"/api/rooms/general/messages?user=alice", `{"message":"hi"}`},
		{"/api/notifications", `{"message":"hi","sender":"alice"}`},
		{"/api/notifications/read", `{"up_to":"0","user":"alice"}`},
		{"/api/logs", `{"message":"hi","sender":"alice"}`},
		{"/api/rooms", `{"name":"mine","creator":"alice"}`},
	} {
		a := l.mallory.do("POST", attack.path, attack.body)
		a.want(t, http.StatusBadRequest)
		if strings.Contains(a.body, "alice") {
			t.Errorf("what was sent is repeated: %s", a.body)
		}
	}
	a := l.mallory.do("POST", "/api/rooms/general/messages", `{"message":"hi"}`, "X-User: alice", "X-Forwarded-User: alice", "X-HTTP-Method-Override: DELETE")
	a.want(t, http.StatusCreated)
	if !strings.Contains(a.body, `"sender":{"name":"mallory"}`) {
		t.Errorf("sent as %s", a.body)
	}
	l.do("GET", "/api/rooms", "", "Cookie: wigwag_session="+l.alice.token).want(t, http.StatusUnauthorized)
	l.do("GET", "/api/rooms?token="+l.alice.token, "").want(t, http.StatusUnauthorized)
}

// Attack: mallory reads alice's notifications, marks them as read, and learns of
// what alice has sent with a key by using that key.
func TestRESTNotifications(t *testing.T) {
	l := start(t)
	first := l.bob.do("POST", "/api/notifications", fmt.Sprintf(`{"to":"alice","message":%q}`, secretText))
	first.want(t, http.StatusCreated)
	id := first.field(t, "id")
	unread := l.alice.do("GET", "/api/notifications/unread", "")
	if !strings.Contains(unread.body, `"unread":1`) {
		t.Fatal(unread.body)
	}
	for _, path := range []string{"/api/notifications", "/api/notifications?after=0", "/api/notifications?before=" + id, "/api/notifications?unread=true&after=0"} {
		a := l.mallory.do("GET", path, "")
		a.want(t, http.StatusOK)
		if strings.Contains(a.body, "4711") || strings.Contains(a.body, `"unread":1`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	l.mallory.do("POST", "/api/notifications/read", fmt.Sprintf(`{"up_to":%q}`, id)).want(t, http.StatusOK)
	if a := l.alice.do("GET", "/api/notifications/unread", ""); a.body != unread.body {
		t.Errorf("for alice there was %s, and now %s", unread.body, a.body)
	}
	ahead := strings.SplitN(id, "-", 2)[0] + "-999999"
	l.alice.do("POST", "/api/notifications/read", fmt.Sprintf(`{"up_to":%q}`, ahead)).want(t, http.StatusGone)
	if a := l.alice.do("GET", "/api/notifications/unread", "", "If-None-Match: *"); a.status != http.StatusNotModified || a.body != "" {
		t.Errorf("%d %s", a.status, a.body)
	}

	const key = "Idempotency-Key: alice's"
	l.alice.do("POST", "/api/people/bob/messages", fmt.Sprintf(`{"message":%q}`, secretText), key).want(t, http.StatusCreated)
	a := l.mallory.do("POST", "/api/people/bob/messages", `{"message":"what was it?"}`, key)
	a.want(t, http.StatusCreated)
	if a.header.Get("Idempotency-Replayed") != "" || strings.Contains(a.body, "4711") {
		t.Errorf("%v %s", a.header, a.body)
	}
	l.untold(secretText, l.alice.token)
}

// Attack: a token for little is used for more, over REST.
func TestRESTScopes(t *testing.T) {
	l := start(t)
	made := l.mallory.do("POST", "/api/tokens", `{"name":"reader","scopes":"chat:read"}`)
	little := user{l, "mallory", made.field(t, "token")}
	for _, attack := range []struct{ method, path, body string }{
		{"POST", "/api/rooms", `{"name":"mine"}`},
		{"POST", "/api/rooms/general/messages", `{"message":"written"}`},
		{"PUT", "/api/rooms/general/stream", ""},
		{"POST", "/api/people/alice/messages", `{"message":"written"}`},
		{"POST", "/api/rooms/general/typing", ""},
		{"PUT", "/api/rooms/mine/members/bob", ""},
		{"POST", "/api/notifications", `{"message":"written"}`},
		{"POST", "/api/notifications/read", `{"up_to":"0"}`},
		{"GET", "/api/logs", ""},
		{"POST", "/api/logs", `{"message":"written"}`},
	} {
		a := little.do(attack.method, attack.path, attack.body)
		a.want(t, http.StatusForbidden)
		if !strings.Contains(a.header.Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("%s %s: %v", attack.method, attack.path, a.header)
		}
		l.traced("request", "mallory", attack.method+" "+attack.path+" 403")
	}
	little.do("GET", "/api/rooms", "").want(t, http.StatusOK)
	l.mallory.do("DELETE", "/api/tokens/"+made.field(t, "id"), "").want(t, http.StatusNoContent)
	little.do("GET", "/api/rooms", "").want(t, http.StatusUnauthorized)
}

// Attack: a request is begun while the right to it is there, and its body is sent
// when that has been taken away.
func TestRESTAfterTheEnd(t *testing.T) {
	l := start(t, "--seed-routes")
	l.web.Transport.(*http.Transport).ExpectContinueTimeout = patience
	for _, attack := range []struct {
		as                 user
		method, path, body string
	}{
		{l.mallory, "POST", "/api/rooms/general/messages", `{"message":"4711"}`},
		{l.mallory, "PUT", "/api/rooms/general/stream", "4711"},
		{l.mallory, "POST", "/api/rooms", `{"name":"r4711"}`},
		{l.mallory, "POST", "/api/notifications", `{"message":"4711"}`},
		{l.mallory, "POST", "/api/logs", `{"message":"4711"}`},
		{l.mallory, "POST", "/api/tokens", `{"name":"4711","scopes":"chat:read"}`},
		{l.mallory, "POST", "/send-message", `{"message":"4711"}`},
		{l.mallory, "POST", "/stream-message", `{"message":"4711"}`},
		{l.mallory, "POST", "/api/notify", `{"message":"4711"}`},
		{l.admin, "POST", "/api/users", `{"username":"u4711","role":"admin"}`},
		{l.admin, "PATCH", "/api/users/mallory", `{"role":"admin"}`},
		{l.admin, "POST", "/api/invitations", `{"role":"admin"}`},
	} {
		t.Run(attack.method+" "+attack.path, func(t *testing.T) {
			scopes := "chat:write notify logs:read logs:write"
			if attack.as.name == "admin" {
				scopes = "admin"
			}
			token := attack.as.do("POST", "/api/tokens", fmt.Sprintf(`{"name":"short","scopes":%q}`, scopes))
			late := lateBody{Reader: strings.NewReader(attack.body), before: func() {
				attack.as.do("DELETE", "/api/tokens/"+token.field(t, "id"), "").want(t, http.StatusNoContent)
			}}
			req, err := http.NewRequestWithContext(t.Context(), attack.method, l.url+attack.path, &late)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token.field(t, "token"))
			req.Header.Set("Expect", "100-continue") // the body is asked for when the token has been found good
			if req.Header.Set("Content-Type", "application/json"); strings.HasSuffix(attack.path, "/stream") {
				req.Header.Set("Content-Type", "text/plain")
			}
			resp, err := l.web.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if late.before != nil {
				t.Error("the body was not asked for")
			}
			(answer{resp.StatusCode, resp.Header, string(text)}).want(t, http.StatusUnauthorized)
		})
	}
	for _, path := range []string{"/api/rooms", "/api/rooms/general/messages", "/api/notifications", "/api/logs", "/api/users"} {
		a := l.admin.do("GET", path, "")
		if a.want(t, http.StatusOK); strings.Contains(a.body, "4711") || strings.Contains(a.body, `"mallory","role":"admin"`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

// lateBody is a body that something happens before, when it is asked for.
type lateBody struct {
	io.Reader
	before func() // nil: it has happened
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.before != nil {
		b.before()
		b.before = nil
	}
	return b.Reader.Read(p)
}
