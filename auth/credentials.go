package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Kind is what is presented instead of a password.
type Kind string

// The kinds there are.
const (
	KindLogin    Kind = "login"    // a login by password: access and refresh tokens
	KindWeb      Kind = "web"      // a web session: a cookie
	KindOAuth    Kind = "oauth"    // what a user granted to an OAuth client: a family of tokens
	KindPersonal Kind = "personal" // a personal access token
	KindExternal Kind = "external" // a token of an outside issuer; it has no credential here
	KindGuest    Kind = "guest"    // nothing was presented; see [Guest]

	kindTicket     Kind = "ticket"
	kindInvitation Kind = "invitation"
)

// maxCredentials bounds all users' credentials together.
const maxCredentials = 50_000

// limit bounds the credentials of one kind that a user has. Where another one
// is made beyond it, the one that was not used for longest gives way; but those
// that somebody wrote down are kept, so that making another one fails.
func (k Kind) limit() (most int, kept bool) {
	switch k {
	case KindLogin, KindOAuth:
		return 500, false
	case KindPersonal, kindInvitation:
		return 100, true
	default:
		return 100, false
	}
}

var (
	// ErrTooMany is returned when a user has as many personal access tokens, or
	// invitations, as there may be.
	ErrTooMany = errors.New("there are too many already: revoke one first")
	// ErrUnknownCredential is returned for a credential that is not there, or
	// not any more.
	ErrUnknownCredential = errors.New("there is no such token, session or invitation")
)

// Credential is what a user can present instead of a password, as stored at
// one time. It holds no secret.
type Credential struct {
	ID         string    `json:"id,omitempty"`
	Kind       Kind      `json:"kind"`
	User       string    `json:"user"`                  // of an invitation: who made it
	Name       string    `json:"name,omitempty"`        // of a personal access token, as its owner calls it
	Client     string    `json:"client,omitempty"`      // the OAuth client it was granted to
	ClientName string    `json:"client_name,omitempty"` // what that one calls itself
	Resource   string    `json:"resource,omitempty"`    // that the grant is for
	Grant      string    `json:"grant,omitempty"`       // of a personal access token: that of the OAuth client that made it
	MadeBy     string    `json:"made_by,omitempty"`     // what that one calls itself
	Scopes     Scopes    `json:"scopes,omitempty"`
	Role       Role      `json:"role,omitempty"` // that an invitation gives
	Created    time.Time `json:"created"`
	Used       time.Time `json:"used"` // last; of a personal access token and a web session to within minutes
	Expires    time.Time `json:"expires"`
}

// credential is how a [Credential] is stored, under its ID.
type credential struct {
	Version int `json:"version"`
	Credential
	Generation string    `json:"generation"` // the user's when it was made
	Rotation   *rotation `json:"rotation,omitempty"`
	Bearer     *Identity `json:"bearer,omitempty"` // of a ticket: whom it stands for

	owner record // the user, when it was found alive
}

// Credentials keeps what users present instead of a password. Each is stored
// under a hash of its secret, ends by itself, and there are at most 50,000.
// Its methods are safe for concurrent use; Close ends it.
type Credentials struct {
	store Store
	users *Users
	audit Audit
	made  *Limiter // by user
	index *index
	read  parsed[credential]
	close func()
}

// CredentialsOptions are what [NewCredentials] is made of.
type CredentialsOptions struct {
	Store  Store        // required; of their own
	Users  *Users       // required
	Audit  Audit        // nil: nothing is recorded
	Logger *slog.Logger // required
}

