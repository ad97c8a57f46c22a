package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Attack: what is sent is too big, or for another server.
func TestHeadersAndBodies(t *testing.T) {
	l := start(t)
	big := `{"username":"` + strings.Repeat("a", 17<<10) + `","password":"x"}`
	for _, path := range []string{"/api/login", "/api/refresh", "/api/register", "/oauth/register", "/oauth/token", "/oauth/revoke"} {
		headers := []string{}
		if path == "/oauth/token" || path == "/oauth/revoke" {
			headers = append(headers, formType)
		}
		l.do("POST", path, big, headers...).want(t, http.StatusRequestEntityTooLarge)
	}
	l.mallory.do("POST", "/api/tokens", big).want(t, http.StatusRequestEntityTooLarge)
	l.mallory.do("POST", "/mcp", strings.Repeat(" ", 5<<20)+ping, accept).want(t, http.StatusRequestEntityTooLarge)
	l.do("GET", "/healthz", "", "X-Padding: "+strings.Repeat("a", 40<<10)).want(t, http.StatusRequestHeaderFieldsTooLarge)
	l.do("GET", "/api/session", "", "Authorization: Bearer "+strings.Repeat("a", 9<<10)).want(t, http.StatusUnauthorized)
	l.do("GET", authorization(strings.Repeat("a", 9<<10)), "").want(t, http.StatusBadRequest)
	for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "localhost.evil.example"} {
		l.mallory.do("POST", "/mcp", ping, accept, "Host: "+host).want(t, http.StatusForbidden)
		l.do("GET", authorization(l.register("an app")), "", "Host: "+host).want(t, http.StatusForbidden)
	}
	for _, origin := range []string{"https://evil.example", "null", "http://127.0.0.1.evil.example", "http://localhost.evil.example"} {
		for _, path := range []string{"/mcp", "/sse", "/messages", "/events", "/api/login", "/api/session"} {
			l.mallory.do("POST", path, ping, accept, "Origin: "+origin).want(t, http.StatusForbidden)
		}
	}
	// A document that is not there is not there, whatever clients make of it.
	for _, path := range []string{"/.well-known/", "/.well-known/webfinger", "/.well-known/oauth-authorization-server/evil", "/oauth/", "/api/", "/admin", "/../etc/passwd", "/api/users/../../metrics"} {
		l.do("GET", path, "").want(t, http.StatusNotFound)
	}
	l.traced("request", "", "POST /mcp 403")
	l.traced("authorize", "", "Wrong address")
}

// Attack: alice's password is guessed, from many addresses as it were. Neither
// is alice locked out by it, nor is mallory let to go on.
func TestGuessing(t *testing.T) {
	l := start(t)
	refused := 0
	for i := range 50 {
		// The headers by which a proxy says whom it asks for count for nothing.
		a := l.do("POST", "/api/login", fmt.Sprintf(`{"username":"alice","password":"guess %d"}`, i), fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i))
		switch a.status {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			if refused++; a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		default:
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if refused < 30 {
		t.Errorf("%d of 50 guesses were not even checked", refused)
	}
	l.alice.call("list_rooms", `{}`).want(t, http.StatusOK) // who is signed in goes on
	l.traced("sign-in", "alice", "too many attempts")
	l.untold("guess ", "198.51.100.")
}
