// Package logtest is the contract of [hub.Log] as a test that every log must
// pass.
package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wigwag/hub"
)

// patience bounds how long a log may take to hand out what it has stored.
const patience = 20 * time.Second

// Run tests a log. newLog returns an empty one of a new epoch, which holds at
// least 2 MiB, is full at 16 MiB at the latest and evicts nothing, and closes
// it at the end of the test.
func Run(t *testing.T, newLog func(t *testing.T) hub.Log) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, hub.Log)
	}{
		{"empty", testEmpty},
		{"order", testOrder},
		{"read", testRead},
		{"read at most so many bytes", testReadBytes},
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
		{"known IDs at once", testIDsAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newLog(t)) })
	}
	t.Run("epochs differ", func(t *testing.T) {
		if a, b := state(t, newLog(t)), state(t, newLog(t)); a.Epoch == b.Epoch {
			t.Errorf("two logs have the epoch %q", a.Epoch)
		}
	})
}

func testEmpty(t *testing.T, log hub.Log) {
	if s := state(t, log); s.First != 1 || s.Last != 0 {
		t.Errorf("bounds of an empty log are %d and %d, want 1 and 0", s.First, s.Last)
	}
	for _, r := range []hub.Range{{Limit: 10}, {Limit: 10, Latest: true}, {After: 5, Limit: 1}, {Before: 5, Limit: 1}} {
		if got := read(t, log, r); len(got) != 0 {
			t.Errorf("Read(%+v) of an empty log has %d records", r, len(got))
		}
	}
}

