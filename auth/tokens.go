package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	audience      = "wigwag"  // this service, at whatever address
	tokenType     = "at+jwt"  // RFC 9068, section 2.1
	tokenLifetime = time.Hour // at most: keys are kept for twice that
)

// TokenError says why a token is refused. Clients are told its text.
type TokenError string

func (e TokenError) Error() string { return string(e) }

const (
	errExpired  = TokenError("the token has expired")
	errRevoked  = TokenError("the token has been revoked")
	errInvalid  = TokenError("the token is not valid")
	errAudience = TokenError("the token is for another audience")
)

// errUnknownKey is what most refused tokens come down to.
var errUnknownKey = errors.New("unknown key ID")

// Tokens issues and verifies whatever users present instead of a password:
// access tokens, which are JWTs signed with ES256, refresh tokens, personal
// access tokens, cookies of web sessions, tickets. Behind each there is a
// credential; with that it ends at once.
type Tokens struct {
	issuer      string
	keys        *Keys
	users       *Users
	credentials *Credentials
	external    []*Issuer
	lifetime    time.Duration
	audit       Audit
	logger      *slog.Logger
	parser      *jwt.Parser
	good        verified
}

// TokensOptions are what [NewTokens] is made of.
type TokensOptions struct {
	Issuer      string       // this server's, a URL; required
	Keys        *Keys        // required
	Users       *Users       // required
	Credentials *Credentials // required
	External    []*Issuer    // others whose tokens are good here
	// Lifetime of an access token, from a second to an hour; 0 is an hour.
	Lifetime time.Duration
	Audit    Audit        // nil: nothing is recorded
	Logger   *slog.Logger // required
}

// claims of an access token (RFC 9068, section 2.2).
type claims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope"`
	Session  string `json:"sid"` // ID of the credential
}

// NewTokens returns the tokens of an issuer.
func NewTokens(o TokensOptions) (*Tokens, error) {
	if o.Issuer == "" {
		return nil, errors.New("tokens need an issuer")
	}
	if o.Lifetime == 0 {
		o.Lifetime = tokenLifetime
	}
	if o.Lifetime < time.Second || o.Lifetime > tokenLifetime {
		return nil, fmt.Errorf("the lifetime of tokens is %s; it must be from 1s to %s", o.Lifetime, tokenLifetime)
	}
	for _, e := range o.External {
		if e.url == o.Issuer {
			return nil, fmt.Errorf("issuer %s is this server", e.url)
		}
	}
	return &Tokens{
		issuer: o.Issuer, keys: o.Keys, users: o.Users, credentials: o.Credentials,
		external: o.External, lifetime: o.Lifetime.Truncate(time.Second), audit: auditOrNone(o.Audit), logger: o.Logger,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
			jwt.WithIssuer(o.Issuer),
			jwt.WithExpirationRequired(),
			jwt.WithStrictDecoding(),
		),
	}, nil
}

// Issued is a pair of tokens.
type Issued struct {
	Access   string
	Lifetime time.Duration // of the access token, in whole seconds
	Refresh  string        // good once, for 30 days
	Identity Identity      // what the access token proves
}

// Login returns tokens for a user, as returned by [Users.Authenticate], that
// are good at every address of the server and for all the role allows. They
// end with the user's next change of password, also if that was just now.
func (t *Tokens) Login(ctx context.Context, user User) (Issued, error) {
	return t.begin(ctx, user, Credential{Kind: KindLogin, Scopes: ScopeAdmin})
}

// Authorization is what a user grants to an OAuth client.
type Authorization struct {
	Client     string // the client's ID; required
	ClientName string // what it calls itself
	Resource   string // what the tokens are for, and good for alone; required
	Scopes     Scopes
}

// Authorize returns tokens for an OAuth client to act for a user. They are a
// family: [Credentials.Revoke] ends all that come from them, by the
// Identity.Credential they prove. They are for what of the scopes the user's role
// allows; where that is nothing it returns [ErrScope].
func (t *Tokens) Authorize(ctx context.Context, user User, a Authorization) (Issued, error) {
	if a.Client == "" || a.Resource == "" || a.Scopes == 0 {
		return Issued{}, errors.New("an authorization needs a client, a resource and scopes")
	}
	return t.begin(ctx, user, Credential{
		Kind: KindOAuth, Client: a.Client, ClientName: a.ClientName, Resource: a.Resource, Scopes: a.Scopes,
	})
}

// begin makes a credential that can be refreshed.
func (t *Tokens) begin(ctx context.Context, user User, c Credential) (Issued, error) {
	handle, id := newSecret()
	secret, hash := newSecret()
	r := t.newCredential(user, c, refreshIdle)
	if r.Scopes == 0 {
		return Issued{}, ErrScope
	}
	r.Rotation = &rotation{Current: hash}
	if err := t.credentials.add(ctx, id, r); err != nil {
		return Issued{}, err
	}
	t.audit.Record(ctx, Event{Action: "token.create", Target: user.Name, Client: c.Client, Detail: string(c.Kind) + " " + id + ": " + r.Scopes.String()})
	r.ID = id
	return t.issue(ctx, r, handle+"."+secret, r.Scopes)
}

