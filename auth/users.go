package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
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
func NewUsers(ctx context.Context, store Store) (*Users, error) {
	u := &Users{store: store, hasher: newHasher(), throttle: newThrottle()}
	var err error
	if u.dummy, err = u.hasher.hash(ctx, GeneratePassword()); err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	return u, nil
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
	hash, err := u.hasher.hash(ctx, password)
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

// check does the same work for an unknown name as for a wrong password.
func (u *Users) check(ctx context.Context, name, password string) error {
	if len(password) > maxPasswordBytes {
		return ErrCredentials // whatever the name: nobody has such a password
	}
	value, revision := u.store.Get(name)
	user := record{PasswordHash: u.dummy}
	if revision != 0 {
		if err := json.Unmarshal(value, &user); err != nil {
			return fmt.Errorf("stored user: %w", err)
		}
	}
	ok, better, err := u.hasher.verify(ctx, password, user.PasswordHash)
	if err != nil {
		return err
	}
	if !ok || revision == 0 {
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

// maxUsers bounds a [MemoryStore].
const maxUsers = 10_000

// MemoryStore is a [Store] that is gone when the process ends. It holds at
// most 10,000 keys.
type MemoryStore struct {
	mu       sync.RWMutex
	entries  map[string]entry // guarded by mu
	revision uint64           // of the last write; guarded by mu
}

type entry struct {
	value    []byte
	revision uint64
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{entries: map[string]entry{}}
}

// Get implements [Store].
func (s *MemoryStore) Get(key string) (value []byte, revision uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[key]
	return e.value, e.revision
}

// Put implements [Store].
func (s *MemoryStore) Put(_ context.Context, key string, value []byte, revision uint64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key].revision != revision {
		return false, nil
	}
	if revision == 0 && len(s.entries) >= maxUsers {
		return false, fmt.Errorf("full: there are %d users already", maxUsers)
	}
	s.revision++
	s.entries[key] = entry{value: value, revision: s.revision}
	return true, nil
}
