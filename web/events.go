package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
)

const (
	// reconnectAfter is what clients are told to wait before they reconnect,
	// give or take half of it.
	reconnectAfter = 2 * time.Second
	// listenWithin bounds finding the place in the log to listen from.
	listenWithin = 5 * time.Second
)

// Why a stream ended, as causes of its context.
var (
	errLifetime = errors.New("the stream has reached its lifetime")
	errDrained  = errors.New("the server is shutting down")
)

// ServeEvents is GET /events, for a request that has been authenticated.
//
// Without a query it is all that the actor may see, from now on, but for log
// lines. The query narrows it: rooms and types are lists with commas;
// partials=delta gives partial messages as differences, with an offset in bytes
// of UTF-8 at which the delta takes the place of what was there; log_level asks
// for log lines from that level on; last_event_id, or the header Last-Event-ID,
// which goes before it, for everything since the event with that ID. Whatever
// the types, a stream has its system, reset, shutdown and stream-error events,
// and a comment as heartbeat; ping is one of the types.
func (s *Server) ServeEvents(w http.ResponseWriter, r *http.Request) {
	if err := s.serveEvents(w, r); err != nil {
		s.refuse(w, r, err)
	}
}

// serveEvents returns an error only before it has begun to answer.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return &refusal{status: http.StatusMethodNotAllowed, header: "Allow", value: http.MethodGet, detail: "events are a stream, opened with GET"}
	}
	if !acceptsEvents(r) {
		return &refusal{status: http.StatusNotAcceptable, detail: "Accept must allow " + sse.ContentType}
	}
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	id, ok := auth.FromContext(r.Context())
	if !ok {
		return errors.New("the request was not authenticated")
	}
	if challenge, ok := s.permit(r.Context(), q.scopes()); !ok {
		return &refusal{http.StatusForbidden, "WWW-Authenticate", challenge, "the token is not good for this: it lacks a scope, which the header WWW-Authenticate names", RefusedScope}
	}
	if s.overloaded() {
		return unavailable(RefusedMemory, "the server is short of memory and takes nothing new; try again later")
	}
	leave, err := s.gate.enter(id.Subject)
	if err != nil {
		return err
	}
	defer leave()
	ctx, end := s.lifetime(r.Context(), id.Expires)
	defer end()
	ctx, left := s.guests.enter(ctx)
	defer left()
	if s.revoked(ctx) {
		return &refusal{status: http.StatusUnauthorized, detail: "the token has been revoked", reason: RefusedRevoked}
	}

	st := &stream{server: s, actor: s.actor(ctx), query: q, frames: newFrames(s.encode, q.deltas)}
	lost, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { st.listener.Close() }() // which may be another one by then
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
	server   *Server
	actor    hub.Actor
	query    query
	listener *hub.Listener
	frames   frames
	out      *writer
}

// begin finds the place to listen from. lost is not nil when the cursor that
// was given does not lead there.
func (st *stream) begin(ctx context.Context) (lost *hub.Error, err error) {
	ctx, cancel := context.WithTimeout(ctx, listenWithin)
	defer cancel()
	err = st.listen(ctx, st.query.after)
	if lost = asReset(err); lost != nil {
		err = st.listen(ctx, "")
	}
	return lost, err
}

func (st *stream) listen(ctx context.Context, after string) (err error) {
	st.listener, err = st.server.hub.Listen(ctx, st.actor, hub.ListenOptions{
		After:     after,
		Rooms:     st.query.rooms,
		Types:     st.query.kinds(),
		LineLevel: hub.LineLevel(st.query.logLevel),
	})
	return err
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
		err = st.out.event(farewell(eventError, told.Msg))
	default:
		st.server.logger.LogAttrs(ctx, slog.LevelError, "a stream of events failed", slog.String("user", st.actor.Name), slog.Any("error", err))
		err = st.out.event(farewell(eventError, "something went wrong in the server; reconnect in a moment"))
	}
	if err == nil {
		_ = st.out.flush() // it was the last one
	}
}

// greet sends the first frames.
func (st *stream) greet(lost *hub.Error) error {
	if err := st.out.event(greeting()); err != nil {
		return err
	}
	if lost != nil {
		if err := st.out.event(reset(lost)); err != nil {
			return err
		}
	}
	return st.out.flush()
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
		events, err := st.listener.Next(beat)
		lost := asReset(err)
		switch {
		case lost != nil:
			err = st.restart(ctx, lost)
		case err == nil:
			err = st.write(ctx, events)
		case beat.Err() != nil:
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// write sends events in one go. A reader that is slow, but does read, gets what
// its stream's time allows; it finds the rest by the last ID that it got.
func (st *stream) write(ctx context.Context, events []hub.Event) error {
	for _, ev := range events {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := st.show(ev); err != nil {
			return err
		}
	}
	return st.out.flush()
}

// show adds an event to what is sent. Before the message that a stream has
// shown in parts comes a last part, so that who follows only those is not left
// waiting.
func (st *stream) show(ev hub.Event) error {
	if ev.Message != nil {
		if last := st.frames.last(ev); last != nil {
			if err := st.out.frame(last); err != nil {
				return err
			}
		}
		if !st.query.wants(eventMessage) {
			return nil
		}
	}
	return st.out.frame(st.frames.of(ev))
}

// restart goes on from now after the log has lost what was to come next. The
// new listener is there before the client is told, so that what the client then
// fetches and what comes here leave no gap.
func (st *stream) restart(ctx context.Context, lost *hub.Error) error {
	st.listener.Close()
	within, cancel := context.WithTimeout(ctx, listenWithin)
	defer cancel()
	if err := st.listen(within, ""); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	st.frames = newFrames(st.server.encode, st.query.deltas)
	if err := st.out.event(reset(lost)); err != nil {
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
	if st.query.wants(eventPing) {
		if err := st.out.event(ping()); err != nil {
			return err
		}
	}
	return st.out.flush()
}
