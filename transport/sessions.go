package transport

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// sessions is the table of legacy sessions. It keeps mcp-go's own table equal
// to itself.
type sessions struct {
	srv *Server

	mu     sync.Mutex
	byID   map[string]*session
	byUser map[string]map[string]*session
}

func (t *sessions) init(s *Server) {
	t.srv = s
	t.byID = make(map[string]*session)
	t.byUser = make(map[string]map[string]*session)
}

// newSessionID is visible ASCII and not to be guessed (130 bits).
func newSessionID() string { return rand.Text() }

// add enters a session. A user at the limit loses the session that has been
// idle longest; when all are in use, the new one is refused.
func (t *sessions) add(sess *session) error {
	user := sess.owner.User
	t.mu.Lock()
	var evicted *session
	if limit := t.srv.limits.MaxSessionsPerUser; limit >= 0 && len(t.byUser[user]) >= limit {
		if evicted = idlest(t.byUser[user]); evicted == nil {
			t.mu.Unlock()
			return tooMany(RefusedSessions, fmt.Sprintf("you have %d sessions in use, which is the limit; end one with DELETE", limit))
		}
	} else if len(t.byID) >= t.srv.limits.MaxStreams {
		if evicted = idlest(t.byID); evicted == nil {
			t.mu.Unlock()
			return busy(RefusedSessions, fmt.Sprintf("all %d sessions of this server are in use", t.srv.limits.MaxStreams))
		}
	}
	if evicted != nil {
		t.removeLocked(evicted)
	}
	t.byID[sess.id] = sess
	if t.byUser[user] == nil {
		t.byUser[user] = make(map[string]*session)
	}
	t.byUser[user][sess.id] = sess
	t.mu.Unlock()

	if evicted != nil {
		t.finish(evicted)
	}
	return t.srv.mcp.RegisterSession(context.Background(), sess)
}

func idlest(m map[string]*session) *session {
	var (
		found *session
		since time.Time
	)
	for _, sess := range m {
		if t, inUse := sess.unusedSince(); !inUse && (found == nil || t.Before(since)) {
			found, since = sess, t
		}
	}
	return found
}

// find returns the owner's session, of HTTP+SSE or of Streamable HTTP. The
// answer is the same for unknown, ended and foreign ones. While the server shuts
// down it is never that the session is not found, on which clients give up for
// good.
func (t *sessions) find(id string, owner Owner, sse bool) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sess := t.byID[id]
	switch {
	case sess != nil && sess.owner.Key == owner.Key && sess.sse == sse:
		return sess, nil
	case t.srv.isDraining():
		return nil, draining()
	default:
		return nil, errSessionNotFound
	}
}

// remove ends a session; one that has ended already is left alone.
func (t *sessions) remove(sess *session) {
	t.mu.Lock()
	known := t.byID[sess.id] == sess
	if known {
		t.removeLocked(sess)
	}
	t.mu.Unlock()
	if known {
		t.finish(sess)
	}
}

func (t *sessions) removeLocked(sess *session) {
	user := sess.owner.User
	delete(t.byID, sess.id)
	delete(t.byUser[user], sess.id)
	if len(t.byUser[user]) == 0 {
		delete(t.byUser, user)
	}
}

func (t *sessions) finish(sess *session) {
	t.srv.mcp.UnregisterSession(context.Background(), sess.id)
	sess.end()
}

func (t *sessions) all() []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.byID))
}

func (t *sessions) endIdle(before time.Time) {
	for _, sess := range t.all() {
		if since, inUse := sess.unusedSince(); !inUse && since.Before(before) {
			t.remove(sess)
		}
	}
}

func (t *sessions) endAll() {
	for _, sess := range t.all() {
		t.remove(sess)
	}
}
