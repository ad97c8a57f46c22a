package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds how long the store may take for anything.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// open opens a store and closes it at the end of the test.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	st, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func tryOpen(t testing.TB, o Options) (*Store, error) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = testLogger()
	}
	return Open(context.Background(), o)
}

func closeNow(t *testing.T, st *Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, l *Log, subject, data string) Record {
	t.Helper()
	r, err := l.Append(t.Context(), Entry{Subject: subject, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t testing.TB, l *Log, r Range) []Record {
	t.Helper()
	records, err := l.Read(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func state(t testing.TB, l *Log) State {
	t.Helper()
	s, err := l.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func equal(a, b Record) bool {
	return a.Seq == b.Seq && a.Time.Equal(b.Time) && a.Subject == b.Subject && bytes.Equal(a.Data, b.Data)
}

func same(t *testing.T, what string, got, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got the records %v, want %v", what, seqs(got), seqs(want))
		return
	}
	for i, w := range want {
		if g := got[i]; !equal(g, w) {
			t.Errorf("%s: got %v, want %v", what, g, w)
			return
		}
	}
}

func seqs(records []Record) []uint64 {
	var s []uint64
	for _, r := range records {
		s = append(s, r.Seq)
	}
	return s
}

// follower keeps what it is given.
type follower struct {
	stop func()

	mu   sync.Mutex
	got  []Record
	more chan struct{} // closed and replaced with every record
}

func follow(t *testing.T, l *Log) *follower {
	f := &follower{more: make(chan struct{})}
	f.stop = l.Follow(f.take)
	t.Cleanup(f.stop)
	return f
}

func (f *follower) take(r Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, r)
	close(f.more)
	f.more = make(chan struct{})
}

// wait waits for n records and returns all there are.
func (f *follower) wait(t *testing.T, n int) []Record {
	t.Helper()
	return f.await(t, func(got []Record) bool { return len(got) >= n })
}

// until waits for the record with a sequence and returns all there are.
func (f *follower) until(t *testing.T, seq uint64) []Record {
	t.Helper()
	return f.await(t, func(got []Record) bool { return len(got) > 0 && got[len(got)-1].Seq >= seq })
}

func (f *follower) await(t *testing.T, enough func([]Record) bool) []Record {
	t.Helper()
	timeout := time.After(patience)
	for {
		f.mu.Lock()
		got, more := append([]Record(nil), f.got...), f.more
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

func TestOptions(t *testing.T) {
	if _, err := tryOpen(t, Options{Memory: true, Sync: "never"}); err == nil {
		t.Error("an unknown way to sync is accepted")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	st := open(t, Options{Dir: t.TempDir()})
	l := st.Messages()
	l.Follow(func(Record) {}) // never stopped
	st.Bucket(Users).Watch(func(string, []byte, uint64) {})
	add(t, l, "room", "x")
	if err := st.Ready(); err != nil {
		t.Error(err)
	}
	closeNow(t, st)
	closeNow(t, st)
	if _, err := l.Append(t.Context(), Entry{Subject: "room"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Append to a closed store: %v", err)
	}
	if _, err := l.Read(t.Context(), Range{Limit: 1}); err == nil {
		t.Error("Read of a closed store succeeds")
	}
	if _, err := l.State(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("State of a closed store: %v", err)
	}
	l.Follow(func(Record) { t.Error("a follower of a closed store is called") })()
}

// TestMemoryWritesNothing: the temporary folder, where the server is started,
// is the only one it could write to.
func TestMemoryWritesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	st := open(t, Options{Memory: true})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				if _, err := st.Messages().Append(t.Context(), Entry{Subject: fmt.Sprint(w), Data: fmt.Append(nil, i)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := len(read(t, st.Messages(), Range{Subjects: []string{"0", "1"}, Limit: 1000})); n != 200 {
		t.Errorf("%d records in two subjects, want 200", n)
	}
	closeNow(t, st)
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func testLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestBoundChanges: a store opens with another bound than it had, and keeps what
// is beyond it.
func TestBoundChanges(t *testing.T) {
	dir := t.TempDir()
	st := open(t, Options{Dir: dir, MaxBytes: 1 << 40})
	for range 30 {
		add(t, st.Messages(), "room", strings.Repeat("x", 100_000))
	}
	closeNow(t, st)
	for _, bytes := range []int64{0, 1 << 20, 1 << 50} {
		st = open(t, Options{Dir: dir, MaxBytes: bytes})
		if n := len(read(t, st.Messages(), Range{Subjects: []string{"room"}, Limit: 100})); n != 30 {
			t.Errorf("with a bound of %d there are %d records, want 30", bytes, n)
		}
		_, err := st.Messages().Append(t.Context(), Entry{Subject: "other", TTL: time.Second})
		if full := bytes == 1<<20; errors.Is(err, ErrFull) != full || err != nil && !full {
			t.Errorf("with a bound of %d: %v", bytes, err)
		}
		closeNow(t, st)
	}
}
