package transport

import (
	"container/list"
	"sync"
	"time"
)

// Bounds of what is kept for clients that resume.
const (
	maxHistoryBytes  = 1 << 20 // of one stream
	maxHistoryItems  = 1024
	maxFinishedBytes = 256 << 20       // of all finished streams together
	finishedHeldFor  = 5 * time.Minute // after the stream's last call ended
	streamOverhead   = 2 << 10         // what a stream counts beside its messages
)

// ring is what a stream remembers of what it has written. When it is full the
// oldest items give way.
type ring struct {
	items   []item // ascending
	bytes   int
	evicted uint64 // the highest sequence that gave way
}

func (r *ring) add(items []item) {
	r.items = append(r.items, items...)
	for _, it := range items {
		r.bytes += len(it.data)
	}
	n := 0
	for ; len(r.items)-n > maxHistoryItems || r.bytes > maxHistoryBytes && len(r.items)-n > 1; n++ {
		r.bytes -= len(r.items[n].data)
		r.evicted = r.items[n].seq
		r.items[n] = item{} // the array lives on: let go of the data
	}
	r.items = r.items[n:]
}

// after returns the items with a higher sequence, and whether those are all
// there were.
func (r *ring) after(seq uint64) ([]item, bool) {
	i := len(r.items)
	for i > 0 && r.items[i-1].seq > seq {
		i--
	}
	return append([]item(nil), r.items[i:]...), seq >= r.evicted
}

func (r *ring) size() int { return r.bytes }

// shelf holds the finished streams of all sessions, oldest first, so that
// clients can still fetch an answer whose connection broke. It is bounded in
// bytes and age.
type shelf struct {
	mu    sync.Mutex
	order list.List // of *shelved
	bytes int
}

type shelved struct {
	sess *session
	id   string
	size int
	at   time.Time
}

func (sh *shelf) put(sess *session, st *stream) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := &shelved{sess: sess, id: st.id(), size: st.size() + streamOverhead, at: time.Now()}
	sh.order.PushBack(e)
	sh.bytes += e.size
	for sh.bytes > maxFinishedBytes && sh.order.Len() > 1 {
		sh.dropLocked(sh.order.Front())
	}
}

// newest returns the streams that finished last, the last one first, up to so
// many bytes of them.
func (sh *shelf) newest(limit int) (found []*stream) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for e := sh.order.Back(); e != nil; e = e.Prev() {
		it := e.Value.(*shelved)
		if limit -= it.size; limit < 0 {
			break
		}
		if st := it.sess.findStream(it.id); st != nil {
			found = append(found, st)
		}
	}
	return found
}

// sweep lets go of what has been held long enough.
func (sh *shelf) sweep(now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for e := sh.order.Front(); e != nil && now.Sub(e.Value.(*shelved).at) > finishedHeldFor; e = sh.order.Front() {
		sh.dropLocked(e)
	}
}

func (sh *shelf) dropLocked(e *list.Element) {
	it := sh.order.Remove(e).(*shelved)
	sh.bytes -= it.size
	it.sess.forgetStream(it.id)
}
