package hub

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
)

// MemoryBucket is a [Bucket] that lives as long as its process and holds a
// bounded number of bytes. It is the reference for every other bucket.
type MemoryBucket struct {
	maxBytes int64

	mu       sync.Mutex
	values   map[string]bucketChange // without deletions
	revision uint64                  // of the newest change
	bytes    int64                   // of values, at most maxBytes
	watchers map[*bucketWatcher]struct{}
}

// bucketChange is a key's value from a revision on; nil for a deletion.
type bucketChange struct {
	key      string
	value    []byte
	revision uint64
}

func (c bucketChange) size() int64 { return int64(len(c.key) + len(c.value) + recordOverhead) }

// bucketWatcher is a watcher and what it has not been told yet, guarded by the
// bucket's mu: of each key the newest change only.
type bucketWatcher struct {
	news map[string]bucketChange
	wake chan struct{} // holds a token when news may have grown
}

// NewMemoryBucket makes an empty bucket. It is full when its values, each with
// its key and 128 bytes, exceed maxBytes.
func NewMemoryBucket(maxBytes int64) *MemoryBucket {
	return &MemoryBucket{maxBytes: maxBytes, values: map[string]bucketChange{}, watchers: map[*bucketWatcher]struct{}{}}
}

// Get implements [Bucket].
func (b *MemoryBucket) Get(key string) ([]byte, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.values[key]
	return v.value, v.revision
}

// Put implements [Bucket].
func (b *MemoryBucket) Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error) {
	data := bytes.Clone(value)
	if data == nil {
		data = []byte{}
	}
	return b.change(ctx, key, data, revision)
}

// Delete implements [Bucket].
func (b *MemoryBucket) Delete(ctx context.Context, key string, revision uint64) (bool, error) {
	return b.change(ctx, key, nil, revision)
}

func (b *MemoryBucket) change(ctx context.Context, key string, value []byte, revision uint64) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, exists := b.values[key]
	if old.revision != revision || value == nil && !exists {
		return false, nil
	}
	change := bucketChange{key, value, b.revision + 1}
	growth := change.size()
	if value == nil {
		growth = 0
	}
	if exists {
		growth -= old.size()
	}
	if growth > 0 && b.bytes+growth > b.maxBytes {
		return false, memoryFullError(b.maxBytes)
	}
	b.revision++
	b.bytes += growth
	if b.values[key] = change; value == nil {
		delete(b.values, key)
	}
	for w := range b.watchers {
		w.news[key] = change
		signal(w.wake)
	}
	return true, nil
}

// Watch implements [Bucket], after the beginning by a goroutine that ends with
// stop.
func (b *MemoryBucket) Watch(fn func(key string, value []byte, revision uint64)) (stop func()) {
	w := &bucketWatcher{news: map[string]bucketChange{}, wake: make(chan struct{}, 1)}
	done, ended := make(chan struct{}), make(chan struct{})

	b.mu.Lock()
	maps.Copy(w.news, b.values)
	b.watchers[w] = struct{}{}
	b.mu.Unlock()

	tell := func() {
		for _, c := range b.newsFor(w) {
			select {
			case <-done:
				return
			default:
				fn(c.key, c.value, c.revision)
			}
		}
	}
	tell()
	go func() {
		defer close(ended)
		for {
			select {
			case <-w.wake:
				tell()
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		b.mu.Lock()
		delete(b.watchers, w)
		b.mu.Unlock()
		close(done)
		<-ended
	})
}

// newsFor takes what a watcher has not been told, in order.
func (b *MemoryBucket) newsFor(w *bucketWatcher) []bucketChange {
	b.mu.Lock()
	defer b.mu.Unlock()
	var news []bucketChange
	for _, c := range w.news {
		news = append(news, c)
	}
	clear(w.news)
	slices.SortFunc(news, func(x, y bucketChange) int { return cmp.Compare(x.revision, y.revision) })
	return news
}
