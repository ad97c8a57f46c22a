package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// call is one request on its way: HandleMessage, or the handler of a tool, in a
// goroutine of its own, whose answer goes to a stream.
type call struct {
	srv    *Server
	msg    message
	sess   *session // nil without a session
	peer   *peer
	stream *stream
	// listen is the subscription that a subscriptions/listen keeps open.
	listen *listen

	ctx    context.Context //nolint:containedctx // mcp-go's NotificationChannel has no parameter for it
	cancel context.CancelCauseFunc
	code   int // of the JSON-RPC error it was answered with; 0: none. Valid once the answer is on the stream
	// toolFailed tells that the result is a tool's with isError.
	toolFailed bool
	began      time.Time
	onEnd      func()        // gives back what the call holds
	ended      chan struct{} // closed when it has
}

// newCall counts and enters a call; [call.run] must follow, or [call.drop].
func (s *Server) newCall(ctx context.Context, msg message, sess *session, p *peer, st *stream) (*call, error) {
	release, err := s.quota.call(p.owner.User)
	if err != nil {
		return nil, withID(err, msg.id)
	}
	c, err := s.openCall(ctx, msg, sess, p, st)
	if err != nil {
		release()
		return nil, err
	}
	limit := time.AfterFunc(s.limits.MaxCall, func() { c.cancel(errTooLong) })
	c.onEnd = func() {
		limit.Stop()
		release()
	}
	return c, nil
}

