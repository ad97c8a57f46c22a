package auth

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
)

// maxUsers bounds a [MemoryStore].
const maxUsers = 10_000

// MemoryStore is a [Store] that is gone when the process ends. It holds at
// most 10,000 keys.
type MemoryStore struct {
	mu       sync.RWMutex
	entries  map[string]entry // guarded by mu
	revision uint64           // of the last write; guarded by mu
	changed  chan struct{}    // closed and replaced with every write; guarded by mu
}

type entry struct {
	key      string
	value    []byte
	revision uint64
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{entries: map[string]entry{}, changed: make(chan struct{})}
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
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key].revision != revision {
		return false, nil
	}
	if revision == 0 && len(s.entries) >= maxUsers {
		return false, fmt.Errorf("full: there are %d users already", maxUsers)
	}
	s.revision++
	s.entries[key] = entry{key, bytes.Clone(value), s.revision}
	close(s.changed)
	s.changed = make(chan struct{})
	return true, nil
}

// Watch implements [Store]. Changes are told by a goroutine that ends with
// stop.
func (s *MemoryStore) Watch(fn func(key string, value []byte, revision uint64)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	told, changed := s.tell(fn, 0, done)
	go func() {
		defer close(ended)
		for {
			select {
			case <-changed:
				told, changed = s.tell(fn, told, done)
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
	})
}

// tell calls fn, until done, with what was written after a revision. It returns
// the revision it got to and what is closed when there is more.
func (s *MemoryStore) tell(fn func(string, []byte, uint64), after uint64, done <-chan struct{}) (uint64, <-chan struct{}) {
	s.mu.RLock()
	var news []entry
	for _, e := range s.entries {
		if e.revision > after {
			news = append(news, e)
		}
	}
	told, changed := s.revision, s.changed
	s.mu.RUnlock()

	slices.SortFunc(news, func(a, b entry) int { return cmp.Compare(a.revision, b.revision) })
	for _, e := range news {
		select {
		case <-done:
			return told, changed
		default:
			fn(e.key, e.value, e.revision)
		}
	}
	return told, changed
}
