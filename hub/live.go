package hub

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// maxTaps bounds the listeners and waits of one hub, where nothing else is
	// said.
	maxTaps = 20_000
	// appliedWithin bounds how long a sender waits for its own message to
	// reach the listeners of this hub. It is stored by then.
	appliedWithin = time.Second
)

// live is what happens now: the newest entries, who wants to know of them, and
// the messages on their way in parts. Nothing is waited for while its lock is
// held, and no other lock is taken but that of keys.
type live struct {
	mu    sync.Mutex // guards everything below
	ended bool
	ring  ring
	moved chan struct{} // closed and replaced when the ring's head moves

	taps     map[string]map[*tap]struct{} // by user
	tapCount int                          // at most maxTaps
	maxTaps  int

	streams     map[string]*Streaming // running, by stream ID; at most maxStreams
	streamsOf   map[string]int        // how many of them are a user's, at most maxOf
	maxOf       int                   // negative: no bound
	shown       list.List             // those that have a partial, least recently shown first
	partialStep uint64                // counts the partials that were shown

	lines   ring    // the newest log lines
	present present // who is here
	hints   hints   // comings and goings, and who types

	soon   map[*room]kinds // what to wake for at the next tick; of nil: whoever there is
	tick   *time.Timer     // that tick; nil when soon is empty
	tickAt time.Time       // when it last was
}

// tap is the registration of one listener or wait.
type tap struct {
	user  string // empty: of a guest
	via   string
	wants kinds
	wake  chan struct{} // holds a token when there may be something new
	done  chan struct{} // closed when the tap is gone

	// The rest is guarded by live.mu.

	// caughtUp tells that the tap has had everything at some time, and first is
	// the first entry since then that was for its user, or 0. So a user who may
	// see little is not led past everything else, which may be long off the
	// ring.
	caughtUp bool
	first    uint64
	renewed  bool // the user's rights have changed since partials were taken
}

func newTap(a Actor, wants kinds, caughtUp bool) *tap {
	return &tap{
		user: a.user(), via: a.Via, wants: wants, caughtUp: caughtUp,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

func newLive(maxTaps, maxOf int) *live {
	return &live{
		maxTaps:   maxTaps,
		maxOf:     maxOf,
		ring:      ring{max: ringBytes},
		moved:     make(chan struct{}),
		taps:      map[string]map[*tap]struct{}{},
		streams:   map[string]*Streaming{},
		streamsOf: map[string]int{},
		lines:     ring{max: linesBytes},
		present:   present{},
		hints:     hints{byKey: map[string]*list.Element{}},
		soon:      map[*room]kinds{},
	}
}

// start sets the positions before the first entries.
func (l *live) start(seq, line uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring.base, l.ring.head = seq, seq
	l.lines.base, l.lines.head = line, line
}

// position is the sequence of the newest entry.
func (l *live) position() uint64 { return l.headOf(&l.ring) }

// headOf is the sequence of the newest entry in one of the rings.
func (l *live) headOf(r *ring) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.head
}

// look is lookLocked with the lock.
func (l *live) look(t *tap, position uint64) (uint64, window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lookLocked(t, position)
}

// lookLocked copies what the ring holds for a tap after its position. It first
// moves the position past what is not for the tap's user.
func (l *live) lookLocked(t *tap, position uint64) (uint64, window) {
	switch {
	case !t.caughtUp:
	case t.first == 0:
		position = max(position, l.ring.head)
	default:
		position = max(position, t.first-1)
	}
	w := l.ring.window(position, takeLimit)
	t.caughtUp, t.first = position >= l.ring.base && w.head == l.ring.head, 0
	return position, w
}

// append puts an entry before all who may see it. When it is the final message
// of a stream, that stream has ended for everybody who gets the entry.
func (l *live) append(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := e.event.Message; m != nil {
		if s := l.streams[m.StreamID]; s != nil {
			s.endLocked(stored)
		}
	}
	l.ring.add(e)
	close(l.moved)
	l.moved = make(chan struct{})
	wake := func(t *tap) {
		if t.first == 0 {
			t.first = e.seq
		}
		signal(t.wake)
	}
	switch n := e.event.Notification; {
	case n == nil:
		l.eachLocked(e.room, wake)
	case n.To == "":
		l.everyLocked(wake)
	default:
		for t := range l.taps[n.To] {
			wake(t)
		}
		if n.Sender.Name != n.To {
			for t := range l.taps[n.Sender.Name] {
				wake(t)
			}
		}
	}
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

// register adds a tap and returns the position at that moment.
func (l *live) register(t *tap) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, errClosed()
	}
	if l.tapCount >= l.maxTaps {
		return 0, refuse(Full, "", "there are %d listeners, which is as many as there may be", l.maxTaps)
	}
	if l.taps[t.user] == nil {
		l.taps[t.user] = map[*tap]struct{}{}
	}
	l.taps[t.user][t] = struct{}{}
	l.tapCount++
	l.arriveLocked(t.user, t.via)
	return l.ring.head, nil
}

// unregister ends a registration, once.
func (l *live) unregister(t *tap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unregisterLocked(t)
}

func (l *live) unregisterLocked(t *tap) {
	of := l.taps[t.user]
	if _, ok := of[t]; !ok {
		return
	}
	if delete(of, t); len(of) == 0 {
		delete(l.taps, t.user)
		l.leaveLocked(t.user)
	}
	l.tapCount--
	close(t.done)
}

// rightsChanged wakes users who may see other rooms than before.
func (l *live) rightsChanged(users ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, user := range users {
		for t := range l.taps[user] {
			t.renewed = true
			signal(t.wake)
		}
	}
}

// eachLocked calls fn with the taps of all who may see a room. The cost grows
// with them, not with all taps.
func (l *live) eachLocked(r *room, fn func(*tap)) {
	switch {
	case r == nil:
	case r.kind == Public:
		l.everyLocked(fn)
	default:
		for _, user := range r.members() {
			for t := range l.taps[user] {
				fn(t)
			}
		}
	}
}

func (l *live) everyLocked(fn func(*tap)) {
	for _, of := range l.taps {
		for t := range of {
			fn(t)
		}
	}
}

// wakeSoonLocked wakes those who may see a room (nil: all), and want one of the
// kinds, at the next tick of all that is live only. So that however many
// messages are on their way, listeners are not woken for them more often than
// for one.
func (l *live) wakeSoonLocked(r *room, k kinds) {
	l.soon[r] |= k
	if l.tick != nil {
		return
	}
	if wait := time.Until(l.tickAt.Add(partialEvery)); wait > 0 {
		l.tick = time.AfterFunc(wait, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.tickLocked()
		})
		return
	}
	l.tickLocked()
}

func (l *live) tickLocked() {
	l.tick, l.tickAt = nil, time.Now()
	for r, k := range l.soon {
		wake := func(t *tap) {
			if t.wants&k != 0 {
				signal(t.wake)
			}
		}
		if r == nil {
			l.everyLocked(wake)
		} else {
			l.eachLocked(r, wake)
		}
	}
	clear(l.soon)
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
			l.unregisterLocked(t)
		}
	}
	l.present.clear()
	if l.tick != nil {
		l.tick.Stop()
	}
	close(l.moved)
	l.moved = make(chan struct{})
}
