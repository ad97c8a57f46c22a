package transport_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wigwag/transport"
)

// recorder is an Observer that keeps what it is told.
type recorder struct {
	mu   sync.Mutex
	said []string
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, s)
}

func (r *recorder) Call(method, tool, outcome string, _ time.Duration) {
	r.add(strings.Join(strings.Fields(method+" "+tool+" "+outcome), " "))
}
func (r *recorder) Refused(reason string) { r.add("refused " + reason) }
func (r *recorder) Replayed(events int)   { r.add(fmt.Sprint("replayed ", events)) }

func (r *recorder) has(s string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.said, s)
}

// TestObserver: every call is told with names the server has, whatever the
// client wrote.
func TestObserver(t *testing.T) {
	var told recorder
	l := newLab(t, transport.Options{Observer: &told, Limits: transport.Limits{MaxBody: 4096}})
	session := l.open("2025-11-25")
	if !told.has("initialize ok") {
		t.Errorf("of initialize not told but %q", told.said)
	}
	for body, want := range map[string]string{
		ping: "ping ok",
		`{"jsonrpc":"2.0","id":2,"method":"made/up"}`:                                                        "other error",
		`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"made_up"}}`:                         "tools/call other error",
		`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}`:  "tools/call echo ok",
		`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"refuse"}}`:                          "tools/call refuse tool_error",
		`{"jsonrpc":"2.0","id":6,"method":"tools/list","params":{"x":"` + strings.Repeat("x", 5_000) + `"}}`: "refused body",
	} {
		l.post(session, body).finish()
		if !told.has(want) {
			t.Errorf("after %.80s not told %q but %q", body, want, told.said)
		}
	}
}

// TestOverloadedLetsNothingNewIn: what is open goes on.
func TestOverloadedLetsNothingNewIn(t *testing.T) {
	var (
		short atomic.Bool
		told  recorder
	)
	l := newLab(t, transport.Options{Observer: &told, Overloaded: short.Load})
	session := l.open("2025-11-25")
	listening := l.get(session)
	listening.event() // the priming one
	short.Store(true)
	headers, call := modern("tools/call", "echo", `"name":"echo"`)
	for name, e := range map[string]*exchange{
		"call":              l.post(session, ping),
		"call of 2026":      l.post(headers, call),
		"session":           l.post("User: bob", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`),
		"stream":            l.get(session),
		"stream of the old": l.send(http.MethodGet, "/sse", "User: alice\nAccept: text/event-stream", ""),
	} {
		if a := e.finish(); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q", name, a.status, a.header.Get("Retry-After"))
		}
	}
	if !told.has("refused memory") {
		t.Errorf("told %q", told.said)
	}
	l.srv.ResourcesListChanged(func(string) bool { return true })
	if ev, ok := listening.event(); !ok || !strings.Contains(string(ev.Data), "list_changed") {
		t.Errorf("the open stream: %+v, %v", ev, ok)
	}
	short.Store(false)
	if got := l.post(session, ping).finish().status; got != http.StatusOK {
		t.Errorf("afterwards %d", got)
	}
}
