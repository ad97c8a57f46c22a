package transport

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/transport/sse"
)

// ServeSSE is GET /sse, the older transport's stream (2024-11-05): the first
// event names the address to POST to, everything else arrives as messages. The
// session lives as long as the connection.
func (s *Server) ServeSSE(w http.ResponseWriter, r *http.Request) {
	if err := s.serveSSE(w, r); err != nil {
		s.answerError(w, r, err)
	}
}

func (s *Server) serveSSE(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return methodNotAllowed("GET", "open the stream with GET; a client of Streamable HTTP POSTs to /mcp instead")
	}
	if !parseAccept(r).sse {
		return notAcceptable("Accept must allow text/event-stream")
	}
	if s.isDraining() {
		return draining()
	}
	owner := s.owner(r)
	release, err := s.quota.stream(owner.User)
	if err != nil {
		return err
	}
	defer release()
	sess := newSession(s, newSessionID(), owner, true)
	defer sess.connect()()
	if err := s.sessions.add(r.Context(), sess); err != nil {
		return err
	}
	defer s.sessions.remove(sess)
	r, done := s.listening.add(r)
	defer done()
	if s.revoked(r.Context()) {
		return revoked(nil)
	}

	conn := sess.out.attach()
	defer sess.out.detach(conn)
	out, err := s.startSSE(w)
	if err != nil {
		return err
	}
	out.event(sse.Event{Name: "endpoint", Data: []byte("/messages?sessionId=" + url.QueryEscape(sess.id))})
	if err := out.flush(); err != nil {
		return err
	}
	lifetime := time.NewTimer(s.lifetime(owner))
	defer lifetime.Stop()
	s.pump(r, out, sess.out, conn, lifetime.C, nil) // Shutdown ends the session, after its calls
	return nil
}

// errStreamClosed is the one answer for a session that ended with its stream,
// never was, or belongs to somebody else.
var errStreamClosed = &fault{
	status: http.StatusNotFound, code: codeSessionNotFound,
	msg: "session not found: its stream was closed or never was; open GET /sse anew",
}

// ServeMessages is POST /messages?sessionId=, the older transport's way in.
// Answers arrive on the session's stream; here it is 202.
func (s *Server) ServeMessages(w http.ResponseWriter, r *http.Request) {
	if err := s.serveMessages(w, r); err != nil {
		s.answerError(w, r, err)
	}
}

func (s *Server) serveMessages(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return methodNotAllowed("POST", "messages are POSTed; the stream is GET /sse")
	}
	if err := checkContentType(r); err != nil {
		return err
	}
	id := r.URL.Query().Get("sessionId")
	if id == "" {
		return invalid(nil, "the query parameter sessionId is missing; the first event of GET /sse gives the whole address")
	}
	owner := s.owner(r)
	sess, err := s.sessions.find(id, owner, true)
	switch {
	case errors.Is(err, errSessionNotFound):
		return errStreamClosed
	case err != nil:
		return err
	}
	body, err := s.readBody(w, r, owner.User)
	if err != nil {
		return err
	}
	msgs, batch, err := parseBody(body)
	if err != nil {
		return err
	}
	if batch {
		return invalid(nil, "send one message in a body")
	}
	switch m := msgs[0]; {
	case m.kind == notification:
		s.notified(r.Context(), sess, m)
	case m.kind == response:
		if !sess.answer(m) {
			return invalid(nil, "no request of the server with this id waits for an answer in this session")
		}
	case m.method == string(mcp.MethodSubscriptionsListen):
		return &fault{status: http.StatusBadRequest, code: mcp.METHOD_NOT_FOUND, id: m.id, msg: "subscriptions/listen is of 2026-07-28, on /mcp"}
	default:
		var c *call
		err := s.permitted(r.Context(), m)
		if err == nil {
			c, err = s.newCall(r.Context(), m, sess, sess.peer, sess.out)
		}
		switch f, ok := errors.AsType[*fault](err); {
		case err == nil:
			s.start(c)
		case ok && f.status == http.StatusTooManyRequests:
			return s.refuseOnStream(w, r, sess, f)
		default:
			return err
		}
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// refuseOnStream answers a request that is one too many where its answer
// belongs. Clients of the older transport give up the whole session when a POST
// is not answered with 202.
func (s *Server) refuseOnStream(w http.ResponseWriter, r *http.Request, sess *session, f *fault) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.WriteTimeout)
	defer cancel()
	s.observer.Refused(f.reason)
	reply := f.rpcError()
	if sess.out.awaitRoom(ctx, len(reply)) != nil {
		return f // a client that does not read
	}
	sess.out.appendResponse(f.id, reply)
	w.WriteHeader(http.StatusAccepted)
	return nil
}
