package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	issuerDocument  = 1 << 20 // bytes of a discovery document or key set
	issuerTimeout   = 10 * time.Second
	issuerRefresh   = time.Hour
	issuerRefetch   = time.Minute // at most one for keys that are not known
	issuerLookup    = 2 * time.Second
	issuerLeeway    = 30 * time.Second // that clocks may differ
	issuerRetry     = 5 * time.Second  // doubles up to issuerRefetch
	defaultUsername = "preferred_username"
)

// Algorithms that an outside issuer may sign with: none that needs a secret
// which is shared.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// IssuerOptions describe an outside identity provider.
type IssuerOptions struct {
	// URL is the issuer, byte for byte as its tokens and its metadata say it:
	// https, or http on a loopback address.
	URL string
	// Audience are the values of which a token's aud must have one. Required.
	Audience []string
	// Algorithms are those it may sign with. The default is all asymmetric ones.
	Algorithms []string
	// NameClaim is the claim that holds the user's name here. The default is
	// "preferred_username".
	NameClaim string
	// NameSuffix is what names must end in and is cut off, such as
	// "@example.com". What is left, in lower case, must be a name as
	// [Users.Create] has it.
	NameSuffix string
	// Scopes are what a token is good for that has none of this server's
	// scopes. The default is ScopesEveryday.
	Scopes Scopes
	// Logger is required.
	Logger *slog.Logger
}

// Issuer is an outside identity provider, which vouches for users: those are
// made here, as members without a password, when they first come. Its keys are
// found by discovery, refreshed every hour, and at most once a minute when a
// token comes with one that is not known.
type Issuer struct {
	url    string
	client *http.Client
	o      IssuerOptions
	parser *jwt.Parser
	keys   atomic.Pointer[keyfunc.Keyfunc] // nil until they were found
	cancel context.CancelFunc
	ended  chan struct{}
}

// external names a user of an outside issuer.
type external struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// OpenIssuer returns an issuer whose keys are looked for in the background,
// until it is closed. Until they are found its tokens cannot be verified.
func OpenIssuer(o IssuerOptions) (*Issuer, error) {
	return openIssuer(o, newIssuerClient())
}

func openIssuer(o IssuerOptions, client *http.Client) (*Issuer, error) {
	if err := checkRemote(o.URL); err != nil {
		return nil, fmt.Errorf("issuer %q: %w", o.URL, err)
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		return nil, fmt.Errorf("issuer %s: needs an audience", o.URL)
	}
	if o.Algorithms == nil {
		o.Algorithms = asymmetric
	}
	for _, alg := range o.Algorithms {
		if !slices.Contains(asymmetric, alg) {
			return nil, fmt.Errorf("issuer %s: algorithm %q may not be used; it may be one of %s", o.URL, alg, strings.Join(asymmetric, ", "))
		}
	}
	if o.NameClaim == "" {
		o.NameClaim = defaultUsername
	}
	if o.Scopes == 0 {
		o.Scopes = ScopesEveryday
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Issuer{
		url: o.URL, o: o, client: client, cancel: cancel, ended: make(chan struct{}),
		parser: jwt.NewParser(
			jwt.WithValidMethods(o.Algorithms), jwt.WithIssuer(o.URL), jwt.WithAudience(o.Audience...),
			jwt.WithExpirationRequired(), jwt.WithLeeway(issuerLeeway), jwt.WithStrictDecoding(),
		),
	}
	go func() {
		defer close(e.ended)
		e.findKeys(ctx)
	}()
	return e, nil
}

// Close ends the work in the background.
func (e *Issuer) Close() {
	e.cancel()
	<-e.ended
	e.client.CloseIdleConnections()
}

// findKeys tries until it has found where the keys are, or ctx ends.
func (e *Issuer) findKeys(ctx context.Context) {
	for wait := issuerRetry; ; wait = min(2*wait, issuerRefetch) {
		keys, err := e.discover(ctx)
		if err == nil {
			e.keys.Store(&keys)
			return
		}
		if ctx.Err() != nil {
			return
		}
		e.o.Logger.WarnContext(ctx, "issuer could not be discovered; its tokens cannot be verified", "issuer", e.url, "err", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// discover reads the issuer's metadata, as OpenID Connect has it or as RFC 8414.
// The metadata must name the very issuer that was asked for.
func (e *Issuer) discover(ctx context.Context) (keyfunc.Keyfunc, error) {
	u, err := url.Parse(e.url)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, address := range []string{
		strings.TrimSuffix(e.url, "/") + "/.well-known/openid-configuration",
		u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.EscapedPath(), "/"),
	} {
		var metadata struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := e.fetch(ctx, address, &metadata); err != nil {
			errs = append(errs, err)
			continue
		}
		if metadata.Issuer != e.url {
			return nil, fmt.Errorf("%s is of the issuer %q", address, clip(metadata.Issuer))
		}
		if err := checkRemote(metadata.Keys); err != nil {
			return nil, fmt.Errorf("%s: jwks_uri %q: %w", address, clip(metadata.Keys), err)
		}
		return e.follow(ctx, metadata.Keys)
	}
	return nil, errors.Join(errs...)
}

// follow keeps a key set up to date until ctx ends.
func (e *Issuer) follow(ctx context.Context, address string) (keyfunc.Keyfunc, error) {
	return keyfunc.NewDefaultOverrideCtx(ctx, []string{address}, keyfunc.Override{
		Client:            e.client,
		HTTPTimeout:       issuerTimeout,
		RateLimitWaitMax:  issuerLookup,
		RefreshInterval:   issuerRefresh,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(issuerRefetch), 1),
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(_ context.Context, err error) { // its context has ended by then
				if ctx.Err() == nil {
					e.o.Logger.WarnContext(ctx, "keys of an issuer could not be refreshed", "issuer", e.url, "err", err)
				}
			}
		},
	})
}

func (e *Issuer) fetch(ctx context.Context, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	return nil
}

// newIssuerClient returns a client that waits, reads and follows no more than it
// has to. Closing its idle connections is for whoever made it.
func newIssuerClient() *http.Client {
	return &http.Client{
		Transport:     boundedBodies{&http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: issuerRefetch}},
		Timeout:       issuerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// boundedBodies cuts bodies that are too long to be keys.
type boundedBodies struct{ *http.Transport }

// RoundTrip implements [http.RoundTripper].

func (b boundedBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, issuerDocument), resp.Body}
	}
	return resp, err
}

