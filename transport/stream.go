package transport

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"
)

// Bounds of one stream's pending messages: those that are not written yet.
const (
	maxPendingBytes = 256 << 10
	maxPendingItems = 256
	abandonedAfter  = time.Minute // without a connection: from then on the oldest pending gives way
)

var errStreamEnded = errors.New("the stream has ended")

// item is one message on its way to the client.
type item struct {
	seq      uint64 // rises by one from message to message
	data     []byte
	response bool            // answers a request: never dropped
	answers  json.RawMessage // of a response: the ID of that request
	key      string          // of a notification that may be coalesced; else ""
}

// stream is one logical SSE stream: of a POST, of a session's GET, or of an
// HTTP+SSE session. Producers append to it; one serving goroutine at a time
// takes from it and writes. It outlives the connection that carries it, where
// its revision lets a client resume.
type stream struct {
	jsonOnly bool // the client reads no SSE: all but responses is dropped
	shared   bool // serves a whole session: its responses wait for room too, and none of them ends it

	// wake has one slot: there is something to take, or the stream ended.
	wake chan struct{}
	// hangUp has one slot: the connection is to be closed, the stream is not;
	// the client shall come back after this long.
	hangUp chan time.Duration

	mu       sync.Mutex
	name     string // its ID, given when it is asked for; see [stream.id]
	own      bool   // it belongs to a session and to no request
	history  *ring  // nil when the stream cannot be resumed
	pending  []item
	bytes    int               // of pending
	seq      uint64            // of the newest message
	taken    uint64            // of the newest that a connection took to write it
	primed   int               // events without a message that went out
	lost     uint64            // of the newest that gave way unwritten
	expect   int               // responses still to come; with the last one a stream that is not shared ends
	requests []json.RawMessage // of a resumable stream: the IDs of the requests it answers
	answered []json.RawMessage // of those: the ones it has
	written  bool              // it has ended, and a connection has written all of it
	record   *record           // where the stream is kept beyond the process; nil: nowhere
	ended    bool              // nothing is appended any more
	dead     bool              // no connection will ever come: everything is dropped
	room     chan struct{}     // closed when pending shrinks; nil when nobody waits
	conn     chan struct{}     // closed when another connection takes over; nil: there is no connection
	gone     time.Time         // since when there is none
}

// newStream makes a stream that ends after so many responses.
func newStream(expect int, resumable bool) *stream {
	st := &stream{expect: expect, wake: make(chan struct{}, 1), hangUp: make(chan time.Duration, 1), gone: time.Now()}
	if resumable {
		st.history = &ring{}
	}
	return st
}

// append puts a message on the stream. While the pending ones fill their bound
// it waits: for the connection to drain them, for ctx, or, when there has been
// no connection for a minute, for nothing: then the oldest give way.
func (st *stream) append(ctx context.Context, data []byte) error {
	return st.admit(ctx, len(data), func() { st.pushLocked(item{data: data}) })
}

// appendResponse puts the answer of a request on the stream. It never waits: a
// stream of its own has few of them, and before one goes on a shared stream its
// call waits for room.
func (st *stream) appendResponse(id json.RawMessage, data []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.ended:
	case st.dead:
		st.answeredLocked(id)
	default:
		st.answeredLocked(id)
		st.pushLocked(item{data: data, response: true, answers: id})
	}
}

// awaitRoom waits as append does.
func (st *stream) awaitRoom(ctx context.Context, n int) error {
	return st.admit(ctx, n, func() {})
}