// newCredential is one of a user, for no more than the user's role allows.
func (t *Tokens) newCredential(user User, c Credential, lifetime time.Duration) credential {
	c.User, c.Scopes, c.Created = user.Name, c.Scopes&user.Role.Scopes(), now()
	c.Used, c.Expires = c.Created, c.Created.Add(lifetime)
	return credential{Credential: c, Generation: user.generation, owner: record{Role: user.Role}}
}

// issue signs an access token.
func (t *Tokens) issue(ctx context.Context, r credential, refresh string, scopes Scopes) (Issued, error) {
	now := time.Now().Truncate(time.Second) // what a NumericDate keeps
	id := t.identity(r)
	id.ID, id.Scopes, id.Expires = rand.Text(), scopes, now.Add(t.lifetime)
	aud := audience
	if id.Resource != "" {
		aud = id.Resource
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    id.Issuer,
			Subject:   id.Subject,
			Audience:  jwt.ClaimStrings{aud},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(id.Expires),
			ID:        id.ID,
		},
		ClientID: id.Client,
		Scope:    scopes.String(),
		Session:  id.Credential,
	})
	if err := t.keys.RotateWhenDue(ctx); err != nil { // the ones there are will do
		t.logger.WarnContext(ctx, "signing keys could not be rotated", "err", err)
	}
	key, err := t.keys.signing()
	if err != nil {
		return Issued{}, err
	}
	token.Header["typ"], token.Header["kid"] = tokenType, key.id
	signed, err := token.SignedString(key.private)
	if err != nil {
		return Issued{}, fmt.Errorf("sign token: %w", err)
	}
	return Issued{Access: signed, Lifetime: t.lifetime, Refresh: refresh, Identity: id}, nil
}

// identity is what a credential proves that was found alive.
func (t *Tokens) identity(r credential) Identity {
	return Identity{
		Issuer: t.issuer, Subject: r.User, Client: r.Client, ClientName: r.ClientName,
		Kind: r.Kind, Role: r.owner.role(), Scopes: r.Scopes, Resource: r.Resource,
		Credential: r.ID, ID: r.ID, Expires: r.Expires,
		generation: r.Generation,
	}
}

// Verify returns the identity that an access token or a personal access token
// proves, or a [TokenError]. Any other error means that it could not find out.
// Where the identity has a Resource, the token is good for that alone.
func (t *Tokens) Verify(ctx context.Context, token string) (Identity, error) {
	if secret, ok := strings.CutPrefix(token, personalPrefix); ok {
		return t.verifyPersonal(secret)
	}
	if len(t.external) > 0 {
		if e := t.externalOf(token); e != nil {
			return t.verifyExternal(ctx, e, token)
		}
	}
	claimed, known := t.good.get(token)
	switch {
	case !known:
		var err error
		if claimed, err = t.parse(token); err != nil {
			return Identity{}, err
		}
	case !time.Now().Before(claimed.Expires):
		t.good.forget(token)
		return Identity{}, errExpired
	}
	r, revision, err := t.credentials.alive(claimed.Credential)
	switch {
	case err != nil:
		return Identity{}, err
	case revision == 0:
		return Identity{}, errRevoked
	}
	id := t.identity(r)
	switch {
	case r.Kind != KindLogin && r.Kind != KindOAuth, claimed.Subject != id.Subject, claimed.Client != id.Client:
		return Identity{}, errInvalid
	case claimed.Resource != id.Resource:
		return Identity{}, errAudience
	}
	if !known {
		t.good.add(token, claimed)
	}
	id.ID, id.Scopes, id.Expires = claimed.ID, claimed.Scopes&id.Scopes, claimed.Expires
	return id, nil
}

// parse verifies all of an access token that cannot change: not that its
// credential is there.
func (t *Tokens) parse(token string) (Identity, error) {
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, t.keyFor); err != nil {
		return Identity{}, refusal(err)
	}
	if c.Subject == "" {
		return Identity{}, TokenError("the token names no user")
	}
	if len(c.Audience) != 1 || c.Audience[0] == "" {
		return Identity{}, errAudience
	}
	id := Identity{Subject: c.Subject, Client: c.ClientID, Credential: c.Session, ID: c.ID, Expires: c.ExpiresAt.Time}
	id.Scopes, _ = ParseScopes(c.Scope)
	if c.Audience[0] != audience {
		id.Resource = c.Audience[0]
	}
	return id, nil
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
	return t.keys.verifying(id)
}

// refusal puts the parser's error, which may quote the token, into fixed words.
func refusal(err error) error {
	switch {
	case errors.Is(err, errKeysUnreadable):
		return err
	case errors.Is(err, errUnknownKey):
		return TokenError("the token is signed with a key this server does not have")
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return TokenError("the token is of another issuer")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return errAudience
	case errors.Is(err, jwt.ErrTokenExpired):
		return errExpired
	default:
		return errInvalid
	}
}

// Revoked reports whether the token that proved id has been revoked since. What
// is not from [Tokens] counts as revoked.
func (t *Tokens) Revoked(id Identity) bool {
	if _, err := t.users.Of(id.Subject, id.generation); err != nil {
		return true
	}
	if id.Credential == "" {
		return id.Kind != KindExternal
	}
	_, revision, err := t.credentials.get(id.Credential)
	return err != nil || revision == 0
}
