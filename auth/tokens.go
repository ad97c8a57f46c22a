package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
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

// errUnknownKey is what most refused tokens come down to.
var errUnknownKey = errors.New("unknown key ID")

// Tokens issues and verifies access tokens: JWTs signed with ES256.
type Tokens struct {
	issuer string
	key    *ecdsa.PrivateKey
	keyID  string
	users  interface{ Exists(name string) bool }
	parser *jwt.Parser
}

// claims of an access token (RFC 9068, section 2.2).
type claims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id,omitempty"`
}

// NewTokens returns tokens of the given issuer, a URL, signed with a P-256
// key. A token is worth something only while users has its subject.
func NewTokens(issuer string, key *ecdsa.PrivateKey, users interface{ Exists(name string) bool }) (*Tokens, error) {
	if issuer == "" {
		return nil, errors.New("tokens need an issuer")
	}
	if key.Curve != elliptic.P256() {
		return nil, errors.New("tokens need a P-256 key")
	}
	keyID, err := thumbprint(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return &Tokens{
		issuer: issuer,
		key:    key,
		keyID:  keyID,
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

// Issue returns a token for a user, valid for one hour, and the identity it
// proves. client is the OAuth client it is given to, or empty.
func (t *Tokens) Issue(user, client string) (string, Identity, error) {
	now := time.Now().Truncate(time.Second) // what a NumericDate keeps
	id := Identity{
		Issuer:  t.issuer,
		Subject: user,
		Client:  client,
		ID:      rand.Text(),
		Expires: now.Add(tokenLifetime),
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
		ClientID: client,
	})
	token.Header["typ"] = tokenType
	token.Header["kid"] = t.keyID
	signed, err := token.SignedString(t.key)
	if err != nil {
		return "", Identity{}, fmt.Errorf("sign token: %w", err)
	}
	return signed, id, nil
}

// Verify returns the identity a token proves, or a [TokenError].
func (t *Tokens) Verify(_ context.Context, token string) (Identity, error) {
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, t.keyFor); err != nil {
		return Identity{}, refusal(err)
	}
	if c.Subject == "" {
		return Identity{}, TokenError("the token names no user")
	}
	if !t.users.Exists(c.Subject) {
		return Identity{}, TokenError("the user of the token does not exist any more")
	}
	return Identity{
		Issuer:  c.Issuer,
		Subject: c.Subject,
		Client:  c.ClientID,
		ID:      c.ID,
		Expires: c.ExpiresAt.Time,
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
	if token.Header["kid"] != t.keyID {
		return nil, errUnknownKey
	}
	return &t.key.PublicKey, nil
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
		return "the token has expired"
	default:
		return "the token is not valid"
	}
}

// thumbprint is the key's ID as RFC 7638 has it.
func thumbprint(key *ecdsa.PublicKey) (string, error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return "", err
	}
	size := (len(point) - 1) / 2
	enc := base64.RawURLEncoding
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`,
		enc.EncodeToString(point[1:1+size]), enc.EncodeToString(point[1+size:])))
	return enc.EncodeToString(sum[:]), nil
}