func testOrder(t *testing.T, log hub.Log) {
	before := time.Now().Add(-time.Minute)
	var appended []hub.Record
	for i := range 50 {
		data := fmt.Sprintf("data %d", i)
		r := add(t, log, fmt.Sprintf("room%d", i%3), data)
		if string(r.Data) != data || r.Subject != fmt.Sprintf("room%d", i%3) {
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
	s := state(t, log)
	if s.First != appended[0].Seq || s.Last != appended[49].Seq {
		t.Errorf("bounds are %d and %d, want %d and %d", s.First, s.Last, appended[0].Seq, appended[49].Seq)
	}
	same(t, "all", read(t, log, hub.Range{Limit: 100}), appended)
}

// testReadBytes reads records of many sizes, by pages that are bounded by bytes.
func testReadBytes(t *testing.T, log hub.Log) {
	var all []hub.Record
	for i, size := range []int{0, 1, 100, 9_000, 1, 1, 70_000, 2, 0, 0, 300, 65_536, 4_000, 5_000, 90_000, 1} {
		all = append(all, add(t, log, fmt.Sprint("room", i%2), strings.Repeat("x", size)))
	}
	for _, subjects := range [][]string{nil, {"room0"}, {"room0", "room1"}} {
		for _, bytes := range []int{1, 101, 9_001, 64 << 10, 1 << 20} {
			for _, limit := range []int{3, 100} {
				var pages []hub.Record
				for r := (hub.Range{Subjects: subjects, Limit: limit, Bytes: bytes}); ; {
					page := read(t, log, r)
					if len(page) == 0 {
						break
					}
					wantFull(t, page, page[:len(page)-1], r)
					pages = append(pages, page...)
					r.After = page[len(page)-1].Seq
				}
				var back []hub.Record
				for r := (hub.Range{Subjects: subjects, Limit: limit, Bytes: bytes, Latest: true}); ; {
					page := read(t, log, r)
					if len(page) == 0 {
						break
					}
					wantFull(t, page, page[1:], r)
					back = slices.Concat(page, back)
					if r.Before = page[0].Seq; r.Before == 1 {
						break // 0 would be no bound
					}
				}
				want := all
				if len(subjects) == 1 {
					want = nil
					for i := 0; i < len(all); i += 2 {
						want = append(want, all[i])
					}
				}
				same(t, fmt.Sprintf("pages of %d records or %d bytes", limit, bytes), pages, want)
				same(t, fmt.Sprintf("pages of %d records or %d bytes, backwards", limit, bytes), back, want)
			}
		}
	}
}

// wantFull checks that a page ends where it has to: with less it would not be
// full. It may have less at the end of the log only.
func wantFull(t *testing.T, page, less []hub.Record, r hub.Range) {
	t.Helper()
	size := 0
	for _, rec := range less {
		size += len(rec.Data)
	}
	if len(page) > r.Limit || size >= r.Bytes {
		t.Errorf("a page of %d records, %d bytes without the last, for %+v", len(page), size, r)
	}
}

// testRead compares ranges with what a filter over all records gives.
func testRead(t *testing.T, log hub.Log) {
	var all []hub.Record
	for i := range 40 {
		all = append(all, add(t, log, fmt.Sprintf("room%d", i*i%7), fmt.Sprint(i)))
	}
	last := all[len(all)-1].Seq
	check := func(r hub.Range) {
		t.Helper()
		var want []hub.Record
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
	seqs := []uint64{0, 1, 2, 20, last - 1, last, last + 1, last + 100, 1 << 62}
	rooms := [][]string{nil, {}, {"room1"}, {"room0", "room4"}, {"nobody"}, {"room2", "nobody", "room2"}, {"room"}, {"*"}, {">"}}
	for _, latest := range []bool{false, true} {
		for _, names := range rooms {
			for _, after := range seqs {
				for _, before := range seqs {
					for _, limit := range []int{1, 3, 1000} {
						check(hub.Range{Subjects: names, After: after, Before: before, Limit: limit, Latest: latest})
					}
				}
			}
		}
	}
}

func testCopies(t *testing.T, log hub.Log) {
	data := []byte("as it was")
	if _, err := log.Append(t.Context(), hub.Entry{Subject: "room", Data: data}); err != nil {
		t.Fatal(err)
	}
	copy(data, "changed!!")
	if got := read(t, log, hub.Range{Limit: 1}); len(got) != 1 || string(got[0].Data) != "as it was" {
		t.Errorf("the log changed with the slice it was given: %v", got)
	}
	add(t, log, "another room", "between")
	for _, subject := range []string{"room.dm/alice/bob", "all", "", "a b.*.>\x00é", "%2a", strings.Repeat("/é", 85)} {
		for _, odd := range [][]byte{nil, {}, {0}, {0xff, '\r', '\n', 0}, bytes.Repeat([]byte{'x'}, 40_000)} {
			want, err := log.Append(t.Context(), hub.Entry{Subject: subject, Data: odd})
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, log, hub.Range{Subjects: []string{subject}, After: want.Seq - 1, Limit: 1})
			if len(got) != 1 || !bytes.Equal(got[0].Data, odd) || got[0].Subject != subject {
				t.Errorf("%d bytes in %q came back different", len(odd), subject)
			}
		}
	}
	if r, err := log.Append(t.Context(), hub.Entry{Subject: "room", Data: make([]byte, 1<<20)}); err != nil || len(r.Data) != 1<<20 {
		t.Errorf("a MiB is not stored: %v", err)
	}
}

func testFull(t *testing.T, log hub.Log) {
	data := bytes.Repeat([]byte{'x'}, 64<<10)
	var stored []hub.Record
	for {
		r, err := log.Append(t.Context(), hub.Entry{Subject: "room", Data: data})
		if isFull(err) {
			break
		}
		if err != nil {
			t.Fatalf("a full log fails with %v, want an error for which Full holds", err)
		}
		if stored = append(stored, r); len(stored) > 16<<20/len(data) {
			t.Fatalf("the log is not full with %d records of %d bytes", len(stored), len(data))
		}
	}
	if held := len(stored) * len(data); held < 2<<20-len(data) {
		t.Errorf("the log is full with %d bytes", held)
	}
	same(t, "a full log", read(t, log, hub.Range{Limit: 10_000}), stored)
	if s := state(t, log); s.First != stored[0].Seq || s.Last != stored[len(stored)-1].Seq {
		t.Errorf("bounds of a full log are %d and %d", s.First, s.Last)
	}
}

// isFull tells whether an error has the method Full and it holds.
func isFull(err error) bool {
	var full interface {
		error
		Full() bool
	}
	return errors.As(err, &full) && full.Full()
}

func testCancelled(t *testing.T, log hub.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Append(ctx, hub.Entry{Subject: "room", Data: []byte("x")}); !errors.Is(err, context.Canceled) {
		t.Errorf("Append with a cancelled context: %v", err)
	}
	if _, err := log.Read(ctx, hub.Range{Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Read with a cancelled context: %v", err)
	}
	if _, err := log.State(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("State with a cancelled context: %v", err)
	}
	if got := read(t, log, hub.Range{Limit: 1}); len(got) != 0 {
		t.Error("a cancelled Append stored its record")
	}
}

// testTTL: what expires is gone, between records that stay, its sequences are
// not used again, and neither a reader nor a follower waits for it.
func testTTL(t *testing.T, log hub.Log) {
	follower := follow(t, log)
	kept := []hub.Record{add(t, log, "user.alice", "1")}
	short := func() hub.Record {
		r, err := log.Append(t.Context(), hub.Entry{Subject: "user.alice", Data: []byte("short"), TTL: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range 3 {
		short()
	}
	kept = append(kept, add(t, log, "user.alice", "2"))
	long, err := log.Append(t.Context(), hub.Entry{Subject: "user.alice", Data: []byte("long"), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	kept = append(kept, long)
	follower.wait(t, 6)
	last := short()
	within := time.NewTimer(patience)
	defer within.Stop()
	for len(read(t, log, hub.Range{Limit: 10})) > 3 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-within.C:
			t.Fatal("records outlive their time")
		}
	}
	if s := state(t, log); s.First != 1 || s.Last != last.Seq {
		t.Errorf("bounds are %d and %d, want 1 and %d", s.First, s.Last, last.Seq)
	}
	kept = append(kept, add(t, log, "user.alice", "3"))
	if kept[3].Seq != last.Seq+1 {
		t.Errorf("sequence %d after %d", kept[3].Seq, last.Seq)
	}
	same(t, "what is left", read(t, log, hub.Range{Limit: 10}), kept)
	same(t, "the latest", read(t, log, hub.Range{Limit: 2, Latest: true}), kept[2:])
	same(t, "of a subject", read(t, log, hub.Range{Subjects: []string{"user.alice", "all"}, Limit: 10}), kept)
	got := follower.until(t, kept[3].Seq)
	same(t, "the end of what the follower got", got[len(got)-1:], kept[3:])
}

// testIDs: an entry with a known ID is not stored again, whatever else it is.
func testIDs(t *testing.T, log hub.Log) {
	follower := follow(t, log)
	first, err := log.Append(t.Context(), hub.Entry{Subject: "room", Data: []byte("first"), ID: "an ID/with.*.> odd\ncharacters é"})
	if err != nil {
		t.Fatal(err)
	}
	second := add(t, log, "room", "second")
	for _, e := range []hub.Entry{{Subject: "room", Data: []byte("first")}, {Subject: "other", Data: []byte("another")}} {
		e.ID = "an ID/with.*.> odd\ncharacters é"
		r, err := log.Append(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "the answer to a known ID", []hub.Record{r}, []hub.Record{first})
	}
	third, err := log.Append(t.Context(), hub.Entry{Subject: "room", Data: []byte("first"), ID: strings.Repeat("/é", 85)})
	if err != nil {
		t.Fatal(err)
	}
	want := []hub.Record{first, second, third}
	same(t, "the log", read(t, log, hub.Range{Limit: 10}), want)
	same(t, "its follower", follower.wait(t, 3), want)
}

// testIDsAtOnce: of many at once with one ID one is stored, and those without
// do not suffer.
func testIDsAtOnce(t *testing.T, log hub.Log) {
	const writers, each = 10, 20
	var mu sync.Mutex
	seqs := map[string]map[uint64]bool{} // by ID
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				e := hub.Entry{Subject: "room", Data: fmt.Append(nil, w, " ", i)}
				if i%2 == 1 {
					e.ID = fmt.Sprint("key of all writers ", i)
				}
				r, err := log.Append(t.Context(), e)
				if err != nil {
					t.Error(err)
					return
				}
				if e.ID == "" && !bytes.Equal(r.Data, e.Data) {
					t.Errorf("%q is answered with %q", e.Data, r.Data)
				}
				mu.Lock()
				if seqs[e.ID] == nil {
					seqs[e.ID] = map[uint64]bool{}
				}
				seqs[e.ID][r.Seq] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, of := range seqs {
		if want := map[bool]int{true: writers * each / 2, false: 1}[id == ""]; len(of) != want {
			t.Errorf("ID %q was stored %d times, want %d", id, len(of), want)
		}
	}
	if n := len(read(t, log, hub.Range{Limit: 1000})); n != writers*each/2+each/2 {
		t.Errorf("%d records, want %d", n, writers*each/2+each/2)
	}
}

func add(t *testing.T, log hub.Log, room, data string) hub.Record {
	t.Helper()
	r, err := log.Append(t.Context(), hub.Entry{Subject: room, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, log hub.Log, r hub.Range) []hub.Record {
	t.Helper()
	records, err := log.Read(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func state(t *testing.T, log hub.Log) hub.State {
	t.Helper()
	s, err := log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func same(t *testing.T, what string, got, want []hub.Record) {
	t.Helper()
	equal := func(a, b hub.Record) bool {
		return a.Seq == b.Seq && a.Time.Equal(b.Time) && a.Subject == b.Subject && bytes.Equal(a.Data, b.Data)
	}
	if !slices.EqualFunc(got, want, equal) {
		t.Errorf("%s: got the records %v, want %v", what, seqs(got), seqs(want))
	}
}

func seqs(records []hub.Record) []uint64 {
	var s []uint64
	for _, r := range records {
		s = append(s, r.Seq)
	}
	return s
}
