package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The first byte of a stored value.
const (
	isValue   = '+'
	isDeleted = '-'
)

// deletedFor is how long it is remembered, unless the bucket's spec says
// otherwise, that a key was deleted, so that other nodes and watchers hear of it.
const deletedFor = time.Hour

// Bucket holds values by key, all of them in memory. Its methods are safe for
// concurrent use.
type Bucket struct {
	s *stream

	mu      sync.RWMutex
	values  map[string]bucketValue
	applied uint64 // revision up to which values is complete
	first   uint64 // no value has a lower revision
	// twice are, while it is loaded, the keys of which it came by an older value,
	// too: the process was killed before that was removed.
	twice map[string]struct{}
}

type bucketValue struct {
	data     []byte
	revision uint64
	at       time.Time
}

// Get returns the value of a key, which must not be modified, and its revision;
// nil and 0 when there is none. It never waits.
func (b *Bucket) Get(key string) (value []byte, revision uint64) {
	b.mu.RLock()
	v, ok := b.values[key]
	b.mu.RUnlock()
	if !ok || b.s.maxAge > 0 && time.Since(v.at) >= b.s.maxAge {
		return nil, 0
	}
	return v.data, v.revision
}

// Put stores a value if the key has the given revision, 0 for none, and tells
// whether it had. It returns once this node has applied it. A full bucket fails
// with [ErrFull].
func (b *Bucket) Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error) {
	data := append([]byte{isValue}, value...)
	made := change{seq: revision}
	if revision == 0 {
		made.values = 1
	}
	ok, err := b.swap(ctx, key, data, made)
	if err != nil || ok || revision > 0 {
		return ok, err
	}
	// There may be the mark of a deletion, which counts as none.
	last, err := b.s.first(ctx, []string{b.s.subject(key)}, 1, b.s.feed.limit(), pageSize{records: 1})
	if err != nil || len(last) == 0 || !bytes.Equal(last[0].Data, []byte{isDeleted}) {
		return false, err
	}
	return b.swap(ctx, key, data, change{seq: last[0].Seq, values: 1})
}

// Delete removes a key if it has the given revision and tells whether it had.
// It returns once this node has applied it.
func (b *Bucket) Delete(ctx context.Context, key string, revision uint64) (bool, error) {
	if revision == 0 {
		return false, ctx.Err()
	}
	return b.swap(ctx, key, []byte{isDeleted}, change{seq: revision, values: -1})
}

// change says what a swap replaces and how many values more there are after it.
type change struct {
	seq    uint64
	values int
}

// swap replaces what the key has. What is replaced is removed for good before
// that is acknowledged, by the rollup: a limit of one record per subject would
// only hide it, and after a kill it would be back once the mark of the deletion
// has ended.
func (b *Bucket) swap(ctx context.Context, key string, data []byte, c change) (bool, error) {
	m := nats.NewMsg(b.s.subject(key))
	m.Data = data
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(c.seq, 10))
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	if c.values < 0 {
		m.Header.Set(jetstream.MsgTTLHeader, cmp.Or(b.s.deletedFor, deletedFor).String())
	}
	_, err := b.s.append(ctx, &request{msg: m, values: c.values})
	if hasCode(err, codeWrongLastSequence, codeWrongLastConstant) {
		return false, nil
	}
	return err == nil, err
}

// Watch calls fn with all there is before it returns, then with every change,
// value nil for a deletion, in order, from one goroutine, until stop is called
// or the store closes. A slow fn may miss a change that a later one of the same key has
// replaced. What reaches the bucket's age just ends. When stop returns, fn is
// not running and is not called again; so fn must not call stop.
func (b *Bucket) Watch(fn func(key string, value []byte, revision uint64)) (stop func()) {
	type keyed struct {
		key string
		bucketValue
	}
	b.mu.RLock()
	all := make([]keyed, 0, len(b.values))
	for key, v := range b.values {
		all = append(all, keyed{key, v})
	}
	applied := b.applied
	b.mu.RUnlock()
	slices.SortFunc(all, func(x, y keyed) int { return cmp.Compare(x.revision, y.revision) })
	for _, v := range all {
		fn(v.key, v.data, v.revision)
	}
	return b.s.feed.follow(applied, func(r Record) {
		value, ok := bucketData(r)
		if !ok {
			value = nil
		}
		fn(r.Subject, value, r.Seq)
	})
}

// apply takes a change over. The feed calls it, in order.
func (b *Bucket) apply(r Record) {
	value, ok := bucketData(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, held := b.values[r.Subject]; held && b.twice != nil {
		b.twice[r.Subject] = struct{}{}
	}
	if ok {
		b.values[r.Subject] = bucketValue{data: value, revision: r.Seq, at: r.Time}
	} else {
		delete(b.values, r.Subject)
	}
	b.applied = r.Seq
}

// complete checks that at least as many values were loaded as there had been.
func (b *Bucket) complete(expected uint64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	found := uint64(len(b.values))
	if found >= expected {
		return nil
	}
	if b.s.decidesRights() {
		return fmt.Errorf("%w: %d of %s are lost; %s", ErrDamaged, expected-found, b.s.name, rightsUnknown)
	}
	b.s.logger.Error("the data folder is damaged: values are lost", "bucket", b.s.name, "at_least", expected-found)
	return nil
}

// bucketData is the value a record holds; false when it is a deletion.
func bucketData(r Record) ([]byte, bool) {
	if len(r.Data) == 0 || r.Data[0] != isValue {
		return nil, false
	}
	return r.Data[1:], true
}

// forget drops the values that JetStream has dropped for their age.
func (b *Bucket) forget(first uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if first <= b.first {
		return
	}
	b.first = first
	for key, v := range b.values {
		if v.revision < first {
			delete(b.values, key)
		}
	}
}

// load starts the bucket and waits until it holds everything up to last.
func (b *Bucket) load(ctx context.Context, last uint64) error {
	b.twice = map[string]struct{}{}
	if err := b.s.start(0, last, b.apply); err != nil {
		return err
	}
	for {
		_, head, moved, _ := b.s.feed.after(0)
		if head >= last {
			return b.removeReplaced(ctx)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("loading %s: %w", b.s.name, context.Cause(ctx))
		}
	}
}

// removeReplaced ends the loading: it removes what newer records had replaced
// when the process was killed.
func (b *Bucket) removeReplaced(ctx context.Context) error {
	b.mu.Lock()
	twice := b.twice
	b.twice = nil
	b.mu.Unlock()
	if len(twice) == 0 {
		return nil
	}
	stream, err := b.s.js.Stream(ctx, b.s.name)
	if err != nil {
		return fmt.Errorf("loading %s: %w", b.s.name, err)
	}
	for key := range twice {
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(b.s.subject(key)), jetstream.WithPurgeKeep(1)); err != nil {
			return fmt.Errorf("loading %s: %w", b.s.name, err)
		}
	}
	return nil
}
