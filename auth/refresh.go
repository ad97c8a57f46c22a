package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
	"time"
)

const (
	refreshIdle  = 30 * 24 * time.Hour // how long a refresh token is good
	refreshGrace = time.Minute         // how long it is good again, once used
)

var (
	// ErrRefresh is returned for a refresh token that is not good, whatever the
	// reason: in OAuth, invalid_grant.
	ErrRefresh = errors.New("the refresh token is not valid")
	// ErrScope is returned when more is asked for than was granted: in OAuth,
	// invalid_scope.
	ErrScope = errors.New("the scopes go beyond what was granted")
	// ErrResource is returned when another resource is asked for than was
	// granted: in OAuth, invalid_target.
	ErrResource = errors.New("the grant is for another resource")
)

// rotation is the state of a family of refresh tokens. A token is two secrets:
// one names the family and stays, the other is good once. So whoever shows the
// first without a good second had a token of the family once, which is stolen
// or was: the family ends.
//
// Clients refresh in parallel, and lose answers. So for a minute the token
// before the current one is good, too, and gives what it gave before: its
// successor is made of itself and a salt, so that nothing that is stored alone
// is enough to make it.
type rotation struct {
	Current  string    `json:"current"`            // hash of the second secret
	Previous string    `json:"previous,omitempty"` // that of the token before
	Salt     []byte    `json:"salt,omitempty"`     // that made the current of the previous
	At       time.Time `json:"at,omitzero"`        // when
}

// Refresh says who refreshes and for what.
type Refresh struct {
	Client   string // the OAuth client's ID; empty for a login
	Resource string // empty: the one that was granted
	Scopes   Scopes // of the access token; none: all that were granted
}

// Refresh exchanges a refresh token for new tokens. One that was used before
// revokes all that came from it, unless that was within the last minute. Errors
// are [ErrRefresh], [ErrScope], [ErrResource] and internal ones.
func (t *Tokens) Refresh(ctx context.Context, token string, o Refresh) (Issued, error) {
	handle, secret, _ := strings.Cut(token, ".")
	if !isSecret(handle) || !isSecret(secret) {
		return Issued{}, ErrRefresh
	}
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		r, revision, err := t.credentials.alive(idOf(handle))
		switch {
		case err != nil:
			return Issued{}, err
		case revision == 0 || r.Rotation == nil || r.Client != o.Client:
			return Issued{}, ErrRefresh
		}
		moved := *r.Rotation // what is remembered is shared
		next, used := moved.next(secret)
		if next == "" {
			return Issued{}, t.reused(ctx, r)
		}
		switch {
		case o.Resource != "" && o.Resource != r.Resource:
			return Issued{}, ErrResource
		case !r.Scopes.Include(o.Scopes):
			return Issued{}, ErrScope
		case o.Scopes == 0:
			o.Scopes = r.Scopes
		}
		if used {
			r.Rotation, r.Used = &moved, now()
			r.Expires = r.Used.Add(refreshIdle)
			stored, err := t.credentials.put(ctx, r.ID, r, revision)
			if err != nil {
				return Issued{}, err
			}
			if !stored {
				continue // somebody else was faster: see what with
			}
		}
		return t.issue(ctx, r, handle+"."+next, o.Scopes)
	}
}

// next returns the successor of a token's second secret, and whether the
// family moved on with it; empty if the secret is not good.
func (r *rotation) next(secret string) (next string, moved bool) {
	hash := idOf(secret)
	switch {
	case hash == r.Current:
		salt := make([]byte, 32)
		_, _ = rand.Read(salt) // never fails
		next = successor(salt, secret)
		*r = rotation{Current: idOf(next), Previous: hash, Salt: salt, At: now()}
		return next, true
	case hash == r.Previous && time.Since(r.At) < refreshGrace:
		return successor(r.Salt, secret), false
	default:
		return "", false
	}
}

func successor(salt []byte, secret string) string {
	mac := hmac.New(sha256.New, salt)
	_, _ = mac.Write([]byte(secret)) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)))
}

// reused ends a family.
func (t *Tokens) reused(ctx context.Context, r credential) error {
	if err := t.credentials.revoke(ctx, r.ID, r, Event{Action: "token.reuse", Client: r.Client, Outcome: "revoked"}); err != nil {
		return err
	}
	return ErrRefresh
}

// RevokeToken ends what a token belongs to: a refresh, access or personal
// access token, of the OAuth client that shows it, or of no client. For one
// that is not good there is nothing to do (RFC 7009, section 2.2). What the
// client made with it stays.
func (t *Tokens) RevokeToken(ctx context.Context, token, client string) error {
	var id string
	var owner credential
	if handle, secret, ok := strings.Cut(token, "."); ok && isSecret(handle) && isSecret(secret) {
		id = idOf(handle)
	} else {
		proven, err := t.Verify(ctx, token)
		if _, bad := errors.AsType[TokenError](err); bad {
			return nil
		}
		if err != nil {
			return err
		}
		id = proven.Credential
	}
	owner, revision, err := t.credentials.get(id)
	if err != nil || revision == 0 || owner.Client != client {
		return err
	}
	if err := t.credentials.remove(ctx, id); err != nil {
		return err
	}
	t.audit.Record(ctx, Event{Action: "token.revoke", Target: owner.User, Client: client, Detail: string(owner.Kind) + " " + id})
	return nil
}
