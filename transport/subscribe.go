package transport

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	maxSubscriptions = 256  // resources one session or listen stream may follow
	maxURI           = 2048 // bytes of the URI of one
	maxBroadcasts    = 4096 // of mcp-go's, waiting to be taken over
)

// subscriber is a client that is told of what concerns no running call: a
// session, or a subscriptions/listen stream.
type subscriber interface {
	user() string
	// tell delivers a notification without waiting. Those with the same key
	// that are not delivered yet are one.
	tell(key string, n mcp.JSONRPCNotification)
}

func (sess *session) user() string { return sess.owner.User }

func (sess *session) tell(key string, n mcp.JSONRPCNotification) {
	if data, err := encode(n); err == nil { // an mcp-go type of plain values
		sess.out.appendCoalesced(key, data)
	}
}

// subscriptions knows who follows which resource, and which listen streams
// there are.
type subscriptions struct {
	srv *Server

	mu      sync.Mutex
	byURI   map[string]map[subscriber]struct{}
	uris    map[subscriber]map[string]struct{}
	listens map[*listen]struct{}
}

func (t *subscriptions) init(s *Server) {
	t.srv = s
	t.byURI = make(map[string]map[subscriber]struct{})
	t.uris = make(map[subscriber]map[string]struct{})
	t.listens = make(map[*listen]struct{})
}

// add subscribes; what the user may not see is answered like what does not
// exist.
func (t *subscriptions) add(sub subscriber, uri string) error {
	if len(uri) > maxURI || !t.srv.subscribable(sub.user(), uri) {
		return fmt.Errorf("subscribing to %q: %w", uri, server.ErrResourceNotFound)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.uris[sub][uri]; ok {
		return nil
	}
	if len(t.uris[sub]) >= maxSubscriptions {
		return clientError(fmt.Sprintf("at most %d resources can be followed at a time", maxSubscriptions))
	}
	t.addLocked(sub, uri)
	return nil
}

// set makes these the resources that are followed. They were admitted before.
func (t *subscriptions) set(sub subscriber, uris []string) {
	t.removeAll(sub)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, uri := range uris {
		t.addLocked(sub, uri)
	}
}

func (t *subscriptions) addLocked(sub subscriber, uri string) {
	if t.uris[sub] == nil {
		t.uris[sub] = make(map[string]struct{})
	}
	if t.byURI[uri] == nil {
		t.byURI[uri] = make(map[subscriber]struct{})
	}
	t.uris[sub][uri] = struct{}{}
	t.byURI[uri][sub] = struct{}{}
}

func (t *subscriptions) remove(sub subscriber, uri string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(sub, uri)
}

func (t *subscriptions) removeLocked(sub subscriber, uri string) {
	delete(t.uris[sub], uri)
	if len(t.uris[sub]) == 0 {
		delete(t.uris, sub)
	}
	delete(t.byURI[uri], sub)
	if len(t.byURI[uri]) == 0 {
		delete(t.byURI, uri)
	}
}

func (t *subscriptions) removeAll(sub subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for uri := range maps.Clone(t.uris[sub]) {
		t.removeLocked(sub, uri)
	}
}

func (t *subscriptions) of(sub subscriber) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.uris[sub]))
}

func (t *subscriptions) has(sub subscriber, uri string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.uris[sub][uri]
	return ok
}

func (t *subscriptions) followers(uri string) []subscriber {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.byURI[uri]))
}

func (t *subscriptions) openListens() []*listen {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.listens))
}

// addListen enters a listen stream, which ends at once if the server is
// shutting down.
func (t *subscriptions) addListen(l *listen) {
	t.mu.Lock()
	t.listens[l] = struct{}{}
	t.mu.Unlock()
	if t.srv.isDraining() {
		l.call.cancel(errShutdown)
	}
}

func (t *subscriptions) removeListen(l *listen) {
	t.removeAll(l)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.listens, l)
}

func (t *subscriptions) endListens(cause error) {
	for _, l := range t.openListens() {
		l.call.cancel(cause)
	}
}

// ResourceUpdated tells those who follow the resource, and may see it, that it
// changed. It never waits.
func (s *Server) ResourceUpdated(uri string, may func(user string) bool) {
	n := newNotification(mcp.MethodNotificationResourceUpdated, map[string]any{"uri": uri})
	for _, sub := range s.subs.followers(uri) {
		if may(sub.user()) {
			sub.tell(n.Method+" "+uri, n)
		}
	}
}

// ResourcesListChanged tells every session, and every listen stream that asked
// for it, whose user may know that the list of resources changed. It never
// waits.
func (s *Server) ResourcesListChanged(may func(user string) bool) {
	n := newNotification(mcp.MethodNotificationResourcesListChanged, nil)
	for _, sess := range s.sessions.all() {
		if sess.Initialized() && may(sess.user()) {
			sess.tell(n.Method, n)
		}
	}
	for _, l := range s.subs.openListens() {
		if filter, _ := l.SubscriptionFilter(); filter.ResourcesListChanged && may(l.user()) {
			l.tell(n.Method, n)
		}
	}
}

func newNotification(method string, fields map[string]any) mcp.JSONRPCNotification {
	return mcp.JSONRPCNotification{
		JSONRPC:      mcp.JSONRPC_VERSION,
		Notification: mcp.Notification{Method: method, Params: mcp.NotificationParams{AdditionalFields: fields}},
	}
}

// broadcast is one of mcp-go's own (tools or prompts changed at run time), on
// its way to one subscriber.
type broadcast struct {
	to   subscriber
	slot <-chan mcp.JSONRPCNotification
}

// broadcastSlot gives mcp-go a channel for the one notification it is about to
// send. It must not wait: mcp-go sends to all sessions in one loop.
func (s *Server) broadcastSlot(to subscriber) chan<- mcp.JSONRPCNotification {
	slot := make(chan mcp.JSONRPCNotification, 1)
	select {
	case s.broadcasts <- broadcast{to, slot}:
		return slot
	default:
		return nil // mcp-go reports to its error hook what it could not send
	}
}

// collectBroadcasts takes notifications out of their slots. mcp-go fills a slot
// right after it asked for it.
func (s *Server) collectBroadcasts() {
	for {
		select {
		case <-s.base.Done():
			return
		case b := <-s.broadcasts:
			select {
			case n := <-b.slot:
				b.to.tell(n.Method, n)
			case <-time.After(time.Second):
			}
		}
	}
}
