package hub

import (
	"context"
	"sync"
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
	// maxUserTurns is how many of either are one user's at a time, where nothing
	// else is said: the others are for other users, however much one resumes.
	maxUserTurns = 4
	// turnWithin bounds the wait for that.
	turnWithin = 4 * time.Second
)

// errBusy answers who has waited for a turn in vain.
var errBusy = &Error{Code: Unavailable, Msg: "too many are reading what was stored at the same time; ask again in a moment"}

// turns are as many as may read the log at a time. A turn is for one page, read
// and decoded. While it is held nothing is waited for but the log: no other
// turn, and no client.
type turns struct {
	held   chan struct{}
	maxOf  int // of a user at a time; negative: no bound of its own
	mu     sync.Mutex
	shares map[string]*share // of users that have a turn, or wait for one; guarded by mu
}

// share is what one user has of the turns.
type share struct {
	held  chan struct{}
	users int // who has one of it, or waits; guarded by turns.mu
}

func newTurns(most, maxOf int) *turns {
	if maxOf < 0 {
		maxOf = most
	}
	return &turns{held: make(chan struct{}, most), maxOf: maxOf, shares: map[string]*share{}}
}

// take waits for a turn for an actor, but not for long: then it fails with
// errBusy. Who waits for one of the actor's share is in nobody's way.
func (t *turns) take(ctx context.Context, a Actor) (release func(), err error) {
	own, leave := t.share(a.user())
	timeout := time.NewTimer(turnWithin)
	defer timeout.Stop()
	if err := enter(ctx, own, timeout.C); err != nil {
		leave()
		return nil, err
	}
	if err := enter(ctx, t.held, timeout.C); err != nil {
		<-own
		leave()
		return nil, err
	}
	return func() {
		<-t.held
		<-own
		leave()
	}, nil
}

// enter takes a place as soon as there is one.
func enter(ctx context.Context, places chan struct{}, timeout <-chan time.Time) error {
	select {
	case places <- struct{}{}: // also for a context that has ended
		return nil
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-timeout:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// share returns the places of a user, all guests being one, until leave.
func (t *turns) share(user string) (places chan struct{}, leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.shares[user]
	if s == nil {
		s = &share{held: make(chan struct{}, t.maxOf)}
		t.shares[user] = s
	}
	s.users++
	return s.held, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(t.shares, user)
		}
	}
}

// readPage reads a page of a log. more tells that it is full: there may be
// more in the range.
func readPage(ctx context.Context, log Log, r Range) (records []Record, more bool, err error) {
	records, err = log.Read(ctx, r)
	return records, len(records) >= r.Limit || r.Bytes > 0 && sizeOf(records) >= r.Bytes, storeError(err)
}

// sizeOf is how long the data of records is.
func sizeOf(records []Record) (bytes int) {
	for _, rec := range records {
		bytes += len(rec.Data)
	}
	return bytes
}
