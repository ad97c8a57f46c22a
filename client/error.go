package client

import (
	"crypto/tls"
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
)

// maxProblem bounds what is read of an answer that is no success, in bytes.
const maxProblem = 64 << 10

// maxRetryAfter bounds how long a server, or what stands before it, may have a
// client wait.
const maxRetryAfter = 5 * time.Minute

// Error is an answer that is no success, or none that a wigwag server gives.
type Error struct {
	Status   int    // of HTTP
	Code     string // invalid, not_found, conflict, reset, full, unavailable; or empty
	Argument string // the name of what was wrong, or empty
	Detail   string // for people: what was wrong, and what is allowed

	// With Code reset: the oldest cursor that works, and why the one that was
	// given does not.
	Oldest, Reason string

	// RetryAfter is what the server asks to wait; 0 if it asks for nothing.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// lostError is a failure of the network: nobody knows how far the request got.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// passing tells whether what went wrong may go better later.
func passing(err error) bool {
	if errors.Is(err, ErrInterrupted) {
		return false
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return slices.Contains([]int{
			http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		}, e.Status)
	}
	_, lost := errors.AsType[*lostError](err)
	return lost
}

// asLost returns the error of a request without an answer. What is
// wrong with a certificate or an address is for people to mend.
func asLost(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // not the address: it is long, and the caller knows it
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	if certificate || errors.Is(err, http.ErrSchemeMismatch) {
		return err
	}
	return &lostError{fmt.Errorf("no answer from the server: %w", err)}
}

// asBroken returns the error of an answer that broke off.
func asBroken(err error) error {
	return &lostError{fmt.Errorf("the connection has broken: %w", err)}
}

// errorOf reads an answer that is no success, and closes it.
func errorOf(res *http.Response) *Error {
	defer res.Body.Close()
	e := &Error{Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"))}
	var problem struct {
		Detail, Code, Argument, Oldest, Reason string
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	typ := mediaType(res)
	switch {
	case res.StatusCode/100 == 3:
		e.Detail = "the server redirects, which is not followed; is this its address: " + strconv.Quote(clip(res.Header.Get("Location"))) + "?"
	case err == nil && isJSON(typ) && json.Unmarshal(body, &problem) == nil:
		e.Detail, e.Code, e.Argument, e.Oldest, e.Reason = problem.Detail, problem.Code, problem.Argument, problem.Oldest, problem.Reason
	default:
		e.Detail = "the answer is no problem in JSON, so it may not be of a wigwag server (its type is " + strconv.Quote(clip(typ)) + ")"
	}
	return e
}

// foreign is an answer that a wigwag server does not give.
func foreign(res *http.Response, format string, args ...any) error {
	return &Error{Status: res.StatusCode, Detail: fmt.Sprintf(format, args...) + "; is this the address of a wigwag server?"}
}

func mediaType(res *http.Response) string {
	typ, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return typ
}

func isJSON(typ string) bool { return typ == "application/json" || strings.HasSuffix(typ, "+json") }

// clip bounds what somebody else can write into an error.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3).
func retryAfter(value string) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), maxRetryAfter)
}
