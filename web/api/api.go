// Package api is the REST of the chat: rooms, members, messages, notifications,
// log lines, presence and search, for programs and pages, in JSON. Who may see
// and do what is the hub's to decide; here is decided what a token is good for,
// and how much one user may ask at a time.
//
// What there is, with its parameters and answers, is in openapi.json, which is
// served at /api/openapi.json and holds in a test.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/web/endpoint"
	"wigwag/web/gate"
)

const (
	maxBody = 128 << 10 // of JSON: of the most that a log line may say, each character may be six long
	maxText = 512 << 10 // the same of a message

	// callWithin bounds what is not a stream, its body with it. It is over before
	// the connection's deadline for writing is.
	callWithin = 25 * time.Second
)

// Options are what a server is made of. Hub, Actor and Logger are required.
type Options struct {
	Hub *hub.Hub
	// Actor tells who asks, from the identity in the request's context.
	Actor func(context.Context) hub.Actor
	// Permit tells whether the request, whose context it gets, may do what needs
	// the scopes. A refusal comes with the WWW-Authenticate header that says what
	// would do. Nil: everything.
	Permit func(ctx context.Context, needed auth.Scopes) (challenge string, ok bool)
	// Pace counts a request, whose context it gets, and returns 0, or how long to
	// wait before the next one. writes tells that it is of a kind that stores
	// something or shows it to others. Nil: no limit.
	Pace func(ctx context.Context, writes bool) time.Duration
	// Revoked tells whether the request, whose context it gets, may no longer
	// come in. It is asked again and again while one lasts. Nil: never.
	Revoked func(context.Context) bool
	// MaxCallsPerUser is how many requests of one user may be running; negative
	// is no limit, 0 means 32.
	MaxCallsPerUser int
	// MaxCalls is how many of all; 0 means 10,000.
	MaxCalls int
	Logger   *slog.Logger
}

// Server serves one hub. Its methods are safe for concurrent use.
type Server struct {
	hub       *hub.Hub
	actor     func(context.Context) hub.Actor
	permit    func(context.Context, auth.Scopes) (challenge string, ok bool)
	pace      func(ctx context.Context, writes bool) time.Duration
	revoked   func(context.Context) bool
	maxOfUser int
	logger    *slog.Logger

	endpoints endpoint.Server
	calls     *gate.Gate
	streams   streamLimits

	draining context.Context //nolint:containedctx // the life of the server, not of a request
	drain    context.CancelFunc
}

// New makes a server. Call Shutdown when done.
func New(o Options) *Server {
	s := &Server{
		hub: o.Hub, actor: o.Actor, permit: o.Permit, pace: o.Pace, revoked: o.Revoked, maxOfUser: o.MaxCallsPerUser, logger: o.Logger,
		endpoints: endpoint.Server{Translate: endpoint.FromHub, Logger: o.Logger},
	}
	if s.permit == nil {
		s.permit = func(context.Context, auth.Scopes) (string, bool) { return "", true }
	}
	if s.pace == nil {
		s.pace = func(context.Context, bool) time.Duration { return 0 }
	}
	if s.revoked == nil {
		s.revoked = func(context.Context) bool { return false }
	}
	if s.maxOfUser == 0 {
		s.maxOfUser = 32
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 10_000
	}
	s.calls, s.streams = gate.New(o.MaxCalls, s.maxOfUser), defaultStreamLimits()
	s.draining, s.drain = context.WithCancel(context.Background())
	return s
}

