package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// view is the session that mcp-go and the handlers of one call see: the peer,
// with the call's own stream behind everything that is sent.
type view struct {
	*peer
	call  *call
	token json.RawMessage // the request's progress token, exactly as sent; nil: none
	kept  error           // what mcp-go answered the request with, if that was an error

	mu   sync.Mutex    // guards slot, and orders what goes through slots
	slot chan struct{} // closed when the newest slot has been emptied; nil: there was none
	over chan struct{} // closed when HandleMessage has returned
	once sync.Once
}

func newView(c *call) *view {
	return &view{peer: c.peer, call: c, token: c.msg.meta.progressToken(), over: make(chan struct{})}
}

func (v *view) keep(err error) { v.kept = err }

// session is the view as the narrowest type that has what the call may use:
// mcp-go looks at the methods a session has.
func (v *view) session() server.ClientSession {
	if l := v.call.listen; l != nil {
		return &listenView{view: v, listen: l}
	}
	return v
}

// Notify sends a notification of this call to its client. It waits until the
// stream has room, so that nothing is lost, and returns an error when the call
// is over or cancelled. Progress is dropped if the request had no progress
// token, a log message if the client did not ask for its level.
func (v *view) Notify(ctx context.Context, n mcp.JSONRPCNotification) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settleLocked()
	select {
	case <-v.over:
		return errStreamEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
		return v.send(ctx, n)
	}
}

func (v *view) send(ctx context.Context, n mcp.JSONRPCNotification) error {
	var token json.RawMessage
	switch n.Method {
	case string(mcp.MethodNotificationProgress):
		if token = v.token; token == nil {
			return nil
		}
	case string(mcp.MethodNotificationMessage):
		level := mcp.LoggingLevel(fmt.Sprint(n.Params.AdditionalFields["level"]))
		if !level.ShouldSendTo(v.GetLogLevel()) {
			return nil
		}
	}
	if l := v.call.listen; l != nil {
		if token != nil {
			n.Params.AdditionalFields = withField(n.Params.AdditionalFields, progressToken, token)
		}
		l.send(n)
		return nil
	}
	data, err := encodeNotification(&n, token)
	if err != nil {
		return err
	}
	return v.call.stream.append(ctx, data)
}

func withField(fields map[string]any, key string, value any) map[string]any {
	out := make(map[string]any, len(fields)+1)
	maps.Copy(out, fields)
	out[key] = value
	return out
}

// NotificationChannel is how mcp-go sends: it evaluates this and right away
// tries to send without blocking, and what does not fit is lost. So each time
// it gets a fresh channel with room for its one notification, and gets it only
// once the one before is on the stream.
func (v *view) NotificationChannel() chan<- mcp.JSONRPCNotification {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settleLocked()
	slot := make(chan mcp.JSONRPCNotification, 1)
	emptied := make(chan struct{})
	v.slot = emptied
	go func() { // ends with the call at the latest
		defer close(emptied)
		var n mcp.JSONRPCNotification
		select {
		case n = <-slot:
		case <-v.over:
			select {
			case n = <-slot:
			default:
				return
			}
		}
		_ = v.send(v.call.ctx, n) // mcp-go has no way to be told
	}()
	return slot
}

// settleLocked waits until the newest slot has been emptied onto the stream.
func (v *view) settleLocked() {
	if v.slot == nil {
		return
	}
	select {
	case <-v.slot:
	case <-v.over:
	}
}

// finish is called when HandleMessage has returned: what is in the last slot
// still goes out, and then nothing more.
func (v *view) finish() {
	v.once.Do(func() { close(v.over) })
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.slot != nil {
		<-v.slot
	}
}

// CloseConnection closes the call's SSE connection, not its stream: the client
// is told to come back after retry, and resumes with Last-Event-ID
// (2025-11-25). It reports whether that is possible.
func CloseConnection(ctx context.Context, retry time.Duration) bool {
	v, ok := server.ClientSessionFromContext(ctx).(*view)
	if !ok || !v.primes() {
		return false
	}
	st := v.call.stream
	return st.history != nil && !st.jsonOnly && st.closeConnection(retry)
}

