// Package buckettest is the contract of [hub.Bucket] as a test that every
// bucket must pass.
package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"wigwag/hub"
)

// patience bounds how long a bucket may take to tell of a change.
const patience = 20 * time.Second

// Run tests a bucket. newBucket returns an empty one, which holds at least
// 2 MiB, and closes it at the end of the test.
func Run(t *testing.T, newBucket func(t *testing.T) hub.Bucket) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, hub.Bucket)
	}{
		{"changes", testChanges},
		{"odd keys and values", testOdd},
		{"cancelled context", testCancelled},
		{"compare and swap", testSwap},
		{"watch", testWatch},
		{"watch while changing", testWatchWhileChanging},
		{"watchers use the bucket", testWatcherUses},
		{"stop", testStop},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newBucket(t)) })
	}
}

func testChanges(t *testing.T, b hub.Bucket) {
	if v, rev := b.Get("k"); v != nil || rev != 0 {
		t.Errorf("an empty bucket has %q, %d", v, rev)
	}
	var last uint64
	for _, step := range []struct {
		key, value string // "-" deletes
		current    bool   // with the revision the key has, otherwise another
		ok         bool
	}{
		{"k", "-", false, false},
		{"k", "none yet", false, false},
		{"k", "one", true, true},
		{"k", "two", false, false},
		{"k", "two", true, true},
		{"other", "1", true, true},
		{"k", "two", true, true}, // the same again is a change, too
		{"k", "-", false, false},
		{"k", "-", true, true},
		{"k", "-", false, false},
		{"k", "again", true, true},
		{"k", "-", true, true},
		{"k", "and again", true, true},
	} {
		before, rev := b.Get(step.key)
		given := rev
		if !step.current {
			given += 7
		}
		var ok bool
		var err error
		if step.value == "-" {
			ok, err = b.Delete(t.Context(), step.key, given)
		} else {
			ok, err = b.Put(t.Context(), step.key, []byte(step.value), given)
		}
		if ok != step.ok || err != nil {
			t.Fatalf("%+v: %t, %v", step, ok, err)
		}
		got, now := b.Get(step.key)
		switch {
		case !ok && (now != rev || !bytes.Equal(got, before)):
			t.Errorf("%+v: what was refused changed it", step)
		case ok && step.value == "-" && (got != nil || now != 0):
			t.Errorf("%+v: %q, %d is left", step, got, now)
		case ok && step.value != "-" && (string(got) != step.value || now <= last):
			t.Errorf("%+v: it is %q, %d after %d", step, got, now, last)
		}
		last = max(last, now)
	}
	if v, _ := b.Get("other"); string(v) != "1" {
		t.Errorf("the other key is %q", v)
	}
}

func testOdd(t *testing.T, b hub.Bucket) {
	want := map[string]string{}
	for _, key := range []string{"", "a", "A", "a.b", "a b", "*", ">", "dm/alice/bob", "é\x00\n", "%2a", strings.Repeat("x", 256)} {
		for _, value := range []string{"", "+", "-", "\x00\xff\r\n", strings.Repeat("y", 100_000)} {
			_, rev := b.Get(key)
			data := []byte(value)
			if ok, err := b.Put(t.Context(), key, data, rev); !ok || err != nil {
				t.Fatalf("%.20q in %.20q: %t, %v", value, key, ok, err)
			}
			for i := range data {
				data[i] = '!'
			}
			if got, rev := b.Get(key); got == nil || string(got) != value || rev == 0 {
				t.Errorf("%.20q in %.20q came back as %.20q, %d", value, key, got, rev)
			}
			want[key] = value
		}
	}
	for key, value := range want {
		if got, _ := b.Get(key); string(got) != value {
			t.Errorf("%.20q has the value of another key", key)
		}
	}
}

func testCancelled(t *testing.T, b hub.Bucket) {
	put(t, b, "k", "1")
	_, rev := b.Get("k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Put(ctx, "k", []byte("2"), rev); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with a cancelled context: %v", err)
	}
	if _, err := b.Delete(ctx, "k", rev); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete with a cancelled context: %v", err)
	}
	if v, now := b.Get("k"); string(v) != "1" || now != rev {
		t.Errorf("it is %q, %d", v, now)
	}
}

// testSwap: of many who count at once nobody's count is lost.
func testSwap(t *testing.T, b hub.Bucket) {
	const writers, each = 5, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				v, rev := b.Get("count")
				ok, err := b.Put(t.Context(), "count", append(bytes.Clone(v), 'x'), rev)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					done++
				}
			}
		})
	}
	wg.Wait()
	if v, _ := b.Get("count"); len(v) != writers*each {
		t.Errorf("counted %d, want %d", len(v), writers*each)
	}
}

func testWatch(t *testing.T, b hub.Bucket) {
	for i := range 50 {
		put(t, b, fmt.Sprint("k", i%20), fmt.Sprint(i))
	}
	remove(t, b, "k3")
	w := watch(t, b)
	// All there is has been told by now.
	w.check(t, b, 19)
	put(t, b, "new", "1")
	put(t, b, "k4", "changed")
	remove(t, b, "k5")
	w.await(t, func(values map[string]string) bool {
		_, left := values["k5"]
		return !left && values["new"] == "1" && values["k4"] == "changed"
	})
	w.check(t, b, 19)
}

