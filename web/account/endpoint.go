package account

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

const maxBody = 16 << 10 // of JSON, and of a form

// serve serves endpoints by their method. Who asks has been found out before.
func (s *Server) serve(methods endpoint.Methods) http.Handler {
	return located(s.endpoints.Handler(methods))
}

// own is for what belongs to a person's account: whoever does it holds all that
// the person may do. A token for less must not be made one for more.
func (s *Server) own(next endpoint.Func) endpoint.Func {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, _ := auth.FromContext(r.Context()) // Identify put it there
		return s.withScopes(w, r, id.Role.Scopes(), next)
	}
}

// admin is for what administrators do.
func (s *Server) admin(next endpoint.Func) endpoint.Func {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.withScopes(w, r, auth.ScopeAdmin, next)
	}
}

func (s *Server) withScopes(w http.ResponseWriter, r *http.Request, needed auth.Scopes, next endpoint.Func) error {
	id, _ := auth.FromContext(r.Context())
	switch {
	case id.Missing(needed) == 0:
		return next(w, r)
	case !id.Role.Scopes().Include(needed):
		return &endpoint.Problem{Status: http.StatusForbidden, Detail: "This is for administrators."}
	}
	c := auth.Challenge{
		Error: "insufficient_scope", Description: "this needs a token for all that you may do", Scopes: needed, Resource: s.o.Resource(r),
	}
	return &endpoint.Problem{Status: http.StatusForbidden, Challenge: c.String(), Detail: "The token is for less than this needs: " + needed.String() + "."}
}

// limit counts requests per address.
func (s *Server) limit(by Limiter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := waitFor(by, r); wait > 0 {
			s.endpoints.Refuse(w, r, &endpoint.Problem{Status: http.StatusTooManyRequests, RetryAfter: wait, Detail: "Too many requests come from your address."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func waitFor(by Limiter, r *http.Request) time.Duration {
	if by == nil {
		return 0
	}
	return by.Wait(remote(r))
}

// problemOf translates an error of package auth; nil: it is internal.
func problemOf(err error) *endpoint.Problem {
	if throttled, ok := errors.AsType[*auth.ThrottledError](err); ok {
		return &endpoint.Problem{Status: http.StatusTooManyRequests, RetryAfter: throttled.RetryAfter, Detail: sentence(throttled)}
	}
	for _, known := range []struct {
		err    error
		status int
	}{
		{auth.ErrCredentials, http.StatusForbidden}, // with a good token: 401 would have it thrown away
		{auth.ErrSignUpOff, http.StatusForbidden},
		{auth.ErrInvitation, http.StatusForbidden},
		{auth.ErrLink, http.StatusForbidden},
		{auth.ErrRefresh, http.StatusUnauthorized},
		{auth.ErrExists, http.StatusConflict},
		{auth.ErrTooMany, http.StatusConflict},
		{auth.ErrUnknownUser, http.StatusNotFound},
		{auth.ErrUnknownCredential, http.StatusNotFound},
	} {
		if errors.Is(err, known.err) {
			return &endpoint.Problem{Status: known.status, Detail: sentence(known.err)}
		}
	}
	if errors.Is(err, auth.ErrBusy) {
		return &endpoint.Problem{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second, Detail: sentence(auth.ErrBusy)}
	}
	if bad, ok := errors.AsType[auth.TokenError](err); ok { // revoked meanwhile
		return &endpoint.Problem{Status: http.StatusUnauthorized, Detail: sentence(bad), Challenge: auth.Challenge{Error: "invalid_token"}.String()}
	}
	for _, field := range []string{"name: ", "password: ", "role: ", "scopes: ", "lifetime: "} {
		if strings.HasPrefix(err.Error(), field) {
			return &endpoint.Problem{Status: http.StatusBadRequest, Detail: err.Error() + "."}
		}
	}
	return nil
}

// sentence is an error's text as people write it.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// stamp is a time as it is written here; empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
