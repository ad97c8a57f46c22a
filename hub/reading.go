package hub

import (
	"context"
	"time"
)

// Bounds of reading the log, so that memory and time are bounded also when very
// many fall off the ring, or resume, at the same moment.
const (
	// maxReplays is how many listeners read the log at a time, and maxLooks how
	// many of all others who ask for what is in it: they do not queue behind
	// a storm of listeners.
	maxReplays = 16
	maxLooks   = 16
	// turnWithin bounds the wait for that.
	turnWithin = 4 * time.Second
)

// errBusy answers who has waited for a turn in vain.
var errBusy = &Error{Code: Unavailable, Msg: "too many are reading what was stored at the same time; ask again in a moment"}

// turns are as many as may read the log at a time. A turn is for one page, read
// and decoded. While it is held nothing is waited for but the log: no other
// turn, and no client.
type turns chan struct{}

// take waits for a turn, but not for long: then it fails with errBusy.
func (t turns) take(ctx context.Context) (release func(), err error) {
	release = func() { <-t }
	select {
	case t <- struct{}{}:
		return release, nil
	default:
	}
	timeout := time.NewTimer(turnWithin)
	defer timeout.Stop()
	select {
	case t <- struct{}{}:
		return release, nil
	case <-timeout.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readPage reads a page of a log. more tells that it is full: there may be
// more in the range.
func readPage(ctx context.Context, log Log, r Range) (records []Record, more bool, err error) {
	records, err = log.Read(ctx, r)
	size := 0
	for _, rec := range records {
		size += len(rec.Data)
	}
	return records, len(records) >= r.Limit || r.Bytes > 0 && size >= r.Bytes, storeError(err)
}
