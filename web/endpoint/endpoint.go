// Package endpoint serves functions that answer a request or return an error:
// by their method, with JSON in and JSON out, and errors as problems (RFC 9457).
package endpoint

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"wigwag/auth"
)

// Func answers a request, or returns an error before it has begun to.
type Func func(w http.ResponseWriter, r *http.Request) error

// Methods are what is done at one path, by method. What there is for GET is for
// HEAD, too.
type Methods map[string]Func

// Server serves endpoints. Both fields are required.
type Server struct {
	// Translate makes an error that the client may see a problem; nil is for one
	// that is internal.
	Translate func(error) *Problem
	Logger    *slog.Logger
}

// Handler serves methods. Others are answered with 405 and what is allowed.
func (s *Server) Handler(methods Methods) http.Handler {
	methods = maps.Clone(methods)
	if get, ok := methods[http.MethodGet]; ok {
		methods[http.MethodHead] = get // net/http leaves the body out
	}
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		do, ok := methods[r.Method]
		if !ok {
			w.Header().Set("Allow", allow)
			auth.WriteProblem(w, http.StatusMethodNotAllowed, "Allowed here is "+allow+".")
			return
		}
		if err := do(w, r); err != nil {
			s.Refuse(w, r, err)
		}
	})
}

// Refuse answers with an error. One that is internal is logged here, and
// nowhere else, unless it is that the client has gone.
func (s *Server) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.ProblemOf(r, err).Write(w)
}

// ProblemOf is what Refuse answers with, for who shows it in another way.
func (s *Server) ProblemOf(r *http.Request, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if p := s.Translate(err); p != nil {
		return p
	}
	if r.Context().Err() == nil {
		s.Logger.LogAttrs(r.Context(), slog.LevelError, "a request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: "Something went wrong in the server; its log says what."}
}
