package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDamagedAnywhere: whatever file of a data folder is cut off or changed at
// random, opening it either refuses, or finds nothing but what was written: all
// users and rooms, and of messages all, unless it tells so, or the inspection
// does, which reads every record.
func TestDamagedAnywhere(t *testing.T) {
	const n = 300
	original := filepath.Join(t.TempDir(), "data")
	st := open(t, Options{Dir: original, Sync: SyncInterval})
	for i := range n {
		add(t, st.Messages(), fmt.Sprint("room", i%7), fmt.Sprint(i, strings.Repeat("x", i)))
		if i%5 == 0 {
			put(t, st.Bucket(Users), fmt.Sprint("user", i), fmt.Sprint(i), 0, true)
			put(t, st.Bucket(Sessions), fmt.Sprint("session", i), fmt.Sprint(i), 0, true)
			write(t, st.Streams(), "S/T", fmt.Sprint(i))
		}
		if i%10 == 0 {
			_, revision := st.Bucket(Users).Get(fmt.Sprint("user", i))
			put(t, st.Bucket(Users), fmt.Sprint("user", i), "changed", revision, true)
		}
	}
	epoch := state(t, st.Messages()).Epoch
	closeNow(t, st)
	var files []string
	err := filepath.WalkDir(original, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rounds := 40
	if testing.Short() {
		rounds = 15
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d files", seed, len(files))
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not a secret
	opened := 0
	for range rounds {
		dir := filepath.Join(t.TempDir(), "data")
		if err := copyFolder(t.Context(), original, dir); err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(original, files[random.IntN(len(files))])
		if err != nil {
			t.Fatal(err)
		}
		what := spoil(t, filepath.Join(dir, rel), random)
		inspected := levels(InspectCopy(t.Context(), dir))
		var told spy
		st, err := tryOpen(t, Options{Dir: dir, Logger: told.logger()})
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("%s %s: %v", rel, what, err)
			}
			continue
		}
		opened++
		s, left := state(t, st.Messages()), read(t, st.Messages(), Range{Limit: 2 * n})
		for _, r := range left {
			if i := int(r.Seq) - 1; r.Subject != fmt.Sprint("room", i%7) || string(r.Data) != fmt.Sprint(i, strings.Repeat("x", i)) { //nolint:gosec // small
				t.Errorf("%s %s: record %d is %q in %s", rel, what, r.Seq, r.Data, r.Subject)
			}
		}
		found := inspected[messagesName] == LevelFail || inspected["contents"] == LevelFail
		if len(left) < n && !found && !strings.Contains(told.String(), "level=ERROR") {
			t.Errorf("%s %s: %d records are lost, and nothing is said:\n%s", rel, what, n-len(left), told.String())
		}
		if s.Last < n && s.Epoch == epoch {
			t.Errorf("%s %s: sequences after %d will be used again in the same epoch", rel, what, s.Last)
		}
		for i := 0; i < n; i += 5 {
			want := fmt.Sprint(i)
			if i%10 == 0 {
				want = "changed"
			}
			if v, _ := st.Bucket(Users).Get(fmt.Sprint("user", i)); string(v) != want {
				t.Errorf("%s %s: user %d is %q, want %q", rel, what, i, v, want)
			}
			if v, _ := st.Bucket(Sessions).Get(fmt.Sprint("session", i)); v != nil && string(v) != fmt.Sprint(i) {
				t.Errorf("%s %s: session %d is %q", rel, what, i, v)
			}
		}
		add(t, st.Messages(), "room", "goes on")
		closeNow(t, st)
	}
	t.Logf("%d of %d opened", opened, rounds)
}

// spoil cuts a file off at a random byte, or changes some.
func spoil(t *testing.T, name string, random *rand.Rand) (what string) {
	t.Helper()
	data, err := os.ReadFile(name) //nolint:gosec // of the test
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		return "is empty"
	}
	at := random.IntN(len(data))
	if random.IntN(3) > 0 {
		data, what = data[:at], fmt.Sprint("cut off at ", at)
	} else {
		what = fmt.Sprint("changed at ", at)
		for i := range min(8, len(data)-at) {
			data[at+i] ^= byte(1 + random.IntN(255)) //nolint:gosec // a byte
		}
	}
	if err := os.WriteFile(name, data, 0o600); err != nil { //nolint:gosec // of the test
		t.Fatal(err)
	}
	return what
}

// TestSequenceThatJumps: the server would note every sequence in between.
func TestSequenceThatJumps(t *testing.T) {
	for _, at := range []int{4, 8, 11} { // bytes of the third record's sequence
		dir, epoch := filled(t, 5)
		name := blocks(t, dir, messagesName)[0]
		data, err := os.ReadFile(name) //nolint:gosec // of the test
		if err != nil {
			t.Fatal(err)
		}
		third := 0
		for range 2 {
			third += int(binary.LittleEndian.Uint32(data[third:]) &^ hasHeaders)
		}
		data[third+at] ^= 0x21
		if err := os.WriteFile(name, data, 0o600); err != nil { //nolint:gosec // of the test
			t.Fatal(err)
		}
		if f := levels(InspectCopy(t.Context(), dir)); f[messagesName] != LevelFail && f["contents"] != LevelFail {
			t.Errorf("byte %d: the inspection finds nothing", at)
		}
		st := open(t, Options{Dir: dir})
		for _, r := range read(t, st.Messages(), Range{Limit: 10}) {
			if string(r.Data) != fmt.Sprint(r.Seq-1) {
				t.Errorf("byte %d: record %d is %q", at, r.Seq, r.Data)
			}
		}
		if s := state(t, st.Messages()); s.Last < 5 && s.Epoch == epoch {
			t.Errorf("byte %d: the state is %+v", at, s)
		}
		add(t, st.Messages(), "room", "goes on")
		closeNow(t, st)
	}
}
