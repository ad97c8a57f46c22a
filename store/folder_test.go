package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// filled makes a data folder with some records and returns the epoch.
func filled(t *testing.T, n int) (dir, epoch string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	st := open(t, Options{Dir: dir, Sync: SyncInterval})
	for i := range n {
		add(t, st.Messages(), "room", fmt.Sprint(i))
	}
	put(t, st.Bucket(Users), "alice", "admin", 0, true)
	epoch = state(t, st.Messages()).Epoch
	closeNow(t, st)
	return dir, epoch
}

func TestReopen(t *testing.T) {
	dir, epoch := filled(t, 10)
	st := open(t, Options{Dir: dir})
	if s := state(t, st.Messages()); s != (State{Epoch: epoch, First: 1, Last: 10}) {
		t.Errorf("the state is %+v", s)
	}
	if n := len(read(t, st.Messages(), Range{Limit: 100})); n != 10 {
		t.Errorf("%d records", n)
	}
	get(t, st.Bucket(Users), "alice", "admin")
	if r := add(t, st.Messages(), "room", "next"); r.Seq != 11 {
		t.Errorf("the next sequence is %d", r.Seq)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	st := open(t, Options{Dir: dir})
	_, err := tryOpen(t, Options{Dir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second to open says %v", err)
	}
	add(t, st.Messages(), "room", "the first is unharmed")
	closeNow(t, st)
	open(t, Options{Dir: dir})
}

// TestUnusableFolder: what is wrong is said, with the folder's name.
func TestUnusableFolder(t *testing.T) {
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const streams = jetstreamName + "/$G/streams/"
	for _, test := range []struct {
		name   string
		spoil  func(t *testing.T, dir string)
		want   error
		saying string
	}{
		{"newer", write(aboutName, `{"format": 2}`), ErrNewer, "format is 2"},
		{"no json", write(aboutName, `{"form`), ErrDamaged, aboutName},
		{"no format", write(aboutName, `{}`), ErrDamaged, aboutName},
		{"empty file", write(aboutName, ``), ErrDamaged, aboutName},
		{"no description", remove(aboutName), ErrDamaged, aboutName},
		{"heads", write(headsName, strings.Repeat("x", 400)), ErrDamaged, headsName},
		{"no data", remove(jetstreamName), ErrDamaged, messagesName},
		{"no users", remove(streams + "users"), ErrDamaged, "users"},
		{"no metadata", remove(streams + "messages/meta.inf"), ErrDamaged, messagesName},
		{"no checksum", remove(streams + "messages/meta.sum"), ErrDamaged, messagesName},
		{"metadata", write(streams+"messages/meta.inf", `{"name":"messages"}`), ErrDamaged, messagesName},
		{"a file instead of the data", func(t *testing.T, dir string) {
			remove(jetstreamName)(t, dir)
			write(jetstreamName, "x")(t, dir)
		}, nil, "storage directory is not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, _ := filled(t, 3)
			test.spoil(t, dir)
			for range 2 { // and it does not change by trying
				st, err := tryOpen(t, Options{Dir: dir})
				if err == nil {
					closeNow(t, st)
					t.Fatal("it opens")
				}
				if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.saying) || !strings.Contains(err.Error(), dir) {
					t.Errorf("got %v, want %v saying %q", err, test.want, test.saying)
				}
			}
		})
	}
}

// TestUnwritable: a folder that cannot be made because its parent is a file,
// and one whose files cannot be opened because folders are in their place; both
// hold for root, too.
func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inTheWay := t.TempDir()
	if err := os.Mkdir(filepath.Join(inTheWay, lockName), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(file, "data"), inTheWay} {
		if _, err := tryOpen(t, Options{Dir: dir}); !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestPowerLoss cuts off what a disk may lose, and more: either the store says
// what is damaged, or the epoch is new and what is left is in order, or nothing
// is lost.
func TestPowerLoss(t *testing.T) {
	const n = 2000
	cut := func(part int) func(t *testing.T, name string) {
		return func(t *testing.T, name string) {
			t.Helper()
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(name, info.Size()*int64(part)/100); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name    string
		spoil   func(t *testing.T, name string)
		atLeast int // records left
	}{
		{"half of the block", cut(50), n/2 - 100},
		{"the last of the block", cut(99), n * 9 / 10},
		{"all of the block", cut(0), 0},
		{"no block", func(t *testing.T, name string) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}, 0},
	} {
		for _, index := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, index %t", test.name, index), func(t *testing.T) {
				dir, epoch := filled(t, n)
				names := blocks(t, dir, messagesName)
				test.spoil(t, names[len(names)-1])
				if !index {
					if err := os.Remove(filepath.Join(filepath.Dir(names[0]), "index.db")); err != nil {
						t.Fatal(err)
					}
				}
				log := open(t, Options{Dir: dir}).Messages()
				s := state(t, log)
				left := read(t, log, Range{Limit: n + 1})
				t.Logf("%d records left, %d to %d", len(left), s.First, s.Last)
				if s.Epoch == epoch && (s.Last < n || len(left) < n) {
					t.Errorf("the epoch is the same, with %d records up to %d", len(left), s.Last)
				}
				if len(left) < test.atLeast {
					t.Errorf("only %d records are left", len(left))
				}
				for i, r := range left {
					if string(r.Data) != fmt.Sprint(r.Seq-1) || i > 0 && r.Seq <= left[i-1].Seq {
						t.Fatalf("record %d holds %q", r.Seq, r.Data)
					}
				}
				r := add(t, log, "room", "goes on")
				if got := read(t, log, Range{After: r.Seq - 1, Limit: 10}); len(got) != 1 || !equal(got[0], r) {
					t.Errorf("after it: %v", got)
				}
			})
		}
	}
}

