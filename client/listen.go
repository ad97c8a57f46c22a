package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"wigwag/transport/sse"
)

const (
	heartbeat = 15 * time.Second // how often the server shows that it is there
	deadAfter = heartbeat * 5 / 2
	maxEvent  = 1 << 20 // bytes
)

// ListenOptions choose what to listen to; the zero value is all that the user
// may see, from now on, but for log lines.
type ListenOptions struct {
	Rooms []string // those to get messages, partial messages and typing of; empty: all
	// Types are what to get: message, partial-message, notification, log,
	// presence, typing; empty: all of them, log only with a LogLevel.
	Types    []string
	LogLevel string // the lowest of log lines: debug, info, warn, error
	// After is the ID of the message or notification to go on from, or "0" for
	// all that there is; Since a moment. At most one of them is given.
	After string
	Since time.Time
}

// Listen gives what happens as it happens, over as many connections as it takes:
// every message and every notification once, in order; all else as it is now,
// so that after a gap there is no past of it. What was missed and is not there
// any more it tells by [Reset], and goes on. It ends with ctx, then without an
// error, or with one that trying again cannot mend. Between the events it does
// nothing: a caller that takes long is waited for.
func (c *Client) Listen(ctx context.Context, o ListenOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		l := &listening{client: c, options: o, yield: yield, after: o.After, since: o.Since, seen: placeOf(o.After)}
		if err := l.run(ctx); ctx.Err() == nil && !errors.Is(err, errStop) {
			yield(Event{}, err)
		}
	}
}

// listening is one run of Listen.
type listening struct {
	client  *Client
	options ListenOptions
	yield   func(Event, error) bool

	after    string    // the cursor to go on from; empty: there is none yet
	since    time.Time // where to go on from then
	seen     place     // up to which everything was given
	retry    time.Duration
	attempts int // since the connection was there
}

// Why a connection has ended.
var (
	errStop   = errors.New("the caller has stopped")
	errEnded  = errors.New("the server has ended the stream in the normal way")
	errSilent = fmt.Errorf("the server has not been heard for %v", deadAfter)
)

// run listens until nothing can be mended any more, ctx ends or the caller has
// had enough, and returns what it was.
func (l *listening) run(ctx context.Context) error {
	err := l.state(State{State: Connecting})
	for err == nil {
		err = l.connection(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errStop):
		case errors.Is(err, errEnded), passing(err):
			err = l.pause(ctx, err)
		default:
			return cmp.Or(l.state(State{State: Disconnected, Err: err}), err)
		}
	}
	return err
}

// pause waits until it is time for the next attempt.
func (l *listening) pause(ctx context.Context, failure error) error {
	d := backOff(l.attempts, max(l.retry, asked(failure)))
	if errors.Is(failure, errEnded) {
		failure = nil
	}
	l.attempts++
	if err := l.state(State{State: Reconnecting, Attempt: l.attempts, RetryIn: d, Err: failure}); err != nil {
		return err
	}
	return wait(ctx, d)
}

func (l *listening) state(s State) error { return l.give(Event{State: &s}) }

func (l *listening) give(ev Event) error {
	if !l.yield(ev, nil) {
		return errStop
	}
	return nil
}

// connection listens until the connection ends, and returns why it has.
func (l *listening) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(deadAfter, func() { cancel(errSilent) })
	defer silence.Stop()
	res, err := l.client.open(ctx, func() (*http.Request, error) { return l.request(ctx) })
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if typ := mediaType(res); typ != sse.ContentType {
		return foreign(res, "the answer is of the type %q, not %s", clip(typ), sse.ContentType)
	}
	events := sse.NewReader(&heard{res.Body, silence}, maxEvent)
	for there := false; ; there = true {
		ev, err := events.Next()
		switch {
		case errors.Is(err, io.EOF) && there:
			return errEnded
		case errors.Is(err, sse.ErrTooLarge):
			return err
		case err != nil:
			return asBroken(cause(ctx, err))
		}
		if !there {
			l.attempts = 0
			if err := l.state(State{State: Connected}); err != nil {
				return err
			}
		}
		if err := l.take(ev); err != nil {
			return err
		}
	}
}

func (l *listening) request(ctx context.Context) (*http.Request, error) {
	q := url.Values{}
	set(q, "rooms", strings.Join(l.options.Rooms, ","))
	set(q, "log_level", l.options.LogLevel)
	if types := l.options.Types; len(types) > 0 {
		if !slices.Contains(types, "ping") {
			types = append(slices.Clone(types), "ping")
		}
		q.Set("types", strings.Join(types, ","))
	}
	if l.after == "" {
		set(q, "since", moment(l.since))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.client.server+withQuery("/events", q), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", sse.ContentType)
	req.Header.Set("Accept-Encoding", "identity") // compressed, events may wait for more
	if l.after != "" {
		req.Header.Set("Last-Event-ID", l.after)
	}
	return req, nil
}

// take notes where an event leads and gives it to the caller, if it is for the
// caller and new.
func (l *listening) take(ev sse.Event) error {
	if ev.Retry > 0 {
		l.retry = min(ev.Retry, maxRetryAfter)
	}
	if ev.Data == nil {
		return nil
	}
	out, ok, err := decode(ev)
	if err != nil || !ok {
		return err
	}
	switch ev.Name {
	case "ping":
		return nil
	case "shutdown", "stream-error":
		return &lostError{errors.New("the server says: " + clip(out.System.Message))}
	case "system":
		if l.after == "" { // nothing may come before the connection is cut
			l.after = ev.ID
		}
	case "reset":
		l.after, l.since, l.seen = ev.ID, time.Time{}, place{}
	case "message", "notification", "":
		at := placeOf(ev.ID)
		if l.seen.reaches(at) {
			return nil
		}
		if ev.ID != "" {
			l.after, l.seen = ev.ID, at
		}
	}
	return l.give(out)
}

// heard reads a stream while a timer runs, which starts anew with whatever
// comes.
type heard struct {
	r     io.Reader
	timer *time.Timer
}

func (h *heard) Read(p []byte) (int, error) {
	h.timer.Reset(deadAfter)
	defer h.timer.Stop() // the time that is the caller's does not count
	return h.r.Read(p)
}
