package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"wigwag/auth"
	"wigwag/auth/oauth"
	"wigwag/store"
	"wigwag/transport"
	"wigwag/web"
	"wigwag/web/account"
)

// entrance is who may come in, and how.
type entrance struct {
	identify       func(http.Handler) http.Handler // puts the identity into the context, or refuses
	identifyAPI    func(http.Handler) http.Handler // the same for REST, by the cookie of a page, too
	identifyStream func(http.Handler) http.Handler // the same for streams, by other proofs, too
	identifyEvents func(http.Handler) http.Handler // the same for /events, where guests may come in, too
	guard          func(http.Handler) http.Handler // Host and Origin
	login          http.Handler                    // nil where there is nothing to log in to
	api, pages     map[string]http.Handler         // of accounts, by path, but for the login
	oauth          map[string]http.Handler         // of the authorization server, by path
	permission     *permission
	tokens         *auth.Tokens    // nil where there are no accounts
	people         *account.Server // as above
	seedRoutes     bool
	revoked        func(context.Context) bool // whether a request that came in may no longer; nil: never
	audit          auth.Audit                 // nil where there are no accounts
	proxies        proxies
	alwaysHTTPS    bool
	origins        []string // that pages may call from
	addresses      addresses
	limits         transport.Limits
	welcome        string // tells whoever starts the server how to begin
	closers        []func()
}

// Requests of one address.
const (
	signInEvery, signInBurst       = time.Second / 5, 300
	signUpEvery, signUpBurst       = 10 * time.Second, 60
	registerEvery, registerBurst   = 10 * time.Second, 60 // OAuth clients
	discoveryEvery, discoveryBurst = time.Second / 20, 600
	authorizeEvery, authorizeBurst = time.Second / 2, 120
)

// newEntrance sets up authentication. On the first start it makes the admin.
// Close it, also where this fails.
func newEntrance(ctx context.Context, s settings, env environment, urls []string, k *kept, logger *slog.Logger) (*entrance, error) {
	in := &entrance{
		limits: s.userLimits(), origins: append(slices.Clone(urls), s.allowedOrigins...), addresses: urls, seedRoutes: s.seedRoutes,
		permission: &permission{methods: methodScopes(), tools: toolScopes()},
		proxies:    proxies{nets: s.proxyNets, only: s.tlsCert == "" && len(s.proxyNets) > 0},
	}
	in.alwaysHTTPS = !slices.ContainsFunc(urls, func(u string) bool { return !strings.HasPrefix(u, "https:") })
	exempt := []string{"/healthz", "/readyz"}
	if s.auth == authNone {
		in.identify, in.identifyAPI, in.identifyStream, in.identifyEvents = auth.Anonymous, auth.Anonymous, auth.Anonymous, auth.Anonymous
		in.api = map[string]http.Handler{"/api/session": auth.Anonymous(account.SessionOnly(logger))}
		in.welcome = fmt.Sprintf("\nSay something (authentication is off):\n\n  %s %s/mcp\n\n", firstCall, urls[0])
	} else {
		if err := in.accounts(ctx, s, env, urls, k, logger); err != nil {
			return in, err
		}
		exempt = append(exempt, slices.Collect(maps.Keys(in.oauth))...)
	}
	var err error
	in.guard, err = auth.Guard(auth.GuardOptions{
		PublicURLs: urls, Hosts: s.allowedHosts, Origins: s.allowedOrigins, Exempt: exempt, Logger: logger,
	})
	return in, err
}

// close ends what works in the background.
func (in *entrance) close() {
	for _, end := range slices.Backward(in.closers) {
		end()
	}
}