// testWatchWhileChanging: whenever a watcher begins, in the end it knows what
// there is.
func testWatchWhileChanging(t *testing.T, b hub.Bucket) {
	const writers, each = 4, 60
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range each {
				key := fmt.Sprint("k", n, "-", i%7)
				_, rev := b.Get(key)
				var err error
				if i%5 == 4 && rev > 0 {
					_, err = b.Delete(t.Context(), key, rev)
				} else {
					_, err = b.Put(t.Context(), key, fmt.Append(nil, i), rev)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	var watchers []*watcher
	for range 5 {
		watchers = append(watchers, watch(t, b))
	}
	wg.Wait()
	put(t, b, "end", "1")
	for _, w := range watchers {
		w.await(t, func(values map[string]string) bool { return values["end"] == "1" })
		for n := range writers {
			for i := range 7 {
				key := fmt.Sprint("k", n, "-", i)
				want, _ := b.Get(key)
				if got, ok := w.state()[key]; got != string(want) || ok != (want != nil) {
					t.Errorf("a watcher has %q in %s, want %q", got, key, want)
				}
			}
		}
	}
}

func testWatcherUses(t *testing.T, b hub.Bucket) {
	done := make(chan error, 10)
	stop := b.Watch(func(key string, value []byte, revision uint64) {
		if key != "question" {
			done <- nil
			return
		}
		got, rev := b.Get(key)
		if string(got) != string(value) || rev != revision {
			done <- fmt.Errorf("a watcher is told %q, %d, and Get %q, %d", value, revision, got, rev)
		}
		if ok, err := b.Put(t.Context(), "answer", nil, 0); !ok || err != nil {
			done <- fmt.Errorf("a watcher puts: %t, %w", ok, err)
		}
	})
	defer stop()
	put(t, b, "question", "1")
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the watcher is stuck")
	}
}

func testStop(t *testing.T, b hub.Bucket) {
	stopped, goesOn := watch(t, b), watch(t, b)
	put(t, b, "k", "1")
	stopped.await(t, func(values map[string]string) bool { return values["k"] == "1" })
	stopped.stop()
	stopped.stop() // again is harmless
	put(t, b, "k", "2")
	goesOn.await(t, func(values map[string]string) bool { return values["k"] == "2" })
	if got := stopped.state()["k"]; got != "1" {
		t.Errorf("a stopped watcher has been told %q", got)
	}

	// stop waits for a call under way.
	entered, leave := make(chan struct{}), make(chan struct{})
	var left bool
	first := true
	stop := b.Watch(func(key string, _ []byte, _ uint64) {
		if key != "hold" || !first {
			return
		}
		first = false
		close(entered)
		<-leave
		left = true // the race detector checks that stop waits
	})
	put(t, b, "hold", "1")
	<-entered
	time.AfterFunc(10*time.Millisecond, func() { close(leave) })
	stop()
	if !left {
		t.Error("stop returned while the watcher was running")
	}
}

// watcher keeps what it is told, and checks the order.
type watcher struct {
	stop func()

	mu     sync.Mutex
	values map[string]string
	last   uint64
	more   chan struct{} // closed and replaced with every change
}

func watch(t *testing.T, b hub.Bucket) *watcher {
	w := &watcher{values: map[string]string{}, more: make(chan struct{})}
	w.stop = b.Watch(func(key string, value []byte, revision uint64) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if revision <= w.last {
			t.Errorf("revision %d of %s after %d", revision, key, w.last)
		}
		w.last = revision
		if w.values[key] = string(value); value == nil {
			delete(w.values, key)
		}
		close(w.more)
		w.more = make(chan struct{})
	})
	t.Cleanup(w.stop)
	return w
}

func (w *watcher) state() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.values)
}

// check compares all a watcher knows with what there is.
func (w *watcher) check(t *testing.T, b hub.Bucket, n int) {
	t.Helper()
	values := w.state()
	if len(values) != n {
		t.Errorf("a watcher knows %d keys, want %d", len(values), n)
	}
	for key, value := range values {
		if got, _ := b.Get(key); string(got) != value {
			t.Errorf("a watcher has %q in %s, and Get %q", value, key, got)
		}
	}
}

func (w *watcher) await(t *testing.T, enough func(map[string]string) bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		w.mu.Lock()
		ok, more := enough(w.values), w.more
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("a watcher knows only %v", w.state())
		}
	}
}

func put(t *testing.T, b hub.Bucket, key, value string) {
	t.Helper()
	_, rev := b.Get(key)
	if ok, err := b.Put(t.Context(), key, []byte(value), rev); !ok || err != nil {
		t.Fatalf("Put %s: %t, %v", key, ok, err)
	}
}

func remove(t *testing.T, b hub.Bucket, key string) {
	t.Helper()
	_, rev := b.Get(key)
	if ok, err := b.Delete(t.Context(), key, rev); !ok || err != nil {
		t.Fatalf("Delete %s: %t, %v", key, ok, err)
	}
}
