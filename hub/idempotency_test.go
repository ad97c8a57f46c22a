package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdempotency(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "other"})
	original := send(t, h, alice, General, "original")
	draft := Draft{Text: "hello", ReplyTo: original.ID, Tool: "send_message", Key: "k"}
	first, duplicate, err := h.Send(t.Context(), alice, draft)
	if err != nil || duplicate {
		t.Fatalf("duplicate %t, %v", duplicate, err)
	}

	same := draft
	same.Room = General // what it defaults to
	for _, d := range []Draft{draft, same} {
		if m, duplicate, err := h.Send(t.Context(), alice, d); err != nil || !duplicate || m != first {
			t.Errorf("again: %+v, duplicate %t, %v; want %+v", m, duplicate, err, first)
		}
	}
	if s, m, err := h.Stream(t.Context(), alice, draft); err != nil || s != nil || m == nil || *m != first {
		t.Errorf("again as a stream: %v, %+v, %v", s, m, err)
	}

	plain := Draft{Text: "hello", Tool: "send_message", Key: "plain"}
	if _, _, err := h.Send(t.Context(), alice, plain); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Draft){
		"text":     func(d *Draft) { d.Text = "other" },
		"reply_to": func(d *Draft) { d.ReplyTo = original.ID },
		"room":     func(d *Draft) { d.Target = Target{Room: "other"} },
		"to":       func(d *Draft) { d.Target = Target{To: "bob"} },
	} {
		d := plain
		change(&d)
		_, _, err := h.Send(t.Context(), alice, d)
		wantCode(t, err, Conflict, "idempotency_key")
		if err == nil {
			t.Errorf("another %s with the same key was sent", name)
		}
	}

	// Another user, tool or key has nothing to do with it, nor does one that
	// is written alike.
	for _, use := range []struct {
		actor     Actor
		tool, key string
	}{
		{bob, "send_message", "k"},
		{alice, "stream_message", "k"},
		{alice, "send_message", "K"},
		{alice, "send_messagek", "k"},
		{alice, "send_message", "kk"},
		{alice, "", "send_messagek"},
		{alice, "", ""},
		{alice, "", ""},
	} {
		d := draft
		d.Tool, d.Key = use.tool, use.key
		if _, duplicate, err := h.Send(t.Context(), use.actor, d); err != nil || duplicate {
			t.Errorf("%+v: duplicate %t, %v", use, duplicate, err)
		}
	}
}

func TestIdempotencyExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		d := Draft{Text: "x", Key: "k"}
		first, _, _ := h.Send(t.Context(), alice, d)
		pass(time.Hour)
		other := d
		other.Key = "later"
		second, _, _ := h.Send(t.Context(), alice, other)
		pass(keyLife - time.Hour)
		if m, duplicate, err := h.Send(t.Context(), alice, d); err != nil || !duplicate || m != first {
			t.Errorf("after 24 h: %+v, %t, %v", m, duplicate, err)
		}
		pass(time.Nanosecond)
		if m, duplicate, err := h.Send(t.Context(), alice, d); err != nil || duplicate || m.ID == first.ID {
			t.Errorf("after more than 24 h: %+v, %t, %v", m, duplicate, err)
		}
		if m, duplicate, err := h.Send(t.Context(), alice, other); err != nil || !duplicate || m != second {
			t.Errorf("the later key: %+v, %t, %v", m, duplicate, err)
		}
		h.Close()
	})
}

// TestIdempotencyWhileRunning: a second call waits for the first and gets its
// answer, or its turn.
func TestIdempotencyWhileRunning(t *testing.T) {
	broken := errors.New("broken")
	for name, outcome := range map[string]error{"stored": nil, "failed": broken} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &oddLog{Log: NewMemoryLog(1 << 20)}
				var calls atomic.Int32
				log.append = func(context.Context) error {
					if calls.Add(1) == 1 {
						<-time.After(time.Second)
						return outcome
					}
					return nil
				}
				h := newHubOver(t, log)
				d := Draft{Text: "x", Key: "k"}
				var wg sync.WaitGroup
				var firstID string
				wg.Go(func() {
					m, duplicate, err := h.Send(t.Context(), alice, d)
					if !errors.Is(err, outcome) || duplicate {
						t.Errorf("first: duplicate %t, %v", duplicate, err)
					}
					firstID = m.ID
				})
				synctest.Wait()

				other := d
				other.Text = "y"
				_, _, err := h.Send(t.Context(), alice, other)
				wantCode(t, err, Conflict, "idempotency_key")

				short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				_, _, err = h.Send(short, alice, d)
				wantCode(t, err, Conflict, "idempotency_key")

				var duplicates atomic.Int64
				ids := make([]string, 5)
				for i := range ids {
					wg.Go(func() {
						m, duplicate, err := h.Send(t.Context(), alice, d)
						if err != nil {
							t.Error(err)
						}
						if duplicate {
							duplicates.Add(1)
						}
						ids[i] = m.ID
					})
				}
				wg.Wait()
				wantDuplicates := int64(len(ids))
				if outcome != nil {
					wantDuplicates-- // one of them had its turn
				} else if ids[0] != firstID {
					t.Errorf("the answer was %s, then %s", firstID, ids[0])
				}
				if duplicates.Load() != wantDuplicates {
					t.Errorf("%d of %d were duplicates", duplicates.Load(), len(ids))
				}
				for _, id := range ids {
					if id != h.id(1) {
						t.Errorf("message %s was stored", id)
					}
				}
				h.Close()
			})
		})
	}
}

func TestIdempotencyOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		d := Draft{Text: "one two", Tool: "stream", Key: "k"}
		begin := func() *Streaming {
			s, m, err := h.Stream(t.Context(), alice, d)
			if err != nil || m != nil {
				t.Fatalf("%+v, %v", m, err)
			}
			return s
		}
		// However it ends without a message, the key is free again.
		begin().Cancel()
		begin()
		pass(silentFor)
		s := begin()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Finish(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Finish: %v", err)
		}

		s = begin()
		var wg sync.WaitGroup
		wg.Go(func() {
			again, m, err := h.Stream(t.Context(), alice, d)
			if err != nil || again != nil || m == nil || m.StreamID != s.ID() || m.Message != d.Text {
				t.Errorf("again: %v, %+v, %v", again, m, err)
			}
		})
		synctest.Wait()
		if _, err := s.Finish(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		h.Close()
	})
}

// TestIdempotencyAfterACrash: what was stored just before the process died, too
// late for its key to be remembered, is a duplicate all the same.
func TestIdempotencyAfterACrash(t *testing.T) {
	messages, lines := NewMemoryLog(1<<20), NewEvictingMemoryLog(1<<20)
	run := func(want bool) (ids []string) {
		h := newHubWith(t, Options{Log: messages, Lines: lines}) // the keys are new each time
		defer h.Close()
		told := func(tool, id string, duplicate bool, err error) {
			if ids = append(ids, id); err != nil || duplicate != want {
				t.Errorf("%s: duplicate %t, %v; want %t", tool, duplicate, err, want)
			}
		}
		m, duplicate, err := h.Send(t.Context(), alice, Draft{Text: "x", Tool: "send", Key: "k"})
		told("send", m.ID, duplicate, err)
		n, duplicate, err := h.Notify(t.Context(), alice, NotificationDraft{Level: LevelInfo, Message: "x", Tool: "notify", IdempotencyKey: "k"})
		told("notify", n.ID, duplicate, err)
		l, duplicate, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "x", Tool: "log", IdempotencyKey: "k"})
		told("log", l.ID, duplicate, err)
		s := begin(t, h, alice, Draft{Text: "x", Tool: "stream", Key: "k"})
		m, err = s.Finish(t.Context())
		told("stream", m.ID, m.StreamID != s.ID(), err)
		return ids
	}
	if first, second := run(false), run(true); !slices.Equal(first, second) {
		t.Errorf("stored was %q, then %q", first, second)
	}
}

// TestIdempotencyBounds: what is remembered is bounded, and one user cannot
// make the hub forget what others sent.
func TestIdempotencyBounds(t *testing.T) {
	h := newHub(t)
	use := func(a Actor, key string) {
		t.Helper()
		if _, _, err := h.Send(t.Context(), a, Draft{Text: "x", Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	remembered := func(a Actor, key string) bool { return h.keys.get(a.Name+"/"+hash("", key)).ID != "" }
	use(bob, "bob's")
	for i := range maxUserKeys + 1 {
		use(alice, fmt.Sprint(i))
	}
	if remembered(alice, "0") {
		t.Error("a user's oldest key was kept beyond the bound")
	}
	if !remembered(alice, "1") || !remembered(bob, "bob's") {
		t.Error("a key was forgotten too early")
	}
	for i := range maxKeys - maxUserKeys - 1 {
		use(Actor{Name: fmt.Sprint("u", i/maxUserKeys)}, fmt.Sprint(i))
	}
	if n := len(h.keys.newest); n != maxKeys {
		t.Fatalf("%d keys are remembered, want %d", n, maxKeys)
	}
	use(carol, "one more") // pushes out the oldest of all
	if n := len(h.keys.newest); n != maxKeys {
		t.Errorf("%d keys are remembered, want %d", n, maxKeys)
	}
	if !remembered(alice, "1") || !remembered(carol, "one more") || remembered(bob, "bob's") {
		t.Error("it was not the oldest key that was forgotten")
	}
}

// TestIdempotencyAllRunning: keys of calls that are running are not forgotten.
func TestIdempotencyAllRunning(t *testing.T) {
	k := newKeys(NewMemoryBucket(1<<20), maxUserKeys, slog.New(slog.DiscardHandler))
	for i := range maxKeys {
		if err := k.run(t.Context(), &claim{user: "alice", key: fmt.Sprint("alice/", i)}); err != nil {
			t.Fatal(err)
		}
	}
	err := k.run(t.Context(), &claim{user: "bob", key: "bob/k"})
	wantCode(t, err, Full, "idempotency_key")
}
