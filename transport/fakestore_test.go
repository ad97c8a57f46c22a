package transport_test

import (
	"context"
	"maps"
	"slices"
	"sync"

	"wigwag/transport"
)

// fakeStore is a SessionStore and a StreamLog in memory. What one server leaves
// in it, the next one finds.
type fakeStore struct {
	mu       sync.Mutex
	values   map[string]string
	revision map[string]uint64
	last     uint64
	watchers map[int]func(string, []byte, uint64)
	log      []transport.LogRecord
	fail     error // of every write
}

func newFakeStore() *fakeStore {
	return &fakeStore{values: map[string]string{}, revision: map[string]uint64{}, watchers: map[int]func(string, []byte, uint64){}}
}

// crash returns the store as the next process finds it when this one ends now.
func (f *fakeStore) crash() *fakeStore {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := newFakeStore()
	g.values, g.revision, g.last, g.log = maps.Clone(f.values), maps.Clone(f.revision), f.last, slices.Clone(f.log)
	return g
}

func (f *fakeStore) Get(key string) ([]byte, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.values[key]; ok {
		return []byte(v), f.revision[key]
	}
	return nil, 0
}

func (f *fakeStore) Put(_ context.Context, key string, value []byte, revision uint64) (bool, error) {
	return f.change(key, value, revision)
}

func (f *fakeStore) Delete(_ context.Context, key string, revision uint64) (bool, error) {
	return f.change(key, nil, revision)
}

func (f *fakeStore) change(key string, value []byte, revision uint64) (bool, error) {
	f.mu.Lock()
	if f.fail != nil {
		defer f.mu.Unlock()
		return false, f.fail
	}
	if f.revision[key] != revision {
		defer f.mu.Unlock()
		return false, nil
	}
	f.last++
	if value == nil {
		delete(f.values, key)
		delete(f.revision, key)
	} else {
		f.values[key], f.revision[key] = string(value), f.last
	}
	at, watchers := f.last, slices.Collect(maps.Values(f.watchers))
	f.mu.Unlock()
	for _, fn := range watchers {
		fn(key, value, at)
	}
	return true, nil
}

func (f *fakeStore) Watch(fn func(string, []byte, uint64)) (stop func()) {
	f.mu.Lock()
	id := len(f.watchers)
	f.watchers[id] = fn
	values, revisions := maps.Clone(f.values), maps.Clone(f.revision)
	f.mu.Unlock()
	for k, v := range values {
		fn(k, []byte(v), revisions[k])
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers[id] = func(string, []byte, uint64) {}
	}
}

func (f *fakeStore) Append(_ context.Context, e transport.LogEntry) (transport.LogRecord, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return transport.LogRecord{}, f.fail
	}
	rec := transport.LogRecord{Seq: uint64(len(f.log)) + 1, Subject: e.Subject, Data: slices.Clone(e.Data)}
	f.log = append(f.log, rec)
	return rec, nil
}

func (f *fakeStore) Read(_ context.Context, r transport.LogRange) (found []transport.LogRecord, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, rec := range f.log {
		if rec.Seq > r.After && slices.Contains(r.Subjects, rec.Subject) && len(found) < r.Limit {
			found = append(found, rec)
		}
	}
	return found, nil
}
