// Package gate counts who is inside, in all and by user, so that not too many
// are, and so that a server that closes can wait for those who are.
package gate

import (
	"errors"
	"sync"
)

// Why nobody is let in.
var (
	ErrClosed   = errors.New("gate: closed")
	ErrFull     = errors.New("gate: as many are inside as may be")
	ErrUserFull = errors.New("gate: as many of the user are inside as may be")
)

// Gate is open until Close. Its methods are safe for concurrent use.
type Gate struct {
	max        int
	maxPerUser int

	mu     sync.Mutex // guards everything below
	inside int
	users  map[string]int // how many of each are inside; only users with one
	closed bool
	empty  chan struct{} // closed when the gate is and nobody is inside
}

// New makes an open gate for so many at a time. Negative is no limit.
func New(most, mostPerUser int) *Gate {
	return &Gate{max: most, maxPerUser: mostPerUser, users: map[string]int{}, empty: make(chan struct{})}
}

// Enter counts one more of a user, who must leave once; or it returns one of the
// errors above.
func (g *Gate) Enter(user string) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return nil, ErrClosed
	case g.max >= 0 && g.inside >= g.max:
		return nil, ErrFull
	case g.maxPerUser >= 0 && g.users[user] >= g.maxPerUser:
		return nil, ErrUserFull
	}
	g.inside++
	g.users[user]++
	return func() { g.leave(user) }, nil
}

func (g *Gate) leave(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.users[user]--; g.users[user] == 0 {
		delete(g.users, user)
	}
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// Inside is how many are.
func (g *Gate) Inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// InsideOf is how many of a user are.
func (g *Gate) InsideOf(user string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users[user]
}

// Close lets nobody in any more. The channel closes when everybody has left.
func (g *Gate) Close() (empty <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed && g.inside == 0 {
		close(g.empty)
	}
	g.closed = true
	return g.empty
}
