package web

import (
	"context"
	"iter"
	"net/http"
	"time"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// ServeEvents is GET /events, for a request that has been authenticated.
//
// Without a query it is all that the actor may see, from now on, but for log
// lines. The query narrows it: rooms and types are lists with commas;
// partials=delta gives partial messages as differences, with an offset in bytes
// of UTF-8 at which the delta takes the place of what was there; log_level asks
// for log lines from that level on; last_event_id, or the header Last-Event-ID,
// which goes before it, for everything since the event with that ID; since, a
// time of RFC 3339, for everything stored then or later, unless there is that
// header. The first frame has an ID, too. Whatever the types, a stream has its system, reset, shutdown and
// stream-error events, and a comment as heartbeat; ping is one of the types.
func (s *Server) ServeEvents(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, func(r *http.Request) (Feed, error) {
		q, err := parseQuery(r)
		if err != nil {
			return Feed{}, err
		}
		if s.actor(r.Context()).Guest {
			if err := q.checkGuest(); err != nil {
				return Feed{}, err
			}
		}
		return s.events(q), nil
	})
}

// events is the feed that a query asks for.
func (s *Server) events(q query) Feed {
	since := q.since
	return Feed{
		Scopes: q.scopes(),
		After:  q.after,
		Greet:  []sse.Event{greeting()},
		Pings:  q.wants(eventPing),
		Open: func(ctx context.Context, a hub.Actor, after string) (_ Source, err error) {
			if from := since; !from.IsZero() {
				since = time.Time{} // opened again, it goes on from now
				if after, err = s.hub.CursorAt(ctx, a, from); err != nil {
					return nil, err
				}
			}
			listener, err := s.hub.Listen(ctx, a, q.listen(after))
			if err != nil {
				return nil, err
			}
			return &eventSource{listener: listener, query: q, frames: newFrames(s.encode, q.deltas)}, nil
		},
	}
}

// eventSource is the source of GET /events.
type eventSource struct {
	listener *hub.Listener
	query    query
	frames   frames
}

// Close implements Source.
func (e *eventSource) Close() { e.listener.Close() }

// Cursor tells where a stream with stored events begins.
func (e *eventSource) Cursor() string {
	if !e.query.wants(eventMessage) && !e.query.wants(eventPartial) && !e.query.wants(eventNotification) {
		return ""
	}
	return e.listener.Cursor()
}

// Next implements Source. Before the message that a stream has shown in parts
// comes a last part, so that who follows only those is not left waiting.
func (e *eventSource) Next(ctx context.Context) (iter.Seq[[]byte], error) {
	events, err := e.listener.Next(ctx)
	if err != nil {
		return nil, err
	}
	return func(yield func([]byte) bool) {
		for _, ev := range events {
			if ev.Message != nil {
				if last := e.frames.last(ev); last != nil && !yield(last) {
					return
				}
				if !e.query.wants(eventMessage) {
					continue
				}
			}
			if !yield(e.frames.of(ev)) {
				return
			}
		}
	}, nil
}
