package faults

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wigwag/client"
)

// heard is what a listener has got.
type heard struct {
	mu       sync.Mutex
	messages []client.Message // guarded by mu
	partials []string         // their texts; guarded by mu
	states   []client.State   // guarded by mu
	changed  chan struct{}    // closed when there is more; guarded by mu
}

func newHeard() *heard { return &heard{changed: make(chan struct{})} }

func (h *heard) add(ev client.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case ev.Message != nil:
		h.messages = append(h.messages, *ev.Message)
	case ev.Partial != nil:
		h.partials = append(h.partials, ev.Partial.Message)
	case ev.State != nil:
		h.states = append(h.states, *ev.State)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// waitFor waits for something, which is asked under the lock.
func (h *heard) waitFor(ctx context.Context, t *testing.T, done func() bool, what string) {
	t.Helper()
	for {
		h.mu.Lock()
		ok, changed := done(), h.changed
		n, told := len(h.messages), h.toldLocked(0)
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s; there are %d messages and the states %s", what, n, told)
		}
	}
}

func (h *heard) stateCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.states)
}

// told is the states from the nth on, for people.
func (h *heard) told(n int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.toldLocked(n)
}

func (h *heard) toldLocked(n int) string {
	var s strings.Builder
	for _, state := range h.states[n:] {
		fmt.Fprintf(&s, "[%s %d in %v: %v]", state.State, state.Attempt, state.RetryIn.Round(time.Millisecond), state.Err)
	}
	return s.String()
}
