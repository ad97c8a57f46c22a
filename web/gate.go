package web

import "sync"

// gate counts the open streams, in all and by user.
type gate struct {
	max        int
	maxPerUser int // negative: no limit

	mu     sync.Mutex // guards everything below
	open   int
	users  map[string]int // open streams of each; only users that have one
	closed bool
	idle   chan struct{} // closed when the gate is and nothing is open
}

func newGate(most, mostPerUser int) gate {
	return gate{max: most, maxPerUser: mostPerUser, users: map[string]int{}, idle: make(chan struct{})}
}

// enter counts a stream, or says why there may not be one more.
func (g *gate) enter(user string) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, errDraining
	case g.open >= g.max:
		return nil, unavailable(RefusedStreams, "all %d streams of this server are in use", g.max)
	case g.maxPerUser >= 0 && g.users[user] >= g.maxPerUser:
		return nil, tooMany(RefusedStreams, "you have %d streams open, which is as many as one user may; close one first", g.maxPerUser)
	}
	g.open++
	g.users[user]++
	return func() { g.leave(user) }, nil
}

func (g *gate) leave(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.users[user]--; g.users[user] == 0 {
		delete(g.users, user)
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
