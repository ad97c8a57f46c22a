package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
)

const (
	minPassword      = 8   // characters
	maxPassword      = 128 // characters
	maxPasswordBytes = 4 * maxPassword

	maxHashes = 4 // at a time: 19 MiB each
	hashWait  = 5 * time.Second
)

// ErrBusy is returned when too many passwords are being checked at once.
var ErrBusy = errors.New("too many passwords are being checked at the moment")

// GeneratePassword returns a random password of at least 128 bits, in lower
// case letters and digits that are not mistaken for letters.
func GeneratePassword() string {
	return strings.ToLower(rand.Text())
}

func checkPassword(password string) error {
	if !utf8.ValidString(password) {
		return errors.New("password: must be valid UTF-8")
	}
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		return fmt.Errorf("password: must have %d to %d characters, has %d", minPassword, maxPassword, n)
	}
	return nil
}

// hasher hashes passwords with argon2id, at most maxHashes at a time: a burst
// of logins costs time, not memory. Who calls hash or verify has acquired a
// slot.
type hasher struct {
	params argon2id.Params
	slots  chan struct{}
	create func(password string, params *argon2id.Params) (string, error)
	check  func(password, hash string) (bool, *argon2id.Params, error)
}

func newHasher() *hasher {
	return &hasher{
		params: argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		slots:  make(chan struct{}, maxHashes),
		create: argon2id.CreateHash,
		check:  argon2id.CheckHash,
	}
}

func (h *hasher) hash(password string) (string, error) {
	return h.create(password, &h.params)
}

// verify reports whether password is the one of hash. If it is, and hash was
// made with other parameters, better is a new hash of it.
func (h *hasher) verify(password, hash string) (ok bool, better string, err error) {
	ok, params, err := h.check(password, hash)
	if err != nil {
		return false, "", fmt.Errorf("stored password hash: %w", err)
	}
	if ok && *params != h.params {
		better, err = h.hash(password)
	}
	return ok, better, err
}

// acquire waits for a slot, at most hashWait; then it returns [ErrBusy]. A slot
// is given back by release.
func (h *hasher) acquire(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, hashWait, ErrBusy)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *hasher) release() { <-h.slots }
