package chaos

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestReconnectStorm kills a server with many listeners, all of which come back
// at once: each hears what it has missed, once; whoever sends meanwhile is
// served; the memory stays within its limit; and when they have gone nothing of
// them is left.
func TestReconnectStorm(t *testing.T) {
	n, limit := 500, 512
	if *full {
		n, limit = 5000, 1024
	}
	most := strconv.Itoa(n + 100)
	r := newRun(t)
	r.steady = true
	r.server.args = append(r.server.args, "--max-streams", most, "--max-streams-per-user", most, "--memory-limit", fmt.Sprint(limit, "MiB"))
	r.server.startOnce()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	w := &writer{client: r.client("writer", modern)}
	w.openRoom(ctx)
	own, err := r.server.process().Descriptors()
	if err != nil {
		t.Fatal(err)
	}
	w.send(ctx, rooms[0], "before anybody listens")
	var listening sync.WaitGroup
	for i := range n {
		l := r.client(fmt.Sprint("listener ", i), "")
		listening.Go(func() { l.listen(ctx, "0") })
	}
	r.connected(ctx, n)
	w.send(ctx, rooms[0], "before the storm")

	r.server.kill()
	r.server.start()
	r.connected(ctx, n/10) // the storm has begun
	for i := range 20 {
		w.send(ctx, rooms[0], fmt.Sprint("during the storm ", i))
	}
	r.connected(ctx, n)
	p := r.server.process()
	memory, err := p.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("with %d listeners back the server holds %d MiB", n, memory>>20)
	if memory > limit<<20 {
		t.Errorf("its limit is %d MiB", limit)
	}
	w.send(ctx, rooms[0], theEnd)
	listening.Wait()
	for _, s := range r.history.sends {
		if s.tries != 1 {
			t.Errorf("%q had to be sent %d times: %s", s.text, s.tries, s.last)
		}
	}
	r.check(ctx)
	r.until(ctx, "the descriptors of those who left to be closed", func(open int) bool { return open <= own+10 })
}

// connected waits until the server has so many connections.
func (r *run) connected(ctx context.Context, n int) {
	r.t.Helper()
	r.until(ctx, fmt.Sprint(n, " connections"), func(open int) bool { return open >= n })
}

// until waits for a number of descriptors of the server.
func (r *run) until(ctx context.Context, what string, enough func(open int) bool) {
	r.t.Helper()
	for {
		open, err := r.server.process().Descriptors()
		if err == nil && enough(open) {
			return
		}
		if ctx.Err() != nil {
			r.t.Fatalf("waiting for %s: %d are open (%v)", what, open, err)
		}
		wait(ctx, 20*time.Millisecond)
	}
}
