package auth

import (
	"context"
	"crypto/rand"
	"errors"
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

// NewLink returns the secret of a link with which a user can sign in once,
// within 24 hours, without a password: whoever has forgotten it. One made before is void. It returns [ErrUnknownUser] when there
// is no such user.
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

// RedeemLink returns the user a link is for, or [ErrLink]. Of those who redeem
// it at once one gets it.
func (u *Users) RedeemLink(ctx context.Context, from netip.Addr, secret string) (User, error) {
	name, random, _ := strings.Cut(secret, ".")
	if !validName(name) || !isSecret(random) {
		return User{}, ErrLink
	}
	var user User
	err := u.change(ctx, name, func(r *record) bool {
		user = User{}
		if r.Disabled || r.Link == nil || r.Link.Hash != idOf(random) || !time.Now().Before(r.Link.Expires) {
			return false
		}
		r.Link = nil
		user = r.user(name)
		return true
	})
	if errors.Is(err, ErrUnknownUser) || err == nil && user.Name == "" {
		u.audit.Record(WithRemote(ctx, from), Event{Action: "sign-in", Actor: u.known(name), Outcome: "refused", Detail: ErrLink.Error()})
		return User{}, ErrLink
	}
	if err != nil {
		return User{}, err
	}
	u.audit.Record(WithRemote(ctx, from), Event{Action: "sign-in", Actor: name, Detail: "link"})
	return user, nil
}
