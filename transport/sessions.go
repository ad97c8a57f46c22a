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

// sessions is the table of legacy sessions: those of this process, and all that
// the store has. It keeps mcp-go's own table equal to itself.
type sessions struct {
	srv   *Server
	store SessionStore // nil: sessions end with the process
	node  string       // this process, among those that write to the store
	stop  func()       // the watching of the store

	mu     sync.Mutex
	byID   map[string]*session
	byUser map[string]map[string]*session
}

func (t *sessions) init(s *Server, store SessionStore) {
	t.srv, t.store, t.node, t.stop = s, store, rand.Text(), func() {}
	t.byID = make(map[string]*session)
	t.byUser = make(map[string]map[string]*session)
}

// newSessionID is visible ASCII and not to be guessed (130 bits).
func newSessionID() string { return rand.Text() }

// watch takes over the sessions of the store.
func (t *sessions) watch() {
	if t.store != nil {
		t.stop = t.store.Watch(t.apply)
	}
}

// add enters a session. A user at the limit loses the session that has been
// idle longest; when all are in use, the new one is refused.
func (t *sessions) add(ctx context.Context, sess *session) error {
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
	t.enterLocked(sess)
	t.mu.Unlock()

	if evicted != nil {
		t.finish(evicted)
		t.forget(evicted)
	}
	if err := t.srv.mcp.RegisterSession(ctx, sess); err != nil {
		t.drop(sess)
		return err
	}
	if err := t.begun(ctx, sess); err != nil {
		t.remove(sess) // an answer of the store may have been lost
		return err
	}
	return nil
}

func (t *sessions) enterLocked(sess *session) {
	user := sess.owner.User
	t.byID[sess.id] = sess
	if t.byUser[user] == nil {
		t.byUser[user] = make(map[string]*session)
	}
	t.byUser[user][sess.id] = sess
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

// remove ends a session for good; one that has ended already is left alone.
func (t *sessions) remove(sess *session) {
	if t.drop(sess) {
		t.forget(sess)
	}
}

// drop ends a session in this process and tells whether it was there.
func (t *sessions) drop(sess *session) bool {
	t.mu.Lock()
	known := t.byID[sess.id] == sess
	if known {
		t.removeLocked(sess)
	}
	t.mu.Unlock()
	if known {
		t.finish(sess)
	}
	return known
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

// close ends all sessions in this process. Those that are kept go on in the
// next.
func (t *sessions) close() {
	t.stop()
	for _, sess := range t.all() {
		t.drop(sess)
	}
}
