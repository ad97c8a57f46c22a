package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wigwag/auth"
)

const (
	maxBody  = 16 << 10
	bodyTime = 10 * time.Second
)

// An endpoint answers a request, or returns an error before it has begun to.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// problem is an error that is told to the client.
type problem struct {
	status     int
	detail     string
	challenge  string        // WWW-Authenticate; empty: none
	retryAfter time.Duration // 0: not said
}

func (p *problem) Error() string { return p.detail }

func badRequest(detail string) error { return &problem{status: http.StatusBadRequest, detail: detail} }

// serve serves endpoints by their method. Who asks has been found out before.
func (s *Server) serve(methods map[string]endpoint) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return located(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		do, ok := methods[r.Method]
		if !ok {
			w.Header().Set("Allow", allow)
			auth.WriteProblem(w, http.StatusMethodNotAllowed, "Allowed here is "+allow+".")
			return
		}
		if err := do(w, r); err != nil {
			s.refuse(w, r, err)
		}
	}))
}

// own is for what belongs to a person's account: whoever does it holds all that
// the person may do. A token for less must not be made one for more.
func (s *Server) own(next endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, _ := auth.FromContext(r.Context()) // Identify put it there
		return s.withScopes(w, r, id.Role.Scopes(), next)
	}
}

// admin is for what administrators do.
func (s *Server) admin(next endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.withScopes(w, r, auth.ScopeAdmin, next)
	}
}

func (s *Server) withScopes(w http.ResponseWriter, r *http.Request, needed auth.Scopes, next endpoint) error {
	id, _ := auth.FromContext(r.Context())
	switch {
	case id.Missing(needed) == 0:
		return next(w, r)
	case !id.Role.Scopes().Include(needed):
		return &problem{status: http.StatusForbidden, detail: "This is for administrators."}
	}
	c := auth.Challenge{
		Error: "insufficient_scope", Description: "this needs a token for all that you may do", Scopes: needed, Resource: s.o.Resource(r),
	}
	return &problem{status: http.StatusForbidden, challenge: c.String(), detail: "The token is for less than this needs: " + needed.String() + "."}
}

// limit counts requests per address.
func (s *Server) limit(by Limiter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := waitFor(by, r); wait > 0 {
			s.refuse(w, r, &problem{status: http.StatusTooManyRequests, retryAfter: wait, detail: "Too many requests come from your address."})
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

// refuse answers with an error. What is nobody's business is logged.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p == nil {
		if r.Context().Err() == nil {
			s.o.Logger.LogAttrs(r.Context(), slog.LevelError, "a request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		}
		p = &problem{status: http.StatusInternalServerError, detail: "Something went wrong in the server; its log says what."}
	}
	if p.challenge != "" {
		w.Header().Set("WWW-Authenticate", p.challenge)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", wholeSeconds(p.retryAfter))
	}
	auth.WriteProblem(w, p.status, p.detail)
}

// problemOf translates an error of package auth; nil: it is internal.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if throttled, ok := errors.AsType[*auth.ThrottledError](err); ok {
		return &problem{status: http.StatusTooManyRequests, retryAfter: throttled.RetryAfter, detail: sentence(throttled)}
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
			return &problem{status: known.status, detail: sentence(known.err)}
		}
	}
	if errors.Is(err, auth.ErrBusy) {
		return &problem{status: http.StatusServiceUnavailable, retryAfter: 5 * time.Second, detail: sentence(auth.ErrBusy)}
	}
	if bad, ok := errors.AsType[auth.TokenError](err); ok { // revoked meanwhile
		return &problem{status: http.StatusUnauthorized, detail: sentence(bad), challenge: auth.Challenge{Error: "invalid_token"}.String()}
	}
	for _, field := range []string{"name: ", "password: ", "role: ", "scopes: ", "lifetime: "} {
		if strings.HasPrefix(err.Error(), field) {
			return &problem{status: http.StatusBadRequest, detail: err.Error() + "."}
		}
	}
	return nil
}

// sentence is an error's text as people write it.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// wholeSeconds rounds up, as Retry-After needs it.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// readJSON reads a body within its bounds of size and time. Its errors never
// quote the body: there are passwords in it.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return &problem{status: http.StatusUnsupportedMediaType, detail: `Send JSON, with "Content-Type: application/json".`}
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(into)
	wrong, isWrong := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case !utf8.Valid(body):
		return badRequest("The body is not valid UTF-8.")
	case isWrong && wrong.Field != "":
		return badRequest(wrong.Field + " has the wrong type.")
	case err != nil && strings.HasPrefix(err.Error(), "scopes: "):
		return err
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		return badRequest("The body holds a field that is not known here.")
	case err != nil:
		return badRequest("The body is not a JSON object.")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badRequest("The body holds more than one JSON object.")
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// Not every ResponseWriter has a connection; one without needs no bound.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = conn.SetReadDeadline(time.Time{})
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, &problem{status: http.StatusRequestEntityTooLarge, detail: "The body is longer than 16 KiB."}
	}
	if err != nil {
		return nil, badRequest("The body did not arrive in whole.")
	}
	return body, nil
}

// writeJSON answers with v, which must always encode.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only when the client is gone
}

func noContent(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// stamp is a time as it is written here; empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