// admit runs push, under the lock, when there is room for n bytes.
func (st *stream) admit(ctx context.Context, n int, push func()) error {
	for {
		room, patience, err := st.tryAdmit(n, push)
		if room == nil {
			return err
		}
		timer := time.NewTimer(patience)
		select {
		case <-room:
		case <-timer.C: // the connection may be gone for good: look again
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// tryAdmit runs push, or returns what to wait for and how long.
func (st *stream) tryAdmit(n int, push func()) (room <-chan struct{}, patience time.Duration, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conn == nil {
		patience = abandonedAfter - time.Since(st.gone)
	} else {
		patience = abandonedAfter
	}
	switch {
	case st.ended:
		return nil, 0, errStreamEnded
	case st.dead, st.jsonOnly:
		return nil, 0, nil
	case !st.fullLocked(n):
	case patience > 0:
		if st.room == nil {
			st.room = make(chan struct{})
		}
		return st.room, patience, nil
	default:
		st.dropOldestLocked()
	}
	push()
	return nil, 0, nil
}

func (st *stream) fullLocked(n int) bool {
	return len(st.pending) >= maxPendingItems || len(st.pending) > 0 && st.bytes+n > maxPendingBytes
}

func (st *stream) dropOldestLocked() {
	i := slices.IndexFunc(st.pending, func(it item) bool { return !it.response })
	if i < 0 {
		return
	}
	st.bytes -= len(st.pending[i].data)
	st.lost = st.pending[i].seq
	st.pending = slices.Delete(st.pending, i, i+1)
}

// appendCoalesced puts a notification on the stream without ever waiting. One
// with the same key that is still pending stands for both. Callers have few
// keys per stream, which bounds it.
func (st *stream) appendCoalesced(key string, data []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ended || st.dead || slices.ContainsFunc(st.pending, func(it item) bool { return it.key == key }) {
		return
	}
	st.pushLocked(item{data: data, key: key})
}

// appendNoResponse takes the place of the answer of a call that was cancelled.
func (st *stream) appendNoResponse(id json.RawMessage) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.answeredLocked(id)
	st.recordLocked()
	st.signalLocked()
}

func (st *stream) answeredLocked(id json.RawMessage) {
	if st.history != nil && !st.shared {
		st.answered = append(st.answered, id)
	}
	if st.expect--; st.expect <= 0 && !st.shared {
		st.ended = true
	}
}

// end says that nothing more will come. What is pending is still delivered.
func (st *stream) end() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ended = true
	st.signalLocked()
}

// abandon drops what is pending and all that is still to come, because nobody
// can ever read it. Producers no longer wait.
func (st *stream) abandon() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.dead, st.pending, st.bytes = true, nil, 0
	st.signalLocked()
}

func (st *stream) pushLocked(it item) {
	st.seq++
	it.seq = st.seq
	st.pending = append(st.pending, it)
	st.bytes += len(it.data)
	st.recordLocked()
	st.signalLocked()
}

// signalLocked wakes the connection, and those who wait for room if there is
// some now.
func (st *stream) signalLocked() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
	st.freeLocked()
}

func (st *stream) freeLocked() {
	if st.room != nil && (st.ended || st.dead || !st.fullLocked(0)) {
		close(st.room)
		st.room = nil
	}
}

// attach makes the caller's connection the one that serves the stream and sends
// the one before it away. The returned channel closes when the next one comes.
func (st *stream) attach() chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conn != nil {
		close(st.conn)
	}
	st.conn = make(chan struct{})
	select { // a request to hang up was meant for the connection before
	case <-st.hangUp:
	default:
	}
	st.signalLocked() // what the one before was woken for may still be there
	return st.conn
}

// detach is called by a connection when it ends.
func (st *stream) detach(conn chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conn == conn {
		st.conn, st.gone = nil, time.Now()
	}
}

// closeConnection asks the connection to end, if there is one.
func (st *stream) closeConnection(retry time.Duration) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conn == nil || st.ended {
		return false
	}
	select {
	case st.hangUp <- retry:
	default: // asked already
	}
	return true
}

// take hands what is pending to the connection that serves the stream; done
// tells that nothing will come after it. A connection that has been replaced
// gets nothing.
func (st *stream) take(conn chan struct{}) (items []item, done bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conn != conn {
		st.signalLocked() // what woke this one is for the one that has its place
		return nil, true
	}
	items, st.pending, st.bytes = st.pending, nil, 0
	if len(items) > 0 {
		st.taken = items[len(items)-1].seq
	}
	if st.history != nil {
		st.history.add(items)
	}
	st.freeLocked()
	return items, st.ended
}

// allWritten notes that a connection has written the stream to its end, unless
// another one has taken its place: then it returns false.
func (st *stream) allWritten(conn chan struct{}) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conn != conn {
		return false
	}
	st.written = true
	return true
}

// needsSSE reports whether something waits to be sent that is not a response.
func (st *stream) needsSSE() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.ContainsFunc(st.pending, func(it item) bool { return !it.response })
}

// sole returns the responses of a stream that has ended with nothing else on
// it: then a plain JSON answer will do. ok is false for any other stream.
func (st *stream) sole() (responses [][]byte, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.ended || st.taken > 0 {
		return nil, false
	}
	for _, it := range st.pending {
		if !it.response {
			return nil, false
		}
		responses = append(responses, it.data)
	}
	return responses, true
}

// began reports whether anything was ever put on the stream.
func (st *stream) began() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.seq > 0
}

// gave reports whether an event with this sequence has gone out.
func (st *stream) gave(seq uint64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return seq <= st.taken
}

// replay returns what was written after seq, for a client that resumes.
// complete is false when something between is no longer held; over, when the
// stream has ended and the client has seen all there was.
func (st *stream) replay(seq uint64) (items []item, complete, over bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	items, complete = st.history.after(seq)
	return items, complete && seq >= st.lost, st.ended && len(items)+len(st.pending) == 0
}

// size is what the stream holds in memory, in bytes.
func (st *stream) size() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	n := st.bytes
	if st.history != nil {
		n += st.history.size()
	}
	return n
}

// over reports whether the stream has ended.
func (st *stream) over() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ended
}
