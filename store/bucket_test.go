package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func put(t *testing.T, b *Bucket, key, value string, revision uint64, want bool) {
	t.Helper()
	ok, err := b.Put(t.Context(), key, []byte(value), revision)
	if err != nil || ok != want {
		t.Fatalf("Put(%q, %q, %d) = %t, %v, want %t", key, value, revision, ok, err, want)
	}
}

func remove(t *testing.T, b *Bucket, key string, revision uint64, want bool) {
	t.Helper()
	ok, err := b.Delete(t.Context(), key, revision)
	if err != nil || ok != want {
		t.Fatalf("Delete(%q, %d) = %t, %v, want %t", key, revision, ok, err, want)
	}
}

func get(t *testing.T, b *Bucket, key, want string) uint64 {
	t.Helper()
	value, revision := b.Get(key)
	if string(value) != want || (value == nil) != (want == "") || (revision == 0) != (want == "") {
		t.Fatalf("%q is %q, revision %d; want %q", key, value, revision, want)
	}
	return revision
}

// TestBucketSwaps: every change needs the revision it replaces, and is seen
// when it returns; across a restart, too.
func TestBucketSwaps(t *testing.T) {
	dir := t.TempDir()
	st := open(t, Options{Dir: dir})
	b := st.Bucket(Rooms)
	get(t, b, "dm/alice/bob", "")
	put(t, b, "dm/alice/bob", "one", 3, false)
	put(t, b, "dm/alice/bob", "one", 0, true)
	first := get(t, b, "dm/alice/bob", "one")
	put(t, b, "dm/alice/bob", "two", 0, false)
	put(t, b, "dm/alice/bob", "two", first, true)
	second := get(t, b, "dm/alice/bob", "two")
	remove(t, b, "dm/alice/bob", first, false)
	remove(t, b, "dm/alice/bob", 0, false)
	put(t, b, "other", "-", 0, true)
	put(t, b, "a.b *>", "odd", 0, true)
	remove(t, b, "dm/alice/bob", second, true)
	get(t, b, "dm/alice/bob", "")
	put(t, b, "dm/alice/bob", "two", second, false)
	closeNow(t, st)

	b = open(t, Options{Dir: dir}).Bucket(Rooms)
	get(t, b, "dm/alice/bob", "")
	get(t, b, "other", "-")
	get(t, b, "a.b *>", "odd")
	put(t, b, "dm/alice/bob", "three", second, false)
	put(t, b, "dm/alice/bob", "three", 0, true)
	get(t, b, "dm/alice/bob", "three")
}

// TestBucketRace: of those that swap the same revision, one wins.
func TestBucketRace(t *testing.T) {
	b := open(t, Options{Dir: t.TempDir()}).Bucket(Users)
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				for {
					value, revision := b.Get("counter")
					n := 0
					fmt.Sscan(string(value), &n) //nolint:errcheck // nothing is 0
					ok, err := b.Put(t.Context(), "counter", fmt.Append(nil, n+1), revision)
					if err != nil {
						t.Error(err)
						return
					}
					if ok {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	get(t, b, "counter", fmt.Sprint(writers*each))
}

func TestBucketWatch(t *testing.T) {
	b := open(t, Options{Memory: true}).Bucket(Keys)
	put(t, b, "a", "1", 0, true)
	put(t, b, "b", "1", 0, true)
	put(t, b, "gone", "1", 0, true)
	remove(t, b, "gone", get(t, b, "gone", "1"), true)
	put(t, b, "a", "2", get(t, b, "a", "1"), true)

	seen := make(chan string, 100)
	stop := b.Watch(func(key string, value []byte, _ uint64) { seen <- key + "=" + string(value) })
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-seen:
				if got != w {
					t.Fatalf("the watcher is told %q, want %q", got, w)
				}
			case <-time.After(patience):
				t.Fatalf("the watcher is not told %q", w)
			}
		}
	}
	// What was there comes first, whenever the watcher gets to it.
	put(t, b, "c", "1", 0, true)
	remove(t, b, "b", get(t, b, "b", "1"), true)
	expect("b=1")
	expect("a=2")
	expect("c=1", "b=")
	stop()
	put(t, b, "d", "1", 0, true)
	if len(seen) > 0 {
		t.Errorf("a stopped watcher is told %q", <-seen)
	}
}

func TestBucketFull(t *testing.T) {
	b := open(t, Options{Memory: true}).Bucket(Users)
	value := make([]byte, MaxData-1)
	for i := range bucketBytes/len(value) + 1 {
		ok, err := b.Put(t.Context(), fmt.Sprint(i), value, 0)
		if errors.Is(err, ErrFull) {
			if _, revision := b.Get("0"); revision == 0 {
				t.Error("a full bucket has dropped a value")
			}
			return
		}
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	t.Error("the bucket is never full")
}

// TestBucketAge: what JetStream drops for its age is dropped here, and may be
// made again.
func TestBucketAge(t *testing.T) {
	st := newStore(testLogger())
	t.Cleanup(func() { closeNow(t, st) })
	o := Options{Memory: true, Sync: SyncAlways, Logger: testLogger()}
	var err error
	if st.engine, err = startInMemory(t.Context(), o.Sync, o.Logger); err != nil {
		t.Fatal(err)
	}
	if err = st.openStream(t.Context(), 0, spec{name: "short", bucket: true, maxBytes: 1 << 20, maxAge: time.Second}, o); err != nil {
		t.Fatal(err)
	}
	b := st.Bucket("short")
	put(t, b, "key", "one", 0, true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		// Until it is gone everywhere a new one is refused, not mixed up.
		ok, err := b.Put(ctx, "key", []byte("two"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			break
		}
	}
	get(t, b, "key", "two")
	for n := 1; n > 0; {
		b.mu.RLock()
		n = len(b.values)
		b.mu.RUnlock()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("an old value is never dropped from memory")
		}
	}
}

// TestEndedSessionsTakeNoRoom: however many sessions begin and end, the marks
// of those that ended are gone after a minute.
func TestEndedSessionsTakeNoRoom(t *testing.T) {
	st := open(t, Options{Memory: true})
	b := st.Bucket(Sessions)
	if ok, err := b.Put(t.Context(), "one", []byte("value"), 0); !ok || err != nil {
		t.Fatal(ok, err)
	}
	_, revision := b.Get("one")
	if ok, err := b.Delete(t.Context(), "one", revision); !ok || err != nil {
		t.Fatal(ok, err)
	}
	rec, err := b.s.js.Stream(t.Context(), b.s.name)
	if err != nil {
		t.Fatal(err)
	}
	mark, err := rec.GetLastMsgForSubject(t.Context(), b.s.subject("one"))
	if err != nil {
		t.Fatal(err)
	}
	if ttl := mark.Header.Get("Nats-TTL"); ttl != "1m0s" {
		t.Errorf("the mark is kept for %q", ttl)
	}
}
