package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// childEnv names the data folder of a child process that writes until it is
// killed.
const (
	childEnv     = "WIGWAG_STORE_TEST_CHILD"
	childSyncEnv = "WIGWAG_STORE_TEST_SYNC"
	childLogEnv  = "WIGWAG_STORE_TEST_LOG"
)

const childWriters = 12

// child tells its epoch and then every record it has an answer for. It returns
// only when something goes wrong.
func child(dir string) error {
	st, err := Open(context.Background(), Options{Dir: dir, Sync: os.Getenv(childSyncEnv), Logger: testLogger()})
	if err != nil {
		return err
	}
	s, err := st.Messages().State(context.Background())
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "epoch", s.Epoch, "from", s.Last)
	log, prefix, subjects := &st.Messages().Journal, "room.", 3
	if os.Getenv(childLogEnv) == "journal" {
		log, prefix, subjects = st.Streams(), "S/", childWriters
	}
	var mu sync.Mutex
	failed := make(chan error)
	for w := range childWriters {
		go func() {
			for i := 0; ; i++ {
				data := fmt.Sprintf("%d:%d:%d", os.Getpid(), w, i)
				r, err := log.Append(context.Background(), Entry{Subject: fmt.Sprint(prefix, w%subjects), Data: []byte(data)})
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Fprintln(os.Stdout, "stored", r.Seq, data)
				mu.Unlock()
			}
		}()
	}
	go func() { failed <- changeUsers(st.Bucket(Users)) }()
	return <-failed
}

// changeUsers makes, changes and deletes values.
func changeUsers(b *Bucket) error {
	for i := 0; ; i++ {
		key := fmt.Sprint(i % 7)
		value, revision := b.Get(key)
		var err error
		if value != nil && i%3 == 0 {
			_, err = b.Delete(context.Background(), key, revision)
		} else {
			_, err = b.Put(context.Background(), key, fmt.Append(nil, i), revision)
		}
		if err != nil {
			return err
		}
	}
}

// killChild lets a child write n records to a log, kills it and returns its epoch and
// what it had answers for, by sequence.
func killChild(t *testing.T, dir, sync string, n int, log string) (epoch string, from uint64, stored map[uint64]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childSyncEnv+"="+sync, childLogEnv+"="+log)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if _, err := fmt.Fscanf(lines, "epoch %s from %d\n", &epoch, &from); err != nil {
		t.Fatalf("the child says nothing: %v %s", err, complaint.String())
	}
	stored = map[uint64]string{}
	for {
		text, err := lines.ReadString('\n')
		if err != nil { // killed; the last line may be cut
			break
		}
		var seq uint64
		var data string
		if _, err := fmt.Sscanf(text, "stored %d %s\n", &seq, &data); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if other, twice := stored[seq]; twice {
			t.Fatalf("%q and %q have the sequence %d", other, data, seq)
		}
		if stored[seq] = data; len(stored) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, lines)
	_ = cmd.Wait() // it was killed
	if len(stored) < n {
		t.Fatalf("the child stored only %d: %s", len(stored), complaint.String())
	}
	return epoch, from, stored
}

// TestKilled: after kill -9 every record that was answered for is there, once,
// in order, and the epoch is the same; again and again. That users were being
// changed is not taken for damage.
func TestKilled(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 300
	}
	dir := t.TempDir()
	stored := map[uint64]string{}
	var epoch string
	for round := range 6 {
		e, from, more := killChild(t, dir, SyncAlways, n, "messages")
		if round > 0 && e != epoch {
			t.Errorf("the epoch was %q and is %q after a kill", epoch, e)
		}
		epoch = e
		for seq, data := range more {
			if seq <= from {
				t.Errorf("sequence %d is used again after a kill at %d", seq, from)
			}
			stored[seq] = data
		}
	}
	log := open(t, Options{Dir: dir}).Messages()
	s := state(t, log)
	if s.Epoch != epoch {
		t.Errorf("the epoch was %q and is %q after a kill", epoch, s.Epoch)
	}
	checkStored(t, log, stored)
}

// checkStored compares a log with what was answered for. There may be more:
// what was on its way when the process ended.
func checkStored(t *testing.T, log *Log, stored map[uint64]string) {
	t.Helper()
	last := map[string]int{} // of each writer
	seen := map[string]bool{}
	var after uint64
	for {
		page := read(t, log, Range{After: after, Limit: 1000})
		for _, r := range page {
			if r.Seq != after+1 {
				t.Errorf("record %d follows %d", r.Seq, after)
			}
			after = r.Seq
			data := string(r.Data)
			if want, ok := stored[r.Seq]; ok && data != want {
				t.Fatalf("record %d is %q, but was answered for as %q", r.Seq, data, want)
			}
			delete(stored, r.Seq)
			if seen[data] {
				t.Errorf("%q is there twice", data)
			}
			seen[data] = true
			var i int
			writer, number := data[:strings.LastIndex(data, ":")], data[strings.LastIndex(data, ":")+1:]
			if _, err := fmt.Sscan(number, &i); err != nil {
				t.Fatal(err)
			}
			if before, ok := last[writer]; ok && i != before+1 || !ok && i != 0 {
				t.Errorf("writer %s: %d comes after %d", writer, i, before)
			}
			last[writer] = i
		}
		if len(page) < 1000 {
			break
		}
	}
	if len(stored) > 0 {
		t.Errorf("%d records that were answered for are lost", len(stored))
	}
}

// TestKilledWithoutSync: with --sync=interval an end that was not clean makes a
// new epoch, a clean one does not.
func TestKilledWithoutSync(t *testing.T) {
	dir := t.TempDir()
	before, _, stored := killChild(t, dir, SyncInterval, 300, "messages")
	st := open(t, Options{Dir: dir})
	s := state(t, st.Messages())
	if s.Epoch == before {
		t.Error("the epoch is the same")
	}
	checkStored(t, st.Messages(), stored) // the process ended, not the machine
	closeNow(t, st)
	for _, sync := range []string{SyncInterval, SyncAlways} {
		st := open(t, Options{Dir: dir, Sync: sync})
		if now := state(t, st.Messages()); now.Epoch != s.Epoch {
			t.Error("a clean end makes a new epoch")
		}
		closeNow(t, st)
	}
}
