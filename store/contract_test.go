package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// kinds are the stores that must all behave alike.
func kinds(t *testing.T) map[string]Options {
	return map[string]Options{
		"memory":   {Memory: true},
		"always":   {Dir: t.TempDir()},
		"interval": {Dir: t.TempDir(), Sync: SyncInterval},
	}
}

func TestLog(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Log)
	}{
		{"empty", testEmpty},
		{"order", testOrder},
		{"read", testRead},
		{"copies", testCopies},
		{"full", testFull},
		{"cancelled context", testCancelled},
		{"follow", testFollow},
		{"follow while appending", testFollowWhileAppending},
		{"followers append and read", testFollowerUsesLog},
		{"stop", testStop},
		{"slow follower", testSlowFollower},
		{"time to live", testTTL},
		{"known IDs", testIDs},
	} {
		t.Run(test.name, func(t *testing.T) {
			for kind, o := range kinds(t) {
				t.Run(kind, func(t *testing.T) {
					t.Parallel()
					o.MaxBytes = 8 << 20
					test.run(t, open(t, o).Messages())
				})
			}
		})
	}
}

func TestEpochsDiffer(t *testing.T) {
	a, b := state(t, open(t, Options{Memory: true}).Messages()), state(t, open(t, Options{Memory: true}).Messages())
	if a.Epoch == b.Epoch || len(a.Epoch) == 0 || len(a.Epoch) > 16 {
		t.Errorf("two logs have the epochs %q and %q", a.Epoch, b.Epoch)
	}
}

func testEmpty(t *testing.T, log *Log) {
	if s := state(t, log); s.First != 1 || s.Last != 0 {
		t.Errorf("bounds of an empty log are %d and %d, want 1 and 0", s.First, s.Last)
	}
	for _, r := range []Range{{Limit: 10}, {Limit: 10, Latest: true}, {After: 5, Limit: 1}, {Before: 5, Limit: 1}, {After: 1<<64 - 1, Limit: 1}} {
		if got := read(t, log, r); len(got) != 0 {
			t.Errorf("Read(%+v) of an empty log has %d records", r, len(got))
		}
	}
}

func testOrder(t *testing.T, log *Log) {
	before := time.Now().Add(-time.Minute)
	var appended []Record
	for i := range 50 {
		subject, data := fmt.Sprintf("room.%d", i%3), fmt.Sprintf("data %d", i)
		r := add(t, log, subject, data)
		if string(r.Data) != data || r.Subject != subject {
			t.Fatalf("Append returned %q in %s", r.Data, r.Subject)
		}
		if i > 0 && r.Seq <= appended[i-1].Seq {
			t.Fatalf("sequence %d after %d", r.Seq, appended[i-1].Seq)
		}
		if r.Time.Before(before) || r.Time.After(time.Now().Add(time.Minute)) {
			t.Fatalf("the time of a new record is %v", r.Time)
		}
		appended = append(appended, r)
	}
	if appended[0].Seq != 1 {
		t.Errorf("the first sequence is %d, want 1", appended[0].Seq)
	}
	if s := state(t, log); s.First != 1 || s.Last != appended[49].Seq {
		t.Errorf("bounds are %d and %d, want 1 and %d", s.First, s.Last, appended[49].Seq)
	}
	same(t, "all", read(t, log, Range{Limit: 100}), appended)
}

// testRead compares ranges with what a filter over all records gives.
func testRead(t *testing.T, log *Log) {
	var all []Record
	for i := range 40 {
		all = append(all, add(t, log, fmt.Sprintf("room%d", i*i%7), fmt.Sprint(i)))
	}
	check := func(r Range) {
		t.Helper()
		var want []Record
		for _, rec := range all {
			if rec.Seq > r.After && (r.Before == 0 || rec.Seq < r.Before) && (r.Subjects == nil || slices.Contains(r.Subjects, rec.Subject)) {
				want = append(want, rec)
			}
		}
		if extra := len(want) - r.Limit; extra > 0 && r.Latest {
			want = want[extra:]
		} else if extra > 0 {
			want = want[:r.Limit]
		}
		same(t, fmt.Sprintf("%+v", r), read(t, log, r), want)
	}
	last := all[len(all)-1].Seq
	seqs := []uint64{0, 1, 20, last - 1, last, last + 1, 1 << 62}
	subjects := [][]string{nil, {}, {"room1"}, {"room0", "room4"}, {"nobody"}, {"room2", "nobody", "room2"}, {"room"}, {"*"}, {">"}, {""}}
	for _, latest := range []bool{false, true} {
		for _, names := range subjects {
			for _, after := range seqs {
				for _, before := range seqs {
					for _, limit := range []int{1, 3, 1000} {
						check(Range{Subjects: names, After: after, Before: before, Limit: limit, Latest: latest})
					}
				}
			}
		}
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

func testCancelled(t *testing.T, log *Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Append(ctx, Entry{Subject: "room", Data: []byte("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("Append with a cancelled context: %v", err)
	}
	if _, err := log.Read(ctx, Range{Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Read with a cancelled context: %v", err)
	}
	if _, err := log.State(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("State with a cancelled context: %v", err)
	}
	if got := read(t, log, Range{Limit: 1}); len(got) != 0 {
		t.Error("a cancelled Append stored its record")
	}
}

// testTTL: what expires is gone, between records that stay, and neither a
// reader nor a follower waits for it.
func testTTL(t *testing.T, log *Log) {
	follower := follow(t, log)
	kept := []Record{add(t, log, "user.alice", "1")}
	for range 3 {
		if _, err := log.Append(t.Context(), Entry{Subject: "user.alice", Data: []byte("short"), TTL: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	kept = append(kept, add(t, log, "user.alice", "2"))
	follower.wait(t, 5)
	deadline := time.Now().Add(patience)
	for len(read(t, log, Range{Limit: 10})) > 2 {
		if time.Now().After(deadline) {
			t.Fatal("records outlive their time")
		}
		<-time.After(50 * time.Millisecond)
	}
	kept = append(kept, add(t, log, "user.alice", "3"))
	same(t, "what is left", read(t, log, Range{Limit: 10}), kept)
	same(t, "the latest", read(t, log, Range{Limit: 2, Latest: true}), kept[1:])
	same(t, "of a subject", read(t, log, Range{Subjects: []string{"user.alice", "all"}, Limit: 10}), kept)
	if got := follower.wait(t, 6); got[5].Seq != 6 {
		t.Errorf("the follower got %v", seqs(got))
	}
	if s := state(t, log); s.First != 1 || s.Last != 6 {
		t.Errorf("bounds are %d and %d, want 1 and 6", s.First, s.Last)
	}
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
