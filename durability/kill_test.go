//go:build linux

package durability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var rooms = [...]string{"general", "engine-room"}

// TestKill ends the program with kill -9 again and again while writers send and
// a listener listens. Nothing acknowledged is lost, doubled or moved.
func TestKill(t *testing.T) {
	const writers = 8
	each, kills := 250, 4
	if *full {
		each, kills = 2500, 8
	}
	r := random(t)
	dir := t.TempDir()
	k := &killing{t: t, dir: dir, each: each, acked: make([]map[string]string, writers), came: make(chan struct{})}
	k.restart()
	k.now().open(t, rooms[1], false)

	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	heard := make(chan []message, 1)
	group.Go(func() { heard <- k.listener(ctx) })
	for w := range writers {
		group.Go(func() { k.acked[w] = k.writer(ctx, w) })
	}
	for _, at := range moments(r, writers*each, kills) {
		k.reached(ctx, at)
		timer := time.NewTimer(time.Duration(r.IntN(20_000)) * time.Microsecond)
		<-timer.C // somewhere within what the writers are doing
		k.server.Kill()
		k.restart()
	}
	k.reached(ctx, writers*each)
	last := k.now().send(t, rooms[0], "the end")
	group.Wait()

	k.check(<-heard, last)
	t.Logf("%d messages, %d kills, %d sends repeated, of which %d had been stored", writers*each, kills, k.repeated.Load(), k.doubled.Load())
	if k.repeated.Load() == 0 {
		t.Error("no kill has hit a send: this run proves nothing")
	}
}

// moments are the numbers of acknowledged messages after which to kill.
func moments(r *rand.Rand, n, kills int) []int {
	at := make([]int, kills)
	for i := range at {
		at[i] = r.IntN(n * 9 / 10)
	}
	slices.Sort(at)
	return at
}

// killing is a run of TestKill.
type killing struct {
	t     *testing.T
	dir   string
	each  int                 // messages of a writer
	acked []map[string]string // per writer: the ID of each text that was acknowledged

	server   *server // only of the goroutine that kills
	done     atomic.Int64
	repeated atomic.Int64
	doubled  atomic.Int64

	mu   sync.Mutex
	user *client       // guarded by mu
	came chan struct{} // closed and replaced when a message was acknowledged; guarded by mu
}

// restart runs the server and lets the others know where.
func (k *killing) restart() {
	k.t.Helper()
	k.server = start(k.t, "--data", k.dir)
	user := k.server.as("admin", password)
	k.mu.Lock()
	k.user = user
	k.mu.Unlock()
}

func (k *killing) now() *client {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.user
}

// reached waits until so many messages were acknowledged.
func (k *killing) reached(ctx context.Context, n int) {
	for {
		k.mu.Lock()
		came := k.came
		k.mu.Unlock()
		if int(k.done.Load()) >= n {
			return
		}
		select {
		case <-came:
		case <-ctx.Done():
			k.t.Fatalf("%d of %d messages were acknowledged: %v", k.done.Load(), n, ctx.Err())
		}
	}
}

// writer sends its messages, each until it is acknowledged, always with the
// same key.
func (k *killing) writer(ctx context.Context, w int) map[string]string {
	acked := make(map[string]string, k.each)
	for n := range k.each {
		text := textOf(w, n)
		arguments := map[string]any{"room": rooms[(w+n)%len(rooms)], "message": text, "idempotency_key": text}
		for try := 0; ; try++ {
			var sent struct {
				message
				Duplicate bool
			}
			err := k.now().call(ctx, "send_message", arguments, &sent)
			if err == nil {
				acked[text] = sent.ID
				if sent.Duplicate {
					k.doubled.Add(1)
				}
				if sent.Duplicate && try == 0 {
					k.t.Errorf("%s was sent once and answered as a duplicate", text)
				}
				break
			}
			if _, answered := errors.AsType[toolError](err); answered || ctx.Err() != nil {
				k.t.Errorf("sending %s: %v", text, err)
				return acked
			}
			if try == 0 {
				k.repeated.Add(1)
			}
			pause(ctx)
		}
		k.mu.Lock()
		k.done.Add(1)
		close(k.came)
		k.came = make(chan struct{})
		k.mu.Unlock()
	}
	return acked
}

func textOf(writer, n int) string { return fmt.Sprintf("writer %d says %d", writer, n) }

// listener listens until "the end", from where it was each time the server has
// come back.
func (k *killing) listener(ctx context.Context) (heard []message) {
	after := "0"
	for {
		err := k.now().listen(ctx, after, func(ev event) bool {
			switch ev.kind {
			case "reset":
				k.t.Errorf("the listener got a reset after %s: %s", after, ev.data)
			case "message":
				var m message
				if err := json.Unmarshal([]byte(ev.data), &m); err != nil || m.ID != ev.id {
					k.t.Errorf("the listener got the ID %q with %s (%v)", ev.id, ev.data, err)
				}
				heard = append(heard, m)
				after = ev.id
				return m.Message != "the end"
			}
			return true
		})
		if err == nil {
			return heard
		}
		if ctx.Err() != nil {
			k.t.Errorf("the listener heard %d messages and not the end", len(heard))
			return heard
		}
		pause(ctx)
	}
}

// check compares what was acknowledged, what is there and what was heard.
func (k *killing) check(heard []message, last string) {
	t := k.t
	t.Helper()
	var all []message
	for _, room := range rooms {
		page := k.now().history(t, room)
		for _, m := range page {
			if m.Room != room {
				t.Errorf("%v was found in %s", m, room)
			}
		}
		all = append(all, page...)
	}
	slices.SortStableFunc(all, func(a, b message) int {
		_, x := place(t, a.ID)
		_, y := place(t, b.ID)
		return x - y
	})

	epoch, _ := place(t, last)
	next := make([]int, len(k.acked)) // per writer: the number of its next message
	for i, m := range all {
		in, seq := place(t, m.ID)
		if in != epoch {
			t.Fatalf("message %d is of the epoch %s, the last of %s", seq, in, epoch)
		}
		if seq != i+1 {
			t.Fatalf("after message %d comes %d", i, seq)
		}
		if m.ID == last {
			continue
		}
		var w, n int
		if _, err := fmt.Sscanf(m.Message, "writer %d says %d", &w, &n); err != nil || m.Message != textOf(w, n) {
			t.Fatalf("nobody has sent %q", m.Message)
		}
		if n != next[w] {
			t.Fatalf("%s: message %d of writer %d comes where %d should", m.ID, n, w, next[w])
		}
		if id := k.acked[w][m.Message]; id != m.ID {
			t.Fatalf("%q was acknowledged as %s and is there as %s", m.Message, id, m.ID)
		}
		next[w]++
	}
	for w, n := range next {
		if n != k.each {
			t.Errorf("of writer %d there are %d messages of %d", w, n, k.each)
		}
	}
	if !slices.Equal(heard, all) {
		t.Errorf("the listener heard %d messages, not the %d that are there in their order", len(heard), len(all))
	}
}
