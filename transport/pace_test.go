package transport_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"wigwag/transport"
)

// TestPace: what comes too soon is refused with the ID of its request and the
// time to wait; nothing of it begins.
func TestPace(t *testing.T) {
	pace := func(_ context.Context, method, on string) time.Duration {
		if method == "tools/call" && on == "slow" {
			return 1500 * time.Millisecond
		}
		return 0
	}
	l := newLab(t, transport.Options{Pace: pace})
	session := l.open("2025-11-25")
	a := l.post(session, slowCall("a")).finish()
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "2" || !strings.Contains(a.body, `"code":-32000`) || strings.Contains(a.body, `"id":null`) {
		t.Errorf("%d, Retry-After %q, %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	ok(t, l.post(session, ping).finish())

	stream := l.send(http.MethodGet, "/sse", "User: alice\nAccept: text/event-stream", "")
	endpoint, _ := stream.event()
	if a := l.send(http.MethodPost, string(endpoint.Data), "User: alice\nContent-Type: application/json", slowCall("a")).finish(); a.status != http.StatusAccepted {
		t.Errorf("POST /messages is answered with %d", a.status)
	}
	if ev, _ := stream.event(); !strings.Contains(string(ev.Data), `"code":-32000`) {
		t.Errorf("on the stream: %s", ev.Data)
	}
	stream.hangUp()
	select {
	case <-l.puppet("a").started:
		t.Error("a refused call ran")
	default:
	}
}