// accounts sets up all that is of people and their tokens.
func (in *entrance) accounts(ctx context.Context, s settings, env environment, urls []string, k *kept, logger *slog.Logger) error {
	external, err := s.issuers.open(urls, logger)
	for _, e := range external {
		in.closers = append(in.closers, e.Close)
	}
	if err != nil {
		return err
	}
	tokens, err := auth.NewTokens(auth.TokensOptions{
		Issuer: urls[0], Keys: k.keys, Users: k.users, Credentials: k.creds, External: external, Lifetime: s.tokenLifetime, Audit: k.audit, Logger: logger,
	})
	if err != nil {
		return err
	}
	in.revoked = func(ctx context.Context) bool {
		id, _ := auth.FromContext(ctx) // whoever identified the request put it there
		return id.Kind != auth.KindGuest && tokens.Revoked(id)
	}
	in.audit = k.audit
	in.permission.calls, in.permission.sends = perSecond(s.callRate), perSecond(s.sendRate)

	var server *oauth.Server // used only by requests, when it is there
	if s.auth == authOAuth {
		in.permission.resource = func(r *http.Request) string { return server.Resource(r) }
	}
	bearer := auth.Bearer(auth.BearerOptions{Verifier: tokens, Resource: in.permission.resource, Logger: logger})
	in.identify = func(next http.Handler) http.Handler { return bearer(known(next)) }
	signUps, err := auth.NewSignUps(auth.SignUpMode(s.signUp), k.users, k.creds)
	if err != nil {
		return err
	}
	accounts, err := account.New(account.Options{
		Users: k.users, Tokens: tokens, Credentials: k.creds, SignUps: signUps, Audit: k.audit,
		Bearer: bearer, Resource: in.permission.resource, PublicURL: in.addresses.of, QueryToken: s.queryToken,
		LimitSignIn: auth.NewLimiter(signInEvery, signInBurst), LimitSignUp: auth.NewLimiter(signUpEvery, signUpBurst), Logger: logger,
	})
	if err != nil {
		return err
	}
	in.identifyAPI = func(next http.Handler) http.Handler { return accounts.Identify(known(next)) }
	in.identifyStream = func(next http.Handler) http.Handler { return accounts.IdentifyStream(known(next)) }
	if in.identifyEvents = in.identifyStream; s.publicRead {
		in.identifyEvents = func(next http.Handler) http.Handler { return accounts.IdentifyGuests(known(next)) }
	}
	in.tokens, in.people = tokens, accounts
	in.api, in.pages = accounts.API(known), accounts.Pages()
	in.login = in.api[loginPath]
	delete(in.api, loginPath)
	if s.auth == authOAuth {
		server, err = oauth.New(oauth.Options{
			PublicURLs: urls, OtherIssuers: s.issuers.urls, Browsers: accounts, Users: k.users, Tokens: tokens, Credentials: k.creds, Keys: k.keys,
			Store: k.store.Bucket(store.OAuth), Audit: k.audit, NoRegistration: s.registration == registrationOff,
			LimitRegistration: auth.NewLimiter(registerEvery, registerBurst),
			LimitDiscovery:    auth.NewLimiter(discoveryEvery, discoveryBurst),
			LimitAuthorize:    auth.NewLimiter(authorizeEvery, authorizeBurst),
			Logger:            logger,
		})
		if err != nil {
			return err
		}
		in.closers = append(in.closers, server.Close)
		in.oauth = server.Handlers()
	}
	in.closers = append(in.closers, rotateKeys(ctx, k.keys, logger))
	in.welcome, err = welcome(ctx, env, urls[0], k.users, tokens)
	return err
}

const (
	loginPath  = "/api/login"
	logoutPath = "/api/logout"
)

// addresses are the public URLs.
type addresses []string

// of is the address by which a request came: of those with its host the one
// with its scheme, where that is known; else the first.
func (a addresses) of(r *http.Request) string {
	found := ""
	for _, raw := range a {
		u, err := url.Parse(raw)
		if err != nil || bareHost(u.Host) != bareHost(r.Host) {
			continue
		}
		if found = raw; u.Scheme == "https" && (r.TLS != nil || byHTTPS(r)) {
			break
		}
	}
	if found == "" {
		found = a[0]
	}
	return strings.TrimSuffix(found, "/")
}

// bareHost is a Host in lower case, without a default port.
func bareHost(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

const rotationCheck = time.Hour

// rotateKeys has tokens signed by another key when it is time, until stop is
// called.
func rotateKeys(ctx context.Context, keys *auth.Keys, logger *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(rotationCheck)
		defer tick.Stop()
		for {
			if err := keys.RotateWhenDue(ctx); err != nil && ctx.Err() == nil {
				logger.LogAttrs(ctx, slog.LevelError, "the signing key was not rotated; the one before stays", slog.Any("error", err))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// welcome is what whoever starts the server is told. On the first start, and
// until somebody has used it, that is a link to sign in as the admin.
func welcome(ctx context.Context, env environment, at string, users *auth.Users, tokens *auth.Tokens) (string, error) {
	first, link, err := firstAdmin(ctx, env, users)
	if err != nil {
		return "", err
	}
	if link == "" { // no token in logs that others may keep
		return fmt.Sprintf("\nLog in for a token:\n\n  curl --json '{\"username\":\"%s\",\"password\":\"…\"}' %s%s\n\n", admin, at, loginPath), nil
	}
	issued, err := tokens.Login(ctx, first)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("\nChoose a password for the user %q (the link is good once, for a day):\n\n  %s\n\nOr say something first (the token is good for an hour, or until the password is chosen):\n\n  %s -H 'Authorization: Bearer %s' %s/mcp\n\n",
		admin, account.SignInLink(at, link), firstCall, issued.Access, at), nil
}

// firstAdmin makes the admin where there is no user yet: with the password that
// the environment gives, or with a link to choose one by. As long as the admin is
// the only user and has none, there is another link.
func firstAdmin(ctx context.Context, env environment, users *auth.Users) (first auth.User, link string, err error) {
	password, given, err := env.lookup("WIGWAG_ADMIN_PASSWORD")
	if err != nil {
		return auth.User{}, "", err
	}
	there, err := users.List()
	switch {
	case err != nil:
		return auth.User{}, "", err
	case len(there) == 1 && there[0].Name == admin && !there[0].HasPassword && !there[0].Disabled:
		link, err = users.NewLink(ctx, admin)
		return there[0], link, err
	case len(there) > 0:
		return auth.User{}, "", nil
	case given:
		if _, err = users.Create(ctx, admin, password, auth.RoleAdmin); err != nil {
			return auth.User{}, "", fmt.Errorf("WIGWAG_ADMIN_PASSWORD: %w", err)
		}
		return auth.User{}, "", nil
	}
	if link, err = users.CreateWithLink(ctx, admin, auth.RoleAdmin); err != nil {
		return auth.User{}, "", err
	}
	if there, err = users.List(); err == nil && len(there) != 1 {
		err = errors.New("somebody else makes users at the same time: start again")
	}
	if err != nil {
		return auth.User{}, "", err
	}
	return there[0], link, nil
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