// Shutdown refuses new requests with 503, ends streams of text, lets what runs
// finish, and waits for that, or until ctx ends, whose error it returns then.
func (s *Server) Shutdown(ctx context.Context) error {
	idle := s.calls.Close()
	s.drain()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Handlers returns the handler of every path, as patterns of gorilla/mux, whose
// variables are the request's path values. Of patterns that match the same path
// the longest is meant. Requests have been authenticated.
func (s *Server) Handlers() map[string]http.Handler {
	const (
		read, write = auth.ScopeChatRead, auth.ScopeChatWrite
		// A room's name, or that of a direct room.
		room   = "/api/rooms/{room:dm/[^/]+/[^/]+|[^/]+}"
		person = "/api/people/{user}"
	)
	handlers := map[string]http.Handler{}
	handle := func(path string, methods endpoint.Methods) { handlers[path] = s.endpoints.Handler(methods) }

	handle("/api/rooms", endpoint.Methods{
		"GET":  s.Call(read, s.listRooms, "after", "limit"),
		"POST": s.Call(write, s.openRoom),
	})
	handle(room, endpoint.Methods{"GET": s.Call(read, s.showRoom)})
	handle(room+"/members", endpoint.Methods{"GET": s.Call(read, s.listMembers, "after", "limit")})
	handle("/api/presence", endpoint.Methods{"GET": s.Call(read, s.listPresent, "room", "after", "limit")})
	for _, place := range []string{room, person} {
		handle(place+"/messages", endpoint.Methods{
			"GET":  s.Call(read, s.history, "after", "before", "since", "limit"),
			"POST": s.Call(write, s.send),
		})
		stream := s.long(write, s.streamText)
		handle(place+"/stream", endpoint.Methods{"POST": stream, "PUT": stream}) // curl -T - is a PUT
		handle(place+"/typing", endpoint.Methods{"POST": s.Call(write, s.typing)})
	}
	handle(room+"/members/{user}", endpoint.Methods{"PUT": s.Call(write, s.invite), "DELETE": s.Call(write, s.expel)})
	handle("/api/notifications", endpoint.Methods{
		"GET":  s.Call(read, s.listNotifications, "after", "before", "limit", "unread"),
		"POST": s.Call(auth.ScopeNotify, s.notify),
	})
	handle("/api/notifications/unread", endpoint.Methods{"GET": s.Call(read, s.unread)})
	handle("/api/notifications/read", endpoint.Methods{"POST": s.Call(write, s.markRead)})
	handle("/api/logs", endpoint.Methods{
		"GET":  s.Call(auth.ScopeLogsRead, s.listLines, "level", "logger", "since", "until", "after", "before", "limit"),
		"POST": s.Call(auth.ScopeLogsWrite, s.writeLog),
	})
	handle("/api/search", endpoint.Methods{"GET": s.Call(read, s.search, "q", "room", "to", "sender", "before", "limit")})
	return handlers
}

// Call makes a function that ends soon an endpoint for requests whose tokens have
// the scopes, which takes these parameters in the query. It is also for other
// routes: what a user may have running, and how often, is counted together.
func (s *Server) Call(needed auth.Scopes, do endpoint.Func, parameters ...string) endpoint.Func {
	return s.long(needed, func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), callWithin)
		defer cancel()
		return do(w, r.WithContext(ctx))
	}, parameters...)
}

// long is Call for what may last. Who asks is here.
func (s *Server) long(needed auth.Scopes, do endpoint.Func, parameters ...string) endpoint.Func {
	writes := needed&^(auth.ScopeChatRead|auth.ScopeLogsRead) != 0
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		if challenge, ok := s.permit(ctx, needed); !ok {
			return &endpoint.Problem{Status: http.StatusForbidden, Challenge: challenge, Detail: "the token is for less than this needs: " + needed.String()}
		}
		if wait := s.pace(ctx, writes); wait > 0 {
			return &endpoint.Problem{Status: http.StatusTooManyRequests, RetryAfter: wait, Detail: "you ask too often"}
		}
		if err := checkQuery(r, parameters); err != nil {
			return err
		}
		actor := s.actor(ctx)
		leave, err := s.calls.Enter(actor.Name)
		if err != nil {
			return s.notAdmitted(err)
		}
		defer leave()
		s.hub.Seen(actor)
		return do(w, r)
	}
}

// notAdmitted tells why the gate lets no one in.
func (s *Server) notAdmitted(err error) error {
	p := &endpoint.Problem{Status: http.StatusServiceUnavailable, RetryAfter: endpoint.Soon(), Detail: "the server is shutting down; ask again in a moment"}
	switch {
	case errors.Is(err, gate.ErrFull):
		p.Detail = "as many requests are running as may; ask again in a moment"
	case errors.Is(err, gate.ErrUserFull):
		p.Status, p.Detail = http.StatusTooManyRequests, "as many of your requests are running as may; let one finish first"
	}
	return p
}
