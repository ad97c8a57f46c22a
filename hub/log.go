package hub

import (
	"context"
	"time"
)

// Record is one entry of the log. Data is the hub's own encoding.
type Record struct {
	Seq  uint64
	Time time.Time
	Room string
	Data []byte
}

// Range selects records of the given rooms (nil: of all) with
// After < Seq < Before (Before 0: no bound), in order; with Latest the last
// Limit of them, otherwise the first.
type Range struct {
	Rooms  []string
	After  uint64
	Before uint64
	Limit  int
	Latest bool
}

// State is where the log stands. Sequences are comparable within one epoch.
type State struct {
	Epoch       string
	First, Last uint64 // 0, 0 when empty
}

// Log is the durable, ordered record. An in-memory one is in this package; it
// is the reference that every other implementation must equal (see logtest).
type Log interface {
	// Append stores data and returns once it is durable.
	Append(ctx context.Context, room string, data []byte) (Record, error)
	// Read returns the records of a range.
	Read(ctx context.Context, r Range) ([]Record, error)
	// State returns the epoch and the bounds.
	State(ctx context.Context) (State, error)
	// Follow calls fn for every record stored from now on, once, in order,
	// without gaps, until stop is called.
	Follow(fn func(Record)) (stop func())
}
