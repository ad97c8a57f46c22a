package main

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// connections are those of a server, at most so many: for one more the one gives
// way on which nothing has been asked for longest. So whoever only opens
// connections keeps nobody out, and does not use up the files that the store
// needs.
type connections struct {
	max int

	mu     sync.Mutex                 // guards all below
	open   map[net.Conn]*list.Element // of idle; nil while something is asked
	idle   list.List                  // of idleConn, idle longest first
	closed bool
}

type idleConn struct {
	net.Conn
	fresh bool // nothing was ever asked
}

func newConnections(most int) *connections {
	return &connections{max: most, open: map[net.Conn]*list.Element{}}
}

// note is the server's ConnState.
func (n *connections) note(c net.Conn, state http.ConnState) {
	if leaves := n.follow(c, state); leaves != nil {
		_ = leaves.Close() // what it could tell is of no use to anybody
	}
}

// follow returns the connection that has to give way, if one has.
func (n *connections) follow(c net.Conn, state http.ConnState) (leaves net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	element, known := n.open[c]
	switch {
	case state == http.StateNew && n.closed: // accepted in the last moment
		return c
	case state == http.StateNew && len(n.open) >= n.max:
		longest := n.idle.Front()
		if longest == nil {
			return c
		}
		leaves = longest.Value.(idleConn).Conn
		n.forgetLocked(leaves)
		n.open[c] = n.idle.PushBack(idleConn{c, true})
	case state == http.StateNew:
		n.open[c] = n.idle.PushBack(idleConn{c, true})
	case !known: // it has given way
	case state == http.StateActive && element != nil:
		n.idle.Remove(element)
		n.open[c] = nil
	case state == http.StateIdle && element == nil:
		n.open[c] = n.idle.PushBack(idleConn{c, false})
	case state == http.StateClosed, state == http.StateHijacked:
		n.forgetLocked(c)
	}
	return leaves
}

func (n *connections) forgetLocked(c net.Conn) {
	if element := n.open[c]; element != nil {
		n.idle.Remove(element)
	}
	delete(n.open, c)
}

// closeFresh closes those on which nothing was ever asked, now and later:
// Shutdown would wait some seconds for each of them.
func (n *connections) closeFresh() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for e := n.idle.Front(); e != nil; e = e.Next() {
		if c := e.Value.(idleConn); c.fresh {
			_ = c.Close() // its client has sent nothing that could be lost
		}
	}
}
