package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"wigwag/auth"
)

// formatVersion is the version of all that is stored. Each record says its own.
const formatVersion = 1

const (
	// changeWait bounds how long a change is tried while others change the same.
	changeWait = 10 * time.Second
	// sweepEvery is how often ended records are deleted. They have no effect
	// before that either.
	sweepEvery = time.Minute
)

// records are what this package keeps in its store: clients, codes and consents,
// each under a key that begins with its kind.
type records struct {
	store auth.Store
	now   func() time.Time
	stop  func() // the watch

	mu    sync.Mutex
	index map[string]heading // of every record; guarded by mu
}

// heading is what is known of every record without its kind.
type heading struct {
	Version int       `json:"version"`
	Ends    time.Time `json:"ends"`
	Owner   string    `json:"owner,omitempty"` // the person's name
}

// record is a record as it is stored.
type record[T any] struct {
	heading
	Data T `json:"data"`
}

func newRecords(store auth.Store, now func() time.Time) *records {
	rs := &records{store: store, now: now, index: map[string]heading{}}
	rs.stop = store.Watch(func(key string, value []byte, _ uint64) {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		var h heading
		if value == nil || json.Unmarshal(value, &h) != nil {
			delete(rs.index, key)
			return
		}
		rs.index[key] = h
	})
	return rs
}

func (rs *records) close() { rs.stop() }

// load returns a record, and revision 0 when there is none or it has ended.
// What a newer version wrote is not guessed at.
func load[T any](rs *records, key string) (record[T], uint64, error) {
	value, revision := rs.store.Get(key)
	if revision == 0 {
		return record[T]{}, 0, nil
	}
	var r record[T]
	if err := json.Unmarshal(value, &r); err != nil {
		return record[T]{}, 0, fmt.Errorf("oauth record %q: damaged: %w", kindOf(key), err)
	}
	if r.Version != formatVersion {
		return record[T]{}, 0, fmt.Errorf("oauth record %q: of version %d; this program reads version %d", kindOf(key), r.Version, formatVersion)
	}
	if !rs.now().Before(r.Ends) {
		return record[T]{}, 0, nil
	}
	return r, revision, nil
}

// save stores a record if the key's revision is still the given one, and
// reports whether it did.
func save[T any](ctx context.Context, rs *records, key string, r record[T], revision uint64) (bool, error) {
	r.Version = formatVersion
	value, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	return rs.store.Put(ctx, key, value, revision)
}

// create stores a record under a key that was just made up.
func create[T any](ctx context.Context, rs *records, key string, r record[T]) error {
	ok, err := save(ctx, rs, key, r, 0)
	if err == nil && !ok {
		err = errors.New("the key is taken")
	}
	if err != nil {
		return fmt.Errorf("store oauth record %q: %w", kindOf(key), err)
	}
	return nil
}

// change changes a record, again when somebody else did meanwhile; one that is
// not there is a zero one with found false. It is done when edit returns false:
// then nothing is stored.
func change[T any](ctx context.Context, rs *records, key string, edit func(r *record[T], found bool) bool) error {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		r, revision, err := load[T](rs, key)
		if err != nil {
			return err
		}
		if !edit(&r, revision != 0) {
			return nil
		}
		if revision == 0 {
			_, revision = rs.store.Get(key) // of one that has ended, if there is one
		}
		ok, err := save(ctx, rs, key, r, revision)
		if err != nil {
			return fmt.Errorf("change oauth record %q: %w", kindOf(key), err)
		}
		if ok {
			return nil
		}
	}
}

// remove deletes a record and reports whether there was one.
func (rs *records) remove(ctx context.Context, key string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		_, revision := rs.store.Get(key)
		if revision == 0 {
			return false, nil
		}
		ok, err := rs.store.Delete(ctx, key, revision)
		if err != nil {
			return false, fmt.Errorf("delete oauth record %q: %w", kindOf(key), err)
		}
		if ok {
			return true, nil
		}
	}
}

// makeRoom deletes those of a kind and an owner that end soonest until there is
// room for one more. Which they are is known a moment late, so under a rush
// there may be a few more than most.
func (rs *records) makeRoom(ctx context.Context, prefix, owner string, most int) error {
	for {
		soonest, n := rs.soonest(prefix, owner)
		if n < most {
			return nil
		}
		if _, err := rs.remove(ctx, soonest); err != nil {
			return err
		}
		rs.mu.Lock()
		delete(rs.index, soonest)
		rs.mu.Unlock()
	}
}

func (rs *records) soonest(prefix, owner string) (key string, n int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var ends time.Time
	for k, h := range rs.index {
		if !strings.HasPrefix(k, prefix) || h.Owner != owner {
			continue
		}
		if n++; n == 1 || h.Ends.Before(ends) {
			key, ends = k, h.Ends
		}
	}
	return key, n
}

// sweep deletes what has ended, until ctx is done.
func (rs *records) sweep(ctx context.Context, logger *slog.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := rs.sweepOnce(ctx); err != nil && ctx.Err() == nil {
				logger.ErrorContext(ctx, "ended oauth records could not be deleted", "err", err)
			}
		}
	}
}

func (rs *records) sweepOnce(ctx context.Context) error {
	for _, key := range rs.ended() {
		value, revision := rs.store.Get(key)
		var h heading
		if revision == 0 || json.Unmarshal(value, &h) != nil || rs.now().Before(h.Ends) {
			continue // renewed meanwhile
		}
		if _, err := rs.store.Delete(ctx, key, revision); err != nil {
			return err
		}
	}
	return nil
}

func (rs *records) ended() []string {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var keys []string
	for key, h := range rs.index {
		if !rs.now().Before(h.Ends) {
			keys = append(keys, key)
		}
	}
	return keys
}

// kindOf is a key without what is secret or somebody's name.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

// hashed is how secrets are stored and looked up. They are random and long, so
// a plain hash does.
func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
