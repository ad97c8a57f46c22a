package chaos

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
)

const sigterm = syscall.SIGTERM

// TestChaos kills, stops and restarts the server at random while clients of
// every kind go on.
func TestChaos(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.goOn(r.server.attack)
	n := &r.count
	if n.kills.Load() == 0 || n.repeated.Load() == 0 || n.resumed.Load() == 0 || n.fetched.Load() == 0 {
		t.Error("nothing was hit: this run proves nothing")
	}
}

// TestChaosBehindAProxy does the same where the way to the server is no better.
func TestChaosBehindAProxy(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.behindProxy()
	r.goOn(r.server.attack)
}

// goOn runs clients of every kind while the attacks last, and checks what they
// have seen.
func (r *run) goOn(attacks func()) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), *lasts+3*patience)
	defer cancel()
	r.server.startOnce()
	first := r.client("first", modern)
	first.openRoom(ctx)

	var writing, following sync.WaitGroup
	var sessions []*writer
	for i := range 3 {
		w := &writer{client: r.client(fmt.Sprint("legacy ", i), legacy)}
		if err := w.open(ctx); err != nil {
			r.t.Fatal(err)
		}
		r.record(func(h *history) { h.sessions = append(h.sessions, session{name: w.name}) })
		sessions = append(sessions, w)
		writing.Go(func() { w.write(ctx) })
		own := r.client(w.name, legacy)
		own.session = w.session
		following.Go(func() { own.follow(ctx) })
	}
	for i := range 3 {
		w := &writer{client: r.client(fmt.Sprint("modern ", i), modern)}
		writing.Go(func() { w.write(ctx) })
	}
	for i := range 3 {
		l := r.client(fmt.Sprint("listener ", i), "")
		following.Go(func() { l.listen(ctx, "0") })
	}
	late := r.client("late listener", "")
	following.Go(func() {
		wait(ctx, *lasts/3)
		late.listen(ctx, "")
	})

	attacks()
	close(r.stop)
	writing.Wait()
	r.ending.Store(true)
	last := &writer{client: first}
	last.send(ctx, rooms[0], theEnd)
	following.Wait()
	for _, w := range sessions {
		w.goesOn(ctx)
	}
	r.check(ctx)
}
