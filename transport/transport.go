// Package transport serves MCP over HTTP: Streamable HTTP in every revision
// from 2025-03-26 to 2026-07-28 on one endpoint, and the HTTP+SSE pair of
// 2024-11-05 beside it. It stands on mcp-go's MCPServer.HandleMessage and knows
// nothing of chat.
//
// # One request
//
// A request of a client becomes a [call]: a goroutine that runs HandleMessage,
// or without it the handler of a tool (see [direct]), and appends what it has to
// say to a [stream]. The goroutine that net/http gave us serves that stream, and
// is the only one that ever touches the ResponseWriter. It waits for the first
// of: the response (answered as plain JSON), anything else to send (the answer
// becomes an SSE stream on the spot), or ten quiet seconds (SSE with heartbeats,
// if the client accepts it). When the connection ends it returns; the call goes
// on where the revision says so.
//
// # Back-pressure
//
// A stream's pending messages are bounded. A producer that finds them full
// waits until the client has read, so nothing is lost and nothing grows; it
// stops waiting when its call is cancelled or the connection has been gone for
// a minute. What concerns no running call (list_changed, updated) never waits:
// it is coalesced.
//
// # Who is who
//
// A [peer] is what is known of a client. A legacy [session] is a peer that
// lives across requests; it is registered with mcp-go once. Each call hands
// mcp-go a [view]: the peer with the call's own stream behind it, so what a
// call says can only ever arrive on its own stream.
package transport

import (
	"context"
	"crypto/cipher"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/server"
)

// Owner is whom a request belongs to.
type Owner struct {
	// User is counted against the per-user limits and asked about what may be
	// seen.
	User string
	// Key is what sessions, streams and request states are bound to: whoever
	// comes with another key finds nothing.
	Key string
	// Expires ends the listening streams of this request. Zero: never.
	Expires time.Time
}

// Limits bound what clients can use. A zero field means its default.
type Limits struct {
	MaxBody            int64         // bytes of a request's body; 4 MiB
	MaxStreams         int           // listening streams (GET, /sse, subscriptions/listen) at a time, as many sessions, as many calls; 10,000
	MaxStreamsPerUser  int           // 64; negative: no limit of its own
	MaxCallsPerUser    int           // running at a time; 32; negative: no limit of its own
	MaxSessionsPerUser int           // 64, then the one idle longest gives way; negative: no limit of its own
	SessionIdle        time.Duration // 24 h without a request or a connection end a session
	StreamLifetime     time.Duration // of a listening connection, give or take 20 %; 30 min
	MaxCall            time.Duration // 10 min
	Heartbeat          time.Duration // between comments on a silent stream; 15 s
	WriteTimeout       time.Duration // of one write; 10 s
}

// Options configure a server. The zero value serves everybody as one anonymous
// owner, with the default limits, and logs nowhere.
type Options struct {
	// Owner tells whom a request belongs to; the request has been
	// authenticated before it gets here.
	Owner func(*http.Request) Owner
	// Subscribable tells whether the user may subscribe to the resource. Nil:
	// any resource.
	Subscribable func(user, uri string) bool
	// Revoked tells whether the request, whose context it gets, may no longer
	// come in. It is asked when what the request opens is known to
	// [Server.EndUser], so that nothing slips past that. Nil: never.
	Revoked func(context.Context) bool
	// Sessions keeps the sessions beyond the life of the process. Nil: they end
	// with it.
	Sessions SessionStore
	// Streams keeps what the streams of sessions said. Nil: a stream cannot be
	// resumed in another process.
	Streams StreamLog
	// Secret, of 32 bytes, is what request states are sealed with. Nil: one that
	// ends with the process.
	Secret []byte
	// Permit tells what a request may use. Nil: everything.
	Permit PermitFunc
	// Pace tells how long a request has to wait that comes too soon. Nil: none
	// does.
	Pace PaceFunc
	// Overloaded tells that the server has to save memory: nothing new is let
	// in then. It is asked for every request and must be quick. Nil: never.
	Overloaded func() bool
	Observer   Observer // nil: nobody is told
	// DirectTools lets a tools/call go to the tool's handler without
	// MCPServer.HandleMessage, at a fraction of its cost. The answers are the
	// same for a server that keeps the tools it has when New is called as they
	// are, and has no tool filter, no middleware but WithRecovery, no schema
	// validation, tracer, propagator or logger of its own.
	DirectTools bool
	Logger      *slog.Logger
	Limits      Limits
}

// Causes of a call's end, found with context.Cause.
var (
	errCancelled    = errors.New("cancelled by the client")
	errDisconnected = errors.New("the client closed the connection")
	errSessionEnded = errors.New("the session ended")
	errTooLong      = errors.New("the call took longer than the server allows")
	errShutdown     = errors.New("the server is shutting down")
	errLifetime     = errors.New("the stream reached its lifetime")
	errRevoked      = errors.New("the user may no longer come in")
)

