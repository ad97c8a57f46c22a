package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"wigwag/auth"
	"wigwag/hub"
)

// Problem is an error that is told to the client.
type Problem struct { //nolint:errname // RFC 9457's word
	Status     int
	Detail     string        // for people: what was wrong, and what is allowed
	Challenge  string        // WWW-Authenticate; empty: none
	RetryAfter time.Duration // rounded up to whole seconds; 0: not said

	// These are for programs; empty ones are left out.
	Code     string // what kind of error it is
	Argument string // the parameter or member that was wrong
	Oldest   string // of a cursor that does not work: the oldest one that does
	Reason   string // and why it does not
}

func (p *Problem) Error() string { return p.Detail }

// Body is a problem as the client gets it (RFC 9457).
type Body struct {
	auth.Problem
	Code     string `json:"code,omitempty"`
	Argument string `json:"argument,omitempty"`
	Oldest   string `json:"oldest,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Body is what Write answers with.
func (p *Problem) Body() Body {
	return Body{auth.Problem{Title: http.StatusText(p.Status), Status: p.Status, Detail: p.Detail}, p.Code, p.Argument, p.Oldest, p.Reason}
}

// Write answers with the problem.
func (p *Problem) Write(w http.ResponseWriter) { p.WriteBody(w, p.Body()) }

// WriteBody is Write with a body that holds more: it embeds that of the problem.
func (p *Problem) WriteBody(w http.ResponseWriter, body any) {
	if p.Challenge != "" {
		w.Header().Set("WWW-Authenticate", p.Challenge)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", Seconds(p.RetryAfter))
	}
	auth.WriteProblemBody(w, p.Status, body)
}

// BadRequest is a problem with what the client sent.
func BadRequest(detail string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Detail: detail}
}

// Invalid is a problem with one argument that the client gave.
func Invalid(argument, format string, args ...any) *Problem {
	return &Problem{
		Status: http.StatusBadRequest, Code: string(hub.Invalid), Argument: argument,
		Detail: argument + ": " + fmt.Sprintf(format, args...),
	}
}

// FromHub makes an error of the hub a problem; nil: it is internal.
func FromHub(err error) *Problem {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &Problem{
			Status: http.StatusServiceUnavailable, Code: string(hub.Unavailable), RetryAfter: Soon(),
			Detail: "the log does not answer in time; ask again in a moment",
		}
	}
	e, ok := errors.AsType[*hub.Error](err)
	if !ok {
		return nil
	}
	p := &Problem{Status: http.StatusBadRequest, Detail: e.Error(), Code: string(e.Code), Argument: e.Arg, Oldest: e.Oldest, Reason: e.Reason}
	switch e.Code {
	case hub.Forbidden:
		p.Status = http.StatusForbidden
	case hub.NotFound:
		p.Status = http.StatusNotFound
	case hub.Conflict:
		p.Status = http.StatusConflict
	case hub.Reset:
		p.Status = http.StatusGone
	case hub.Full:
		if e.Arg == "room" || e.Arg == "invite" { // asking again does not help
			p.Status = http.StatusConflict
			return p
		}
		p.Status, p.RetryAfter = http.StatusServiceUnavailable, Soon()
	case hub.Unavailable:
		p.Status, p.RetryAfter = http.StatusServiceUnavailable, Soon()
	}
	return p
}

// Quote shows what a client gave, escaped and cut to a bound.
func Quote(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.QuoteToGraphic(s)
}

// Soon is when to ask again after an answer that says it will be better later.
// It varies, so that not all come again at once.
func Soon() time.Duration {
	return time.Duration(3+rand.IntN(5)) * time.Second //nolint:gosec // not a secret
}

// Seconds are whole ones, rounded up, as Retry-After needs them.
func Seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
