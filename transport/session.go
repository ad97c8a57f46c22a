package transport

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// session is a legacy MCP session, keyed by Mcp-Session-Id, or that of one
// HTTP+SSE connection.
type session struct {
	*peer
	srv *Server
	// out carries what belongs to no running call. In an HTTP+SSE session it
	// carries everything.
	out *stream
	sse bool // HTTP+SSE
	// restored tells that another process began it.
	restored bool
	kept     keeping

	mu       sync.Mutex
	ended    bool
	caughtUp bool      // a restored session's client has been told that it may have missed something
	used     time.Time // when last a request came or a connection ended
	conns    int       // listening connections
	calls    map[string]*call
	streams  map[string]*resumable // of calls whose events have IDs
	waiting  map[string]chan<- message
	asked    uint64 // numbers the server's own requests
	subs     map[string]struct{}
}

// resumable is a stream a client may come back for.
type resumable struct {
	*stream
	shelved bool // its calls have ended; the shelf decides when it goes
}

func newSession(s *Server, id string, owner Owner, sse bool) *session {
	sess := &session{
		peer:    &peer{id: id, owner: owner, level: mcp.LoggingLevelInfo},
		srv:     s,
		out:     newStream(0, !sse),
		sse:     sse,
		used:    time.Now(),
		calls:   make(map[string]*call),
		streams: make(map[string]*resumable),
		waiting: make(map[string]chan<- message),
		subs:    make(map[string]struct{}),
	}
	sess.out.shared = true
	sess.out.own = true
	return sess
}

// NotificationChannel serves mcp-go's broadcasts. See [Server.collectBroadcasts].
func (sess *session) NotificationChannel() chan<- mcp.JSONRPCNotification {
	return sess.srv.broadcastSlot(sess)
}

// rules is the revision whose rules the session is held to.
func (sess *session) rules() string {
	return max(sess.ProtocolVersion(), mcp.ProtocolVersion20250326)
}

func (sess *session) touch() {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	sess.used = time.Now()
}

// connect counts a listening connection, during which the session is in use.
func (sess *session) connect() (disconnect func()) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	sess.conns++
	return func() {
		sess.mu.Lock()
		defer sess.mu.Unlock()
		sess.conns--
		sess.used = time.Now()
	}
}

// unusedSince returns since when nothing happened; busy sessions are in use.
func (sess *session) unusedSince() (t time.Time, busy bool) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	return sess.used, sess.conns > 0 || len(sess.calls) > 0
}

// lastUsed is when it was in use last, to be kept.
func (sess *session) lastUsed() time.Time {
	if used, busy := sess.unusedSince(); !busy {
		return used
	}
	return time.Now()
}

// addCall enters a running call; an ID that is still in use is refused.
func (sess *session) addCall(c *call) error {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	key := string(c.msg.id)
	switch {
	case sess.ended:
		return errSessionNotFound.withID(c.msg.id)
	case sess.calls[key] != nil:
		return invalid(c.msg.id, "a request with this id is still running in this session")
	}
	sess.calls[key] = c
	return nil
}

func (sess *session) removeCall(c *call) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	delete(sess.calls, string(c.msg.id))
	sess.used = time.Now()
}

// shelve hands a resumable stream whose last call has ended to the shelf.
func (sess *session) shelve(st *stream) {
	id := st.given()
	if id == "" {
		return // its answer was no SSE stream
	}
	sess.mu.Lock()
	r := sess.streams[id]
	done := r != nil && !r.shelved && st.over()
	if done {
		r.shelved = true
	}
	sess.mu.Unlock()
	if done {
		sess.srv.shelf.put(sess, st)
	}
}

// cancelWithin bounds the wait for a call that was cancelled.
const cancelWithin = time.Second

// cancel ends one of the session's own calls; an unknown ID is ignored. It
// waits for the call to end, but not for long: a client that has cancelled finds
// the place free, which it may need for its next call.
func (sess *session) cancel(ctx context.Context, id json.RawMessage) {
	sess.mu.Lock()
	c := sess.calls[string(id)]
	sess.mu.Unlock()
	if c == nil {
		return
	}
	c.cancel(errCancelled)
	timeout := time.NewTimer(cancelWithin)
	defer timeout.Stop()
	select {
	case <-c.ended:
	case <-timeout.C:
	case <-ctx.Done():
	}
}

// addStream makes a stream resumable, before its first event ID goes out.
func (sess *session) addStream(st *stream) { sess.adopt(st) }

// adopt is addStream for a stream of an earlier process: if another request was
// first, it returns that one's.
func (sess *session) adopt(st *stream) *stream {
	id := st.id()
	sess.mu.Lock()
	if r := sess.streams[id]; r != nil {
		sess.mu.Unlock()
		return r.stream
	}
	over := st.over() // under the lock, so that either this or shelve does it
	sess.streams[id] = &resumable{stream: st, shelved: over}
	sess.mu.Unlock()
	if over {
		sess.srv.shelf.put(sess, st)
	}
	return st
}

func (sess *session) findStream(id string) *stream {
	if id == sess.out.given() {
		return sess.out
	}
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if r := sess.streams[id]; r != nil {
		return r.stream
	}
	return nil
}

func (sess *session) forgetStream(id string) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	delete(sess.streams, id)
}

// ask sends a request to the client on a call's stream and waits for the
// answer, until ctx ends.
func (sess *session) ask(ctx context.Context, st *stream, method mcp.MCPMethod, params any) (message, error) {
	answer := make(chan message, 1)
	sess.mu.Lock()
	sess.asked++
	id := strconv.FormatUint(sess.asked, 10)
	sess.waiting[id] = answer
	sess.mu.Unlock()
	defer func() {
		sess.mu.Lock()
		defer sess.mu.Unlock()
		delete(sess.waiting, id)
	}()

	data, err := encode(struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  mcp.MCPMethod   `json:"method"`
		Params  any             `json:"params,omitempty"`
	}{mcp.JSONRPC_VERSION, json.RawMessage(id), method, params})
	if err != nil {
		return message{}, err
	}
	if err := st.append(ctx, data); err != nil {
		return message{}, err
	}
	select {
	case m := <-answer:
		return m, nil
	case <-ctx.Done():
		return message{}, context.Cause(ctx)
	}
}

// answer hands a client's response to the call that waits for it.
func (sess *session) answer(m message) bool {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	ch := sess.waiting[string(m.id)]
	if ch == nil {
		return false
	}
	delete(sess.waiting, string(m.id))
	ch <- m // has room for the one answer
	return true
}

// end makes the session unknown to everyone and stops what it does.
func (sess *session) end() {
	sess.mu.Lock()
	sess.ended = true
	running := make([]*call, 0, len(sess.calls))
	for _, c := range sess.calls {
		running = append(running, c)
	}
	clear(sess.streams)
	sess.mu.Unlock()

	for _, c := range running {
		c.cancel(errSessionEnded)
	}
	sess.srv.subs.removeAll(sess)
	sess.out.end()
}
