package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	personalPrefix = "pat_" // tells people, and scanners for leaked secrets, what it is
	maxPersonal    = 366 * 24 * time.Hour
	maxTokenName   = 64 // characters
)

// Personal says what a personal access token is to be.
type Personal struct {
	Name     string        // 1 to 64 printable characters, for its owner
	Scopes   Scopes        // at least one
	Lifetime time.Duration // at most 366 days
	// By is the credential with which the token is asked for, empty for the
	// operator. Where an OAuth client is behind it, the token ends when what the
	// client was granted is revoked by anybody but the client itself: who makes
	// a token and signs out keeps it.
	By string
}

// NewPersonal makes a personal access token for a user. It is good at every
// address of the server. The token is shown only here. It returns [ErrTooMany]
// when the user has 100.
func (t *Tokens) NewPersonal(ctx context.Context, user User, p Personal) (token string, c Credential, err error) {
	switch {
	case !printable(p.Name, maxTokenName):
		return "", Credential{}, fmt.Errorf("name: must be 1 to %d printable characters", maxTokenName)
	case p.Scopes == 0:
		return "", Credential{}, fmt.Errorf("scopes: must be one or more of %s", ScopeAdmin)
	case !user.Role.Scopes().Include(p.Scopes):
		return "", Credential{}, fmt.Errorf("scopes: must be of %s", user.Role.Scopes())
	case p.Lifetime <= 0 || p.Lifetime > maxPersonal:
		return "", Credential{}, errors.New("lifetime: must be more than 0 and at most 366 days")
	}
	grant, madeBy, err := t.grantBehind(p.By)
	if err != nil {
		return "", Credential{}, err
	}
	secret, id := newSecret()
	r := t.newCredential(user, Credential{Kind: KindPersonal, Name: p.Name, Scopes: p.Scopes, Grant: grant, MadeBy: madeBy}, p.Lifetime)
	if err := t.credentials.add(ctx, id, r); err != nil {
		return "", Credential{}, err
	}
	if _, _, err := t.grantBehind(grant); err != nil { // revoked just now, which did not see this token
		return "", Credential{}, errors.Join(err, t.credentials.remove(ctx, id))
	}
	t.audit.Record(ctx, Event{Action: "token.create", Target: user.Name, Detail: string(KindPersonal) + " " + id + ": " + p.Scopes.String()})
	r.ID = id
	return personalPrefix + secret, r.Credential, nil
}

// grantBehind is the OAuth client's grant that a credential is, or was made by,
// and the client's name; empty for none. A credential that has ended is
// errInvalid.
func (t *Tokens) grantBehind(id string) (grant, name string, err error) {
	if id == "" {
		return "", "", nil
	}
	r, revision, err := t.credentials.alive(id)
	switch {
	case err != nil:
		return "", "", err
	case revision == 0:
		return "", "", errInvalid
	case r.Kind == KindOAuth:
		return id, cmp.Or(r.ClientName, r.Client), nil
	default:
		return r.Grant, r.MadeBy, nil
	}
}

func (t *Tokens) verifyPersonal(secret string) (Identity, error) {
	if !isSecret(secret) {
		return Identity{}, errInvalid
	}
	r, revision, err := t.credentials.alive(idOf(secret))
	if err != nil {
		return Identity{}, err
	}
	if revision == 0 || r.Kind != KindPersonal {
		return Identity{}, TokenError("the token is not known: it has expired, has been revoked, or never was one")
	}
	t.credentials.index.use(r.Credential)
	return t.identity(r), nil
}

// printable reports whether s is 1 to most printable characters.
func printable(s string, most int) bool {
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > most {
		return false
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}
