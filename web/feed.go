package web

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web/endpoint"
)

const (
	// reconnectAfter is what clients are told to wait before they reconnect,
	// give or take half of it.
	reconnectAfter = 2 * time.Second
	// listenWithin bounds opening a source.
	listenWithin = 5 * time.Second
)

// Why a stream ended, as causes of its context.
var (
	errLifetime = errors.New("the stream has reached its lifetime")
	errDrained  = errors.New("the server is shutting down")
)

// Feed says what a stream gives. Only Open is required.
type Feed struct {
	// Scopes are what a token has to be good for.
	Scopes auth.Scopes
	// After is the cursor to go on from; empty: from now on.
	After string
	// Open opens the source, within five seconds, at After. When that, or the
	// source later, fails with a [hub.Error] of code [hub.Reset], the client is
	// told by an event "reset", and Open is called again without a cursor.
	Open func(ctx context.Context, a hub.Actor, after string) (Source, error)
	// Greet are the first events. The first of them gets a "retry:", which comes
	// alone where there is none, and an ID where the source has a Cursor: who is
	// cut off before anything has happened can come back, too.
	Greet []sse.Event
	// Pings asks for an event "ping" with each heartbeat, which otherwise is a
	// comment.
	Pings bool
	// Failed makes the event before the end of a stream on which something has
	// failed. Nil: it is "stream-error".
	Failed func(message string) sse.Event
}

// Source is where a stream's events come from. One goroutine uses it.
type Source interface {
	// Next waits until there is something and returns the frames of it, which
	// are used up before the next call. A frame that is empty is none. When ctx
	// ends it fails.
	Next(ctx context.Context) (iter.Seq[[]byte], error)
	Close()
}

// ServeFeed serves a request that has been authenticated as a stream like that
// of [Server.ServeEvents]: within the same limits, with heartbeats, and with the
// same ends.
func (s *Server) ServeFeed(w http.ResponseWriter, r *http.Request, f Feed) {
	s.serve(w, r, func(*http.Request) (Feed, error) { return f, nil })
}

// resumable is a source that a client can come back to.
type resumable interface {
	// Cursor is where to go on, or empty. Until the first Next it is where the
	// source began.
	Cursor() string
}

// serve serves the feed that a request asks for.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, asked func(*http.Request) (Feed, error)) {
	if err := s.stream(w, r, asked); err != nil {
		s.refuse(w, r, err)
	}
}

// stream returns an error only before it has begun to answer.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, asked func(*http.Request) (Feed, error)) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return &endpoint.Problem{Status: http.StatusMethodNotAllowed, Detail: "events are a stream, opened with GET"}
	}
	if !acceptsEvents(r) {
		return &endpoint.Problem{Status: http.StatusNotAcceptable, Detail: "Accept must allow " + sse.ContentType}
	}
	id, ok := auth.FromContext(r.Context())
	if !ok {
		return errors.New("the request was not authenticated")
	}
	f, err := asked(r)
	if err != nil {
		return err
	}
	if challenge, ok := s.permit(r.Context(), f.Scopes); !ok {
		return &refusal{&endpoint.Problem{
			Status: http.StatusForbidden, Challenge: challenge,
			Detail: "the token is not good for this: it lacks a scope, which the header WWW-Authenticate names",
		}, RefusedScope}
	}
	if s.overloaded() {
		return unavailable(RefusedMemory, "the server is short of memory and takes nothing new; try again later")
	}
	actor := s.actor(r.Context())
	leave, err := s.enter(r, actor)
	if err != nil {
		return err
	}
	defer leave()
	ctx, end := s.lifetime(r.Context(), id.Expires)
	defer end()
	ctx, remove := s.opened.add(ctx)
	defer remove()
	if s.revoked(ctx) {
		return &refusal{&endpoint.Problem{Status: http.StatusUnauthorized, Detail: "the token has been revoked"}, RefusedRevoked}
	}

	st := &stream{server: s, actor: actor, feed: f}
	lost, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { st.source.Close() }() // which may be another one by then
	st.out = startSSE(w, s.limits.WriteTimeout)
	st.serve(ctx, lost)
	return nil
}

// lifetime is the context of a stream, which ends when the stream has to.
func (s *Server) lifetime(ctx context.Context, expires time.Time) (context.Context, func()) {
	deadline := time.Now().Add(spread(s.limits.StreamLifetime, 0.2))
	if !expires.IsZero() && expires.Before(deadline) {
		deadline = expires
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.draining, func() { cancel(errDrained) })
	ctx, free := context.WithDeadlineCause(ctx, deadline, errLifetime)
	return ctx, func() {
		stop()
		free()
		cancel(nil)
	}
}

// stream is one connection that listens.
type stream struct {
	server *Server
	actor  hub.Actor
	feed   Feed
	source Source
	out    *writer
}

