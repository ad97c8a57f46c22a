package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

// refusal is an answer other than what was asked for.
type refusal struct {
	*endpoint.Problem
	reason string // why nothing was let in, for [Options.Refused]
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

func badRequest(format string, args ...any) error {
	return endpoint.BadRequest(fmt.Sprintf(format, args...))
}

func tooMany(reason, format string, args ...any) error {
	return later(http.StatusTooManyRequests, reason, format, args...)
}

func unavailable(reason, format string, args ...any) error {
	return later(http.StatusServiceUnavailable, reason, format, args...)
}

func later(status int, reason, format string, args ...any) error {
	return &refusal{&endpoint.Problem{Status: status, RetryAfter: endpoint.Soon(), Detail: fmt.Sprintf(format, args...)}, reason}
}

// refuse answers a request with an error, and tells who wants to know why
// nothing was let in.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		no = s.refusalOf(r, err)
	}
	if no.reason != "" {
		s.refused(no.reason)
	}
	no.Write(w)
}

// refusalOf is what an error is answered with.
func (s *Server) refusalOf(r *http.Request, err error) *refusal {
	no := &refusal{Problem: s.endpoints.ProblemOf(r, err)}
	switch no.Code {
	case string(hub.Full):
		no.reason = RefusedStreams
	case string(hub.Unavailable):
		no.reason = RefusedStorage
	}
	if rest, ok := strings.CutPrefix(no.Detail, "after: "); ok { // as it is called here
		no.Argument, no.Detail = "last_event_id", "last_event_id: "+rest
	}
	return no
}
