package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

const linkLifetime = 24 * time.Hour

// ErrLink is returned for a link to sign in that is not good.
var ErrLink = errors.New("the link is not valid: links are good once, for 24 hours")

// link is how a link to sign in is stored, with its user.
type link struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
}

// CreateWithLink adds a user as [Users.Create] does, but without a password,
// and returns the secret of a link as [Users.NewLink] does: the first
// administrator, who is to choose a password then.
func (u *Users) CreateWithLink(ctx context.Context, name string, role Role) (secret string, err error) {
	if err := checkNew(name, role); err != nil {
		return "", err
	}
	random, l := newLink()
	if _, err := u.add(ctx, name, record{Created: now(), Role: role, Generation: rand.Text(), Link: l}); err != nil {
		return "", err
	}
	return name + "." + random, nil
}

func newLink() (random string, l *link) {
	random, hash := newSecret()
	return random, &link{Hash: hash, Expires: now().Add(linkLifetime)}
}

// NewLink returns the secret of a link with which a user can choose a password
// once, within 24 hours: whoever has forgotten it. One made before is void. It
// returns [ErrUnknownUser] when there is no such user.
func (u *Users) NewLink(ctx context.Context, name string) (secret string, err error) {
	random, l := newLink()
	err = u.changeAndTell(ctx, name, Event{Action: "user.link"}, func(r *record) bool {
		r.Link = l
		return true
	})
	if err != nil {
		return "", err
	}
	return name + "." + random, nil
}

// RedeemLink sets the password that a user who came by a link has chosen, and
// returns the user, or [ErrLink]. Of those who redeem it at once one gets it. With
// a password that cannot be the link stays good.
func (u *Users) RedeemLink(ctx context.Context, from netip.Addr, secret, password string) (User, error) {
	if err := checkPassword(password); err != nil {
		return User{}, err
	}
	name, random, _ := strings.Cut(secret, ".")
	if !validName(name) || !isSecret(random) {
		return User{}, ErrLink
	}
	r, revision, err := u.get(name)
	if err != nil {
		return User{}, err
	}
	if revision == 0 || !r.hasLink(random) { // saves a hash
		return User{}, u.refuseLink(ctx, from, name)
	}
	hash, err := u.hash(ctx, password)
	if err != nil {
		return User{}, fmt.Errorf("set password: %w", err)
	}
	var user User
	err = u.change(ctx, name, func(r *record) bool {
		user = User{}
		if !r.hasLink(random) {
			return false
		}
		r.PasswordHash = hash
		r.endTokens() // and the link
		user = r.user(name)
		return true
	})
	switch {
	case errors.Is(err, ErrUnknownUser), err == nil && user.Name == "":
		return User{}, u.refuseLink(ctx, from, name)
	case err != nil:
		return User{}, err
	}
	ctx = WithRemote(ctx, from)
	u.audit.Record(ctx, Event{Action: "sign-in", Actor: name, Detail: "link"})
	u.audit.Record(ctx, Event{Action: "user.password", Actor: name, Target: name})
	return user, nil
}

// hasLink tells whether the user can sign in by a link with this secret now.
func (r *record) hasLink(random string) bool {
	return !r.Disabled && r.Link != nil && r.Link.Hash == idOf(random) && time.Now().Before(r.Link.Expires)
}

func (u *Users) refuseLink(ctx context.Context, from netip.Addr, name string) error {
	u.audit.Record(WithRemote(ctx, from), Event{Action: "sign-in", Actor: u.known(name), Outcome: "refused", Detail: ErrLink.Error()})
	return ErrLink
}
