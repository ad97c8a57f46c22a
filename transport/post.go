package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// quiet is how long an answer may stay silent before it becomes an SSE stream,
// so that nothing on the way takes the connection for dead.
const quiet = 10 * time.Second

// ServeMCP is the MCP endpoint: POST, and for the revisions up to 2025-11-25
// GET and DELETE.
func (s *Server) ServeMCP(w http.ResponseWriter, r *http.Request) {
	var err error
	switch r.Method {
	case http.MethodPost:
		err = s.servePost(w, r)
	case http.MethodGet:
		err = s.serveGet(w, r)
	case http.MethodDelete:
		err = s.serveDelete(w, r)
	default:
		err = methodNotAllowed("GET, POST, DELETE", r.Method+" is not part of MCP")
	}
	if err != nil {
		s.answerError(w, r, err)
	}
}

func (s *Server) servePost(w http.ResponseWriter, r *http.Request) error {
	if err := checkContentType(r); err != nil {
		return err
	}
	owner := s.owner(r)
	body, err := s.readBody(w, r, owner.User)
	if err != nil {
		return err
	}
	msgs, batch, err := parseBody(body)
	if err != nil {
		return err
	}
	version, err := headerVersion(r)
	if err != nil {
		return withID(err, msgs[0].id)
	}
	modern := mcp.IsModernProtocol(version)
	for i := range msgs {
		v, _ := msgs[i].meta.text(mcp.MetaKeyProtocolVersion)
		modern = modern || mcp.IsModernProtocol(v)
	}
	p := &post{srv: s, w: w, r: r, owner: owner, accepts: parseAccept(r), msgs: msgs, batch: batch, version: version}
	if modern {
		return p.serveModern()
	}
	return p.serveLegacy()
}

// post is one POST to the endpoint.
type post struct {
	srv     *Server
	w       http.ResponseWriter
	r       *http.Request
	owner   Owner
	accepts accepts
	msgs    []message
	batch   bool
	version string // of the header; "" for none

	sess   *session // nil without one
	peer   *peer
	stream *stream
	calls  []*call
}

// serveLegacy serves the revisions up to 2025-11-25.
func (p *post) serveLegacy() error {
	if id := p.r.Header.Get(mcp.HeaderSessionID); id != "" && !p.initializes() {
		var err error
		if p.sess, err = p.srv.sessions.find(id, p.owner, false); err != nil {
			return withID(err, p.msgs[0].id)
		}
		p.sess.touch()
	}
	rules := p.version
	if p.sess != nil {
		rules = p.sess.rules()
	} else if rules == "" {
		rules = mcp.ProtocolVersion20250326
	}
	if p.batch && rules > mcp.ProtocolVersion20250326 {
		return invalid(nil, "revision "+rules+" has no batches: send one message in a body")
	}
	if p.initializes() {
		return p.initialize()
	}
	if p.sess != nil {
		p.peer = p.sess.peer
	} else {
		p.peer = &peer{id: newSessionID(), owner: p.owner, initialized: true, version: rules, level: mcp.LoggingLevelInfo}
	}
	requests := make([]message, 0, len(p.msgs))
	for _, m := range p.msgs {
		if m.kind == request {
			requests = append(requests, m)
		}
		if m.kind == request && m.method == string(mcp.MethodInitialize) {
			return invalid(m.id, "initialize cannot be part of a batch")
		}
	}
	if len(requests) > 0 {
		return p.answerCalls(requests)
	}
	if err := p.takeRest(); err != nil {
		return err
	}
	p.w.WriteHeader(http.StatusAccepted)
	return nil
}

// initializes reports whether the body is a lone initialize.
func (p *post) initializes() bool {
	return !p.batch && p.msgs[0].kind == request && p.msgs[0].method == string(mcp.MethodInitialize)
}

// takeRest handles notifications and responses.
func (p *post) takeRest() error {
	for _, m := range p.msgs {
		switch {
		case m.kind == response && (p.sess == nil || !p.sess.answer(m)) && !p.batch:
			return invalid(nil, "no request of the server with this id waits for an answer in this session")
		case m.kind == notification && p.sess != nil:
			p.srv.notified(p.r.Context(), p.sess, m)
		}
	}
	return nil
}

