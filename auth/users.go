package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

var (
	// ErrCredentials is the one answer to a wrong password and to an unknown
	// name.
	ErrCredentials = errors.New("wrong username or password")
	// ErrExists is returned when a name is taken.
	ErrExists = errors.New("a user of that name exists already")
)

// ThrottledError is returned while attempts have to wait. No password was
// checked, right or wrong.
type ThrottledError struct {
	RetryAfter time.Duration
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many failed attempts: try again in %d seconds", wholeSeconds(e.RetryAfter))
}

// wholeSeconds rounds up, as Retry-After needs it.
func wholeSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

// Store keeps a small value per key, here per user name. A revision is
// positive and changes with every write of its key.
type Store interface {
	// Get returns what is stored, and revision 0 when there is nothing. It
	// answers from memory and does not wait. The caller does not change value.
	Get(key string) (value []byte, revision uint64)
	// Put stores value if the key's revision is still the given one (0: if
	// there is nothing yet), and reports whether it did.
	Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error)
}

// Users are the people who can log in. Its methods are safe for concurrent
// use.
type Users struct {
	store    Store
	hasher   *hasher
	throttle *throttle
	dummy    string // hash of a password nobody knows, checked for unknown names
}

// record is how a user is stored.
type record struct {
	PasswordHash string `json:"password_hash"`
}

// NewUsers returns the users kept in store. Throttling is per Users: make one.
func NewUsers(store Store) (*Users, error) {
	return newUsers(store, newHasher())
}

func newUsers(store Store, h *hasher) (*Users, error) {
	dummy, err := h.hash(GeneratePassword())
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return &Users{store: store, hasher: h, throttle: newThrottle(), dummy: dummy}, nil
}

// Exists reports whether there is a user of that name.
func (u *Users) Exists(name string) bool {
	_, revision := u.store.Get(name)
	return revision != 0
}

// Create adds a user. A name is 1 to 64 of a-z, 0-9, - and _, begins with a
// letter or digit and is not [AnonymousName]; a password has 8 to 128
// characters. It returns [ErrExists] when the name is taken.
func (u *Users) Create(ctx context.Context, name, password string) error {
	if !validName(name) {
		return errors.New("name: must be 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit")
	}
	if name == AnonymousName {
		return fmt.Errorf("name: %q is reserved", AnonymousName)
	}
	if err := checkPassword(password); err != nil {
		return err
	}
	if u.Exists(name) { // saves a hash; Put decides
		return ErrExists
	}
	if err := u.hasher.acquire(ctx); err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	defer u.hasher.release()
	hash, err := u.hasher.hash(password)
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	created, err := u.put(ctx, name, record{PasswordHash: hash}, 0)
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	if !created {
		return ErrExists
	}
	return nil
}

// Authenticate checks a password given by somebody at the address from. Every
// form that takes a password comes through here, so that all are throttled
// together. It returns nil, [ErrCredentials], a [*ThrottledError], [ErrBusy],
// or an internal error.
func (u *Users) Authenticate(ctx context.Context, from netip.Addr, name, password string) error {
	// Whoever has to wait is told so at once; who does not, queues for a slot
	// and is counted only then. So many right passwords at once are no failures,
	// and of many wrong ones no more are checked than one by one.
	if wait := u.throttle.wait(name, from); wait > 0 {
		return &ThrottledError{RetryAfter: wait}
	}
	if err := u.hasher.acquire(ctx); err != nil {
		return err
	}
	defer u.hasher.release()
	attempt, wait := u.throttle.begin(name, from)
	if wait > 0 {
		return &ThrottledError{RetryAfter: wait}
	}
	err := u.check(ctx, name, password)
	switch {
	case err == nil:
		u.throttle.succeeded(attempt)
	case !errors.Is(err, ErrCredentials): // nothing was learned from it
		u.throttle.takeBack(attempt)
	}
	return err
}

// check does the same work for an unknown name as for a wrong password. The
// caller holds a slot of the hasher.
func (u *Users) check(ctx context.Context, name, password string) error {
	if len(password) > maxPasswordBytes {
		return ErrCredentials // whatever the name: nobody has such a password
	}
	value, revision := u.store.Get(name)
	var user record
	if revision != 0 {
		if err := json.Unmarshal(value, &user); err != nil {
			return fmt.Errorf("stored user: %w", err)
		}
	}
	known := user.PasswordHash != ""
	if !known {
		user.PasswordHash = u.dummy
	}
	ok, better, err := u.hasher.verify(password, user.PasswordHash)
	if err != nil {
		return err
	}
	if !ok || !known {
		return ErrCredentials
	}
	if better != "" {
		// The password was right, so a failure here is no reason to refuse;
		// the next login tries again.
		user.PasswordHash = better
		_, _ = u.put(ctx, name, user, revision)
	}
	return nil
}

func (u *Users) put(ctx context.Context, name string, user record, revision uint64) (bool, error) {
	value, err := json.Marshal(user)
	if err != nil {
		return false, err
	}
	return u.store.Put(ctx, name, value, revision)
}

func validName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '-' || name[0] == '_' {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
