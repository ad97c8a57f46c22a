package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// Accounts are the people who can sign in.
type Accounts interface {
	// SignIn checks a name and a password that the browser at r sent, throttled
	// like every other form, and starts the browser's web session by a cookie
	// on w. Its errors are [auth.ErrCredentials], a [*auth.ThrottledError],
	// [auth.ErrBusy], and internal ones; none says whether the name exists.
	SignIn(w http.ResponseWriter, r *http.Request, name, password string) error
	// SignedIn returns who the web session of r's browser is of, if there is one.
	SignedIn(r *http.Request) (Person, bool)
	// Person returns the person of that name, as of now; false when there is
	// none or it is disabled.
	Person(name string) (Person, bool)
}

// Person is a user of the service as of one time.
type Person struct {
	Name string
	// Generation changes whenever all tokens of the person end: with a new
	// password, or when the person is disabled.
	Generation string
	// Scopes are those of [Scopes] that the person's role can give away.
	Scopes []string
}

// Signer issues access tokens.
type Signer interface {
	// IssueAccess returns a JWT of type at+jwt (RFC 9068) and when it ends.
	IssueAccess(ctx context.Context, c Claims) (token string, expires time.Time, err error)
	// GrantOf returns the grant and the client of an access token that
	// IssueAccess made, and false for one that it did not or that has expired.
	GrantOf(ctx context.Context, token string) (grant, client string, ok bool)
	// JWKS returns the public keys (RFC 7517, section 5), as JSON.
	JWKS() ([]byte, error)
}

// Claims say whom and what an access token is for.
type Claims struct {
	Issuer     string // the public URL it was asked for at
	Subject    string // the person's name
	Generation string // the person's
	Audience   string // the resource, such as "https://chat.example.com/mcp"
	ClientID   string
	ClientName string // what the client calls itself, for display only
	Scope      string // separated by spaces
	Grant      string // see [Server.GrantLive]
}

// Store keeps a value per key. It is the bucket of package store; see
// [auth.Store] for what its methods promise.
type Store interface {
	Get(key string) (value []byte, revision uint64)
	Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error)
	// Delete removes the key if it has the given revision, which is above 0,
	// and reports whether it did. When it returns, Get sees it.
	Delete(ctx context.Context, key string, revision uint64) (bool, error)
	Watch(fn func(key string, value []byte, revision uint64)) (stop func())
}

// Audit keeps what was granted, to whom, and what was refused. No attribute is
// a secret.
type Audit interface {
	Record(ctx context.Context, action string, attrs ...slog.Attr)
}

// Limiter counts requests per address.
type Limiter interface {
	// Wait counts a request and returns 0, or how long to wait before the next.
	Wait(from netip.Addr) time.Duration
}