// begin opens the source. lost is not nil when the cursor that was given does
// not lead there.
func (st *stream) begin(ctx context.Context) (lost *hub.Error, err error) {
	ctx, cancel := context.WithTimeout(ctx, listenWithin)
	defer cancel()
	st.source, err = st.feed.Open(ctx, st.actor, st.feed.After)
	if lost = asReset(err); lost != nil {
		st.source, err = st.feed.Open(ctx, st.actor, "")
	}
	return lost, err
}

// asReset returns the error that says that a cursor does not work, or nil.
func asReset(err error) *hub.Error {
	if e, ok := errors.AsType[*hub.Error](err); ok && e.Code == hub.Reset {
		return e
	}
	return nil
}

// serve writes the stream from its first frame to its last.
func (st *stream) serve(ctx context.Context, lost *hub.Error) {
	err := st.greet(lost)
	if err == nil {
		err = st.run(ctx)
	}
	told, isTold := errors.AsType[*hub.Error](err)
	switch {
	case errors.Is(err, errGone), errors.Is(err, context.Canceled):
		return
	case errors.Is(err, errLifetime):
		err = st.out.event(sse.Event{Retry: spread(reconnectAfter, 0.5)})
	case errors.Is(err, errDrained):
		err = st.out.event(farewell(eventShutdown, "the server is shutting down; reconnect in a moment"))
	case isTold:
		err = st.out.event(st.failed(told.Msg))
	default:
		st.server.logger.LogAttrs(ctx, slog.LevelError, "a stream of events failed", slog.String("user", st.actor.Name), slog.Any("error", err))
		err = st.out.event(st.failed("something went wrong in the server; reconnect in a moment"))
	}
	if err == nil {
		_ = st.out.flush() // it was the last one
	}
}

// failed is the last event of a stream on which something has failed.
func (st *stream) failed(message string) sse.Event {
	if st.feed.Failed == nil {
		return farewell(eventError, message)
	}
	ev := st.feed.Failed(message)
	ev.Retry = spread(reconnectAfter, 0.5)
	return ev
}

// greet sends the first frames. There is always one, so that the client sees
// that the stream has begun.
func (st *stream) greet(lost *hub.Error) error {
	greet := slices.Clone(st.feed.Greet)
	if len(greet) == 0 {
		greet = []sse.Event{{}}
	}
	greet[0].Retry, greet[0].ID = spread(reconnectAfter, 0.5), st.cursor()
	for _, ev := range greet {
		if err := st.out.event(ev); err != nil {
			return err
		}
	}
	if lost != nil {
		if err := st.out.event(reset(lost, st.cursor())); err != nil {
			return err
		}
	}
	return st.out.flush()
}

// cursor is the place of a source that has just been opened.
func (st *stream) cursor() string {
	if source, ok := st.source.(resumable); ok {
		return source.Cursor()
	}
	return ""
}

// run writes what happens, and heartbeats, until something ends the stream. It
// returns what that was; when it was the context, its cause.
func (st *stream) run(ctx context.Context) error {
	for {
		if err := st.period(ctx); err != nil {
			return err
		}
		if err := st.beat(); err != nil {
			return err
		}
	}
}

// period writes what happens until the next heartbeat is due. Who waits or has
// much to write both come to the end of it.
func (st *stream) period(ctx context.Context) error {
	beat, cancel := context.WithTimeout(ctx, st.server.limits.Heartbeat)
	defer cancel()
	for beat.Err() == nil {
		frames, err := st.source.Next(beat)
		lost := asReset(err)
		switch {
		case lost != nil:
			err = st.restart(ctx, lost)
		case err == nil:
			err = st.write(ctx, frames)
		case beat.Err() != nil:
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// write sends frames in one go. A reader that is slow, but does read, gets what
// its stream's time allows; it finds the rest by the last ID that it got.
func (st *stream) write(ctx context.Context, frames iter.Seq[[]byte]) error {
	for frame := range frames {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := st.out.frame(frame); err != nil {
			return err
		}
	}
	return st.out.flush()
}

// restart goes on from now after the log has lost what was to come next. The
// new source is there before the client is told, so that what the client then
// fetches and what comes here leave no gap.
func (st *stream) restart(ctx context.Context, lost *hub.Error) error {
	within, cancel := context.WithTimeout(ctx, listenWithin)
	defer cancel()
	again, err := st.feed.Open(within, st.actor, "")
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	st.source.Close()
	st.source = again
	if err := st.out.event(reset(lost, st.cursor())); err != nil {
		return err
	}
	return st.out.flush()
}

// beat shows that the stream is alive: a comment for what is in between, an
// event for a page, which cannot see comments.
func (st *stream) beat() error {
	if err := st.out.frame(sse.AppendComment(nil, "keep-alive")); err != nil {
		return err
	}
	if st.feed.Pings {
		if err := st.out.event(ping()); err != nil {
			return err
		}
	}
	return st.out.flush()
}
