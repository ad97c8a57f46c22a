package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/web/endpoint"
)

// Bounds of a stream of text.
const (
	maxStream     = 64 << 20 // bytes of text, in all its messages
	maxStreamTime = time.Hour

	// streamBeat is how often a sender that says nothing is found to be there
	// still. That is known of its connection, by TCP's keep-alive: when there is
	// no answer for 150 s it is closed.
	streamBeat = 10 * time.Second
	// answerWithin is how long the answer may take to be read.
	answerWithin = 20 * time.Second
)

// streamLimits are the bounds of one server.
type streamLimits struct {
	bytes      int
	time, beat time.Duration
}

func defaultStreamLimits() streamLimits { return streamLimits{maxStream, maxStreamTime, streamBeat} }

// streaming is what the idempotency keys of streams are of.
const streaming = "api/stream/"

// streamText takes a text for as long as it comes. It is shown while it arrives,
// and stored at its end. If it breaks off, what had arrived is stored, marked as
// interrupted.
func (s *Server) streamText(w http.ResponseWriter, r *http.Request) error {
	if err := checkPlain(r); err != nil {
		return err
	}
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	ctx, end := s.streamLife(r.Context())
	defer end()
	text := &relay{
		hub: s.hub, actor: s.actor(ctx), draft: hub.Draft{Target: target(r), Key: key}, pace: s.awaitTurn,
	}
	// Before the first byte is read: whoever asks first, with "Expect:
	// 100-continue", need not send anything that is refused.
	if err := text.begin(ctx); err != nil {
		return err
	}
	defer text.cancel()
	// Not every ResponseWriter has a connection; one without needs no deadlines.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Time{})
	_ = conn.SetWriteDeadline(time.Time{})
	c := reception{
		body: r.Body, relay: text, most: s.streams.bytes, beat: s.streams.beat,
		unblock: func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) },
		revoked: func() bool { return s.revoked(ctx) },
		seen:    func() { s.hub.Seen(text.actor) },
	}
	err = c.run(ctx)
	if err != nil {
		err = s.endedEarly(r, text, err)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(answerWithin))
	if err != nil {
		return err
	}
	created(w, struct {
		Messages    []streamed `json:"messages"`
		Interrupted bool       `json:"interrupted"`
	}{text.stored, false}, !text.isNew)
	return nil
}

// checkPlain refuses a body that is said to be something else than plain text.
// What clients say by themselves of what they are given to send (curl: nothing,
// or that it is a form) says nothing.
func checkPlain(r *http.Request) error {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be read says nothing, either
	encoding := r.Header.Get("Content-Encoding")
	switch {
	case mediaType == "application/json":
		return &endpoint.Problem{Status: http.StatusUnsupportedMediaType, Detail: "the body is the text itself, such as text/plain; JSON is for …/messages"}
	case encoding != "" && encoding != "identity":
		return &endpoint.Problem{Status: http.StatusUnsupportedMediaType, Detail: "the body is the text as it is, without Content-Encoding"}
	}
	return nil
}

// streamLife is the context of a stream, which ends when the stream has to, and
// not because the client has gone: that is noticed by reading.
func (s *Server) streamLife(ctx context.Context) (context.Context, func()) {
	deadline, why := time.Now().Add(s.streams.time), errTooLate
	if id, _ := auth.FromContext(ctx); !id.Expires.IsZero() && id.Expires.Before(deadline) {
		deadline, why = id.Expires, errExpired
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(s.draining, func() { cancel(errDraining) })
	ctx, free := context.WithDeadlineCause(ctx, deadline, why)
	return ctx, func() {
		stop()
		free()
		cancel(nil)
	}
}

// awaitTurn waits until a user may send one more message, or the context ends.
func (s *Server) awaitTurn(ctx context.Context) {
	for {
		wait := s.pace(ctx, true)
		if wait <= 0 {
			return
		}
		turn := time.NewTimer(wait)
		select {
		case <-turn.C:
		case <-ctx.Done():
			turn.Stop()
			return
		}
	}
}

// endedEarly stores what has arrived of a stream that did not come to its end,
// and makes of the reason what its sender is told, if anybody is there.
func (s *Server) endedEarly(r *http.Request, text *relay, why error) error {
	m, err := text.interrupt(r.Context())
	if err != nil {
		s.logger.LogAttrs(r.Context(), slog.LevelWarn, "an interrupted message is not stored", slog.String("user", text.actor.Name), slog.Any("error", err))
	}
	var what string
	n := len(text.stored)
	switch {
	case m != nil && n > 0:
		what = fmt.Sprintf("what had arrived is stored: %d whole messages, and %s, which is marked as interrupted", n, m.ID)
	case m != nil:
		what = "what had arrived is stored as " + m.ID + ", which is marked as interrupted"
	case n > 0:
		what = fmt.Sprintf("stored are %d whole messages, the last of which is %s, and nothing after it", n, text.stored[n-1].ID)
	default:
		what = "nothing of the text is stored"
	}
	if m == nil && (errors.Is(why, context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)) {
		what += ", as far as is known: the log may have taken one more message"
	}
	p := *s.endpoints.ProblemOf(r, problemOfEnd(why))
	p.Detail += "; " + what
	return &p
}

// problemOfEnd is what a client is told of the end of a stream.
func problemOfEnd(why error) error {
	p := &endpoint.Problem{Detail: why.Error()}
	switch {
	case errors.Is(why, errBrokeOff):
		p.Status = http.StatusBadRequest
	case errors.Is(why, errTooLong):
		p.Status = http.StatusRequestEntityTooLarge
	case errors.Is(why, errTooLate):
		p.Status = http.StatusRequestTimeout
	case errors.Is(why, errExpired), errors.Is(why, errRevoked):
		p.Status = http.StatusUnauthorized
		p.Challenge = auth.Challenge{Error: "invalid_token", Description: why.Error()}.String()
	case errors.Is(why, errDraining):
		p.Status, p.RetryAfter = http.StatusServiceUnavailable, endpoint.Soon()
	default:
		return why
	}
	return p
}
