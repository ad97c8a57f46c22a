package oauth

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"wigwag/auth"
)

// Browsers are the web sessions of people's browsers.
type Browsers interface {
	// SignIn checks a name and a password that the browser at r sent, throttled
	// like every other form, and starts a web session by a cookie on w. Its
	// errors are those of [auth.Users.Authenticate].
	SignIn(w http.ResponseWriter, r *http.Request, name, password string) error
	// SignedIn returns who the web session of r's browser is of, if there is one.
	SignedIn(r *http.Request) (auth.Identity, bool)
}

// Users is [auth.Users].
type Users interface {
	// Of returns the user of that name if none of the user's tokens were
	// revoked since a generation, and an [auth.TokenError] otherwise.
	Of(name, generation string) (auth.User, error)
}

// Tokens is [auth.Tokens]. It keeps what was granted, rotates refresh tokens
// and revokes families of them.
type Tokens interface {
	Authorize(ctx context.Context, user auth.User, a auth.Authorization) (auth.Issued, error)
	Refresh(ctx context.Context, token string, o auth.Refresh) (auth.Issued, error)
	RevokeToken(ctx context.Context, token, client string) error
}

// Credentials is [auth.Credentials].
type Credentials interface {
	List(user string) []auth.Credential
	Revoke(ctx context.Context, user, id string) error
}

// Keys is [auth.Keys].
type Keys interface {
	JWKS() ([]byte, error)
}

// Limiter counts requests per address.
type Limiter interface {
	// Wait counts a request and returns 0, or how long to wait before the next.
	Wait(from netip.Addr) time.Duration
}