// Server serves one MCPServer. Its Serve methods are http.HandlerFuncs.
type Server struct {
	mcp          *server.MCPServer
	owner        func(*http.Request) Owner
	subscribable func(user, uri string) bool
	revoked      func(context.Context) bool
	permit       PermitFunc
	pace         PaceFunc
	observer     Observer
	log          *slog.Logger
	limits       Limits
	seal         cipher.AEAD // of request states

	sessions   sessions
	recorder   *recorder // nil without a log of streams
	quota      quota
	shelf      shelf
	subs       subscriptions
	broadcasts chan broadcast

	// draining closes when Shutdown begins; base is cancelled when it ends.
	draining  chan struct{}
	base      context.Context //nolint:containedctx // the life of the server, not of a request
	stop      context.CancelCauseFunc
	calls     calls // running
	listening listening
	direct    *direct        // nil: every call goes through HandleMessage
	next      chan *call     // unbuffered: from start to a goroutine that waits in runCalls
	owned     sync.WaitGroup // the server's own goroutines
}

// New makes a server over m. It adds an OnError hook to m. Call Shutdown when
// done.
func New(m *server.MCPServer, opts Options) *Server {
	s := &Server{
		mcp:          m,
		owner:        opts.Owner,
		subscribable: opts.Subscribable,
		revoked:      opts.Revoked,
		permit:       opts.Permit,
		pace:         opts.Pace,
		observer:     opts.Observer,
		log:          opts.Logger,
		limits:       opts.Limits.withDefaults(),
		seal:         newSeal(opts.Secret),
		broadcasts:   make(chan broadcast, maxBroadcasts),
		draining:     make(chan struct{}),
		next:         make(chan *call),
	}
	if s.owner == nil {
		s.owner = func(*http.Request) Owner { return Owner{User: "anonymous", Key: "anonymous"} }
	}
	if s.subscribable == nil {
		s.subscribable = func(string, string) bool { return true }
	}
	if s.revoked == nil {
		s.revoked = func(context.Context) bool { return false }
	}
	if s.observer == nil {
		s.observer = nobody{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.base, s.stop = context.WithCancelCause(context.Background())
	s.quota.limits = s.limits
	if s.quota.overloaded = opts.Overloaded; opts.Overloaded == nil {
		s.quota.overloaded = func() bool { return false }
	}
	s.sessions.init(s, opts.Sessions)
	s.subs.init(s)
	if opts.Streams != nil {
		s.recorder = newRecorder(opts.Streams, s.log)
		s.owned.Go(func() { s.recorder.run(s.base) })
	}
	if m.GetHooks() == nil {
		server.WithHooks(&server.Hooks{})(m)
	}
	if opts.DirectTools {
		s.direct = newDirect(m)
	}
	m.GetHooks().AddOnError(keepError)
	s.sessions.watch()
	s.owned.Go(s.collectBroadcasts)
	s.owned.Go(s.sweep)
	return s
}

func (l Limits) withDefaults() Limits {
	orInt(&l.MaxStreams, 10_000)
	orInt(&l.MaxStreamsPerUser, 64)
	orInt(&l.MaxCallsPerUser, 32)
	orInt(&l.MaxSessionsPerUser, 64)
	orDuration(&l.SessionIdle, 24*time.Hour)
	orDuration(&l.StreamLifetime, 30*time.Minute)
	orDuration(&l.MaxCall, 10*time.Minute)
	orDuration(&l.Heartbeat, 15*time.Second)
	orDuration(&l.WriteTimeout, 10*time.Second)
	if l.MaxBody == 0 {
		l.MaxBody = 4 << 20
	}
	return l
}

func orInt(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}

func orDuration(p *time.Duration, def time.Duration) {
	if *p == 0 {
		*p = def
	}
}

// Shutdown refuses new work with 503, ends every listening stream, and waits
// for running calls until ctx ends; then it cuts off what is left. It returns
// ctx's error if something was cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.calls.close(s.draining)
	s.subs.endListens(errShutdown)
	err := s.calls.wait(ctx)
	s.calls.cancel(errShutdown, func(*call) bool { return true })
	if err != nil { // what was cut off says so to its client
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelWithin)
		_ = s.calls.wait(ending) // the rest has been given its time
		cancel()
	}
	s.keepStreams(ctx)
	s.sessions.close() // their streams still deliver what they have
	s.stop(errShutdown)
	s.owned.Wait()
	return err
}

// EndUser ends all that runs for a user: sessions, listening streams, calls. It
// is for users that may no longer come in; what they send next is refused
// before it gets here.
func (s *Server) EndUser(user string) {
	var ended []*session
	for _, sess := range s.sessions.all() {
		if sess.user() == user && s.sessions.drop(sess) {
			ended = append(ended, sess)
		}
	}
	s.calls.cancel(errRevoked, func(c *call) bool { return c.peer.owner.User == user })
	for _, sess := range ended {
		s.sessions.forget(sess)
	}
}

// EndRevoked ends the calls and the listening streams of which Options.Revoked
// says that their request may no longer come in. Sessions stay, for whoever
// has a token of their owner that is still good.
func (s *Server) EndRevoked() {
	s.listening.end(s.revoked)
	s.calls.cancel(errRevoked, func(c *call) bool { return s.revoked(c.ctx) })
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// sweep ends idle sessions and lets go of finished streams.
func (s *Server) sweep() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-s.base.Done():
			return
		case now := <-tick.C:
			s.sessions.endIdle(now.Add(-s.limits.SessionIdle))
			s.sessions.saveUsed(s.base)
			s.shelf.sweep(now)
		}
	}
}
