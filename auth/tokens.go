package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	audience      = "wigwag" // this service, at whatever address
	tokenType     = "at+jwt" // RFC 9068, section 2.1
	tokenLifetime = time.Hour
)

// TokenError says why a token is refused. Clients are told its text.
type TokenError string

func (e TokenError) Error() string { return string(e) }

const errExpired TokenError = "the token has expired"

// errUnknownKey is what most refused tokens come down to.
var errUnknownKey = errors.New("unknown key ID")

// Tokens issues and verifies access tokens: JWTs signed with ES256.
type Tokens struct {
	issuer string
	keys   *Keys
	users  *Users
	parser *jwt.Parser
	good   verified
}

// claims of an access token (RFC 9068, section 2.2).
type claims struct {
	jwt.RegisteredClaims
	ClientID   string `json:"client_id,omitempty"`
	Generation string `json:"gen"` // the one the user had
}

// NewTokens returns tokens of the given issuer, a URL, for users. They are
// signed with the newest key and verified with any.
func NewTokens(issuer string, keys *Keys, users *Users) (*Tokens, error) {
	if issuer == "" {
		return nil, errors.New("tokens need an issuer")
	}
	return &Tokens{
		issuer: issuer,
		keys:   keys,
		users:  users,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
			jwt.WithIssuer(issuer),
			jwt.WithAudience(audience),
			jwt.WithExpirationRequired(),
			jwt.WithStrictDecoding(),
		),
	}, nil
}

// Issue returns a token for a user, as returned by [Users.Authenticate] or
// [Users.Create], and the identity it proves. It is valid for one hour, unless
// the user's tokens are revoked, also if they have been since. client is the
// OAuth client it is given to, or empty.
func (t *Tokens) Issue(user User, client string) (string, Identity, error) {
	now := time.Now().Truncate(time.Second) // what a NumericDate keeps
	id := Identity{
		Issuer:     t.issuer,
		Subject:    user.Name,
		Client:     client,
		ID:         rand.Text(),
		Expires:    now.Add(tokenLifetime),
		generation: user.generation,
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    id.Issuer,
			Subject:   id.Subject,
			Audience:  jwt.ClaimStrings{audience},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(id.Expires),
			ID:        id.ID,
		},
		ClientID:   client,
		Generation: user.generation,
	})
	token.Header["typ"] = tokenType
	token.Header["kid"] = t.keys.newest
	signed, err := token.SignedString(t.keys.byID[t.keys.newest])
	if err != nil {
		return "", Identity{}, fmt.Errorf("sign token: %w", err)
	}
	return signed, id, nil
}

// Verify returns the identity a token proves, or a [TokenError]. Any other
// error means that the user could not be looked up.
func (t *Tokens) Verify(_ context.Context, token string) (Identity, error) {
	id, known := t.good.get(token)
	switch {
	case !known:
		var err error
		if id, err = t.parse(token); err != nil {
			return Identity{}, err
		}
		t.good.add(token, id)
	case !time.Now().Before(id.Expires):
		t.good.forget(token)
		return Identity{}, errExpired
	}
	user, revision, err := t.users.get(id.Subject)
	switch {
	case err != nil:
		return Identity{}, err
	case revision == 0:
		return Identity{}, TokenError("the user of the token does not exist any more")
	case user.Disabled || user.Generation != id.generation:
		return Identity{}, TokenError("the token has been revoked")
	}
	return id, nil
}

// parse verifies all of a token but that its user is still the one it was
// given to.
func (t *Tokens) parse(token string) (Identity, error) {
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, t.keyFor); err != nil {
		return Identity{}, refusal(err)
	}
	if c.Subject == "" {
		return Identity{}, TokenError("the token names no user")
	}
	return Identity{
		Issuer:     c.Issuer,
		Subject:    c.Subject,
		Client:     c.ClientID,
		ID:         c.ID,
		Expires:    c.ExpiresAt.Time,
		generation: c.Generation,
	}, nil
}

// keyFor picks the key a token's header asks for. The algorithm has been
// checked before.
func (t *Tokens) keyFor(token *jwt.Token) (any, error) {
	if token.Header["typ"] != tokenType {
		return nil, errors.New("wrong type")
	}
	if _, ok := token.Header["crit"]; ok { // RFC 7515, section 4.1.11
		return nil, errors.New("critical extensions are not known here")
	}
	id, _ := token.Header["kid"].(string)
	key, ok := t.keys.byID[id]
	if !ok {
		return nil, errUnknownKey
	}
	return &key.PublicKey, nil
}

// refusal puts the parser's error, which may quote the token, into fixed words.
func refusal(err error) TokenError {
	switch {
	case errors.Is(err, errUnknownKey):
		return "the token is signed with a key this server does not have"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "the token is of another issuer"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "the token is for another audience"
	case errors.Is(err, jwt.ErrTokenExpired):
		return errExpired
	default:
		return "the token is not valid"
	}
}
