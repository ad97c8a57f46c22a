package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBackupUnderLoad: a backup that is made while everything is written is what
// there was at one moment: all that was stored before it began, nothing of a
// message without its room. It is restored with the same sequences, times and
// values, and another epoch, and goes on.
func TestBackupUnderLoad(t *testing.T) {
	dir := t.TempDir()
	st := open(t, Options{Dir: dir, Sync: SyncInterval})
	for i := range 500 {
		add(t, st.Lines(), "line", strings.Repeat("l", 200)+fmt.Sprint(i))
	}
	odd := add(t, st.Messages(), "an odd. *name>/é", "\x00\xff\r\n")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	stored := make(chan int, 1)
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				// As the hub does: a room is there before what is said in it.
				room := fmt.Sprint("room", w, "-", i/10)
				if i%10 == 0 {
					if _, err := st.Bucket(Rooms).Put(ctx, room, []byte("{}"), 0); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
				e := Entry{Subject: room, Data: fmt.Append(nil, i, strings.Repeat("x", i%3000)), ID: fmt.Sprint(w, i)}
				if i%7 == 0 {
					e.TTL = time.Hour
				}
				if _, err := st.Messages().Append(ctx, e); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				select {
				case stored <- i:
				default:
				}
				key := fmt.Sprint("user", w, "-", i%20)
				_, revision := st.Bucket(Users).Get(key)
				if _, err := st.Bucket(Users).Put(ctx, key, fmt.Append(nil, i), revision); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	if ok, err := st.Bucket(Marks).Put(t.Context(), "bob", []byte("a mark"), 0); !ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	await(t, "there is load", func() bool { return state(t, st.Messages()).Last > 1000 })
	before := state(t, st.Messages())
	var file bytes.Buffer
	b, err := st.Backup(t.Context(), &file)
	if err != nil {
		t.Fatal(err)
	}
	after := state(t, st.Messages())
	cancel()
	wg.Wait()
	if after.Last == before.Last {
		t.Error("nothing was written meanwhile: the test tests less")
	}
	t.Logf("%d bytes; %+v", file.Len(), b.Streams)

	checked, err := CheckBackup(bytes.NewReader(file.Bytes()))
	if err != nil || fmt.Sprint(checked.Streams) != fmt.Sprint(b.Streams) {
		t.Errorf("the check says %+v, %v", checked, err)
	}
	into := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), into, bytes.NewReader(file.Bytes()), testLogger()); err != nil {
		t.Fatal(err)
	}
	other := open(t, Options{Dir: into})
	now := state(t, other.Messages())
	if now.Epoch == before.Epoch {
		t.Error("the epoch is the same, though sequences are used again")
	}
	if now.First != 1 || now.Last < before.Last || now.Last > after.Last {
		t.Errorf("the bounds are %+v, between %+v and %+v", now, before, after)
	}
	got := read(t, other.Messages(), Range{Limit: 1 << 20})
	same(t, "messages", got, read(t, st.Messages(), Range{Limit: 1 << 20, Before: now.Last + 1}))
	if !equal(got[0], odd) {
		t.Errorf("the first is %v", got[0])
	}
	for _, r := range got[1:] {
		if v, _ := other.Bucket(Rooms).Get(r.Subject); v == nil {
			t.Errorf("record %d is of a room that is not there", r.Seq)
			break
		}
	}
	same(t, "lines", read(t, other.Lines(), Range{Limit: 1000}), read(t, st.Lines(), Range{Limit: 1000}))
	if v, _ := other.Bucket(Marks).Get("bob"); string(v) != "a mark" {
		t.Errorf("a read mark is %q", v)
	}
	if n := len(other.Bucket(Users).values); n != 80 {
		t.Errorf("%d users", n)
	}
	// Known IDs are still known, expiry goes on, and so does everything.
	if r := add(t, other.Messages(), "next", "x"); r.Seq != now.Last+1 {
		t.Errorf("the next is %d after %d", r.Seq, now.Last)
	}
	write(t, other.Streams(), "S/new", "x")
	put(t, other.Bucket(Sessions), "new", "v", 0, true)
	closeNow(t, other)
	again := open(t, Options{Dir: into})
	if s := state(t, again.Messages()); s.Epoch != now.Epoch || s.Last != now.Last+1 {
		t.Errorf("opened again the state is %+v, was %+v", s, now)
	}
	names, err := os.ReadDir(into)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n.Name() == restoringName {
			t.Error("what was unpacked is left behind")
		}
	}
}