// NewCredentials returns the credentials kept in a store.
func NewCredentials(o CredentialsOptions) *Credentials {
	c := &Credentials{store: o.Store, users: o.Users, audit: auditOrNone(o.Audit), made: NewLimiter(time.Second, 500), index: newIndex()}
	stopWatch := o.Store.Watch(func(id string, value []byte, _ uint64) { c.apply(id, value) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.keepUp(ctx, o.Logger)
	}()
	c.close = func() {
		cancel()
		<-ended
		stopWatch()
	}
	return c
}

// Close ends the work in the background. It comes before the store's own end,
// and once.
func (c *Credentials) Close() { c.close() }

// List returns the credentials of a user that somebody may want to look at or
// revoke, the newest first: no tickets and no invitations.
func (c *Credentials) List(user string) []Credential {
	var list []Credential
	for _, id := range c.index.of(user) {
		if r, revision, _ := c.alive(id); revision != 0 && r.Kind != kindTicket && r.Kind != kindInvitation {
			list = append(list, r.Credential)
		}
	}
	slices.SortFunc(list, newestFirst)
	return list
}

func newestFirst(a, b Credential) int {
	return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
}

// Revoke ends a credential of a user. It returns [ErrUnknownCredential] where
// the user has none of that ID.
func (c *Credentials) Revoke(ctx context.Context, user, id string) error {
	r, revision, err := c.get(id)
	if err != nil {
		return err
	}
	if revision == 0 || r.User != user {
		return ErrUnknownCredential
	}
	return c.revoke(ctx, id, r, Event{Action: "token.revoke"})
}

// revoke ends a credential and the personal access tokens that its client made,
// and records it.
func (c *Credentials) revoke(ctx context.Context, id string, r credential, as Event) error {
	if err := c.remove(ctx, id); err != nil {
		return err
	}
	as.Target, as.Detail = r.User, string(r.Kind)+" "+id
	c.audit.Record(ctx, as)
	if r.Kind != KindOAuth {
		return nil
	}
	for _, made := range c.index.of(r.User) {
		p, revision, err := c.get(made)
		if err == nil && revision != 0 && p.Grant == id {
			err = c.revoke(ctx, made, p, Event{Action: "token.revoke"})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// RevokeClient ends all that a user has granted to an OAuth client. An empty
// user stands for all: the client is not to be any more.
func (c *Credentials) RevokeClient(ctx context.Context, user, client string) error {
	ids := c.index.of(user)
	if user == "" {
		ids = c.index.all()
	}
	for _, id := range ids {
		r, revision, err := c.get(id)
		if err != nil {
			return err
		}
		if revision == 0 || r.Kind != KindOAuth || r.Client != client {
			continue
		}
		if err := c.revoke(ctx, id, r, Event{Action: "token.revoke"}); err != nil {
			return err
		}
	}
	return nil
}

// newSecret returns 260 random bits, and the ID of what is stored under it.
func newSecret() (secret, id string) {
	secret = strings.ToLower(rand.Text() + rand.Text())
	return secret, idOf(secret)
}

// isSecret reports whether s has the form of a secret.
func isSecret(s string) bool {
	return len(s) == 52 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// idOf hashes a secret. A fast hash will do: nobody guesses 260 bits. The
// first 130 bits of it are enough: what they name cannot be made on purpose.
func idOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

// add stores a new credential under id. Where it is one too many, another one
// gives way or [ErrTooMany] is returned; where a user makes them too fast, a
// [*ThrottledError]: what gave way is remembered by the store for a while.
func (c *Credentials) add(ctx context.Context, id string, r credential) error {
	if wait := c.made.Take(r.User); wait > 0 {
		return &ThrottledError{RetryAfter: wait}
	}
	giveWay, err := c.index.reserve(id, r.Credential)
	if err != nil {
		return err
	}
	if giveWay != "" {
		err = c.remove(ctx, giveWay)
	}
	ok := false
	if err == nil {
		ok, err = c.put(ctx, id, r, 0)
	}
	if err == nil && !ok {
		err = errors.New("the ID is taken") // of 130 random bits
	}
	if err != nil {
		c.index.drop(id)
		return fmt.Errorf("store a credential: %w", err)
	}
	return nil
}

// get returns a credential as stored, and revision 0 when there is none.
func (c *Credentials) get(id string) (credential, uint64, error) {
	value, revision := c.store.Get(id)
	if revision == 0 {
		return credential{}, 0, nil
	}
	r, ok := c.read.get(id, value)
	if !ok {
		var err error
		if r, err = c.parse(id, value); err != nil {
			return credential{}, 0, err
		}
	}
	c.index.lastUse(&r.Credential)
	return r, revision, nil
}

// parse reads a credential that was not read before.
func (c *Credentials) parse(id string, value []byte) (r credential, err error) {
	if err := decode(value, &r); err != nil {
		return credential{}, fmt.Errorf("credential %s: %w", id, err)
	}
	r.ID = id
	c.read.add(id, value, r)
	return r, nil
}

// alive returns a credential that has neither ended nor been revoked, and
// revision 0 where there is none.
func (c *Credentials) alive(id string) (credential, uint64, error) {
	r, revision, err := c.get(id)
	if err != nil || revision == 0 || !time.Now().Before(r.Expires) {
		return credential{}, 0, err
	}
	if r.Kind == kindInvitation && r.User == "" { // the operator's, who does not end
		return r, revision, nil
	}
	user, there, err := c.users.get(r.User)
	if err != nil || there == 0 || user.Disabled || user.Generation != r.Generation {
		return credential{}, 0, err
	}
	r.owner = user
	return r, revision, nil
}

func (c *Credentials) put(ctx context.Context, id string, r credential, revision uint64) (bool, error) {
	r.Version = formatVersion
	r.ID = "" // it is the key
	value, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	return c.store.Put(ctx, id, value, revision)
}

// remove deletes a credential, whatever others do to it meanwhile. That it is
// not there is no error.
func (c *Credentials) remove(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		_, revision := c.store.Get(id)
		if revision == 0 {
			c.index.drop(id)
			return nil
		}
		if _, err := c.store.Delete(ctx, id, revision); err != nil {
			return fmt.Errorf("delete a credential: %w", err)
		}
	}
}

// change changes a credential, again when somebody else did meanwhile. It is
// done when the function returns false: there is nothing to change. That the
// credential is not there is no error.
func (c *Credentials) change(ctx context.Context, id string, edit func(*credential) bool) error {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		r, revision, err := c.get(id)
		if err != nil || revision == 0 || !edit(&r) {
			return err
		}
		changed, err := c.put(ctx, id, r, revision)
		if err != nil {
			return fmt.Errorf("change a credential: %w", err)
		}
		if changed {
			return nil
		}
	}
}

// take deletes a credential that is good once, and returns it: to one of those
// who try. For the others there is none.
func (c *Credentials) take(ctx context.Context, id string, kind Kind) (r credential, ok bool, err error) {
	r, revision, err := c.alive(id)
	if err != nil || revision == 0 || r.Kind != kind {
		return credential{}, false, err
	}
	won, err := c.store.Delete(ctx, id, revision)
	if err != nil || !won {
		return credential{}, false, err
	}
	c.index.drop(id)
	return r, true, nil
}
