package hub

import (
	"context"
	"time"
)

// Record is one entry of the log. Data is the hub's own encoding; it is shared
// and must not be modified.
type Record struct {
	Seq  uint64 // 1 is the first; rising, not always by one
	Time time.Time
	Room string
	Data []byte
}

// Range selects records of the given rooms (nil: of all; empty: of none) with
// After < Seq < Before (Before 0: no bound), in order; with Latest the last
// Limit of them, otherwise the first. Limit is at least 1.
type Range struct {
	Rooms  []string
	After  uint64
	Before uint64
	Limit  int
	Latest bool
}

// State is where the log stands. Sequences are comparable within one epoch.
type State struct {
	// Epoch is 1 to 16 of a-z and 0-9. It changes whenever sequences could be
	// reused.
	Epoch string
	// First is the sequence of the oldest record held, Last that of the newest
	// ever stored. When none is held First is Last+1; a new log has 1 and 0.
	First, Last uint64
}

// Log is the durable, ordered record. An in-memory one is in this package; it
// is the reference that every other implementation must equal (see logtest).
// Its methods are safe for concurrent use.
type Log interface {
	// Append stores a copy of data and returns once it is durable. When there
	// is no room left it fails with an [Error] of code [Full]; nothing is
	// evicted for it.
	Append(ctx context.Context, room string, data []byte) (Record, error)
	// Read returns the records of a range. It sees every record whose Append
	// had returned, or that a follower had been given, when it was called.
	Read(ctx context.Context, r Range) ([]Record, error)
	// State returns the epoch and the bounds, as new as what Read sees.
	State(ctx context.Context) (State, error)
	// Follow calls fn for every record stored from now on, once, in order,
	// without gaps, one at a time, until stop is called. When stop returns, fn
	// is not running and is not called again; so fn must not call stop.
	Follow(fn func(Record)) (stop func())
}
