package web

import (
	"context"
	"sync"
)

// gate counts the open streams, in all and by user.
type gate struct {
	max        int
	maxPerUser int // negative: no limit

	mu     sync.Mutex // guards everything below
	open   int
	users  map[string]*visitor // only users with an open stream
	closed bool
	idle   chan struct{} // closed when the gate is and nothing is open
}

// visitor is a user with open streams.
type visitor struct {
	open int
	// welcome ends when the user may no longer be here.
	welcome context.Context //nolint:containedctx // of a user's streams, not of a request
	sendOff context.CancelFunc
}

func newGate(most, mostPerUser int) gate {
	return gate{max: most, maxPerUser: mostPerUser, users: map[string]*visitor{}, idle: make(chan struct{})}
}

// enter counts a stream, or says why there may not be one more. The context
// ends when the user may no longer be here.
func (g *gate) enter(user string) (welcome context.Context, leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, nil, errDraining
	case g.open >= g.max:
		return nil, nil, unavailable(RefusedStreams, "all %d streams of this server are in use", g.max)
	case g.maxPerUser >= 0 && g.users[user] != nil && g.users[user].open >= g.maxPerUser:
		return nil, nil, tooMany(RefusedStreams, "you have %d streams open, which is as many as one user may; close one first", g.maxPerUser)
	}
	v := g.users[user]
	if v == nil || v.welcome.Err() != nil { // those who were sent off leave by themselves
		v = &visitor{}
		v.welcome, v.sendOff = context.WithCancel(context.Background())
		g.users[user] = v
	}
	g.open++
	v.open++
	return v.welcome, func() { g.leave(user, v) }, nil
}

func (g *gate) leave(user string, v *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if v.open--; v.open == 0 {
		v.sendOff()
		if g.users[user] == v {
			delete(g.users, user)
		}
	}
	if g.closed && g.open == 0 {
		close(g.idle)
	}
}

// streams is how many are open.
func (g *gate) streams() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// sendOff ends the streams of a user.
func (g *gate) sendOff(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.users[user]; v != nil {
		v.sendOff()
	}
}

// close lets nobody in any more. The channel closes when everybody has left.
func (g *gate) close() (idle <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed && g.open == 0 {
		close(g.idle)
	}
	g.closed = true
	return g.idle
}
