package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"wigwag/auth"
	"wigwag/transport"
	"wigwag/web"
)

// entrance is who may come in, and how.
type entrance struct {
	identify func(http.Handler) http.Handler // puts the identity into the context, or refuses
	guard    func(http.Handler) http.Handler // Host and Origin
	login    http.Handler                    // nil where there is nothing to log in to
	revoked  func(context.Context) bool      // whether a request that came in may no longer; nil: never
	origins  []string                        // that pages may call from
	limits   transport.Limits
	welcome  string // tells whoever starts the server how to begin
}

// newEntrance sets up authentication. On the first start it makes the admin.
func newEntrance(ctx context.Context, s settings, env environment, urls []string, k *kept, logger *slog.Logger) (*entrance, error) {
	in := &entrance{limits: s.userLimits(), origins: append(append([]string(nil), urls...), s.allowedOrigins...)}
	var err error
	in.guard, err = auth.Guard(auth.GuardOptions{
		PublicURLs: urls, Hosts: s.allowedHosts, Origins: s.allowedOrigins, Exempt: []string{"/healthz", "/readyz"}, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if s.auth == "none" {
		in.identify = auth.Anonymous
		in.welcome = fmt.Sprintf("\nSay something (authentication is off):\n\n  %s %s/mcp\n\n", firstCall, urls[0])
		return in, nil
	}

	tokens, err := auth.NewTokens(auth.TokensOptions{
		Issuer: urls[0], Keys: k.keys, Users: k.users, Credentials: k.creds, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	in.identify = auth.Bearer(auth.BearerOptions{Verifier: tokens, Logger: logger})
	in.revoked = func(ctx context.Context) bool {
		id, _ := auth.FromContext(ctx) // Bearer put it there
		return tokens.Revoked(id)
	}
	in.login = auth.Login(auth.LoginOptions{Users: k.users, Tokens: tokens, Logger: logger})
	first, password, err := firstAdmin(ctx, env, k.users)
	if err != nil {
		return nil, err
	}
	if password == "" { // whoever gave it knows how to log in; no token in logs that others may keep
		in.welcome = fmt.Sprintf("\nLog in for a token:\n\n  curl --json '{\"username\":\"%s\",\"password\":\"…\"}' %s/api/login\n\n", admin, urls[0])
		return in, nil
	}
	issued, err := tokens.Login(ctx, first)
	if err != nil {
		return nil, err
	}
	in.welcome = fmt.Sprintf("\nThe password of the user %q, shown only now:\n\n  %s\n\nSay something (the token is good for one hour; POST /api/login gives the next):\n\n  %s -H 'Authorization: Bearer %s' %s/mcp\n\n",
		admin, password, firstCall, issued.Access, urls[0])
	return in, nil
}

// firstAdmin makes the admin where there is no user yet, with the password that
// the environment gives, or with one made up, which it returns.
func firstAdmin(ctx context.Context, env environment, users *auth.Users) (first auth.User, madeUp string, err error) {
	password, given, err := env.lookup("WIGWAG_ADMIN_PASSWORD")
	if err != nil {
		return auth.User{}, "", err
	}
	if there, err := users.List(); err != nil || len(there) > 0 {
		return auth.User{}, "", err
	}
	if !given {
		madeUp = auth.GeneratePassword()
		password = madeUp
	}
	if first, err = users.Create(ctx, admin, password, auth.RoleAdmin); err != nil {
		return auth.User{}, "", fmt.Errorf("WIGWAG_ADMIN_PASSWORD: %w", err)
	}
	return first, madeUp, nil
}

// eventLimits are those of GET /events.
func (in *entrance) eventLimits() web.Limits {
	return web.Limits{
		MaxStreams: in.limits.MaxStreams, MaxStreamsPerUser: in.limits.MaxStreamsPerUser, StreamLifetime: in.limits.StreamLifetime,
		Heartbeat: in.limits.Heartbeat, WriteTimeout: in.limits.WriteTimeout,
	}
}

const firstCall = `curl --json '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send_message","arguments":{"message":"Hello"}}}'`

// everybody are the users where authentication is off.
type everybody struct{}

// Exists implements hub.Users.
func (everybody) Exists(name string) bool { return name == auth.AnonymousName }

// Names implements hub.Users.
func (everybody) Names() []string { return []string{auth.AnonymousName} }
