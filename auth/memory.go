package auth

import (
	"context"
	"fmt"
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
}

type entry struct {
	value    []byte
	revision uint64
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{entries: map[string]entry{}}
}

// Get implements [Store].
func (s *MemoryStore) Get(key string) (value []byte, revision uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[key]
	return e.value, e.revision
}

// Put implements [Store].
func (s *MemoryStore) Put(_ context.Context, key string, value []byte, revision uint64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key].revision != revision {
		return false, nil
	}
	if revision == 0 && len(s.entries) >= maxUsers {
		return false, fmt.Errorf("full: there are %d users already", maxUsers)
	}
	s.revision++
	s.entries[key] = entry{value: value, revision: s.revision}
	return true, nil
}
