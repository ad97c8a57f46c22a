package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// What a server says of itself is believed only where it is the one that was
// asked: codes and tokens go there.
func TestDiscover(t *testing.T) {
	for _, tt := range []struct{ name, document, want string }{
		{"good", `{"issuer":"URL","authorization_endpoint":"URL/a","token_endpoint":"URL/t","revocation_endpoint":"URL/r"}`, ""},
		{"another issuer", `{"issuer":"https://evil.example","authorization_endpoint":"URL/a","token_endpoint":"URL/t","revocation_endpoint":"URL/r"}`, "calls itself https://evil.example"},
		{"issuer with a slash", `{"issuer":"URL/","authorization_endpoint":"URL/a","token_endpoint":"URL/t","revocation_endpoint":"URL/r"}`, "calls itself"},
		{"another token endpoint", `{"issuer":"URL","authorization_endpoint":"URL/a","token_endpoint":"https://evil.example/t","revocation_endpoint":"URL/r"}`, "not its own (https://evil.example/t)"},
		{"an endpoint that begins alike", `{"issuer":"URL","authorization_endpoint":"URL.evil.example/a","token_endpoint":"URL/t","revocation_endpoint":"URL/r"}`, "not its own"},
		{"endpoints missing", `{"issuer":"URL"}`, "not its own"},
		{"no JSON", `<html>`, "does not answer as a wigwag server does"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var server *httptest.Server
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(strings.ReplaceAll(tt.document, "URL", server.URL)))
			}))
			defer server.Close()
			_, err := discover(t.Context(), server.Client(), server.URL)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// On the loopback port only the answer to our own request counts, by our own
// server.
func TestLoopback(t *testing.T) {
	const issuer = "https://chat.example.com"
	l, err := listenForCode(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	client := newClient(t)
	for _, q := range []url.Values{
		{"code": {"stolen"}},
		{"code": {"stolen"}, "state": {"guessed"}, "iss": {issuer}},
		{"code": {"stolen"}, "state": {l.state}},
		{"code": {"stolen"}, "state": {l.state}, "iss": {"https://evil.example"}},
	} {
		if resp := request(t, client, "GET", l.address+"?"+q.Encode(), ""); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%v is answered with %d", q, resp.StatusCode)
		}
	}
	for path, want := range map[string]int{"POST": http.StatusMethodNotAllowed, "PUT": http.StatusMethodNotAllowed} {
		if resp := request(t, client, path, l.address, ""); resp.StatusCode != want {
			t.Errorf("%s is answered with %d", path, resp.StatusCode)
		}
	}
	good := url.Values{"code": {"good"}, "state": {l.state}, "iss": {issuer}}
	page := body(t, request(t, client, "GET", l.address+"?"+good.Encode(), ""))
	if code, err := l.wait(t.Context()); code != "good" || err != nil || !strings.Contains(page, "Done.") {
		t.Errorf("code %q, %v, page %s", code, err, page)
	}
	refused := url.Values{"error": {"access_denied"}, "error_description": {"no\x1b[2Jthanks"}, "state": {l.state}, "iss": {issuer}}
	page = body(t, request(t, client, "GET", l.address+"?"+refused.Encode(), ""))
	if _, err := l.wait(t.Context()); err == nil || !strings.Contains(err.Error(), "nothanks") || strings.Contains(page, "thanks") {
		t.Errorf("error %v, page %s", err, page)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if _, err := l.wait(ctx); err == nil || !strings.Contains(err.Error(), "nobody signed in within 5 minutes") {
		t.Errorf("error %v", err)
	}
}

func TestServerOrigin(t *testing.T) {
	for raw, want := range map[string]string{
		"https://Chat.Example.com":       "https://chat.example.com",
		"https://chat.example.com:443/":  "https://chat.example.com",
		"https://chat.example.com/mcp":   "https://chat.example.com",
		"https://chat.example.com:8443":  "https://chat.example.com:8443",
		"http://127.0.0.1:8080/mcp":      "http://127.0.0.1:8080",
		"http://[::1]:8080":              "http://[::1]:8080",
		"http://localhost":               "http://localhost",
		"http://chat.example.com":        "",
		"http://127.0.0.1.example.com":   "",
		"http://localhost.example.com":   "",
		"http://127.0.0.1@example.com":   "",
		"https://a:b@chat.example.com":   "",
		"https://chat.example.com/other": "",
		"https://chat.example.com?x":     "",
		"https://chat.example.com#x":     "",
		"ftp://chat.example.com":         "",
		"https://":                       "",
		"":                               "",
	} {
		if got, err := serverOrigin(raw); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", raw, got, err, want)
		}
	}
}

// Processes that store at the same time lose nothing of each other's.
func TestLoginsTogether(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			l, err := newLogins(environment{"XDG_CONFIG_HOME": dir})
			if err == nil {
				err = l.change(func(servers map[string]storedLogin) error {
					servers[fmt.Sprintf("https://%d.example", i)] = storedLogin{User: "alice", Token: "t"}
					return nil
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	l, err := newLogins(environment{"HOME": "elsewhere", "XDG_CONFIG_HOME": dir})
	if err != nil {
		t.Fatal(err)
	}
	if servers, err := l.read(); err != nil || len(servers) != 20 {
		t.Errorf("%d are kept, %v", len(servers), err)
	}
	// What fails changes nothing and leaves nothing behind.
	failed := fmt.Errorf("no")
	if err := l.change(func(servers map[string]storedLogin) error { clear(servers); return failed }); err != failed { //nolint:errorlint // the very error
		t.Error(err)
	}
	if servers, err := l.read(); err != nil || len(servers) != 20 {
		t.Errorf("%d are kept, %v", len(servers), err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "wigwag"))
	if err != nil || len(entries) != 2 {
		t.Errorf("in the folder are %v, %v; want the file and its lock", entries, err)
	}
}
