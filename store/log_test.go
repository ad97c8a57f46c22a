package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// TestLog tests what is particular to this log: its bounds, batches that are
// refused for one of them, a follower behind what is in memory.
func TestLog(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Log)
	}{
		{"copies", testCopies},
		{"full", testFull},
		{"slow follower", testSlowFollower},
		{"known IDs", testIDs},
	} {
		t.Run(test.name, func(t *testing.T) {
			for kind, o := range kinds(t) {
				t.Run(kind, func(t *testing.T) {
					t.Parallel()
					test.run(t, open(t, o).Messages())
				})
			}
		})
	}
}

func testCopies(t *testing.T, log *Log) {
	data := []byte("as it was")
	if _, err := log.Append(t.Context(), Entry{Subject: "room", Data: data}); err != nil {
		t.Fatal(err)
	}
	copy(data, "changed!!")
	if got := read(t, log, Range{Limit: 1}); len(got) != 1 || string(got[0].Data) != "as it was" {
		t.Errorf("the log changed with the slice it was given: %v", got)
	}
	for _, subject := range []string{"room.dm/alice/bob", "all", "", "a b.*.>\x00é", "%2a"} {
		for _, odd := range [][]byte{nil, {}, {0}, {0xff, '\r', '\n', 0}, bytes.Repeat([]byte{'x'}, MaxData)} {
			want, err := log.Append(t.Context(), Entry{Subject: subject, Data: odd})
			if errors.Is(err, ErrFull) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, log, Range{Subjects: []string{subject}, After: want.Seq - 1, Limit: 1})
			if len(got) != 1 || !bytes.Equal(got[0].Data, odd) || got[0].Subject != subject {
				t.Errorf("%d bytes in %q came back different", len(odd), subject)
			}
		}
	}
	for _, e := range []Entry{{Subject: "room", Data: make([]byte, MaxData+1)}, {Subject: string(make([]byte, maxSubject))}} {
		if _, err := log.Append(t.Context(), e); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes under a name of %d: %v", len(e.Data), len(e.Subject), err)
		}
	}
}

func testFull(t *testing.T, log *Log) {
	follower := follow(t, log)
	data := bytes.Repeat([]byte{'x'}, 64<<10)
	var mu sync.Mutex
	var stored []Record
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				r, err := log.Append(t.Context(), Entry{Subject: "room", Data: data})
				if errors.Is(err, ErrFull) {
					return
				}
				if err != nil {
					t.Errorf("a full log fails with %v, want ErrFull", err)
					return
				}
				mu.Lock()
				stored = append(stored, r)
				mu.Unlock()
			}
			t.Error("the log is never full")
		})
	}
	wg.Wait()
	slices.SortFunc(stored, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
	if held := len(stored) * len(data); held < 7<<20 {
		t.Errorf("the log is full with %d bytes", held)
	}
	if _, err := log.Append(t.Context(), Entry{Subject: "room", Data: data}); !errors.Is(err, ErrFull) {
		t.Errorf("a full log: %v", err)
	}
	same(t, "a full log", read(t, log, Range{Limit: 10_000}), stored)
	same(t, "its follower", follower.wait(t, len(stored)), stored)
	if s := state(t, log); s.First != 1 || s.Last != stored[len(stored)-1].Seq {
		t.Errorf("bounds of a full log are %d and %d", s.First, s.Last)
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

// testIDs: an ID is stored once, also when it comes again together with others.
func testIDs(t *testing.T, log *Log) {
	first, err := log.Append(t.Context(), Entry{Subject: "room", Data: []byte("first"), ID: "key one"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := range 20 {
				e := Entry{Subject: "room", Data: fmt.Append(nil, w, i)}
				switch i % 4 {
				case 1:
					e.ID = "key one"
				case 3:
					e.ID = fmt.Sprint("key of all writers ", i)
				}
				r, err := log.Append(t.Context(), e)
				if err != nil {
					t.Error(err)
					return
				}
				if i%4 == 1 && !equal(r, first) {
					t.Errorf("a known ID is answered with %v, want %v", r, first)
				}
				if i%2 == 0 && !bytes.Equal(r.Data, e.Data) {
					t.Errorf("%q is answered with %v", e.Data, r)
				}
			}
		})
	}
	wg.Wait()
	if n := len(read(t, log, Range{Limit: 1000})); n != 1+20*10+5 {
		t.Errorf("%d records, want %d", n, 1+20*10+5)
	}
}
