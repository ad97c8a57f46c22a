package transport

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/transport/sse"
)

// sessionOf finds the session that a GET or DELETE names; both belong to the
// revisions that have sessions.
func (s *Server) sessionOf(r *http.Request, owner Owner) (*session, error) {
	version, err := headerVersion(r)
	if err != nil {
		return nil, err
	}
	if mcp.IsModernProtocol(version) {
		return nil, methodNotAllowed("POST", "on 2026-07-28 there is only POST; subscriptions/listen takes the place of GET")
	}
	id := r.Header.Get(mcp.HeaderSessionID)
	if id == "" {
		return nil, invalid(nil, "the header Mcp-Session-Id is missing; initialize gives it")
	}
	return s.sessions.find(id, owner, false)
}

func (s *Server) serveDelete(w http.ResponseWriter, r *http.Request) error {
	sess, err := s.sessionOf(r, s.owner(r))
	if err != nil {
		return err
	}
	s.sessions.remove(sess)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveGet opens a session's own stream, or resumes the stream that
// Last-Event-ID names (2025-11-25, transports, "Resumability and Redelivery").
func (s *Server) serveGet(w http.ResponseWriter, r *http.Request) error {
	owner := s.owner(r)
	sess, err := s.sessionOf(r, owner)
	if err != nil {
		return err
	}
	if !parseAccept(r).sse {
		return notAcceptable("Accept must allow text/event-stream")
	}
	res, err := s.wanted(r.Context(), sess, r.Header.Get(mcp.HeaderLastEventID))
	st := res.stream
	switch {
	case err != nil:
		return err
	case st == sess.out && s.isDraining(): // the answer of a running call can still be fetched
		return draining()
	}
	release, err := s.quota.stream(owner.User)
	if err != nil {
		return err
	}
	defer release()
	defer sess.connect()()
	r, done := s.listening.add(r)
	defer done()
	if s.revoked(r.Context()) {
		return revoked(nil)
	}

	conn := st.attach()
	defer st.detach(conn)
	out, err := s.startSSE(w)
	if err != nil {
		return err
	}
	if st == sess.out {
		sess.catchUp()
	}
	switch {
	case res.from != nil:
		s.replay(out, sess, res)
	case sess.primes():
		out.prime(st)
	}
	if err := out.flush(); err != nil {
		return err
	}
	lifetime := time.NewTimer(s.lifetime(owner))
	defer lifetime.Stop()
	drain := s.draining
	if st != sess.out {
		drain = nil // its call has the time that Shutdown gives
	}
	s.pump(r, out, st, conn, lifetime.C, drain)
	return nil
}

// resumption is what a GET asks for.
type resumption struct {
	stream *stream // to be served
	from   *stream // whose events are to be replayed; nil: none
	after  uint64  // of them
}

// wanted is what a GET of the session asks for. A stream that this process does
// not have may be one of a process that has ended; then what it still owed is
// answered with an error.
func (s *Server) wanted(ctx context.Context, sess *session, lastEventID string) (resumption, error) {
	if lastEventID == "" {
		return resumption{stream: sess.out}, nil
	}
	id, after, ok := parseEventID(lastEventID)
	if !ok {
		return resumption{}, errNotGiven
	}
	st := sess.findStream(id)
	if st == nil {
		past, err := s.recorder.past(ctx, sess.id, id)
		switch own := strings.HasPrefix(id, ownStreamMark); {
		case err != nil:
			s.log.LogAttrs(ctx, slog.LevelError, "a kept stream cannot be read", slog.Any("error", err))
			return resumption{}, busy(RefusedStreams, "the stream could not be read")
		case own && sess.restored:
			if past == nil { // nothing was on it, or it is no longer known
				past = lostStream(id, after)
			}
			return resumption{stream: sess.out, from: past, after: after}, nil
		case past == nil && sess.restored:
			if past = lostStream(id, after); len(past.requests) == 0 {
				return resumption{}, errStreamGone
			}
			past.answerOwed(after)
			return resumption{stream: past, from: past, after: after}, nil
		case past == nil:
			return resumption{}, errStreamGone
		}
		past.answerOwed(after)
		st = sess.adopt(past)
	}
	if !st.gave(after) {
		return resumption{}, errNotGiven
	}
	if _, _, over := st.replay(after); over {
		return resumption{}, errStreamGone
	}
	return resumption{stream: st, from: st, after: after}, nil
}

// replay adds what the client has missed.
func (s *Server) replay(out *writer, sess *session, res resumption) {
	items, complete, _ := res.from.replay(res.after)
	s.observer.Replayed(len(items))
	if !complete && mcp.LoggingLevelWarning.ShouldSendTo(sess.GetLogLevel()) {
		out.event(sse.Event{Name: "message", Data: missedNotice()})
	}
	out.items(res.from, items)
}

// lostStream is a stream of which nothing is held but that it gave an event.
func lostStream(id string, seq uint64) *stream {
	st := newStream(0, true)
	st.name, st.seq, st.taken = id, seq, seq
	st.history.evicted = seq + 1
	if seq == 0 {
		st.history.evicted = 0
	}
	if owed := namedRequest(id); owed != nil {
		st.requests = []json.RawMessage{owed}
	}
	return st
}

// answerOwed answers the requests that the process which ran them cannot answer
// any more. If it was killed, its client may have seen more than it had written
// down.
func (st *stream) answerOwed(seen uint64) {
	owed := st.requests
	st.expect, st.ended = len(owed), len(owed) == 0
	if len(owed) > 0 && seen > st.seq {
		st.seq, st.taken, st.history.evicted = seen, seen, seen
	}
	for _, id := range owed {
		st.appendResponse(id, errRestarted.withID(id).rpcError())
	}
}

var errRestarted = &fault{
	code: codeRefused,
	msg:  "the server was restarted and does not have the answer of this request, which may have been carried out; send it again, with the same idempotency_key if it had one",
}

// catchUp tells a client whose session began in another process what may have
// changed unheard: everything it follows.
func (sess *session) catchUp() {
	sess.mu.Lock()
	behind := sess.restored && !sess.caughtUp
	sess.caughtUp = true
	sess.mu.Unlock()
	if !behind {
		return
	}
	for _, uri := range sess.srv.subs.of(sess) {
		n := newNotification(mcp.MethodNotificationResourceUpdated, map[string]any{"uri": uri})
		sess.tell(n.Method+" "+uri, n)
	}
	const list = mcp.MethodNotificationResourcesListChanged
	sess.tell(list, newNotification(list, nil))
}

var (
	errNotGiven   = invalid(nil, "Last-Event-ID is not an ID that this server gave")
	errStreamGone = invalid(nil, "the stream that Last-Event-ID names is over, or is no longer held; send the request again")
)

// missedNotice says in the stream itself that a replay has a gap.
func missedNotice() []byte {
	n := newNotification(string(mcp.MethodNotificationMessage), map[string]any{
		"level":  mcp.LoggingLevelWarning,
		"logger": "transport",
		"data":   "some messages between Last-Event-ID and the next event are no longer held and are missing here",
	})
	body, err := encode(n)
	if err != nil {
		panic(err) // plain values
	}
	return body
}
