package auth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// maxMemory bounds a [MemoryStore], in keys.
const maxMemory = 100_000

// MemoryStore is a [Store] that is gone when the process ends. It holds at
// most 100,000 keys.
type MemoryStore struct {
	mu       sync.RWMutex
	entries  map[string]entry      // guarded by mu
	revision uint64                // of the last write; guarded by mu
	watchers map[*watcher]struct{} // guarded by mu
}

type entry struct {
	key      string
	value    []byte // nil: deleted
	revision uint64
}

// watcher is a call of Watch.
type watcher struct {
	news map[string]entry // what it is yet to be told, the last of each key; guarded by the store's mu
	wake chan struct{}    // has one slot
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{entries: map[string]entry{}, watchers: map[*watcher]struct{}{}}
}

// Get implements [Store].
func (s *MemoryStore) Get(key string) (value []byte, revision uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[key]
	return e.value, e.revision
}

// Put implements [Store].
func (s *MemoryStore) Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error) {
	return s.swap(ctx, entry{key: key, value: append([]byte{}, value...)}, revision)
}

// Delete implements [Store].
func (s *MemoryStore) Delete(ctx context.Context, key string, revision uint64) (bool, error) {
	if revision == 0 {
		return false, ctx.Err()
	}
	return s.swap(ctx, entry{key: key}, revision)
}

func (s *MemoryStore) swap(ctx context.Context, e entry, revision uint64) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[e.key].revision != revision {
		return false, nil
	}
	if revision == 0 && len(s.entries) >= maxMemory {
		return false, fmt.Errorf("full: there are %d keys already", maxMemory)
	}
	s.revision++
	e.revision = s.revision
	if s.entries[e.key] = e; e.value == nil {
		delete(s.entries, e.key)
	}
	for w := range s.watchers {
		w.news[e.key] = e
		select {
		case w.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return true, nil
}

// Watch implements [Store]. Changes are told by a goroutine that ends with
// stop.
func (s *MemoryStore) Watch(fn func(key string, value []byte, revision uint64)) (stop func()) {
	w := &watcher{wake: make(chan struct{}, 1)}
	s.mu.Lock()
	w.news = maps.Clone(s.entries)
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	done, ended := make(chan struct{}), make(chan struct{})
	s.tell(w, fn, done)
	go func() {
		defer close(ended)
		for {
			select {
			case <-w.wake:
				s.tell(w, fn, done)
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	})
}

// tell calls fn, until done, with what w is yet to be told.
func (s *MemoryStore) tell(w *watcher, fn func(string, []byte, uint64), done <-chan struct{}) {
	s.mu.Lock()
	news := slices.Collect(maps.Values(w.news))
	clear(w.news)
	s.mu.Unlock()

	slices.SortFunc(news, func(a, b entry) int { return cmp.Compare(a.revision, b.revision) })
	for _, e := range news {
		select {
		case <-done:
			return
		default:
			fn(e.key, e.value, e.revision)
		}
	}
}
