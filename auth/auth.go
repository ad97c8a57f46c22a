// Package auth says who a request comes from. It keeps users and their
// passwords, issues and verifies tokens, and guards HTTP handlers: [Guard]
// checks Host and Origin, [Bearer] turns a token into an [Identity] in the
// context, [Login] turns a password into a token.
//
// It knows nothing of rooms, of MCP or of a storage engine.
package auth

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// AnonymousName is the subject of everybody where authentication is off. No
// user can have it.
const AnonymousName = "anonymous"

// Identity is who a request comes from, as proven by its token.
type Identity struct {
	Issuer  string    // who vouches for the subject; empty for anonymous
	Subject string    // the user's name
	Client  string    // the OAuth client that acts for the user; empty for the user in person
	ID      string    // the token's own ID (jti), for logs and revocation
	Expires time.Time // when the token ends; zero for never

	generation string // see [Users.Revoked]
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

type contextKey struct{}

// FromContext returns the identity that [Bearer] or [Anonymous] found.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(contextKey{}).(Identity)
	return id, ok
}

// Anonymous serves every request as [AnonymousName], whatever it carries. It
// stands in for [Bearer] where authentication is off.
func Anonymous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, identified(r, Identity{Subject: AnonymousName}))
	})
}

// identified returns r with the identity in its context and without its
// credentials: what handles or logs the request further in has no use for them.
func identified(r *http.Request, id Identity) *http.Request {
	r = r.WithContext(context.WithValue(r.Context(), contextKey{}, id))
	r.Header = maps.Clone(r.Header) // the values are only read
	delete(r.Header, "Authorization")
	return r
}
