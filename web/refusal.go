package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"

	"wigwag/auth"
	"wigwag/hub"
)

// retryAfter is when to ask again, in seconds, after an answer that says it
// will be better later. It varies, so that not all come again at once.
func retryAfter() string { return strconv.Itoa(3 + rand.IntN(5)) } //nolint:gosec // not a secret

// refusal is an answer other than what was asked for.
type refusal struct {
	status int
	header string // name of a header that goes with the status, or empty
	value  string
	detail string
	reason string // why nothing was let in, for [Options.Refused]; empty: the request was wrong
}

func (e *refusal) Error() string { return e.detail }

func badRequest(format string, args ...any) error {
	return &refusal{status: http.StatusBadRequest, detail: fmt.Sprintf(format, args...)}
}

// Reasons of refusals.
const (
	RefusedStreams  = "streams" // of the user, or of all
	RefusedMemory   = "memory"  // the server is short of it
	RefusedStorage  = "storage" // does not answer, or too many read it at the same time
	RefusedDraining = "draining"
	RefusedRevoked  = "revoked"
	RefusedScope    = "scope" // the token's do not allow it
)

func tooMany(reason, format string, args ...any) error {
	return &refusal{http.StatusTooManyRequests, "Retry-After", retryAfter(), fmt.Sprintf(format, args...), reason}
}

func unavailable(reason, format string, args ...any) error {
	return &refusal{http.StatusServiceUnavailable, "Retry-After", retryAfter(), fmt.Sprintf(format, args...), reason}
}

// refuse answers a request with an error. What a client cannot know of is
// logged here, and nowhere else.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		no = refusalOf(err)
	}
	if no == nil {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "a request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		no = &refusal{status: http.StatusInternalServerError, detail: "something went wrong in the server; its log says what"}
	}
	if no.reason != "" {
		s.refused(no.reason)
	}
	if no.header != "" {
		w.Header().Set(no.header, no.value)
	}
	auth.WriteProblem(w, no.status, no.detail)
}

// refusalOf translates an error of the hub; nil: it is internal.
func refusalOf(err error) *refusal {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &refusal{http.StatusServiceUnavailable, "Retry-After", retryAfter(), "the log does not answer in time; ask again in a moment", RefusedStorage}
	}
	e, ok := errors.AsType[*hub.Error](err)
	if !ok {
		return nil
	}
	no := &refusal{status: http.StatusBadRequest, detail: e.Error()}
	if e.Arg == "after" {
		no.detail = "last_event_id: " + e.Msg
	}
	switch e.Code {
	case hub.NotFound:
		no.status = http.StatusNotFound
	case hub.Full, hub.Unavailable:
		no.status, no.header, no.value = http.StatusServiceUnavailable, "Retry-After", retryAfter()
		if no.reason = RefusedStorage; e.Code == hub.Full {
			no.reason = RefusedStreams
		}
	}
	return no
}
