package hub

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// maxTaps bounds the listeners and waits of one hub.
	maxTaps = 65_536
	// appliedWithin bounds how long a sender waits for its own message to
	// reach the listeners of this hub. It is stored by then.
	appliedWithin = time.Second
)

// live is what happens now: the newest entries, who wants to know of them, and
// the messages on their way in parts. Nothing is called and nothing is waited
// for while its lock is held.
type live struct {
	mu    sync.Mutex // guards everything below
	ended bool
	ring  ring
	moved chan struct{} // closed and replaced when the ring's head moves

	taps     map[string]map[*tap]struct{} // by user
	tapCount int                          // at most maxTaps

	streams     map[string]*Streaming // running, by stream ID; at most maxStreams
	streamsOf   map[string]int        // how many of them are a user's, at most maxUserStreams
	shown       list.List             // those that have a partial, least recently shown first
	partialStep uint64                // counts the partials that were shown
}

// tap is the registration of one listener or wait.
type tap struct {
	user     string
	partials bool          // wants partial messages, too
	wake     chan struct{} // holds a token when there may be something new
	done     chan struct{} // closed when the tap is gone
}

func newLive() *live {
	return &live{
		ring:      ring{max: ringBytes},
		moved:     make(chan struct{}),
		taps:      map[string]map[*tap]struct{}{},
		streams:   map[string]*Streaming{},
		streamsOf: map[string]int{},
	}
}

// start sets the position before the first entry.
func (l *live) start(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring.base, l.ring.head = seq, seq
}

// position is the sequence of the newest entry.
func (l *live) position() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ring.head
}

// window copies what the ring holds after a position.
func (l *live) window(after uint64, limit int) window {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ring.window(after, limit)
}

// append puts an entry before all who may see it. When it is the final message
// of a stream, that stream has ended for everybody who gets the entry.
func (l *live) append(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.message != nil {
		if s := l.streams[e.message.StreamID]; s != nil {
			s.endLocked(stored)
		}
	}
	l.ring.add(e)
	close(l.moved)
	l.moved = make(chan struct{})
	l.wakeLocked(e.room, func(*tap) bool { return true })
}

// await waits until the entry with this sequence is before listeners, but not
// for long.
func (l *live) await(ctx context.Context, seq uint64) {
	timeout := time.NewTimer(appliedWithin)
	defer timeout.Stop()
	for {
		l.mu.Lock()
		moved, there := l.moved, l.ring.head >= seq || l.ended
		l.mu.Unlock()
		if there {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		case <-timeout.C:
			return
		}
	}
}

// tap registers a user and returns the position at that moment.
func (l *live) tap(user string, partials bool) (*tap, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, 0, errClosed()
	}
	if l.tapCount >= maxTaps {
		return nil, 0, refuse(Full, "", "there are %d listeners, which is as many as there may be", maxTaps)
	}
	t := &tap{user: user, partials: partials, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if l.taps[user] == nil {
		l.taps[user] = map[*tap]struct{}{}
	}
	l.taps[user][t] = struct{}{}
	l.tapCount++
	return t, l.ring.head, nil
}

// untap ends a registration, once.
func (l *live) untap(t *tap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.untapLocked(t)
}

func (l *live) untapLocked(t *tap) {
	of := l.taps[t.user]
	if _, ok := of[t]; !ok {
		return
	}
	if delete(of, t); len(of) == 0 {
		delete(l.taps, t.user)
	}
	l.tapCount--
	close(t.done)
}

// wakeUsers wakes users whose rights have changed.
func (l *live) wakeUsers(users ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, user := range users {
		for t := range l.taps[user] {
			signal(t.wake)
		}
	}
}

// wakeLocked wakes those of the taps wanted that may see a room. The cost
// grows with them, not with all taps.
func (l *live) wakeLocked(r *room, wanted func(*tap) bool) {
	wake := func(of map[*tap]struct{}) {
		for t := range of {
			if wanted(t) {
				signal(t.wake)
			}
		}
	}
	switch {
	case r == nil:
	case r.kind == Public:
		for _, of := range l.taps {
			wake(of)
		}
	default:
		for _, user := range r.members() {
			wake(l.taps[user])
		}
	}
}

func (l *live) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// close ends every tap and every stream, and begins no more.
func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, s := range l.streams {
		s.endLocked(cancelled)
	}
	for _, of := range l.taps {
		for t := range of {
			l.untapLocked(t)
		}
	}
	close(l.moved)
	l.moved = make(chan struct{})
}
