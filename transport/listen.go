package transport

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// listen is one open subscriptions/listen (2026-07-28). mcp-go has it twice: as
// the session of the call, and registered under the same ID for broadcasts.
type listen struct {
	call *call

	mu     sync.Mutex
	filter mcp.SubscriptionFilter
	acked  bool
	held   []func() // what came before the acknowledgement; coalesced by the stream later
}

// newListen opens the call of a subscriptions/listen.
func (s *Server) newListen(ctx context.Context, msg message, p *peer, st *stream) (*call, error) {
	c, err := s.openCall(ctx, msg, nil, p, st)
	if err != nil {
		return nil, err
	}
	l := &listen{call: c}
	c.listen = l
	if err := s.mcp.RegisterSession(c.ctx, &listenBroadcasts{p, l}); err != nil {
		c.drop()
		return nil, err
	}
	s.subs.addListen(l)
	c.onEnd = func() {
		s.mcp.UnregisterSession(c.ctx, p.id)
		s.subs.removeListen(l)
	}
	return c, nil
}

func (l *listen) user() string { return l.call.peer.owner.User }

// tell holds back what comes before the acknowledgement, which is the first
// message of the stream.
func (l *listen) tell(key string, n mcp.JSONRPCNotification) {
	data, err := encode(l.tag(n))
	if err != nil {
		return // an mcp-go type of plain values
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.acked {
		if len(l.held) <= maxSubscriptions {
			l.held = append(l.held, func() { l.call.stream.appendCoalesced(key, data) })
		}
		return
	}
	l.call.stream.appendCoalesced(key, data)
}

// send is for what mcp-go says within the call, which is the acknowledgement.
func (l *listen) send(n mcp.JSONRPCNotification) {
	if f, ok := n.Params.AdditionalFields["notifications"].(mcp.SubscriptionFilter); ok {
		f.ResourceSubscriptions = slices.DeleteFunc(slices.Clone(f.ResourceSubscriptions), func(uri string) bool {
			return !l.call.srv.subs.has(l, uri)
		})
		n.Params.AdditionalFields = withField(n.Params.AdditionalFields, "notifications", f)
	}
	data, err := encode(l.tag(n))
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.call.stream.appendCoalesced(n.Method, data)
	l.acked = true
	for _, deliver := range l.held {
		deliver()
	}
	l.held = nil
}

// tag puts the subscription's ID on a message, in the JSON type it was sent in.
func (l *listen) tag(n mcp.JSONRPCNotification) mcp.JSONRPCNotification {
	meta := make(map[string]any, len(n.Params.Meta)+1)
	maps.Copy(meta, n.Params.Meta)
	meta[mcp.MetaKeySubscriptionID] = l.call.msg.id
	n.Params.Meta = meta
	return n
}

// farewell announces the end when it is the server that ends the stream; the
// result follows.
func (l *listen) farewell() {
	n := newNotification(string(mcp.MethodNotificationCancelled), map[string]any{"requestId": l.call.msg.id})
	l.tell(n.Method, n)
}

// tagResult puts the subscription's ID, exactly as sent, on the result.
func (l *listen) tagResult(resp mcp.JSONRPCResponse) mcp.JSONRPCResponse {
	if r, ok := resp.Result.(mcp.SubscriptionsListenResult); ok {
		r.EnsureResultMeta().SetSubscriptionID(l.call.msg.id)
		resp.Result = r
	}
	return resp
}

// SubscriptionFilter is always active, so that mcp-go broadcasts nothing that
// was not asked for.
func (l *listen) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.filter, true
}

// listenView is the session of a listen call.
type listenView struct {
	*view
	listen *listen
}

// SetSubscriptionFilter takes what mcp-go found the server able to do.
func (v *listenView) SetSubscriptionFilter(f mcp.SubscriptionFilter) {
	v.listen.mu.Lock()
	defer v.listen.mu.Unlock()
	v.listen.filter = f
}

// SubscriptionFilter is that of the listen.
func (v *listenView) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	return v.listen.SubscriptionFilter()
}

// SubscribeToResourceErr subscribes the listen stream. What cannot be followed
// is left out of the acknowledgement and does not fail the rest.
func (v *listenView) SubscribeToResourceErr(uri string) error {
	_ = v.call.srv.subs.add(v.listen, uri)
	return nil
}

// UnsubscribeFromResource is called when the stream ends.
func (v *listenView) UnsubscribeFromResource(uri string) { v.call.srv.subs.remove(v.listen, uri) }

// listenBroadcasts is the listen as mcp-go's broadcasts see it.
type listenBroadcasts struct {
	*peer
	listen *listen
}

// NotificationChannel never waits, unlike that of the call's own view.
func (b *listenBroadcasts) NotificationChannel() chan<- mcp.JSONRPCNotification {
	return b.listen.call.srv.broadcastSlot(b.listen)
}

// SetSubscriptionFilter does nothing: the call's view does it.
func (b *listenBroadcasts) SetSubscriptionFilter(mcp.SubscriptionFilter) {}

// SubscriptionFilter is that of the listen.
func (b *listenBroadcasts) SubscriptionFilter() (mcp.SubscriptionFilter, bool) {
	return b.listen.SubscriptionFilter()
}

var (
	_ server.SessionWithSubscriptionFilter       = (*listenView)(nil)
	_ server.SessionWithSubscriptionFilter       = (*listenBroadcasts)(nil)
	_ server.SessionWithResourceSubscriptionsErr = (*listenView)(nil)
)