// checkRemote lets https addresses pass, and http ones of this machine.
func checkRemote(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL of host and path only")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if loopback := err == nil && addr.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return errors.New("must be https, or http on a loopback address")
	}
	return nil
}

// externalOf returns the outside issuer that a token says it is of, if it is
// one that is known here. Nothing is verified yet.
func (t *Tokens) externalOf(token string) *Issuer {
	var c jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &c); err != nil {
		return nil
	}
	for _, e := range t.external {
		if e.url == c.Issuer {
			return e
		}
	}
	return nil
}

// verifyExternal is Verify for a token of an outside issuer.
func (t *Tokens) verifyExternal(ctx context.Context, e *Issuer, token string) (Identity, error) {
	keys := e.keys.Load()
	if keys == nil {
		return Identity{}, fmt.Errorf("the keys of %s have not been found yet", e.url)
	}
	ctx, cancel := context.WithTimeout(ctx, issuerLookup)
	defer cancel()
	c := jwt.MapClaims{}
	if _, err := e.parser.ParseWithClaims(token, c, func(token *jwt.Token) (any, error) {
		if err := externalHeader(token.Header); err != nil {
			return nil, err
		}
		return (*keys).KeyfuncCtx(ctx)(token)
	}); err != nil {
		if errors.Is(err, keyfunc.ErrKeyfunc) {
			err = errUnknownKey
		}
		return Identity{}, refusal(err)
	}
	return t.vouchedFor(ctx, e, c)
}

// externalHeader checks what a token says of itself. Not all issuers give
// access tokens the type of RFC 9068.
func externalHeader(header map[string]any) error {
	typ, given := header["typ"].(string)
	if _, there := header["typ"]; there && !given || given && !slices.Contains([]string{"at+jwt", "application/at+jwt", "jwt"}, strings.ToLower(typ)) {
		return errors.New("wrong type")
	}
	if _, ok := header["crit"]; ok { // RFC 7515, section 4.1.11
		return errors.New("critical extensions are not known here")
	}
	if _, ok := header["kid"].(string); !ok {
		return errors.New("no key ID")
	}
	return nil
}

// vouchedFor returns the identity that verified claims prove. A name is for
// whoever the issuer vouched for first: another subject of the same name, or a
// user of this server, is somebody else.
func (t *Tokens) vouchedFor(ctx context.Context, e *Issuer, c jwt.MapClaims) (Identity, error) {
	subject, _ := c["sub"].(string)
	issued, err := c.GetIssuedAt()
	if subject == "" || err != nil || issued == nil {
		return Identity{}, TokenError("the token must have sub and iat")
	}
	claim, _ := c[e.o.NameClaim].(string)
	name, ok := strings.CutSuffix(strings.ToLower(claim), strings.ToLower(e.o.NameSuffix))
	if !ok || checkName(name) != nil {
		return Identity{}, TokenError("the token names nobody who can be a user here")
	}
	user, err := t.users.vouchedFor(ctx, name, external{e.url, subject})
	if err != nil {
		return Identity{}, err
	}
	if !issued.After(user.Ended) {
		return Identity{}, errRevoked
	}
	expires, err := c.GetExpirationTime()
	if err != nil {
		return Identity{}, errInvalid
	}
	id := Identity{
		Issuer: e.url, Subject: name, Kind: KindExternal, Role: user.role(), Scopes: externalScopes(c),
		Expires: expires.Time, generation: user.Generation,
	}
	if id.Scopes == 0 {
		id.Scopes = e.o.Scopes
	}
	id.ID, _ = c["jti"].(string)
	for _, claim := range []string{"client_id", "azp"} {
		if client, _ := c[claim].(string); client != "" {
			id.Client = client
			break
		}
	}
	return id, nil
}

// externalScopes returns which of this server's scopes a token has, in one of
// the two forms there are.
func externalScopes(c jwt.MapClaims) Scopes {
	var scopes Scopes
	for _, claim := range []string{"scope", "scp"} {
		switch v := c[claim].(type) {
		case string:
			these, _ := ParseScopes(v)
			scopes |= these
		case []any:
			for _, one := range v {
				name, _ := one.(string)
				scopes |= scopeOf(name)
			}
		}
	}
	return scopes
}

// vouchedFor returns the record of a user of an outside issuer, who is made if
// there is none of that name.
func (u *Users) vouchedFor(ctx context.Context, name string, e external) (record, error) {
	r, revision, err := u.get(name)
	if err == nil && revision == 0 {
		made := record{Created: now(), Role: RoleMember, Generation: rand.Text(), External: &e}
		if _, err = u.add(ctx, name, made); err == nil || errors.Is(err, ErrExists) {
			r, _, err = u.get(name)
		}
	}
	switch {
	case err != nil:
		return record{}, err
	case r.External == nil || *r.External != e:
		return record{}, TokenError("the name in the token is another user's here")
	case r.Disabled:
		return record{}, errRevoked
	}
	return r, nil
}
