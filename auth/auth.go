// Package auth says who a request comes from and what it may do. It keeps
// users and their passwords; issues, verifies and revokes what they present
// instead of a password; and guards HTTP handlers: [Guard] checks Host and
// Origin, [Bearer] turns a token into an [Identity] in the context, [Login]
// turns a password into a token.
//
// All that lasts is kept by [Store]s, which nodes share: [Users] by name, the
// signing [Keys], and [Credentials]: logins, web sessions, OAuth grants,
// personal access tokens, tickets, invitations. Secrets are kept as hashes.
// [Tokens] stands on the three; a token proves something only as long as its
// credential is there and its user has not been disabled, given another
// password or another role since.
//
// It knows nothing of rooms, of MCP or of a storage engine.
package auth

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// AnonymousName is the subject of everybody where authentication is off. No
// user can have it.
const AnonymousName = "anonymous"

// Identity is who a request comes from, as proven by its token.
type Identity struct {
	Issuer     string    // who vouches for the subject; empty for anonymous
	Subject    string    // the user's name; empty for a guest
	Client     string    // the OAuth client that acts for the user; empty for the user in person
	ClientName string    // what that client calls itself
	Kind       Kind      // of what was presented; empty for anonymous
	Role       Role      // the user's, at the time of the request
	Scopes     Scopes    // what the token is for; see Missing for what is allowed
	Resource   string    // the one resource the token is for (RFC 8707); empty for all of this server's
	Credential string    // ID of the credential behind the token; empty if there is none here
	ID         string    // the token's own ID, for logs
	Expires    time.Time // when the token ends; zero for never

	generation string // the user's; see [Tokens.Revoked]
}

// Key is what sessions and streams are bound to: equal for all tokens of one
// issuer, subject and client, so that a refreshed token goes on where the old
// one was, and different for everything else.
func (id Identity) Key() string {
	key := make([]byte, 0, 64)
	for _, part := range []string{id.Issuer, id.Subject, id.Client} {
		key = strconv.AppendQuote(key, part)
	}
	return string(key)
}

// Generation is that of the user's tokens. It changes whenever all of them end:
// when the user is disabled, or gets another password or role.
func (id Identity) Generation() string { return id.generation }

// Missing returns what of needed is not allowed: by the token's scopes, or by
// the user's role. It is zero when all is.
func (id Identity) Missing(needed Scopes) Scopes {
	return needed &^ (id.Scopes & id.Role.Scopes())
}

type contextKey struct{}

// NewContext returns a context in which [FromContext] finds id. [Bearer] and
// [Anonymous] do it; so does whoever takes another proof, such as a cookie.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns the identity of [NewContext].
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(contextKey{}).(Identity)
	return id, ok
}

// Anonymous serves every request as [AnonymousName], whatever it carries. It
// stands in for [Bearer] where authentication is off.
func Anonymous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, identified(r.Context(), r, Identity{
			Subject: AnonymousName, Role: RoleMember, Scopes: RoleMember.Scopes(),
		}))
	})
}

// Guest serves every request as nobody in particular: an [Identity] without a
// Subject, that may read what is there for everybody.
func Guest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, identified(r.Context(), r, Identity{
			Kind: KindGuest, Role: RoleMember, Scopes: ScopeChatRead,
		}))
	})
}

// identified returns r with a context that has the identity, and without its
// credentials: what handles or logs the request further in has no use for them,
// nor has what was before. (A copy of the header costs as much as all the rest.)
func identified(ctx context.Context, r *http.Request, id Identity) *http.Request {
	r.Header.Del("Authorization")
	return r.WithContext(NewContext(ctx, id))
}
