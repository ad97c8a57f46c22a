package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// write stores a value whatever there was.
func write(t *testing.T, s Store, key, value string) {
	t.Helper()
	_, revision := s.Get(key)
	if ok, err := s.Put(t.Context(), key, []byte(value), revision); !ok || err != nil {
		t.Fatalf("Put(%q): %t, %v", key, ok, err)
	}
}

func TestMemoryStoreSwaps(t *testing.T) {
	s := NewMemoryStore()
	if value, revision := s.Get("k"); value != nil || revision != 0 {
		t.Errorf("an empty store has %q, %d", value, revision)
	}
	var last uint64
	for _, step := range []struct {
		value string
		off   uint64 // from the revision there is
		ok    bool
	}{{"one", 1, false}, {"one", 0, true}, {"two", 1, false}, {"two", 0, true}, {"two", 0, true}} {
		before, revision := s.Get("k")
		given := []byte(step.value)
		ok, err := s.Put(t.Context(), "k", given, revision+step.off)
		if ok != step.ok || err != nil {
			t.Fatalf("%+v: %t, %v", step, ok, err)
		}
		given[0] = '!' // the store has its own
		value, now := s.Get("k")
		if ok && (string(value) != step.value || now <= last) || !ok && (now != revision || string(value) != string(before)) {
			t.Errorf("%+v: %q, %d after %d", step, value, now, last)
		}
		last = now
	}
	if ok, err := s.Put(t.Context(), "k", []byte("three"), 0); ok || err != nil {
		t.Errorf("a key that is there was made: %t, %v", ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := s.Put(ctx, "k", []byte("three"), last); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Put with a cancelled context: %t, %v", ok, err)
	}
	if value, revision := s.Get("k"); string(value) != "two" || revision != last {
		t.Errorf("what was refused is stored: %q, %d", value, revision)
	}
}

func TestMemoryStoreWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemoryStore()
		for _, key := range []string{"c", "a", "b"} {
			write(t, s, key, "1")
		}
		write(t, s, "c", "2")
		var told []string
		var last uint64
		stop := s.Watch(func(key string, value []byte, revision uint64) {
			told = append(told, key+string(value))
			if revision <= last {
				t.Errorf("revision %d after %d", revision, last)
			}
			last = revision
			if now, _ := s.Get(key); string(value) == "first" && string(now) == "first" {
				write(t, s, "answer", "1") // the store may be used
			}
		})
		expect := func(want ...string) {
			t.Helper()
			if !slices.Equal(told, want) {
				t.Errorf("told %q, not %q", told, want)
			}
			told = nil
		}
		expect("a1", "b1", "c2") // before Watch returns
		write(t, s, "b", "2")
		synctest.Wait()
		expect("b2")
		write(t, s, "d", "first")
		synctest.Wait()
		expect("dfirst", "answer1")
		stop()
		stop() // again is harmless
		write(t, s, "b", "3")
		synctest.Wait()
		expect()
	})
}

// stop waits for a call under way, and there is none after it.
func TestMemoryStoreStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemoryStore()
		var calls int
		stop := s.Watch(func(string, []byte, uint64) {
			pass(time.Second)
			calls++ // the race detector checks that stop waits
		})
		for i := range 3 {
			write(t, s, fmt.Sprint(i), "1")
		}
		pass(time.Second / 2) // in the midst of the first call
		stop()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

// Of many watchers none misses what is written while it begins.
func TestMemoryStoreWatchWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemoryStore()
		var wg sync.WaitGroup
		seen := make([]map[string]string, 5)
		for w := range seen {
			seen[w] = map[string]string{}
			wg.Go(func() {
				for i := range 100 {
					write(t, s, fmt.Sprint(w, i%7), fmt.Sprint(i))
				}
			})
			t.Cleanup(s.Watch(func(key string, value []byte, _ uint64) { seen[w][key] = string(value) }))
		}
		wg.Wait()
		synctest.Wait()
		for w := range seen {
			for n := range seen {
				for i := range 7 {
					key := fmt.Sprint(n, i)
					if now, _ := s.Get(key); seen[w][key] != string(now) {
						t.Errorf("watcher %d has %q in %s, not %q", w, seen[w][key], key, now)
					}
				}
			}
		}
	})
}
