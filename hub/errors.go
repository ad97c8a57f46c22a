package hub

import (
	"errors"
	"fmt"
	"strconv"
)

// Code classifies an [Error].
type Code string

const (
	Invalid     Code = "invalid"     // an argument is wrong
	NotFound    Code = "not_found"   // there is no such thing, or the actor may not see it
	Forbidden   Code = "forbidden"   // the actor may see it, but may not do that
	Conflict    Code = "conflict"    // a key was used with another payload or is in use, or a stream has ended
	Reset       Code = "reset"       // a cursor is of another epoch, expired, or ahead of the head
	Full        Code = "full"        // the log, or a limit, is full
	Unavailable Code = "unavailable" // the hub is closing, or the log does not answer
)

// Error is an error the caller may see: it names the argument, what was wrong
// and what is allowed. Anything else that a hub returns is internal.
type Error struct {
	Code Code
	Arg  string // the argument's name in the tools and in REST ("room", "message"), or empty
	Msg  string

	// Of Reset only: the oldest cursor that still works, and why the one that
	// was given does not.
	Oldest, Reason string
}

func (e *Error) Error() string {
	if e.Arg == "" {
		return e.Msg
	}
	return e.Arg + ": " + e.Msg
}

// Is makes errors.Is(err, ErrNotFound) and its like hold by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && *t == Error{Code: e.Code}
}

// ErrNotFound matches every [Error] with the code [NotFound].
var ErrNotFound = &Error{Code: NotFound}

// refuse makes an [Error].
func refuse(code Code, arg, format string, args ...any) error {
	return &Error{Code: code, Arg: arg, Msg: fmt.Sprintf(format, args...)}
}

// storeError makes an error of a log or a bucket one that callers may see, if it
// is of a kind that they should know of.
func storeError(err error) error {
	if full, ok := errors.AsType[interface {
		error
		Full() bool
	}](err); ok && full.Full() {
		return refuse(Full, "", "nothing was stored: the server's storage is full until its operator makes room; reading goes on, try again later")
	}
	if away, ok := errors.AsType[interface {
		error
		Unavailable() bool
	}](err); ok && away.Unavailable() {
		return errUnavailable()
	}
	return err
}

// errUnavailable answers while the log is not heard.
func errUnavailable() error {
	return &Error{Code: Unavailable, Msg: "the server's storage does not answer; ask again in a moment"}
}

// quote shows what a caller gave, escaped, and no longer than a name may be.
func quote(s string) string {
	const most = 2 * maxName
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.QuoteToGraphic(s)
}
