// Package web serves people and scripts over plain HTTP. [Server.ServeEvents]
// is GET /events: one stream of Server-Sent Events with all that the actor may
// see. [Server.ServeFeed] serves other streams in the same way.
//
// # One stream
//
// The goroutine that net/http gave us is the only one that touches the
// ResponseWriter. It takes from a [Source], such as a [hub.Listener], all that
// is there, writes it in one go and sleeps again. A frame is encoded once and
// shared by all streams that want it in the same format. A reader that does not
// read is cut off by the deadline of a write; what it missed is in the log, and
// the ID of the last event it got leads back to it.
//
// # How a stream ends
//
// By its lifetime or its token's expiry, after a "retry:"; by [Server.Shutdown],
// after an event "shutdown"; because the log fails, after an event
// "stream-error"; because the client is gone. Whichever it is, the handler
// returns and nothing is left of it.
package web

import (
	"context"
	"log/slog"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/web/endpoint"
	"wigwag/web/gate"
)

// Limits bound what clients can use. A zero field means its default.
type Limits struct {
	MaxStreams        int           // at a time; 10,000
	MaxStreamsPerUser int           // 64; negative: no limit of its own
	StreamLifetime    time.Duration // give or take 20 %, and never past the token's expiry; 30 min
	Heartbeat         time.Duration // between signs of life; 15 s
	WriteTimeout      time.Duration // of one write of at most 64 KiB; 10 s
}

// Options are what a server is made of. Hub, Actor and Logger are required.
type Options struct {
	Hub *hub.Hub
	// Actor tells who asks, from the identity in the request's context. A guest
	// is counted by address.
	Actor func(context.Context) hub.Actor
	// Revoked tells whether the request, whose context it gets, may no longer
	// come in. It is asked when its stream is known to [Server.EndRevoked], so
	// that none slips past that. Nil: never.
	Revoked func(context.Context) bool
	// Permit tells whether the request, whose context it gets, may do what needs
	// the scopes. A refusal comes with the WWW-Authenticate header that says what
	// would do. Nil: everything.
	Permit func(ctx context.Context, needed auth.Scopes) (challenge string, ok bool)
	// Overloaded tells that the server has to save memory: no new stream is let
	// in then. It must be quick. Nil: never.
	Overloaded func() bool
	// Refused is told why a stream was not let in: one of the Refused constants.
	// It must not block. Nil: nobody is told.
	Refused func(reason string)
	Logger  *slog.Logger
	Limits  Limits
}

// Server serves one hub.
type Server struct {
	hub        *hub.Hub
	actor      func(context.Context) hub.Actor
	revoked    func(context.Context) bool
	permit     func(context.Context, auth.Scopes) (challenge string, ok bool)
	overloaded func() bool
	refused    func(reason string)
	logger     *slog.Logger
	endpoints  endpoint.Server
	limits     Limits

	encode func(id, name string, v any) []byte
	gate   *gate.Gate
	guests *gate.Gate // they are in both
	opened opened

	draining context.Context //nolint:containedctx // the life of the server, not of a request
	drain    context.CancelFunc
}

// New makes a server. Call Shutdown when done.
func New(o Options) *Server {
	s := &Server{
		hub: o.Hub, actor: o.Actor, revoked: o.Revoked, permit: o.Permit, overloaded: o.Overloaded, refused: o.Refused,
		logger: o.Logger, endpoints: endpoint.Server{Translate: endpoint.FromHub, Logger: o.Logger}, limits: o.Limits.withDefaults(), encode: encodeFrame,
	}
	if s.revoked == nil {
		s.revoked = func(context.Context) bool { return false }
	}
	if s.permit == nil {
		s.permit = func(context.Context, auth.Scopes) (string, bool) { return "", true }
	}
	if s.overloaded == nil {
		s.overloaded = func() bool { return false }
	}
	if s.refused == nil {
		s.refused = func(string) {}
	}
	s.gate = gate.New(s.limits.MaxStreams, s.limits.MaxStreamsPerUser)
	s.guests = gate.New(s.limits.MaxStreams/2, s.limits.MaxStreamsPerUser)
	s.draining, s.drain = context.WithCancel(context.Background())
	return s
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.MaxStreams, 10_000)
	orDefault(&l.MaxStreamsPerUser, 64)
	orDefault(&l.StreamLifetime, 30*time.Minute)
	orDefault(&l.Heartbeat, 15*time.Second)
	orDefault(&l.WriteTimeout, 10*time.Second)
	return l
}

func orDefault[T int | time.Duration](p *T, value T) {
	if *p == 0 {
		*p = value
	}
}

// Streams counts the open streams.
func (s *Server) Streams() int { return s.gate.Inside() }

// EndRevoked ends the streams of which Options.Revoked says that their request
// may no longer come in.
func (s *Server) EndRevoked() { s.opened.endAll(s.revoked) }

// Shutdown refuses new streams with 503, tells the open ones that the server
// stops, and waits until they have ended or ctx has, whose error it returns
// then.
func (s *Server) Shutdown(ctx context.Context) error {
	idle := s.gate.Close()
	s.drain()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