// TestBackupKeepsTTL: what ends, ends at its time, not after the restore.
func TestBackupKeepsTTL(t *testing.T) {
	st := open(t, Options{Dir: t.TempDir(), Sync: SyncInterval})
	short, err := st.Messages().Append(t.Context(), Entry{Subject: "user.a", Data: []byte("x"), TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	kept := add(t, st.Messages(), "user.a", "y")
	var file bytes.Buffer
	if _, err := st.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	await(t, "it ends", func() bool { return len(read(t, st.Messages(), Range{Limit: 10})) == 1 })
	into := t.TempDir()
	if _, err := Restore(t.Context(), into, &file, testLogger()); err != nil {
		t.Fatal(err)
	}
	other := open(t, Options{Dir: into})
	same(t, fmt.Sprint("without ", short.Seq), read(t, other.Messages(), Range{Limit: 10}), []Record{kept})
}

// TestBackupOfNothing: an empty store is restored as one.
func TestBackupOfNothing(t *testing.T) {
	var file bytes.Buffer
	if _, err := open(t, Options{Memory: true}).Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	into := t.TempDir()
	if _, err := Restore(t.Context(), into, &file, testLogger()); err != nil {
		t.Fatal(err)
	}
	st := open(t, Options{Dir: into})
	if s := state(t, st.Messages()); s.First != 1 || s.Last != 0 {
		t.Errorf("the state is %+v", s)
	}
	if r := add(t, st.Messages(), "room", "x"); r.Seq != 1 {
		t.Errorf("the first is %d", r.Seq)
	}
}

// TestDamagedBackup: a backup that is cut off or changed anywhere is refused and
// leaves nothing behind.
func TestDamagedBackup(t *testing.T) {
	st := open(t, Options{Dir: t.TempDir(), Sync: SyncInterval})
	for i := range 30 {
		add(t, st.Messages(), "room", strings.Repeat("x", i*500))
		put(t, st.Bucket(Users), fmt.Sprint(i), "v", 0, true)
	}
	var file bytes.Buffer
	if _, err := st.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	end := bytes.LastIndex(whole, []byte(`"sha256"`)) // after it is what pads a tar file
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not a secret
	for i := range 40 {
		data := bytes.Clone(whole)
		at := random.IntN(end)
		what := fmt.Sprint("cut off at ", at)
		if i%2 == 0 {
			data = data[:at]
		} else {
			what = fmt.Sprint("changed at ", at)
			data[at] ^= 1 << random.IntN(8)
		}
		if _, err := CheckBackup(bytes.NewReader(data)); err == nil {
			// A tar header has fields that nobody reads.
			if b, _ := CheckBackup(bytes.NewReader(data)); i%2 == 0 || fmt.Sprint(b.Streams) == "" {
				t.Errorf("%s: it is not noticed", what)
			}
			continue
		} else if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", what, err)
		}
		if i > 8 { // a restore takes longer than a check
			continue
		}
		into := t.TempDir()
		if _, err := Restore(t.Context(), into, bytes.NewReader(data), testLogger()); err == nil {
			t.Errorf("%s: it is restored", what)
		}
		if left, err := os.ReadDir(into); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v %v", what, left, err)
		}
	}
}

// TestRestoreOnlyIntoNothing: never over data, nor under a running server.
func TestRestoreOnlyIntoNothing(t *testing.T) {
	var file bytes.Buffer
	dir := t.TempDir()
	st := open(t, Options{Dir: dir})
	if _, err := st.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), dir, bytes.NewReader(file.Bytes()), testLogger()); !errors.Is(err, ErrLocked) {
		t.Errorf("a running one: %v", err)
	}
	add(t, st.Messages(), "room", "unharmed")
	closeNow(t, st)
	if _, err := Restore(t.Context(), dir, bytes.NewReader(file.Bytes()), testLogger()); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("one with data: %v", err)
	}
	st = open(t, Options{Dir: dir})
	if n := len(read(t, st.Messages(), Range{Limit: 10})); n != 1 {
		t.Errorf("%d records are left", n)
	}
	killed := t.TempDir() // an attempt was killed
	if err := os.MkdirAll(filepath.Join(killed, restoringName, jetstreamName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), killed, bytes.NewReader(file.Bytes()), testLogger()); err != nil {
		t.Error(err)
	}
	open(t, Options{Dir: killed})
}