// TestCopiedWhileRunning: a copy, made file by file while the store is written
// to, opens with a new epoch and an unbroken beginning of the log.
func TestCopiedWhileRunning(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	st := open(t, Options{Dir: dir})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := st.Messages().Append(t.Context(), Entry{Subject: "room", Data: fmt.Append(nil, i)}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	live := follow(t, st.Messages())
	live.wait(t, 200)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(backup, rel), 0o700)
		}
		data, err := os.ReadFile(name) //nolint:gosec // of the test
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(backup, rel), data, 0o600) //nolint:gosec // of the test
	})
	if err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-stopped
	log := open(t, Options{Dir: backup}).Messages()
	if a, b := state(t, st.Messages()), state(t, log); a.Epoch == b.Epoch {
		t.Error("a copy has the epoch of the original")
	}
	left := read(t, log, Range{Limit: 1 << 20})
	if len(left) < 200 {
		t.Errorf("the copy holds %d records", len(left))
	}
	for i, r := range left {
		if r.Seq != uint64(i)+1 || string(r.Data) != fmt.Sprint(i) {
			t.Fatalf("record %d holds %q", r.Seq, r.Data)
		}
	}
}

// TestDamagedInTheMiddle: records that cannot be read any more are told of; the
// others are there, and the epoch is the same.
func TestDamagedInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	st := open(t, Options{Dir: dir, Sync: SyncInterval})
	text := strings.Repeat("x", 50_000)
	for range 400 {
		add(t, st.Messages(), "room", text)
	}
	epoch := state(t, st.Messages()).Epoch
	closeNow(t, st)
	names := blocks(t, dir, messagesName)
	if len(names) < 2 {
		t.Fatalf("%d blocks: the test tests nothing", len(names))
	}
	scratch(t, names[0], 1)
	var told bytes.Buffer
	st = open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	left := read(t, st.Messages(), Range{Limit: 1000})
	if s := state(t, st.Messages()); s.Epoch != epoch || s.Last != 400 {
		t.Errorf("the state is %+v", s)
	}
	closeNow(t, st)
	want := fmt.Sprintf("records are lost\" log=messages at_least=%d", 400-len(left))
	if len(left) == 400 || !strings.Contains(told.String(), want) {
		t.Errorf("%d records are left, and it is told: %s", len(left), told.String())
	}
}

// TestRightsDamaged: a store that has lost any of what decides rights does not
// open. Changes and deletions before are no loss, nor is the end by a kill.
func TestRightsDamaged(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, block string)
		ok    bool
	}{
		{"nothing", func(*testing.T, string) {}, true},
		{"no index", func(t *testing.T, block string) {
			if err := os.Remove(filepath.Join(filepath.Dir(block), "index.db")); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"middle", func(t *testing.T, block string) { scratch(t, block, 2) }, false},
		{"end", func(t *testing.T, block string) {
			info, err := os.Stat(block)
			if err == nil {
				err = os.Truncate(block, info.Size()-1)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, false},
		{"all", func(t *testing.T, block string) {
			if err := os.Remove(block); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			st := open(t, Options{Dir: dir, Sync: SyncInterval})
			users := st.Bucket(Users)
			for i := range 60 {
				put(t, users, fmt.Sprint(i), strings.Repeat("v", 100), 0, true)
			}
			for i := range 10 {
				_, revision := users.Get(fmt.Sprint(i))
				put(t, users, fmt.Sprint(i), "changed", revision, true)
				_, revision = users.Get(fmt.Sprint(i + 20))
				remove(t, users, fmt.Sprint(i+20), revision, true)
				put(t, users, fmt.Sprint(i+20), "again", 0, true)
				_, revision = users.Get(fmt.Sprint(i + 40))
				remove(t, users, fmt.Sprint(i+40), revision, true)
			}
			put(t, users, "last", "v", 0, true)
			closeNow(t, st)
			names := blocks(t, dir, Users)
			test.spoil(t, names[len(names)-1])
			st, err := tryOpen(t, Options{Dir: dir})
			if test.ok && err != nil || !test.ok && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), Users)) {
				t.Errorf("it opens with %v", err)
			}
			if err == nil {
				closeNow(t, st)
			}
		})
	}
}

// blocks are the names of a stream's files of records, in order.
func blocks(t *testing.T, dir, stream string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, jetstreamName, "$G", "streams", stream, "msgs", "*.blk"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no blocks: %v", err)
	}
	return names
}

// scratch changes some percent of a file in its middle.
func scratch(t *testing.T, name string, percent int) {
	t.Helper()
	data, err := os.ReadFile(name) //nolint:gosec // of the test
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(data) * percent / 100 {
		data[len(data)/2+i] ^= 0xff
	}
	if err := os.WriteFile(name, data, 0o600); err != nil { //nolint:gosec // of the test
		t.Fatal(err)
	}
}
