package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// lossy drops what the stream republishes, as keep decides, on its way to the
// feed: a slow consumer, or a change of leader, do the same.
func lossy(t *testing.T, l *Log, keep func() bool) {
	t.Helper()
	f := l.s.feed
	// The real subscription ends in a channel of its own, from where some go on.
	var mu sync.Mutex
	if err := f.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	sub, err := l.s.conn.Subscribe(f.sub.Subject, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if !keep() {
			return
		}
		select {
		case f.live <- m:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.s.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	f.sub = sub
}

// TestLostRepublish: nothing is missed, doubled or out of order, whatever the
// live subscription loses; two subjects are interleaved, and a reader resumes
// between them.
func TestLostRepublish(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that can be repeated
	n := 0
	for name, keep := range map[string]func() bool{
		"all":     func() bool { return false },
		"half":    func() bool { return random.IntN(2) == 0 },
		"every 7": func() bool { n++; return n%7 > 0 },
	} {
		t.Run(name, func(t *testing.T) {
			log := open(t, Options{Dir: t.TempDir()}).Messages()
			lossy(t, log, keep)
			live := follow(t, log)
			const writers, each = 10, 100
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := range each {
						r, err := log.Append(t.Context(), Entry{Subject: fmt.Sprint("room.", w%2), Data: fmt.Append(nil, w, " ", i)})
						if err != nil {
							t.Error(err)
							return
						}
						if i%10 == 0 { // a reader that comes back is where it was
							if got := read(t, log, Range{Subjects: []string{r.Subject}, After: r.Seq - 1, Limit: 1}); len(got) != 1 || !equal(got[0], r) {
								t.Errorf("resumed before %d: %v", r.Seq, seqs(got))
							}
						}
					}
				})
			}
			wg.Wait()
			all := read(t, log, Range{Limit: 100_000})
			if len(all) != writers*each {
				t.Fatalf("the log holds %d records", len(all))
			}
			same(t, "follower", live.wait(t, len(all)), all)
			mid := all[len(all)/2].Seq
			var want []Record
			for _, r := range all {
				if r.Seq > mid && r.Subject == "room.1" {
					want = append(want, r)
				}
			}
			same(t, "resume", read(t, log, Range{Subjects: []string{"room.1"}, After: mid, Limit: 100_000}), want)
		})
	}
}

// TestAnotherWriter: what did not come from this node is found by comparing
// with the leader, although its republish was lost.
func TestAnotherWriter(t *testing.T) {
	log := open(t, Options{Memory: true}).Messages()
	lossy(t, log, func() bool { return false })
	live := follow(t, log)
	if _, err := log.s.js.Publish(t.Context(), log.s.subject("room"), []byte("from elsewhere")); err != nil {
		t.Fatal(err)
	}
	if got := live.wait(t, 1); string(got[0].Data) != "from elsewhere" {
		t.Errorf("got %v", got)
	}
}

// TestFullChannel: the live subscription overflows while the feed is held up.
func TestFullChannel(t *testing.T) {
	log := open(t, Options{Memory: true}).Messages()
	var all []Record
	follower := follow(t, log)
	log.s.feed.mu.Lock() // no record gets in
	const n = liveBuffer + 1000
	acks := make(chan error, n)
	for i := range n {
		go func() {
			_, err := log.s.js.Publish(t.Context(), log.s.subject("room"), fmt.Append(nil, i))
			acks <- err
		}()
		if i%100 == 99 {
			for range 100 {
				if err := <-acks; err != nil {
					t.Error(err)
				}
			}
		}
	}
	for range n % 100 {
		if err := <-acks; err != nil {
			t.Error(err)
		}
	}
	if err := log.s.conn.Flush(); err != nil {
		t.Error(err)
	}
	if dropped, err := log.s.feed.sub.Dropped(); err != nil || dropped == 0 {
		t.Errorf("nothing was dropped (%v): the test tests nothing", err)
	}
	log.s.feed.mu.Unlock()
	got := follower.wait(t, n)
	all = read(t, log, Range{Limit: 100_000})
	same(t, "follower", got, all)
}

// TestExpiredPredecessors: a gap whose records have expired is passed over.
func TestExpiredPredecessors(t *testing.T) {
	log := open(t, Options{Memory: true}).Messages()
	seen := 0
	lossy(t, log, func() bool { seen++; return seen > 20 })
	follower := follow(t, log)
	log.s.feed.mu.Lock()
	for i := range 20 {
		ack, err := log.s.js.Publish(t.Context(), log.s.subject("user.alice"), fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		js, err := log.s.js.Stream(t.Context(), log.s.name)
		if err != nil {
			t.Fatal(err)
		}
		if i%5 != 4 { // as an expiry does
			if err := js.DeleteMsg(t.Context(), ack.Sequence); err != nil {
				t.Fatal(err)
			}
		}
	}
	log.s.feed.mu.Unlock()
	end := add(t, log, "user.alice", "end")
	got := follower.until(t, end.Seq)
	if want := []uint64{5, 10, 15, 20, 21}; fmt.Sprint(seqs(got)) != fmt.Sprint(want) {
		t.Errorf("the follower got %v, want %v", seqs(got), want)
	}
}

// TestUnansweredWrite: what is not known to be durable is not shown, and the
// store is not ready; an answer that comes late makes up for it.
func TestUnansweredWrite(t *testing.T) {
	st := open(t, Options{Memory: true})
	log := st.Messages()
	live := follow(t, log)
	inbox := log.s.inbox
	log.s.inbox = "nowhere." // the writer sees it with the next request
	if _, err := log.Append(t.Context(), Entry{Subject: "room", Data: []byte("1")}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a write that is not answered: %v", err)
	}
	if err := st.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the store is ready: %v", err)
	}
	if s := state(t, log); s.Last != 0 || s.First != 1 {
		t.Errorf("the state is %+v", s)
	}
	if got := read(t, log, Range{Limit: 10}); len(got) > 0 {
		t.Errorf("an unanswered write is read: %v", got)
	}
	if err := log.s.conn.PublishRequest(log.s.subject("room"), inbox+"late", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if got := live.wait(t, 2); string(got[0].Data) != "1" || string(got[1].Data) != "2" {
		t.Errorf("got %v", got)
	}
	if err := st.Ready(); err != nil {
		t.Error(err)
	}
}
