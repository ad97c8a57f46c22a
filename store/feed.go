package store

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	liveBuffer  = 4096    // messages a live subscription holds; more are dropped and read from the log
	recentCount = 4096    // records a feed keeps for its followers
	recentBytes = 4 << 20 // and their size
	feedPage    = 256     // records taken in, or read for a follower, at once
	retryAfter  = 250 * time.Millisecond
)

// feed is a node's one look at a stream as it grows. It has everything up to
// head, in order and without gaps: a record comes from the live subscription
// or, when that has dropped it, from the log. A record is shown once it is
// known to be committed, never before: a republished one may belong to a batch
// that is not on disk yet.
type feed struct {
	s     *stream
	apply func(Record) // called with every record before it counts as taken in; may be nil

	// Of the goroutine of run:
	sub  *nats.Subscription // fills live
	live chan *nats.Msg
	held *Record // taken from live, not yet its turn

	wake chan struct{} // of capacity one: committed has risen

	mu        sync.Mutex
	committed uint64        // everything up to here is durable
	head      uint64        // everything up to here has been taken in
	recent    []Record      // what was taken in with a sequence above floor; elements are never changed
	floor     uint64        // at or below it, the log must be read
	size      int           // of recent
	moved     chan struct{} // closed and replaced when head rises
}

func newFeed(s *stream, from, committed uint64, apply func(Record)) *feed {
	f := &feed{
		s: s, apply: apply, live: make(chan *nats.Msg, liveBuffer), wake: make(chan struct{}, 1),
		committed: committed, head: from, floor: from, moved: make(chan struct{}),
	}
	f.wake <- struct{}{}
	return f
}

// subscribe begins to receive what the stream republishes.
func (f *feed) subscribe(conn *nats.Conn) error {
	var err error
	f.sub, err = conn.ChanSubscribe(livePrefix+f.s.name+".*", f.live)
	return err
}

// raise notes that everything up to seq is durable. It is false when that was
// known.
func (f *feed) raise(seq uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq <= f.committed {
		return false
	}
	f.committed = seq
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return true
}

// limit is the sequence up to which the log may be read.
func (f *feed) limit() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.committed
}

// run takes in what has been committed until the store closes.
func (f *feed) run() {
	ctx, cancel := f.s.untilClosed()
	defer cancel()
	for {
		select {
		case <-f.wake:
		case <-f.s.done:
			return
		}
		for f.takeIn(ctx) {
		}
	}
}

// takeIn takes in a page of what is committed and reports whether there may be
// more.
func (f *feed) takeIn(ctx context.Context) (more bool) {
	f.mu.Lock()
	next, last := f.head+1, f.committed
	f.mu.Unlock()
	if next > last {
		return false
	}
	var page []Record
	for next <= last && len(page) < feedPage {
		r := f.nextLive()
		switch {
		case r != nil && r.Seq < next: // came from the log already
			f.held = nil
		case r != nil && r.Seq == next:
			f.held = nil
			page = append(page, *r)
			next++
		default: // a gap, as far as r or to the end
			end := last
			if r != nil {
				end = min(last, r.Seq-1)
			}
			filled, err := f.s.first(ctx, nil, next, end, pageSize{records: feedPage})
			if err != nil {
				f.publish(page, next-1)
				return f.pause(err)
			}
			page = append(page, filled...)
			if len(filled) < feedPage { // what else is missing is gone: expired, superseded
				next = end + 1
			} else {
				next = filled[len(filled)-1].Seq + 1
			}
		}
	}
	f.publish(page, next-1)
	return true
}

// nextLive is the earliest record waiting on the live subscription, or nil.
func (f *feed) nextLive() *Record {
	for f.held == nil {
		select {
		case m := <-f.live:
			if r, ok := readRecord(m); ok {
				f.held = &r
			}
		default:
			return nil
		}
	}
	return f.held
}

// pause waits before the log is read again; false when the store is closing.
func (f *feed) pause(err error) bool {
	select {
	case <-f.s.done:
		return false
	default:
	}
	f.s.logger.Warn("the log cannot be read, trying again", "log", f.s.name, "error", err)
	select {
	case <-time.After(retryAfter):
		return true
	case <-f.s.done:
		return false
	}
}

// publish shows records to whoever waits; they are all there is up to head.
func (f *feed) publish(page []Record, head uint64) {
	if f.apply != nil {
		for _, r := range page {
			f.apply(r)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if head <= f.head {
		return
	}
	for _, r := range page {
		f.size += len(r.Data)
	}
	f.recent = append(f.recent, page...)
	f.head = head
	drop := 0
	for len(f.recent)-drop > recentCount || f.size > recentBytes {
		f.size -= len(f.recent[drop].Data)
		f.floor = f.recent[drop].Seq
		drop++
	}
	f.recent = f.recent[drop:]
	close(f.moved)
	f.moved = make(chan struct{})
}

// after returns the records after a sequence up to head. It is not complete
// when the oldest of them are no longer here.
func (f *feed) after(seq uint64) (records []Record, head uint64, moved <-chan struct{}, complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq < f.floor {
		return nil, f.head, f.moved, false
	}
	i := sort.Search(len(f.recent), func(i int) bool { return f.recent[i].Seq > seq })
	return f.recent[i:len(f.recent):len(f.recent)], f.head, f.moved, true
}

// await returns a committed record once it has been taken in. Its time is zero
// when it has expired since.
func (f *feed) await(ctx context.Context, seq uint64) (Record, error) {
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	for {
		records, head, moved, complete := f.after(seq - 1)
		if head >= seq {
			if !complete {
				var err error
				if records, err = f.s.first(ctx, nil, seq, seq, pageSize{records: 1}); err != nil {
					return Record{}, err
				}
			}
			if len(records) > 0 && records[0].Seq == seq {
				return records[0], nil
			}
			return Record{Seq: seq}, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return Record{}, ctx.Err()
		case <-f.s.done:
			return Record{}, ErrClosed
		case <-timeout.C:
			return Record{}, fmt.Errorf("%w: %s: record %d is stored, but cannot be read", ErrUnavailable, f.s.name, seq)
		}
	}
}

// follow calls fn with every record after a sequence, in order, from one
// goroutine, until stop is called or the store closes.
func (f *feed) follow(after uint64, fn func(Record)) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	isStopped := func() bool {
		select {
		case <-stopped:
			return true
		case <-f.s.done:
			return true
		default:
			return false
		}
	}
	if !f.s.run(func() {
		defer close(ended)
		f.deliver(after, fn, stopped, isStopped)
	}) {
		return func() {}
	}
	return sync.OnceFunc(func() {
		close(stopped)
		<-ended
	})
}

func (f *feed) deliver(pos uint64, fn func(Record), stopped <-chan struct{}, isStopped func() bool) {
	ctx, cancel := f.s.untilClosed()
	defer cancel()
	for !isStopped() {
		records, head, moved, complete := f.after(pos)
		if !complete {
			var err error
			if records, err = f.s.first(ctx, nil, pos+1, head, pageSize{records: feedPage}); err != nil {
				if !f.pause(err) {
					return
				}
				continue
			}
			complete = len(records) < feedPage
		}
		for _, r := range records {
			if isStopped() {
				return
			}
			fn(r)
			pos = r.Seq
		}
		if !complete {
			continue
		}
		pos = max(pos, head)
		select {
		case <-moved:
		case <-stopped:
		case <-f.s.done:
		}
	}
}

// untilClosed is a context that ends when the store closes.
func (s *stream) untilClosed() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
