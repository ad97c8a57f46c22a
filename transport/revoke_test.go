package transport_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"wigwag/transport"
)

// When a user may no longer come in, all that runs for it ends, and nothing of
// anybody else's.
func TestEndUser(t *testing.T) {
	l := newLab(t, transport.Options{})
	alice := l.open("2025-11-25")
	begun := l.post("User: bob", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`).finish()
	bob := "User: bob\nMcp-Session-Id: " + begun.header.Get("Mcp-Session-Id")
	listening := l.get(alice)
	listening.head()
	older := l.send(http.MethodGet, "/sse", "User: alice\nAccept: text/event-stream", "")
	older.head()
	others := l.get(bob)
	others.head()

	running := l.callSlow("User: alice", "running")

	l.srv.EndUser("alice")
	listening.finish()
	running.finish()
	older.finish()
	if got := l.post(alice, ping).finish().status; got != http.StatusNotFound {
		t.Errorf("the session is answered with %d", got)
	}
	if got := l.post(bob, ping).finish().status; got != http.StatusOK {
		t.Errorf("another's session is answered with %d", got)
	}
	l.srv.ResourcesListChanged(func(string) bool { return true })
	if ev, ok := others.event(); !ok || !strings.Contains(string(ev.Data), "list_changed") {
		t.Errorf("another's stream: %+v, %v", ev, ok)
	}
}

// What is revoked between being let in and being known is refused after all.
func TestRevokedMeanwhile(t *testing.T) {
	l := newLab(t, transport.Options{Revoked: func(context.Context) bool { return true }})
	initialize := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`
	for name, got := range map[string]answer{
		"call":       l.post("User: alice", ping).finish(),
		"initialize": l.post("User: alice", initialize).finish(),
		"GET /sse":   l.send(http.MethodGet, "/sse", "User: alice\nAccept: text/event-stream", "").finish(),
	} {
		if got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestEndRevoked: what came in with a token that is revoked ends, and nothing
// that came in with another one of the same owner.
func TestEndRevoked(t *testing.T) {
	var bad atomic.Bool
	type token struct{}
	l := newLab(t, transport.Options{
		Revoked: func(ctx context.Context) bool { return bad.Load() && ctx.Value(token{}) == "bad" },
		Owner: func(r *http.Request) transport.Owner {
			*r = *r.WithContext(context.WithValue(r.Context(), token{}, r.Header.Get("Token")))
			return transport.Owner{User: "alice", Key: "alice"}
		},
	})
	session := l.open("2025-11-25")
	good, worse := l.open("2025-11-25")+"\nToken: good", session+"\nToken: bad"
	kept, ended := l.get(good), l.get(worse)
	kept.event()
	ended.event()
	older := l.send(http.MethodGet, "/sse", "Token: bad\nAccept: text/event-stream", "")
	older.event()
	running := l.callSlow(worse, "running")
	going := l.callSlow(good, "going")

	bad.Store(true)
	l.srv.EndRevoked()
	for _, x := range []*exchange{ended, older, running} {
		x.finish()
	}
	l.order("going", "returns well")
	ok(t, going.finish())
	l.srv.ResourcesListChanged(func(string) bool { return true })
	if ev, ok := kept.event(); !ok || !strings.Contains(string(ev.Data), "list_changed") {
		t.Errorf("a stream of a good token: %+v, %v", ev, ok)
	}
	ok(t, l.post(session+"\nToken: good", ping).finish())
}
