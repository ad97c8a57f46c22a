package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"wigwag/auth"
	"wigwag/web/api"
)

// Whoever asks too often, or for too much at a time, waits; and the server tells
// which requests write.
func TestPace(t *testing.T) {
	var writes []bool
	wait := time.Duration(0)
	l := newLab(t, func(o *api.Options) {
		o.Pace = func(_ context.Context, write bool) time.Duration {
			writes = append(writes, write)
			return wait
		}
	})
	l.want(t, 200, "", "alice", "GET /api/rooms", "")
	l.want(t, 200, "", "alice", "GET /api/logs", "")
	l.want(t, 204, "", "alice", "POST /api/rooms/general/typing", "")
	l.want(t, 201, "", "alice", "POST /api/notifications", `{"message":"x"}`)
	if fmt.Sprint(writes) != "[false false true true]" {
		t.Errorf("writes: %v", writes)
	}
	wait = 1500 * time.Millisecond
	if a := l.want(t, 429, "too often", "alice", "GET /api/rooms", ""); a.header.Get("Retry-After") != "2" {
		t.Errorf("%v", a.header)
	}
}

// A user has so many requests running and no more; who shuts down waits for
// them, and lets nobody in.
func TestRunning(t *testing.T) {
	l := newLab(t, func(o *api.Options) { o.MaxCallsPerUser = 1 })
	body, send := io.Pipe()
	done := make(chan answer, 1)
	go func() {
		a := l.as(t, auth.Identity{Subject: "alice", Scopes: auth.ScopeAdmin}, "POST /api/rooms/general/messages", body)
		_ = body.Close() // when it is not read, whoever writes it is told
		done <- a
	}()
	if _, err := io.WriteString(send, `{"message":`); err != nil { // it is being read
		t.Fatal(err)
	}
	l.want(t, 429, "let one finish", "alice", "GET /api/rooms", "")
	l.want(t, 200, "", "bob", "GET /api/rooms", "")
	ended := make(chan error)
	go func() { ended <- l.api.Shutdown(t.Context()) }()
	for l.do(t, "bob", "GET /api/rooms", "").status != http.StatusServiceUnavailable { // until it has begun
	}
	if a := l.want(t, 503, "shutting down", "bob", "GET /api/rooms", ""); a.header.Get("Retry-After") == "" {
		t.Errorf("%v", a.header)
	}
	select {
	case err := <-ended:
		t.Fatalf("it does not wait: %v", err)
	default:
	}
	if _, err := io.WriteString(send, `"last"}`); err != nil {
		t.Fatal(err)
	}
	_ = send.Close()
	if a := <-done; a.status != 201 {
		t.Errorf("what ran: %v", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newLab(t, nil).api.Shutdown(late); err != nil && err != context.Canceled { //nolint:errorlint // either is right
		t.Error(err)
	}
}