// ask sends a request to the client, which must have declared the capability,
// and decodes its answer into result.
func (v *view) ask(ctx context.Context, capability string, declared bool, method mcp.MCPMethod, params, result any) error {
	switch {
	case v.call.sess == nil, v.call.stream.jsonOnly:
		return clientError("the server cannot ask this client: that takes a session, and a POST that accepts text/event-stream")
	case !declared:
		return clientError(fmt.Sprintf("this needs the client capability %q, which was not declared in initialize", capability))
	}
	m, err := v.call.sess.ask(ctx, v.call.stream, method, params)
	if err != nil {
		return err
	}
	if m.fault != nil {
		var e mcp.JSONRPCErrorDetails
		if err := json.Unmarshal(m.fault, &e); err != nil {
			return clientError(fmt.Sprintf("the client answered %s with an error that cannot be read", method))
		}
		return clientError(fmt.Sprintf("the client refused %s: %s", method, e.Message))
	}
	if err := json.Unmarshal(m.result, result); err != nil {
		return clientError(fmt.Sprintf("the client's answer to %s does not fit: %v", method, err))
	}
	return nil
}

// RequestSampling asks the client's model.
func (v *view) RequestSampling(ctx context.Context, req mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	declared := v.GetClientCapabilities().Sampling != nil
	var result mcp.CreateMessageResult
	if err := v.ask(ctx, "sampling", declared, mcp.MethodSamplingCreateMessage, req.CreateMessageParams, &result); err != nil {
		return nil, err
	}
	content, err := mcp.ParseSamplingContent(result.Content)
	if err != nil {
		return nil, clientError("the client's answer to sampling/createMessage does not fit: " + err.Error())
	}
	result.Content = content
	return &result, nil
}

// RequestElicitation asks the client's user.
func (v *view) RequestElicitation(ctx context.Context, req mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	declared := v.GetClientCapabilities().Elicitation != nil
	var result mcp.ElicitationResult
	if err := v.ask(ctx, "elicitation", declared, mcp.MethodElicitationCreate, req.Params, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// ListRoots asks the client for its roots.
func (v *view) ListRoots(ctx context.Context, _ mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	declared := v.GetClientCapabilities().Roots != nil
	var result mcp.ListRootsResult
	if err := v.ask(ctx, "roots", declared, mcp.MethodListRoots, nil, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// SubscribeToResourceErr records a subscription of the session.
func (v *view) SubscribeToResourceErr(uri string) error {
	if v.call.sess == nil {
		return invalid(nil, "resources/subscribe needs a session, which initialize begins")
	}
	return v.call.srv.subs.add(v.call.sess, uri)
}

// SubscribeToResource is part of mcp-go's interface; it prefers the method
// above.
func (v *view) SubscribeToResource(uri string) { _ = v.SubscribeToResourceErr(uri) }

// UnsubscribeFromResource ends a subscription of the session.
func (v *view) UnsubscribeFromResource(uri string) {
	if v.call.sess != nil {
		v.call.srv.subs.remove(v.call.sess, uri)
	}
}

// SubscribedResources returns the session's subscriptions.
func (v *view) SubscribedResources() []string {
	if v.call.sess == nil {
		return nil
	}
	return v.call.srv.subs.of(v.call.sess)
}

// IsSubscribedToResource reports whether the session has the subscription.
func (v *view) IsSubscribedToResource(uri string) bool {
	return v.call.sess != nil && v.call.srv.subs.has(v.call.sess, uri)
}

var _ interface {
	server.SessionWithLogging
	server.SessionWithClientInfo
	server.SessionWithSampling
	server.SessionWithElicitation
	server.SessionWithRoots
	server.SessionWithProtocolVersion
	server.SessionWithResourceSubscriptionsErr
} = (*view)(nil)