// openCall enters a call. It runs under a context that a broken connection does
// not cancel (2025-11-25, transports: disconnection "SHOULD NOT be interpreted
// as the client cancelling its request"); on 2026-07-28, where it does, the
// serving goroutine cancels.
func (s *Server) openCall(ctx context.Context, msg message, sess *session, p *peer, st *stream) (*call, error) {
	c := &call{srv: s, msg: msg, sess: sess, peer: p, stream: st, began: time.Now(), onEnd: func() {}, ended: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if !s.calls.begin(c) {
		c.cancel(nil)
		return nil, draining().withID(msg.id)
	}
	if s.revoked(ctx) {
		c.cancel(nil)
		s.calls.end(c)
		return nil, revoked(msg.id)
	}
	if sess != nil {
		if err := sess.addCall(c); err != nil {
			c.cancel(nil)
			s.calls.end(c)
			return nil, err
		}
	}
	return c, nil
}

// runnerIdle is how long a goroutine that has run a call waits for the next.
const runnerIdle = 5 * time.Second

// start runs a call in a goroutine of its own. One that has run a call before
// takes it if it can: its stack has grown to what a call needs, which otherwise
// is a good part of what a small call costs.
func (s *Server) start(c *call) {
	select {
	case s.next <- c:
	default:
		go s.runCalls(c) // ends when there is nothing to do, or with the server
	}
}

func (s *Server) runCalls(c *call) {
	idle := time.NewTimer(runnerIdle)
	defer idle.Stop()
	for {
		c.run()
		idle.Reset(runnerIdle)
		select {
		case c = <-s.next:
		case <-idle.C:
			return
		case <-s.base.Done():
			return
		}
	}
}

// drop takes back a call that has not run.
func (c *call) drop() {
	c.release()
	c.srv.calls.end(c)
}

// release gives back the call's ID and what it was counted for.
func (c *call) release() {
	if c.sess != nil {
		c.sess.removeCall(c)
	}
	c.onEnd()
	c.cancel(nil)
	close(c.ended)
}

// run answers the request. Its ID and its place are free before the client can
// have the answer, or the next request could find them taken.
func (c *call) run() {
	defer c.srv.calls.end(c)
	reply := c.handle()
	c.observe(reply)
	if c.sess != nil && changesSession(c.msg.method) {
		c.srv.sessions.changed(c.ctx, c.sess)
	}
	if c.stream.shared && reply != nil {
		// As long as the server and the session live; then nobody reads it.
		_ = c.stream.awaitRoom(c.srv.base, len(reply))
	}
	c.release()
	if reply == nil {
		c.stream.appendNoResponse(c.msg.id)
	} else {
		c.stream.appendResponse(c.msg.id, reply)
	}
	if c.sess != nil {
		c.sess.shelve(c.stream)
	}
}

// handle runs the request and returns the encoded answer, nil for none.
func (c *call) handle() (reply []byte) {
	ctx := c.ctx
	v := newView(c)
	ctx = server.WithSupportedProtocolVersions(ctx, supportedVersions)
	ctx = c.srv.mcp.WithContext(ctx, v.session())
	defer v.finish()
	defer func() {
		if p := recover(); p != nil {
			c.srv.log.LogAttrs(ctx, slog.LevelError, "panic in a call",
				slog.String("method", c.msg.method), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			reply = c.faultReply(&fault{code: mcp.INTERNAL_ERROR, msg: "internal error"})
		}
	}()

	params, err := c.srv.openState(c)
	if err != nil {
		return c.failReply(err)
	}
	result, ctx := c.srv.direct.call(ctx, c)
	var resp mcp.JSONRPCMessage
	if result != nil {
		resp = mcp.JSONRPCResponse{Result: result}
	} else {
		resp = c.srv.mcp.HandleMessage(ctx, c.msg.encode(params))
	}
	v.finish()
	switch cause := context.Cause(c.ctx); {
	case errors.Is(cause, errCancelled), errors.Is(cause, errDisconnected), errors.Is(cause, errSessionEnded), errors.Is(cause, errRevoked):
		return nil
	case c.listen != nil && cause != nil:
		c.listen.farewell()
	}
	switch resp := resp.(type) {
	case mcp.JSONRPCResponse:
		if c.listen != nil {
			resp = c.listen.tagResult(resp)
		}
		return c.resultReply(resp)
	case mcp.JSONRPCError:
		return c.faultReply(c.explain(resp, v.kept))
	default:
		return c.faultReply(&fault{code: mcp.INTERNAL_ERROR, msg: "internal error"})
	}
}

func (c *call) resultReply(resp mcp.JSONRPCResponse) []byte {
	tool, ok := resp.Result.(*mcp.CallToolResult)
	if ok {
		c.toolFailed = tool.IsError
	}
	if ok && !tool.NeedsInput() {
		reply, err := appendToolResult(openEnvelope(c.msg.id, "result"), tool, c.srv.direct.encodedMeta(tool))
		if err != nil {
			return c.failReply(err)
		}
		return append(reply, '}')
	}
	result, err := encode(resp.Result)
	if err == nil && c.peer.modern {
		result, err = c.srv.sealState(c, result)
	}
	if err != nil {
		return c.failReply(err)
	}
	return envelope(c.msg.id, "result", result)
}

func (c *call) faultReply(f *fault) []byte {
	c.code = f.code
	return f.withID(c.msg.id).rpcError()
}

// failReply answers with a fault, or with "internal error" for any other error,
// which it logs.
func (c *call) failReply(err error) []byte {
	if f, ok := errors.AsType[*fault](err); ok {
		return c.faultReply(f)
	}
	c.srv.log.LogAttrs(c.ctx, slog.LevelError, "call failed", slog.String("method", c.msg.method), slog.Any("error", err))
	return c.faultReply(&fault{code: mcp.INTERNAL_ERROR, msg: "internal error"})
}

// keepError keeps the typed error behind a JSON-RPC error that mcp-go answers
// with, so that it can be told in full.
func keepError(ctx context.Context, _ any, _ mcp.MCPMethod, _ any, err error) {
	if v, ok := server.ClientSessionFromContext(ctx).(interface{ keep(err error) }); ok {
		v.keep(err)
	}
}

// clientError is an error whose text is meant for the client.
type clientError string

func (e clientError) Error() string { return string(e) }

// explain gives an error of mcp-go the code and the data of its revision. What
// is nobody's business becomes "internal error" and is logged.
func (c *call) explain(resp mcp.JSONRPCError, err error) *fault {
	f := &fault{code: resp.Error.Code, msg: resp.Error.Message, data: resp.Error.Data}
	var (
		missing  mcp.MissingRequiredClientCapabilityError
		unparsed *server.UnparsableMessageError
		own      *fault
		told     clientError
	)
	switch {
	case errors.As(err, &missing):
		return missingCapability(missing.Capability)
	case errors.As(err, &own):
		return own
	case errors.As(err, &unparsed):
		f.code, f.msg = mcp.INVALID_PARAMS, "the parameters of "+c.msg.method+" do not fit"
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			f.msg += fmt.Sprintf(": %s cannot be a %s", wrong.Field, wrong.Value)
		}
	case errors.Is(err, server.ErrResourceNotFound), errors.Is(err, mcp.ErrResourceNotFound):
		return c.resourceNotFound()
	case errors.Is(err, mcp.ErrInvalidParams):
		f.code = mcp.INVALID_PARAMS
	case errors.Is(context.Cause(c.ctx), errTooLong):
		f.msg = fmt.Sprintf("the call took longer than %v, which is the limit", c.srv.limits.MaxCall)
	case errors.Is(context.Cause(c.ctx), errShutdown):
		return draining()
	case errors.As(err, &told):
	case f.code == mcp.INTERNAL_ERROR:
		c.srv.log.LogAttrs(c.ctx, slog.LevelError, "call failed", slog.String("method", c.msg.method), slog.Any("error", err))
		f.msg, f.data = "internal error", nil
	}
	return f
}

func missingCapability(name string) *fault {
	return &fault{
		status: http.StatusBadRequest, code: mcp.MISSING_REQUIRED_CLIENT_CAPABILITY,
		msg:  fmt.Sprintf("this needs the client capability %q, which was not declared", name),
		data: map[string]any{"requiredCapabilities": map[string]any{name: struct{}{}}},
	}
}

// resourceNotFound is -32602 from 2026-07-28 on and -32002 before, with the URI
// as data in both.
func (c *call) resourceNotFound() *fault {
	var p struct {
		URI string `json:"uri"`
	}
	_ = json.Unmarshal(c.msg.params, &p) // without a URI the data is empty
	f := &fault{code: mcp.RESOURCE_NOT_FOUND, msg: "resource not found", data: map[string]any{"uri": p.URI}}
	if c.peer.modern {
		f.code = mcp.INVALID_PARAMS
	}
	return f
}

func withID(err error, id json.RawMessage) error {
	if f, ok := errors.AsType[*fault](err); ok {
		return f.withID(id)
	}
	return err
}
