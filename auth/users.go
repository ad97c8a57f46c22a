package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

var (
	// ErrCredentials is the one answer to a wrong password, to an unknown name
	// and to that of a user who is disabled.
	ErrCredentials = errors.New("wrong username or password")
	// ErrExists is returned when a name is taken.
	ErrExists = errors.New("a user of that name exists already")
	// ErrUnknownUser is returned when a user is to be changed that is not there.
	ErrUnknownUser = errors.New("there is no user of that name")
)

// ThrottledError is returned while attempts have to wait: to sign in, when no
// password was checked, right or wrong; and to make tokens.
type ThrottledError struct {
	RetryAfter time.Duration
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts: try again in %d seconds", wholeSeconds(e.RetryAfter))
}

// wholeSeconds rounds up, as Retry-After needs it.
func wholeSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

// maxUsers bounds the users, disabled ones included.
const maxUsers = 10_000

// Users are the people who can log in. Its methods are safe for concurrent
// use.
//
// A user who is disabled does not exist for the others and cannot log in; what
// the user has written stays, and so does the name.
type Users struct {
	store    Store
	audit    Audit
	hasher   *hasher
	throttle *throttle
	dummy    string // hash of a password nobody knows, checked for unknown names
	read     parsed[record]
}

// User is a user as stored at one time.
type User struct {
	Name        string    `json:"username"`
	Role        Role      `json:"role"`
	Disabled    bool      `json:"disabled"`
	HasPassword bool      `json:"has_password"` // without one, only a link or an outside issuer lets the user in
	Created     time.Time `json:"created"`

	generation string // of the user's tokens: those of another one are refused
}

// NewUsers returns the users kept in store. It fails when one of them cannot
// be read. Throttling is per Users: make one. With a nil audit nothing is
// recorded.
func NewUsers(store Store, audit Audit) (*Users, error) {
	return newUsers(store, audit, newHasher())
}

func newUsers(store Store, audit Audit, h *hasher) (*Users, error) {
	dummy, err := h.hash(GeneratePassword())
	if err != nil {
		return nil, fmt.Errorf("hash a password: %w", err)
	}
	u := &Users{store: store, audit: auditOrNone(audit), hasher: h, throttle: newThrottle(), dummy: dummy}
	if _, err := u.List(); err != nil {
		return nil, err
	}
	return u, nil
}

// Exists reports whether there is a user of that name who is not disabled.
func (u *Users) Exists(name string) bool {
	r, revision, err := u.get(name)
	return err == nil && revision != 0 && !r.Disabled
}

