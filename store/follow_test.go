package store

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func testFollow(t *testing.T, log *Log) {
	add(t, log, "room", "before")
	early := follow(t, log)
	want := []Record{add(t, log, "room", "1"), add(t, log, "other", "2")}
	late := follow(t, log)
	want = append(want, add(t, log, "room", "3"))
	same(t, "early follower", early.wait(t, 3), want)
	same(t, "late follower", late.wait(t, 1), want[2:])
}

// testFollowWhileAppending: whenever a follower is registered, what it gets is
// the log from some record on, which was not stored before it was registered.
func testFollowWhileAppending(t *testing.T, log *Log) {
	const writers, each = 4, 200
	var followers []*follower
	var floors []uint64
	first := follow(t, log)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := log.Append(t.Context(), Entry{Subject: fmt.Sprintf("room%d", w), Data: fmt.Append(nil, i)}); err != nil {
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
	all := read(t, log, Range{Limit: 10_000})
	if len(all) != writers*each+1 {
		t.Fatalf("the log holds %d records, want %d", len(all), writers*each+1)
	}
	same(t, "first follower", first.wait(t, len(all)), all)
	for i, f := range followers {
		got := f.until(t, end.Seq)
		if got[0].Seq <= floors[i] {
			t.Errorf("follower %d got record %d, stored before it was registered", i, got[0].Seq)
		}
		at := slices.IndexFunc(all, func(r Record) bool { return r.Seq == got[0].Seq })
		same(t, fmt.Sprintf("follower %d", i), got, all[at:])
	}
	for w := range writers {
		for i, r := range read(t, log, Range{Subjects: []string{fmt.Sprintf("room%d", w)}, Limit: each}) {
			if string(r.Data) != fmt.Sprint(i) {
				t.Fatalf("record %d of writer %d is %q", i, w, r.Data)
			}
		}
	}
}

// testFollowerUsesLog: what a follower is given, it can read; and it may
// append.
func testFollowerUsesLog(t *testing.T, log *Log) {
	got := make(chan error, 10)
	stop := log.Follow(func(r Record) {
		if string(r.Data) == "answer" {
			got <- nil
			return
		}
		records, err := log.Read(t.Context(), Range{After: r.Seq - 1, Limit: 1})
		if err == nil && (len(records) != 1 || records[0].Seq != r.Seq) {
			err = fmt.Errorf("record %d is not there to be read", r.Seq)
		}
		if err == nil {
			_, err = log.Append(t.Context(), Entry{Subject: r.Subject, Data: []byte("answer")})
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

func testStop(t *testing.T, log *Log) {
	stopped := follow(t, log)
	goesOn := follow(t, log)
	a := add(t, log, "room", "1")
	stopped.wait(t, 1)
	stopped.stop()
	stopped.stop() // again is harmless
	b := add(t, log, "room", "2")
	same(t, "the other follower", goesOn.wait(t, 2), []Record{a, b})
	same(t, "a stopped follower", stopped.wait(t, 1), []Record{a})

	// stop waits for a call under way.
	entered, leave := make(chan struct{}), make(chan struct{})
	var left bool
	stop := log.Follow(func(Record) {
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

// testSlowFollower: a follower that falls behind what the feed keeps in memory
// reads on from the log.
func testSlowFollower(t *testing.T, log *Log) {
	release := make(chan struct{})
	slow := &follower{more: make(chan struct{})}
	t.Cleanup(log.Follow(func(r Record) {
		<-release
		slow.take(r)
	}))
	const writers, each = 10, recentCount/10 + 100
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := log.Append(t.Context(), Entry{Subject: "room", Data: fmt.Append(nil, i)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	log.s.feed.mu.Lock()
	floor := log.s.feed.floor
	log.s.feed.mu.Unlock()
	if floor == 0 {
		t.Error("everything is still in memory: the test tests nothing")
	}
	close(release)
	same(t, "slow follower", slow.wait(t, writers*each), read(t, log, Range{Limit: 100_000}))
}
