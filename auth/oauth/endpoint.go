package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wigwag/auth"
)

const (
	maxBody  = 16 << 10
	bodyTime = 10 * time.Second
)

// refusal is an error as programs are told it (RFC 6749, section 5.2). Its
// description says what was wrong and what is allowed, in the characters that
// the RFC allows: no quotes and no backslash.
type refusal struct {
	status      int
	code        string
	description string
	retryAfter  time.Duration // 0: not said
}

func (e *refusal) Error() string { return e.code + ": " + e.description }

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, description: plainText(fmt.Sprintf(format, args...))}
}

func invalidRequest(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, "invalid_request", format, args...)
}

func invalidGrant(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, "invalid_grant", format, args...)
}

// plainText keeps what may stand in an error_description.
func plainText(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return '\''
		case c == '…':
			return '.'
		case c < ' ' || c > '~':
			return '?'
		}
		return c
	}, s)
}

// endpoint serves programs: it checks method and rate, and answers errors.
func (s *Server) endpoint(limit Limiter, h func(http.ResponseWriter, *http.Request) error, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch {
		case !slices.Contains(methods, r.Method):
			w.Header().Set("Allow", strings.Join(methods, ", "))
			err = refuse(http.StatusMethodNotAllowed, "invalid_request", "the method is %s; allowed is %s", clip(r.Method), strings.Join(methods, ", "))
		default:
			if err = s.limited(limit, r); err == nil {
				err = h(w, r)
			}
		}
		if err == nil {
			return
		}
		refused, ok := errors.AsType[*refusal](err)
		if !ok {
			refused = refuse(http.StatusInternalServerError, "server_error", "internal error; it has been logged")
			if r.Context().Err() == nil {
				s.o.Logger.ErrorContext(r.Context(), "oauth request failed", "err", err, "path", r.URL.Path)
			}
		}
		if refused.retryAfter > 0 {
			w.Header().Set("Retry-After", wholeSeconds(refused.retryAfter))
		}
		writeJSON(w, refused.status, map[string]string{"error": refused.code, "error_description": refused.description})
	})
}

// withRemote lets the audit know where a request comes from.
func (s *Server) withRemote(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithRemote(r.Context(), s.o.RemoteAddr(r))))
	})
}

func (s *Server) limited(limit Limiter, r *http.Request) error {
	if limit == nil {
		return nil
	}
	wait := limit.Wait(s.o.RemoteAddr(r))
	if wait <= 0 {
		return nil
	}
	refused := refuse(http.StatusTooManyRequests, "temporarily_unavailable", "too many requests from your address; try again in %s s", wholeSeconds(wait))
	refused.retryAfter = wait
	return refused
}

// wholeSeconds rounds up, as Retry-After needs it.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// writeJSON answers with v, which must always encode.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only when the client is gone
}

// readBody reads a request's body within bounds of size and time.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// Not every ResponseWriter has a connection; one without needs no bound.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = conn.SetReadDeadline(time.Time{})
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, refuse(http.StatusRequestEntityTooLarge, "invalid_request", "the body is longer than %d bytes", maxBody)
	}
	if err != nil {
		return nil, invalidRequest("the body did not arrive in whole")
	}
	return body, nil
}

// readForm reads the body of a form. The query is no part of it.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("the body must be a form: send Content-Type: application/x-www-form-urlencoded")
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("the body is no well-formed form")
	}
	return form, nil
}

// repeated says which parameter comes twice (RFC 6749, section 3.1), or is empty.
func repeated(params url.Values, except ...string) string {
	for name, values := range params {
		if len(values) > 1 && !slices.Contains(except, name) {
			return fmt.Sprintf("the parameter %s is there %d times; send it once", clip(name), len(values))
		}
	}
	return ""
}

// clip bounds what a client can write into an answer or a log line.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
