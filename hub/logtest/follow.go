package logtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"wigwag/hub"
)

func testFollow(t *testing.T, log hub.Log) {
	add(t, log, "room", "before")
	early := follow(t, log)
	want := []hub.Record{add(t, log, "room", "1"), add(t, log, "other", "2")}
	late := follow(t, log)
	want = append(want, add(t, log, "room", "3"))
	same(t, "early follower", early.wait(t, 3), want)
	same(t, "late follower", late.wait(t, 1), want[2:])
}

// testFollowWhileAppending: whenever a follower is registered, what it gets is
// the log from some record on, which was not stored before it was registered.
func testFollowWhileAppending(t *testing.T, log hub.Log) {
	const writers, each = 4, 200
	var followers []*follower
	var floors []uint64
	first := follow(t, log)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := log.Append(t.Context(), hub.Entry{Subject: fmt.Sprintf("room%d", w), Data: fmt.Append(nil, i)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		first.wait(t, len(followers)*each/2)
		floors = append(floors, state(t, log).Last)
		followers = append(followers, follow(t, log))
	}
	wg.Wait()
	end := add(t, log, "room", "the end")
	all := read(t, log, hub.Range{Limit: 10_000})
	if len(all) != writers*each+1 {
		t.Fatalf("the log holds %d records, want %d", len(all), writers*each+1)
	}
	same(t, "first follower", first.wait(t, len(all)), all)
	for i, f := range followers {
		got := f.until(t, end.Seq)
		if got[0].Seq <= floors[i] {
			t.Errorf("follower %d got record %d, stored before it was registered", i, got[0].Seq)
		}
		at := slices.IndexFunc(all, func(r hub.Record) bool { return r.Seq == got[0].Seq })
		same(t, fmt.Sprintf("follower %d", i), got, all[at:])
	}
	for w := range writers {
		for i, r := range read(t, log, hub.Range{Subjects: []string{fmt.Sprintf("room%d", w)}, Limit: each}) {
			if string(r.Data) != fmt.Sprint(i) {
				t.Fatalf("record %d of writer %d is %q", i, w, r.Data)
			}
		}
	}
}

// testFollowerUsesLog: what a follower is given, it can read; and it may
// append.
func testFollowerUsesLog(t *testing.T, log hub.Log) {
	got := make(chan error, 10)
	stop := log.Follow(func(r hub.Record) {
		if string(r.Data) == "answer" {
			got <- nil
			return
		}
		records, err := log.Read(t.Context(), hub.Range{After: r.Seq - 1, Limit: 1})
		if err == nil && (len(records) != 1 || records[0].Seq != r.Seq) {
			err = fmt.Errorf("record %d is not there to be read", r.Seq)
		}
		if err == nil {
			_, err = log.Append(t.Context(), hub.Entry{Subject: r.Subject, Data: []byte("answer")})
		}
		got <- err
	})
	defer stop()
	add(t, log, "room", "question")
	for range 2 {
		select {
		case err := <-got:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("the follower is stuck")
		}
	}
}

func testStop(t *testing.T, log hub.Log) {
	stopped := follow(t, log)
	goesOn := follow(t, log)
	a := add(t, log, "room", "1")
	stopped.wait(t, 1)
	stopped.stop()
	stopped.stop() // again is harmless
	b := add(t, log, "room", "2")
	same(t, "the other follower", goesOn.wait(t, 2), []hub.Record{a, b})
	same(t, "a stopped follower", stopped.wait(t, 1), []hub.Record{a})

	// stop waits for a call under way.
	entered, leave := make(chan struct{}), make(chan struct{})
	var left bool
	stop := log.Follow(func(hub.Record) {
		close(entered)
		<-leave
		left = true // the race detector checks that stop waits
	})
	add(t, log, "room", "3")
	<-entered
	time.AfterFunc(10*time.Millisecond, func() { close(leave) })
	stop()
	if !left {
		t.Error("stop returned while the follower was running")
	}
}

// testSlowFollower: a follower that is far behind still gets everything, and
// holds up nobody.
func testSlowFollower(t *testing.T, log hub.Log) {
	hold := make(chan struct{})
	var mu sync.Mutex
	var got []hub.Record
	done := make(chan struct{})
	const n = 1500
	stop := log.Follow(func(r hub.Record) {
		<-hold
		mu.Lock()
		defer mu.Unlock()
		if got = append(got, r); len(got) == n {
			close(done)
		}
	})
	defer stop()
	quick := follow(t, log)
	var want []hub.Record
	for i := range n {
		want = append(want, add(t, log, "room", fmt.Sprint(i)))
	}
	same(t, "the quick follower", quick.wait(t, n), want)
	close(hold)
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the slow follower is stuck")
	}
	mu.Lock()
	defer mu.Unlock()
	same(t, "the slow follower", got, want)
}

// follower keeps what it is given.
type follower struct {
	stop func()

	mu   sync.Mutex
	got  []hub.Record
	more chan struct{} // closed and replaced with every record
}

func follow(t *testing.T, log hub.Log) *follower {
	f := &follower{more: make(chan struct{})}
	f.stop = log.Follow(func(r hub.Record) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.got = append(f.got, r)
		close(f.more)
		f.more = make(chan struct{})
	})
	t.Cleanup(f.stop)
	return f
}

// wait waits for n records and returns all there are.
func (f *follower) wait(t *testing.T, n int) []hub.Record {
	t.Helper()
	return f.await(t, func(got []hub.Record) bool { return len(got) >= n })
}

// until waits for the record with a sequence and returns all there are.
func (f *follower) until(t *testing.T, seq uint64) []hub.Record {
	t.Helper()
	return f.await(t, func(got []hub.Record) bool { return len(got) > 0 && got[len(got)-1].Seq >= seq })
}

func (f *follower) await(t *testing.T, enough func([]hub.Record) bool) []hub.Record {
	t.Helper()
	timeout := time.After(patience)
	for {
		f.mu.Lock()
		got, more := slices.Clone(f.got), f.more
		f.mu.Unlock()
		if enough(got) {
			return got
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("the follower has only %d records", len(got))
		}
	}
}
