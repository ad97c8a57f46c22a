package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestDeletedStaysDeleted: what was deleted does not come back when the process
// is killed after the mark of its deletion has gone.
func TestDeletedStaysDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "running")
	st := open(t, Options{Dir: dir})
	b := st.Bucket(Sessions)
	b.s.deletedFor = time.Second
	put(t, b, "stays", "1", 0, true)
	put(t, b, "gone", "1", 0, true)
	put(t, b, "gone", "2", get(t, b, "gone", "1"), true)
	remove(t, b, "gone", get(t, b, "gone", "2"), true)
	put(t, b, "stays too", "1", 0, true)
	awaitRecords(t, b, 2)
	b = open(t, Options{Dir: killed(t, dir)}).Bucket(Sessions)
	get(t, b, "gone", "")
	get(t, b, "stays", "1")
	get(t, b, "stays too", "1")
}

// TestKilledWhileDeleting: the same if the process was killed when the mark was
// written and the value not yet removed.
func TestKilledWhileDeleting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "running")
	b := open(t, Options{Dir: dir}).Bucket(Sessions)
	put(t, b, "stays", "1", 0, true)
	put(t, b, "gone", "1", 0, true)
	m := nats.NewMsg(b.s.subject("gone"))
	m.Data = []byte{isDeleted}
	m.Header.Set(jetstream.MsgTTLHeader, "5s")
	if _, err := b.s.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	put(t, b, "stays too", "1", 0, true)
	awaitRecords(t, b, 4)

	again := killed(t, dir)
	b = open(t, Options{Dir: again}).Bucket(Sessions)
	get(t, b, "gone", "")
	awaitRecords(t, b, 2)
	b = open(t, Options{Dir: killed(t, again)}).Bucket(Sessions)
	get(t, b, "gone", "")
	get(t, b, "stays", "1")
	get(t, b, "stays too", "1")
}

// killed is what a process that runs on a folder leaves when it is killed now.
func killed(t *testing.T, dir string) string {
	t.Helper()
	left := filepath.Join(t.TempDir(), "killed")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

// awaitRecords waits until JetStream holds so many records of a bucket.
func awaitRecords(t *testing.T, b *Bucket, want uint64) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		stream, err := b.s.js.Stream(t.Context(), b.s.name)
		if err != nil {
			t.Fatal(err)
		}
		got := stream.CachedInfo().State.Msgs
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d records, want %d", got, want)
		}
	}
}