// answerCalls runs the requests and answers them. What is refused is refused
// before any of it has begun.
func (p *post) answerCalls(requests []message) error {
	if !p.accepts.json && !p.accepts.sse {
		return withID(notAcceptable("Accept must allow application/json or text/event-stream"), requests[0].id)
	}
	if limit := p.srv.limits.MaxCallsPerUser; limit >= 0 && len(requests) > limit {
		return invalid(nil, fmt.Sprintf("a batch may hold %d requests here, this one has %d", limit, len(requests)))
	}
	if err := p.srv.permitted(p.r.Context(), requests...); err != nil {
		return err
	}
	p.stream = newStream(len(requests), p.sess != nil)
	p.stream.jsonOnly = !p.accepts.sse
	if p.sess != nil {
		p.stream.requests = idsOf(requests)
	}
	for _, m := range requests {
		c, err := p.srv.newCall(p.r.Context(), m, p.sess, p.peer, p.stream)
		if err != nil {
			for _, c := range p.calls {
				c.drop()
			}
			return err
		}
		p.calls = append(p.calls, c)
	}
	if p.batch {
		if err := p.takeRest(); err != nil {
			return err
		}
	}
	conn := p.stream.attach() // before a call can want to close it
	defer p.stream.detach(conn)
	for _, c := range p.calls {
		p.srv.start(c)
	}
	return p.answer(conn)
}

func idsOf(requests []message) []json.RawMessage {
	ids := make([]json.RawMessage, len(requests))
	for i, m := range requests {
		ids[i] = m.id
	}
	return ids
}

// answer serves the stream of the calls: as plain JSON when the responses are
// all there is, as SSE as soon as there is anything else.
func (p *post) answer(conn chan struct{}) error {
	st := p.stream
	if p.r.ProtoMajor > 1 {
		// Whoever stands in front may have set a deadline for ordinary answers.
		// On HTTP/1 it ends nothing before the next write, which sets its own.
		_ = http.NewResponseController(p.w).SetWriteDeadline(time.Time{}) // unsupported only by test recorders
	}
	silence := time.NewTimer(quiet)
	defer silence.Stop()
	for {
		if responses, done := st.sole(); done {
			return p.answerDone(responses, conn)
		}
		if p.accepts.sse && st.needsSSE() {
			return p.answerSSE(conn)
		}
		select {
		case <-st.wake:
		case <-silence.C:
			if p.accepts.sse {
				return p.answerSSE(conn)
			}
		case retry := <-st.hangUp:
			st.closeConnection(retry) // for the pump to find
			return p.answerSSE(conn)
		case <-p.r.Context().Done():
			p.lost()
			return nil
		case <-p.srv.base.Done():
			if !st.over() { // else the answer has just come
				return draining().withID(p.msgs[0].id)
			}
		}
	}
}

// answerDone answers calls that had nothing to say but their responses.
func (p *post) answerDone(responses [][]byte, conn chan struct{}) error {
	switch {
	case len(responses) == 0 && !p.accepts.sse: // cancelled; HTTP wants an answer all the same
		return (&fault{status: http.StatusOK, code: mcp.REQUEST_INTERRUPTED, msg: "cancelled"}).withID(p.msgs[0].id)
	case len(responses) == 0:
		return p.answerSSE(conn)
	case p.batch && p.accepts.json:
		p.srv.writeJSON(p.w, http.StatusOK, joinBatch(responses))
		return nil
	case p.batch:
		return p.answerSSE(conn)
	}
	status := http.StatusOK
	if p.peer.modern {
		status = modernStatus(p.calls[0].code)
	}
	if !p.accepts.json && status == http.StatusOK {
		return p.answerSSE(conn)
	}
	p.srv.writeJSON(p.w, status, responses[0])
	return nil
}

func joinBatch(responses [][]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(responses, []byte{','})...), ']')
}

// answerSSE serves the calls' stream as SSE.
func (p *post) answerSSE(conn chan struct{}) error {
	out, err := p.srv.startSSE(p.w)
	if err != nil {
		p.lost()
		return err
	}
	if p.stream.history != nil {
		p.sess.addStream(p.stream)
		p.srv.recorder.keep(p.sess.id, p.stream)
		if p.peer.primes() {
			out.prime(p.stream)
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
	if p.srv.pump(p.r, out, p.stream, conn, nil, nil) == disconnected && p.sess == nil {
		p.lost()
	}
	return nil
}

// lost is called when the connection broke and no client can come back for the
// stream. On 2026-07-28 that cancels the calls; before, they go on.
func (p *post) lost() {
	if p.peer.modern {
		for _, c := range p.calls {
			c.cancel(errDisconnected)
		}
	}
	p.stream.abandon()
}
