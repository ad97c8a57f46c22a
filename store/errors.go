package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// What can be wrong with a data folder, or with a call. They are wrapped in
// errors that say more; compare with [errors.Is].
var (
	// ErrLocked: another process has the data folder open.
	ErrLocked = errors.New("another wigwag is running on it")
	// ErrUnwritable: the data folder cannot be made or written.
	ErrUnwritable = errors.New("it cannot be written")
	// ErrNewer: a newer wigwag wrote the data folder.
	ErrNewer = errors.New("it was written by a newer wigwag")
	// ErrDamaged: the data folder, or a record, cannot be read as it was written.
	ErrDamaged = errors.New("it is damaged")

	// ErrNotEmpty: a backup is restored only where nothing is.
	ErrNotEmpty = errors.New("it is not empty")

	// ErrFull: there is no room left; nothing is evicted to make some. It has a
	// method Full.
	ErrFull error = fullError{}
	// ErrTooLarge: the data exceeds [MaxData] or the subject or key its bound.
	ErrTooLarge = errors.New("too large for the store")
	// ErrUnavailable: the store did not answer in time. What was to be written
	// may have been. It has a method Unavailable.
	ErrUnavailable error = unavailableError{}
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("the store is closed")
)

// So callers need not know this package to tell these two.
type (
	fullError        struct{}
	unavailableError struct{}
)

func (fullError) Error() string        { return "the store is full" }
func (fullError) Full() bool           { return true }
func (unavailableError) Error() string { return "the store does not answer" }

// Unavailable is true.
func (unavailableError) Unavailable() bool { return true }

// Error codes of JetStream.
const (
	codeStorageExceeded   jetstream.ErrorCode = 10047
	codeResources         jetstream.ErrorCode = 10023
	codeAccountResources  jetstream.ErrorCode = 10002
	codeStoreFailed       jetstream.ErrorCode = 10077
	codeWrongLastSequence jetstream.ErrorCode = 10071
	codeWrongLastConstant jetstream.ErrorCode = 10164
	codeBatchHoldsKnownID jetstream.ErrorCode = 10201
)

// refusal is a publish that JetStream refused: nothing of it was stored.
func refusal(stream string, e *jetstream.APIError) error {
	switch e.ErrorCode {
	case codeStoreFailed:
		if !strings.Contains(e.Description, "maximum") { // "maximum bytes exceeded"
			break
		}
		fallthrough
	case codeStorageExceeded, codeResources, codeAccountResources:
		return fmt.Errorf("%w: no room left for %s (%s)", ErrFull, stream, e.Description)
	}
	return fmt.Errorf("%s: refused: %w", stream, e)
}

// hasCode tells whether an error is JetStream's with one of the codes.
func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode)
}
