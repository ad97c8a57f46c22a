package transport

import (
	"net/http"
	"strconv"
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
	st, after, resumes, err := sess.wanted(r.Header.Get(mcp.HeaderLastEventID))
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

	conn := st.attach()
	defer st.detach(conn)
	out, err := s.startSSE(w)
	if err != nil {
		return err
	}
	switch {
	case resumes:
		items, complete, _ := st.replay(after)
		s.observer.Replayed(len(items))
		if !complete && mcp.LoggingLevelWarning.ShouldSendTo(sess.GetLogLevel()) {
			out.event(sse.Event{Name: "message", Data: missedNotice()})
		}
		out.items(st, items)
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

// wanted is the stream a GET asks for, and after which of its events.
func (sess *session) wanted(lastEventID string) (st *stream, after uint64, resumes bool, err error) {
	if lastEventID == "" {
		return sess.out, 0, false, nil
	}
	id, num, ok := strings.Cut(lastEventID, "-")
	after, parseErr := strconv.ParseUint(num, 10, 64)
	if !ok || parseErr != nil {
		return nil, 0, false, errNotGiven
	}
	if st = sess.findStream(id); st == nil {
		return nil, 0, false, errStreamGone
	}
	if !st.gave(after) {
		return nil, 0, false, errNotGiven
	}
	if _, _, over := st.replay(after); over {
		return nil, 0, false, errStreamGone
	}
	return st, after, true, nil
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