// Names returns the names of all users who are not disabled, sorted.
func (u *Users) Names() []string {
	var names []string
	for name, value := range u.all() {
		if r, err := decodeUser(name, value); err == nil && !r.Disabled {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// List returns all users, by name. It fails when one of them cannot be read.
func (u *Users) List() ([]User, error) {
	var users []User
	for name, value := range u.all() {
		r, err := decodeUser(name, value)
		if err != nil {
			return nil, err
		}
		users = append(users, r.user(name))
	}
	slices.SortFunc(users, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return users, nil
}

// Of returns the user of that name if the user's tokens were not revoked since
// the [Identity.Generation] given, and a [TokenError] otherwise.
func (u *Users) Of(name, generation string) (User, error) {
	r, revision, err := u.get(name)
	if err != nil {
		return User{}, err
	}
	if revision == 0 || r.Disabled || r.Generation != generation {
		return User{}, errRevoked
	}
	return r.user(name), nil
}

// Create adds a user. A name is 1 to 64 of a-z, 0-9, - and _, begins with a
// letter or digit and is not [AnonymousName]; a password has 8 to 128
// characters. It returns [ErrExists] when the name is taken, also by a user who
// is disabled. There are at most 10,000.
func (u *Users) Create(ctx context.Context, name, password string, role Role) (User, error) {
	if err := checkNew(name, role); err != nil {
		return User{}, err
	}
	if err := checkPassword(password); err != nil {
		return User{}, err
	}
	if u.taken(name) { // saves a hash; Put decides
		return User{}, ErrExists
	}
	hash, err := u.hash(ctx, password)
	if err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	return u.add(ctx, name, record{Created: now(), Role: role, PasswordHash: hash, Generation: rand.Text()})
}

// add stores a new user.
func (u *Users) add(ctx context.Context, name string, r record) (User, error) {
	if n := len(u.all()); n >= maxUsers {
		return User{}, fmt.Errorf("create user: there are %d already", n)
	}
	created, err := u.put(ctx, name, r, 0)
	if err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	if !created {
		return User{}, ErrExists
	}
	u.audit.Record(ctx, Event{Action: "user.create", Target: name, Detail: string(r.role())})
	return r.user(name), nil
}

// ChangePassword is [Users.SetPassword] for users themselves: they give their
// old password, too, which is checked as [Users.Authenticate] does.
func (u *Users) ChangePassword(ctx context.Context, from netip.Addr, name, old, password string) error {
	if _, err := u.Authenticate(ctx, from, name, old); err != nil {
		return err
	}
	return u.SetPassword(ctx, name, password)
}

// SetPassword changes a user's password, and revokes all the user has: tokens,
// sessions, grants, and a link to sign in. It returns [ErrUnknownUser] when
// there is no such user.
func (u *Users) SetPassword(ctx context.Context, name, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	if !u.taken(name) { // saves a hash
		return ErrUnknownUser
	}
	hash, err := u.hash(ctx, password)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return u.changeAndTell(ctx, name, Event{Action: "user.password"}, func(r *record) bool {
		r.PasswordHash = hash
		r.endTokens()
		return true
	})
}

// SetDisabled disables a user, which revokes all the user has for good, or
// enables one again. It returns [ErrUnknownUser] when there is no such user.
func (u *Users) SetDisabled(ctx context.Context, name string, disabled bool) error {
	action := "user.enable"
	if disabled {
		action = "user.disable"
	}
	return u.changeAndTell(ctx, name, Event{Action: action}, func(r *record) bool {
		if r.Disabled == disabled {
			return false
		}
		if r.Disabled = disabled; disabled {
			r.endTokens()
		}
		return true
	})
}

// SetRole gives a user another role, which revokes all the user has: whoever
// may do more, or less, signs in anew. It returns [ErrUnknownUser] when there
// is no such user.
func (u *Users) SetRole(ctx context.Context, name string, role Role) error {
	if err := checkRole(role); err != nil {
		return err
	}
	return u.changeAndTell(ctx, name, Event{Action: "user.role", Detail: string(role)}, func(r *record) bool {
		if r.role() == role {
			return false
		}
		r.Role = role
		r.endTokens()
		return true
	})
}

// changeAndTell is change, and the audit hears of it.
func (u *Users) changeAndTell(ctx context.Context, name string, e Event, edit func(*record) bool) error {
	changed := false
	err := u.change(ctx, name, func(r *record) bool {
		changed = edit(r)
		return changed
	})
	if err == nil && changed {
		e.Target = name
		u.audit.Record(ctx, e)
	}
	return err
}

// Authenticate checks a password given by somebody at the address from. Every
// form that takes a password comes through here, so that all are throttled
// together. It returns the user as it was when the password was checked: should
// it change before a token is issued, the token is revoked. Errors are
// [ErrCredentials], also for a user who is disabled, a [*ThrottledError],
// [ErrBusy], and internal ones.
func (u *Users) Authenticate(ctx context.Context, from netip.Addr, name, password string) (User, error) {
	// Whoever has to wait is told so at once; who does not, queues for a slot
	// and is counted only then. So many right passwords at once are no failures,
	// and of many wrong ones no more are checked than one by one.
	ctx = WithRemote(ctx, from)
	if wait := u.throttle.wait(name, from); wait > 0 {
		return User{}, u.throttled(ctx, name, wait)
	}
	if err := u.hasher.acquire(ctx); err != nil {
		return User{}, err
	}
	defer u.hasher.release()
	attempt, wait := u.throttle.begin(name, from)
	if wait > 0 {
		return User{}, u.throttled(ctx, name, wait)
	}
	user, err := u.check(ctx, name, password)
	switch {
	case err == nil:
		u.throttle.succeeded(attempt)
		u.audit.Record(ctx, Event{Action: "sign-in", Actor: name, Detail: "password"})
	case errors.Is(err, ErrCredentials):
		u.audit.Record(ctx, Event{Action: "sign-in", Actor: u.known(name), Outcome: "refused", Detail: err.Error()})
	default: // nothing was learned from it
		u.throttle.takeBack(attempt)
	}
	return user, err
}

func (u *Users) throttled(ctx context.Context, name string, wait time.Duration) error {
	err := &ThrottledError{RetryAfter: wait}
	u.audit.Record(ctx, Event{Action: "sign-in", Actor: u.known(name), Outcome: "refused", Detail: err.Error()})
	return err
}

// check does the same work for an unknown name, a user who is disabled and a
// wrong password. The caller holds a slot of the hasher.
func (u *Users) check(ctx context.Context, name, password string) (User, error) {
	if len(password) > maxPasswordBytes {
		return User{}, ErrCredentials // whatever the name: nobody has such a password
	}
	r, revision, err := u.get(name)
	if err != nil {
		return User{}, err
	}
	hash, possible := r.PasswordHash, r.PasswordHash != "" && !r.Disabled
	if !possible {
		hash = u.dummy
	}
	ok, better, err := u.hasher.verify(password, hash)
	if err != nil {
		return User{}, err
	}
	if !ok || !possible {
		return User{}, ErrCredentials
	}
	if better != "" {
		// The password was right, so a failure here is no reason to refuse;
		// the next login tries again.
		r.PasswordHash = better
		_, _ = u.put(ctx, name, r, revision)
	}
	return r.user(name), nil
}

// hash takes a slot of the hasher.
func (u *Users) hash(ctx context.Context, password string) (string, error) {
	if err := u.hasher.acquire(ctx); err != nil {
		return "", err
	}
	defer u.hasher.release()
	return u.hasher.hash(password)
}

// taken reports whether a name is a user's, disabled or not.
func (u *Users) taken(name string) bool {
	_, revision := u.store.Get(name)
	return revision != 0
}

func checkNew(name string, role Role) error {
	if err := checkName(name); err != nil {
		return err
	}
	return checkRole(role)
}

// known returns a name for records. One that is nobody's is left out: people
// type their password into the wrong field.
func (u *Users) known(name string) string {
	if !u.taken(name) {
		return "(unknown)"
	}
	return name
}

func checkName(name string) error {
	if !validName(name) {
		return errors.New("name: must be 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit")
	}
	if name == AnonymousName {
		return fmt.Errorf("name: %q is reserved", AnonymousName)
	}
	return nil
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
