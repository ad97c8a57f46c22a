package hub

import (
	"context"
	"time"
)

// What goes into a [Log] and comes out of it are aliases of unnamed types, so
// that an implementation can spell them itself and need not know this package.
type (
	// Entry is what is to be stored. Subject and ID are any strings of at most
	// 256 bytes, and Data at most 1 MiB. With a TTL above 0, in whole seconds
	// or else rounded up, the record is gone that much later. When an entry
	// with the same ID was stored within the last two minutes, nothing is
	// stored and the first record is the answer (its Seq at least, if it has
	// expired since); an empty ID is none.
	Entry = struct {
		Subject string
		Data    []byte
		TTL     time.Duration
		ID      string
	}

	// Record is a stored entry. Seq is 1 for the first and rises, not always by
	// one. Data is shared and must not be modified.
	Record = struct {
		Seq     uint64
		Time    time.Time
		Subject string
		Data    []byte
	}

	// Range selects records of the given subjects (nil: of all; empty: of none)
	// with After < Seq < Before (Before 0: no bound), in order; with Latest the
	// last of them, otherwise the first: at most Limit, which is at least 1, and
	// with Bytes above 0 no further one once their data is as long or longer.
	Range = struct {
		Subjects      []string
		After, Before uint64
		Limit         int
		Bytes         int
		Latest        bool
	}

	// State is where the log stands. Sequences are comparable within one Epoch,
	// which is 1 to 16 of a-z and 0-9 and changes whenever sequences could be
	// reused. First is the sequence of the oldest record held, Last that of the
	// newest ever stored. When none is held First is Last+1; a new log has 1
	// and 0.
	State = struct {
		Epoch       string
		First, Last uint64
	}
)

// Log is the durable, ordered record. An in-memory one is in this package; it
// is the reference that every other implementation must equal (see logtest).
// Its methods are safe for concurrent use.
//
// The errors of a log, and of a [Bucket], may have one of the methods
// Full() bool and Unavailable() bool: that there is no room left, and that
// there was no answer, so that what was to be stored may have been. Callers of
// the hub are told so.
type Log interface {
	// Append stores a copy of the entry and returns once it is durable. When
	// there is no room left it fails with an error for which Full holds, and
	// nothing is evicted; a log made for it lets go of its oldest records
	// instead.
	Append(ctx context.Context, e Entry) (Record, error)
	// Read returns the records of a range, without those that have expired. It
	// sees every record whose Append had returned, or that a follower had been
	// given, when it was called.
	Read(ctx context.Context, r Range) ([]Record, error)
	// State returns the epoch and the bounds, as new as what Read sees.
	State(ctx context.Context) (State, error)
	// Follow calls fn for every record stored from now on, once, in order,
	// without gaps, one at a time, until stop is called. One that expires, or
	// is evicted, before a slow fn gets to it may be left out. When stop
	// returns, fn is not running and is not called again; so fn must not call
	// stop. It may use the log.
	Follow(fn func(Record)) (stop func())
}

// Bucket holds small values by key, all of them in memory, and keeps them as a
// log keeps records. A key is any string of at most 256 bytes. A value's
// revision is above 0 and rises with every change in the bucket. An in-memory
// bucket is in this package; it is the reference that every other
// implementation must equal (see buckettest). Its methods are safe for
// concurrent use.
type Bucket interface {
	// Get returns the value of a key, which must not be modified, and its
	// revision; nil and 0 when there is none. It never waits.
	Get(key string) (value []byte, revision uint64)
	// Put stores a copy of the value if the key has the given revision, 0 for
	// none, and tells whether it had. It returns once it is durable and Get
	// sees it.
	Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error)
	// Delete removes a key if it has the given revision, which is above 0, and
	// tells whether it had. It returns once that is durable and Get sees it.
	Delete(ctx context.Context, key string, revision uint64) (bool, error)
	// Watch calls fn with all there is before it returns, and then with every
	// change (a nil value is a deletion), in the order of revisions, one at a
	// time, until stop is called. A slow fn may miss a change that a later one
	// of the same key has replaced. When stop returns, fn is not running and is
	// not called again; so fn must not call stop. It may use the bucket.
	Watch(fn func(key string, value []byte, revision uint64)) (stop func())
}
