package transport_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"wigwag/transport"
)

// TestPermit (authorization, line 5): what is not permitted is refused before
// anything of the body has begun, whatever way it comes in.
func TestPermit(t *testing.T) {
	const challenge = `Bearer error="insufficient_scope", scope="chat:write"`
	permit := func(_ context.Context, method, on string) (string, bool) {
		refused := method == "tools/call" && on == "slow" || method == "resources/read" && on == watchedURI ||
			method == "prompts/get" && on == "greet" || method == "subscriptions/listen"
		return challenge, !refused
	}
	l := newLab(t, transport.Options{Permit: permit})
	session, older := l.open("2025-11-25"), l.open("2025-03-26")
	modernHeaders, modernCall := modern("tools/call", "slow", `"name":"slow","arguments":{"as":"a"}`)
	listenHeaders, listen := modern("subscriptions/listen", "", `"notifications":{}`)
	for name, c := range map[string]struct{ headers, body string }{
		"tool":                  {session, slowCall("a")},
		"tool, no session":      {"User: alice", slowCall("a")},
		"tool of 2026":          {modernHeaders, modernCall},
		"listen":                {listenHeaders, listen},
		"resource":              {session, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + watchedURI + `"}}`},
		"prompt":                {session, `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"greet"}}`},
		"batch":                 {older, `[` + ping + `,` + slowCall("a") + `]`},
		"name twice":            {session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"slow","arguments":{"as":"a"}}}`},
		"name in another case":  {session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"slow","arguments":{"as":"a"}}}`},
		"beside what is no URI": {session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","uri":5,"arguments":{"as":"a"}}}`},
	} {
		a := l.post(c.headers, c.body).finish()
		if a.status != http.StatusForbidden || a.header.Get("WWW-Authenticate") != challenge || !strings.Contains(a.body, `"error"`) {
			t.Errorf("%s: %d %q %s", name, a.status, a.header.Get("WWW-Authenticate"), a.body)
		}
	}
	select {
	case <-l.puppet("a").started:
		t.Error("a refused call ran")
	default:
	}
	ok(t, l.post(session, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"slow"}}}`).finish())

	stream := l.send(http.MethodGet, "/sse", "User: alice\nAccept: text/event-stream", "")
	endpoint, _ := stream.event()
	if a := l.send(http.MethodPost, string(endpoint.Data), "User: alice\nContent-Type: application/json", slowCall("a")).finish(); a.status != http.StatusForbidden {
		t.Errorf("POST /messages is answered with %d", a.status)
	}
	stream.hangUp()
}
