package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// maxInitialize bounds what a session remembers of its client, in bytes.
const maxInitialize = 16 << 10

// initialize begins a session (2025-11-25, lifecycle). It is answered at once,
// before there could be anything to cancel, so it runs on the serving goroutine.
func (p *post) initialize() error {
	msg := p.msgs[0]
	if !p.accepts.json && !p.accepts.sse {
		return withID(notAcceptable("Accept must allow application/json or text/event-stream"), msg.id)
	}
	if err := p.srv.permitted(p.r.Context(), msg); err != nil {
		return err
	}
	if p.srv.isDraining() {
		return draining().withID(msg.id)
	}
	if p.srv.quota.overloaded() {
		return overloaded().withID(msg.id)
	}
	sess := newSession(p.srv, newSessionID(), p.owner, false)
	reply, ok := p.srv.handleInitialize(p.r.Context(), sess, msg)
	if ok {
		if err := p.srv.sessions.add(p.r.Context(), sess); err != nil {
			return withID(err, msg.id)
		}
		if p.srv.revoked(p.r.Context()) {
			p.srv.sessions.remove(sess)
			return revoked(msg.id)
		}
		p.w.Header().Set(mcp.HeaderSessionID, sess.id)
	}
	if p.accepts.json {
		p.srv.writeJSON(p.w, http.StatusOK, reply)
		return nil
	}
	p.sess, p.peer, p.stream = sess, sess.peer, newStream(1, ok)
	p.stream.requests = []json.RawMessage{msg.id}
	p.stream.appendResponse(msg.id, reply)
	conn := p.stream.attach()
	defer p.stream.detach(conn)
	return p.answerSSE(conn)
}

// handleInitialize lets mcp-go answer for the session, whose peer then knows
// the client and the negotiated version. ok is false for an error.
func (s *Server) handleInitialize(ctx context.Context, sess *session, msg message) (reply []byte, ok bool) {
	c := &call{srv: s, msg: msg, sess: sess, peer: sess.peer, stream: sess.out, began: time.Now(), ctx: context.WithoutCancel(ctx)}
	if len(msg.params) > maxInitialize {
		return invalid(msg.id, fmt.Sprintf("the parameters of initialize are larger than %d bytes", maxInitialize)).rpcError(), false
	}
	reply = c.handle()
	c.observe(reply)
	var r struct {
		Error json.RawMessage `json:"error"`
	}
	return reply, json.Unmarshal(reply, &r) == nil && r.Error == nil
}

// notified handles a notification of a session. The transport owns
// cancellation; mcp-go gets the others.
func (s *Server) notified(ctx context.Context, sess *session, m message) {
	if m.method != string(mcp.MethodNotificationCancelled) {
		s.mcp.HandleMessage(s.mcp.WithContext(ctx, sess), m.encode(m.params))
		return
	}
	var p struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	if json.Unmarshal(m.params, &p) == nil {
		sess.cancel(ctx, p.RequestID)
	}
}
