package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// disk is one whose free space is what the test says.
type disk struct{ left atomic.Int64 }

func (d *disk) free() (int64, error) { return d.left.Load(), nil }

// spy collects what is logged.
type spy struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *spy) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *spy) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *spy) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

// await polls until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// TestReserve: when the disk is nearly full, sends are refused and reading goes
// on; who must come in can; and with space all is well again. The log tells it
// once.
func TestReserve(t *testing.T) {
	const reserve = 64 << 20
	var told spy
	st := open(t, Options{Dir: t.TempDir(), MinFree: reserve, Logger: told.logger()})
	d := &disk{}
	d.left.Store(reserve * 10)
	st.room.mu.Lock()
	st.room.free = d.free
	st.room.mu.Unlock()
	add(t, st.Messages(), "room", "before")

	d.left.Store(reserve)
	st.room.look()
	for range 3 {
		for name, log := range map[string]*Journal{"messages": &st.Messages().Journal, "lines": &st.Lines().Journal, "streams": st.Streams()} {
			if _, err := log.Append(t.Context(), Entry{Subject: "room", Data: []byte("x")}); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v, want ErrFull", name, err)
			}
		}
	}
	if got := read(t, st.Messages(), Range{Limit: 10}); len(got) != 1 {
		t.Errorf("%d records can be read, want 1", len(got))
	}
	if err := st.Ready(); err != nil {
		t.Errorf("what cannot be written can be read all the same: %v", err)
	}
	if _, err := st.Bucket(Idempotency).Put(t.Context(), "k", []byte("v"), 0); !errors.Is(err, ErrFull) {
		t.Errorf("a key: %v", err)
	}
	for _, name := range []string{Users, Rooms, Keys, Sessions} {
		put(t, st.Bucket(name), "new", "v", 0, true)
	}
	d.left.Store(reserve / 3)
	st.room.look()
	for _, name := range []string{Users, Rooms, Keys} {
		put(t, st.Bucket(name), "another", "v", 0, true)
	}
	if _, err := st.Bucket(Sessions).Put(t.Context(), "another", []byte("v"), 0); !errors.Is(err, ErrFull) {
		t.Errorf("a session with a third of the reserve left: %v", err)
	}
	d.left.Store(reserve / 5)
	st.room.look()
	if _, err := st.Bucket(Users).Put(t.Context(), "third", []byte("v"), 0); !errors.Is(err, ErrFull) {
		t.Errorf("a user with a fifth of the reserve left: %v", err)
	}

	d.left.Store(reserve * 2)
	add(t, st.Messages(), "room", "after")
	st.room.look()
	for _, text := range []string{"nearly full", "space on the disk again"} {
		if n := strings.Count(told.String(), text); n != 1 {
			t.Errorf("%q is told %d times", text, n)
		}
	}
}

// TestReserveIsNotOverrun: however fast it is written, the reserve is left.
func TestReserveIsNotOverrun(t *testing.T) {
	var asked int
	r := &room{reserve: 1 << 20, logger: testLogger()}
	left := int64(3 << 20)
	r.free = func() (int64, error) { asked++; return left, nil }
	written := int64(0)
	for range 1 << 16 {
		if err := r.take(100, 4); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
		written += 100
		left -= 100
	}
	if left < 1<<20 || left > 1<<20+2*100+recordOverhead {
		t.Errorf("%d bytes are left of a reserve of %d", left, 1<<20)
	}
	if asked > 100 {
		t.Errorf("the disk was asked %d times for %d bytes", asked, written)
	}
}

func TestNoReserve(t *testing.T) {
	r := &room{free: func() (int64, error) { return 0, fmt.Errorf("asked") }, logger: testLogger()}
	r.look()
	if err := r.take(1<<40, 4); err != nil {
		t.Error(err)
	}
	if left, err := freeSpace(t.TempDir()); err != nil || left <= 0 {
		t.Errorf("free space of the disk: %d, %v", left, err)
	}
}
