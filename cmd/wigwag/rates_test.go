package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"wigwag/auth"
)

// Whoever asks too often is told when to come again: of a user, on MCP; of an
// address, where nobody has signed in yet.
func TestRates(t *testing.T) {
	p := start(t, withPassword, "--call-rate=10", "--send-rate=1")
	u := admit(t, p)
	tooOften := func(what string, ask func() *http.Response) {
		t.Helper()
		for range 1000 {
			resp := ask()
			text := body(t, resp)
			if resp.StatusCode != http.StatusTooManyRequests {
				continue
			}
			if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("%s: Retry-After is %q", what, resp.Header.Get("Retry-After"))
			}
			if what == "calls" || what == "sends" {
				if !strings.Contains(text, `"code":-32000`) || !strings.Contains(text, `"id":1`) {
					t.Errorf("%s: %s", what, text)
				}
			}
			return
		}
		t.Errorf("%s are never too many", what)
	}
	tooOften("sends", func() *http.Response { return u.post(t, "/mcp", call(1, "send_message", `{"message":"x"}`)) })
	status(t, "reading", u.post(t, "/mcp", call(1, "read_messages", `{}`)), http.StatusOK)
	tooOften("calls", func() *http.Response { return u.post(t, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`) })
	status(t, "another user", u.member(t, "another").post(t, "/mcp", listTools), http.StatusOK)
	tooOften("documents", func() *http.Response {
		return request(t, u.client, "GET", p.url+"/.well-known/oauth-protected-resource", "")
	})
	tooOften("registrations", func() *http.Response { return request(t, u.client, "POST", p.url+"/oauth/register", "{}") })
	tooOften("sign-ups", func() *http.Response { return request(t, u.client, "POST", p.url+"/api/register", "{}") })
	tooOften("sign-ins", func() *http.Response { return request(t, u.client, "POST", p.url+"/api/refresh", "{}") })
	u.wantTrail(t, "what was too often", func(e auth.Event) bool { return e.Outcome == "refused" && strings.HasPrefix(e.Detail, "429") })
}

// Every answer has the headers that keep browsers from misusing it, and none
// that tells of the server.
func TestSecurityHeaders(t *testing.T) {
	p := start(t, withPassword)
	u := admit(t, p)
	for _, path := range []string{"/mcp", "/events", "/api/session", "/api/login", "/signin", "/oauth/authorize", "/.well-known/oauth-protected-resource", "/healthz", "/nothing"} {
		resp := u.get(t, path)
		h := resp.Header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") ||
			!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("Server") != "" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	p = start(t, withPassword, "--public-url=https://chat.example.com")
	for _, path := range []string{"/mcp", "/healthz"} {
		if got := request(t, newClient(t), "GET", p.listens(t)+path, "", "Host: chat.example.com").Header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=") {
			t.Errorf("%s by https: %q", path, got)
		}
	}
}
