package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// roomKnown is how long it is believed how much space is left, less what
	// has been written since.
	roomKnown = 100 * time.Millisecond
	// recordOverhead is more than a record takes on disk beside its name and
	// data; a record of a batch is there twice for a moment.
	recordOverhead = 512
)

// room guards a reserve of free space on the disk of the data folder, so that
// the disk is not full when the server must write: it would not write again
// until it is started anew (see mend.go).
type room struct {
	free   func() (int64, error) // bytes that may be written
	logger *slog.Logger

	mu      sync.Mutex
	reserve int64 // 0: none
	left    int64 // at known, less what has been written since
	known   time.Time
	scarce  bool // this has been logged
}

// newRoom guards the disk of a folder; a reserve of 0 guards nothing.
func newRoom(folder string, reserve int64, logger *slog.Logger) *room {
	return &room{free: func() (int64, error) { return freeSpace(folder) }, reserve: reserve, logger: logger}
}

// take asks whether so many bytes may be written by a stream that leaves so
// many quarters of the reserve alone. It fails with [ErrFull]. A nil room has no
// end.
func (r *room) take(bytes, quarters int64) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reserve == 0 {
		return nil
	}
	bytes = 2*bytes + recordOverhead
	floor := r.reserve / 4 * quarters
	if time.Since(r.known) > roomKnown || r.left-bytes < floor {
		r.lookLocked()
	}
	if r.left-bytes < floor {
		return fmt.Errorf("%w: %d MiB are left on the disk of the data folder, which is not above the reserve of %d MiB", ErrFull, r.left>>20, floor>>20)
	}
	r.left -= bytes
	return nil
}

// look tells the log when space has become scarce, and when it no longer is.
func (r *room) look() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reserve > 0 {
		r.lookLocked()
	}
}

func (r *room) lookLocked() {
	left, err := r.free()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		r.reserve, r.left = 0, 1<<62
		return
	case err != nil: // what can be written shows by writing
		r.logger.Warn("it cannot be found out how much space is left on disk", "error", err)
		left = r.reserve + 1<<30
	}
	r.left, r.known = left, time.Now()
	switch margin := r.reserve / 8; { // no line for each byte that comes and goes
	case !r.scarce && left <= r.reserve:
		r.scarce = true
		r.logger.Error("the disk is nearly full: messages are refused until there is space again; reading goes on", "left", left, "reserve", r.reserve)
	case r.scarce && left > r.reserve+margin:
		r.scarce = false
		r.logger.Info("there is space on the disk again", "left", left, "reserve", r.reserve)
	}
}
