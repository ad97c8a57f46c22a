package auth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// idp is an outside identity provider.
type idp struct {
	*httptest.Server
	fetched atomic.Int64 // key sets

	mu       sync.Mutex
	keys     map[string]*rsa.PrivateKey // by ID; guarded by mu
	metadata map[string]any             // guarded by mu
	broken   bool                       // guarded by mu

	anyAlgorithm bool // keys do not say which they are for
}

// rsaKey makes keys slowly, so that they are made once.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newIDP(t *testing.T) *idp {
	t.Helper()
	p := &idp{keys: map[string]*rsa.PrivateKey{"one": rsaKey()}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	p.metadata = map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"}
	return p
}

func (p *idp) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken:
		http.Error(w, "broken", http.StatusInternalServerError)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(p.metadata)
	case r.URL.Path == "/keys":
		p.fetched.Add(1)
		var set struct {
			Keys []map[string]string `json:"keys"`
		}
		for id, key := range p.keys {
			jwk := map[string]string{
				"kty": "RSA", "alg": "RS256", "use": "sig", "kid": id,
				"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
				"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
			}
			if p.anyAlgorithm {
				delete(jwk, "alg")
			}
			set.Keys = append(set.Keys, jwk)
		}
		_ = json.NewEncoder(w).Encode(set)
	default:
		http.NotFound(w, r)
	}
}

// token is one of the provider's, after change has had its way with it.
func (p *idp) token(t *testing.T, change func(header, claims map[string]any)) string {
	t.Helper()
	return p.sign(t, jwt.SigningMethodRS256, rsaKey(), change)
}

func (p *idp) sign(t *testing.T, method jwt.SigningMethod, key crypto.PrivateKey, change func(header, claims map[string]any)) string {
	t.Helper()
	c := jwt.MapClaims{
		"iss": p.URL, "sub": "1001", "preferred_username": "alice", "aud": "chat", "azp": "laptop", "jti": "1",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = "one"
	if change != nil {
		change(token.Header, c)
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// open returns tokens that trust the provider, once its keys are there.
func (p *idp) open(t *testing.T, o IssuerOptions) *Tokens {
	t.Helper()
	o.URL, o.Audience, o.Logger = p.URL, []string{"chat", "other"}, slog.New(slog.DiscardHandler)
	e, err := OpenIssuer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	<-e.ended
	tokens := newTokens(t, newKey(t), "local")
	tokens.external = []*Issuer{e}
	return tokens
}

func TestAuth28ExternalToken(t *testing.T) {
	p := newIDP(t)
	tokens := p.open(t, IssuerOptions{})
	for range 2 { // the first makes the user
		id, err := tokens.Verify(t.Context(), p.token(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(id.Expires); left <= 0 || left > time.Hour {
			t.Errorf("ends in %v", left)
		}
		id.Expires = time.Time{}
		want := Identity{Issuer: p.URL, Subject: "alice", Client: "laptop", Kind: KindExternal, Role: RoleMember, Scopes: ScopesEveryday, ID: "1", generation: id.generation}
		if id != want || id.generation == "" || tokens.Revoked(id) {
			t.Errorf("%+v, want %+v; revoked %t", id, want, tokens.Revoked(id))
		}
	}
	if !tokens.users.Exists("alice") {
		t.Error("the user does not exist")
	}
	if _, err := tokens.users.Authenticate(t.Context(), home, "alice", ""); !errors.Is(err, ErrCredentials) {
		t.Errorf("by password: %v", err)
	}
	// And the server's own go on.
	own, _ := issue(t, tokens, "local", "")
	if id, err := tokens.Verify(t.Context(), own); err != nil || id.Subject != "local" {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestAuth28RefusedExternalTokens(t *testing.T) {
	p := newIDP(t)
	tokens := p.open(t, IssuerOptions{Algorithms: []string{"RS256"}})
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) string {
		return p.token(t, func(_, c map[string]any) { c[name] = value })
	}
	without := func(name string) string {
		return p.token(t, func(_, c map[string]any) { delete(c, name) })
	}
	header := func(name string, value any) string {
		return p.token(t, func(h, _ map[string]any) { h[name] = value })
	}
	public := rsaKey().N.Bytes()
	for name, token := range map[string]string{
		"alg none":         p.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS256":            p.sign(t, jwt.SigningMethodHS256, public, nil),
		"alg not allowed":  p.sign(t, jwt.SigningMethodRS512, rsaKey(), nil),
		"foreign key":      p.sign(t, jwt.SigningMethodRS256, foreign, nil),
		"own server's key": forge(t, tokens, jwt.SigningMethodES256, newKey(t), func(h, c map[string]any) { h["kid"] = "one"; c["iss"] = p.URL }),
		"kid unknown":      header("kid", "two"),
		"kid missing":      p.token(t, func(h, _ map[string]any) { delete(h, "kid") }),
		"kid no string":    header("kid", 7),
		"typ of another":   header("typ", "logout+jwt"),
		"typ no string":    header("typ", 7),
		"crit":             header("crit", []string{"exp"}),
		"iss of another":   set("iss", p.URL+"/"),
		"iss missing":      without("iss"),
		"aud of another":   set("aud", "elsewhere"),
		"aud missing":      without("aud"),
		"exp missing":      without("exp"),
		"exp passed":       set("exp", time.Now().Add(-time.Minute).Unix()),
		"not yet":          set("nbf", time.Now().Add(time.Minute).Unix()),
		"iat missing":      without("iat"),
		"sub missing":      without("sub"),
		"sub no string":    set("sub", 7),
		"name missing":     without("preferred_username"),
		"name no string":   set("preferred_username", []string{"alice"}),
		"name no name":     set("preferred_username", "alice smith"),
		"name reserved":    set("preferred_username", AnonymousName),
		"name of a user":   set("preferred_username", "local"),
	} {
		id, err := tokens.Verify(t.Context(), token)
		if _, refused := errors.AsType[TokenError](err); !refused || id != (Identity{}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	if names := tokens.users.Names(); len(names) != 1 {
		t.Errorf("users were made: %q", names)
	}
	if _, err := tokens.Verify(t.Context(), p.token(t, nil)); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	if n := p.fetched.Load(); n > 2 { // at the start, and once for unknown IDs
		t.Errorf("keys were fetched %d times", n)
	}
}

// A name is for whom the issuer vouched for first; a user who is disabled stays
// out, and one who was enabled again needs a new token.
func TestAuth28ExternalUsers(t *testing.T) {
	ctx := t.Context()
	p := newIDP(t)
	tokens := p.open(t, IssuerOptions{})
	old := p.token(t, func(_, c map[string]any) { c["iat"] = time.Now().Add(-time.Minute).Unix() })
	id, err := tokens.Verify(ctx, old)
	if err != nil {
		t.Fatal(err)
	}
	other := p.token(t, func(_, c map[string]any) { c["sub"] = "1002" })
	if _, err := tokens.Verify(ctx, other); !errors.Is(err, TokenError("the name in the token is another user's here")) {
		t.Errorf("another of that name: %v", err)
	}
	if err := tokens.users.SetDisabled(ctx, "alice", true); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(ctx, old); !errors.Is(err, errRevoked) || !tokens.Revoked(id) {
		t.Errorf("disabled: %v, revoked %t", err, tokens.Revoked(id))
	}
	if err := tokens.users.SetDisabled(ctx, "alice", false); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(ctx, old); !errors.Is(err, errRevoked) || !tokens.Revoked(id) {
		t.Errorf("an old token: %v, revoked %t", err, tokens.Revoked(id))
	}
	young := p.token(t, func(_, c map[string]any) { c["iat"] = time.Now().Add(2 * time.Second).Unix() })
	if id, err := tokens.Verify(ctx, young); err != nil || tokens.Revoked(id) {
		t.Errorf("a new one: %v, revoked %t", err, tokens.Revoked(id))
	}
	if err := tokens.users.SetRole(ctx, "alice", RoleAdmin); err != nil {
		t.Fatal(err)
	}
	young = p.token(t, func(_, c map[string]any) { c["iat"] = time.Now().Add(2 * time.Second).Unix() })
	if id, err := tokens.Verify(ctx, young); err != nil || id.Role != RoleAdmin || id.Missing(ScopeAdmin) == 0 {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestAuth28ClaimMapping(t *testing.T) {
	p := newIDP(t)
	tokens := p.open(t, IssuerOptions{NameClaim: "email", NameSuffix: "@Example.com", Scopes: ScopeChatRead})
	for email, want := range map[string]string{
		"bob@example.com": "bob", "CAROL@EXAMPLE.COM": "carol", "dave@example.org": "", "eve@example.com.evil": "", "@example.com": "", "bob": "", "a.b@example.com": "",
	} {
		id, err := tokens.Verify(t.Context(), p.token(t, func(_, c map[string]any) { c["email"], c["sub"] = email, "sub of "+want }))
		if id.Subject != want || (err == nil) != (want != "") {
			t.Errorf("%s: %+v, %v", email, id, err)
		}
	}
	for name, tc := range map[string]struct {
		claim string
		value any
		want  Scopes
	}{
		"scope":         {"scope", "openid chat:write admin2", ScopeChatWrite},
		"scp":           {"scp", []string{"openid", "notify", "logs:read"}, ScopeNotify | ScopeLogsRead},
		"scp as string": {"scp", "notify", ScopeNotify},
		"none of ours":  {"scope", "openid profile", ScopeChatRead},
		"no scope":      {"scope", 7, ScopeChatRead},
	} {
		id, err := tokens.Verify(t.Context(), p.token(t, func(_, c map[string]any) {
			c["email"], c["sub"], c[tc.claim] = "bob@example.com", "sub of bob", tc.value
			delete(c, "azp")
			c["client_id"] = name
		}))
		if err != nil || id.Scopes != tc.want || id.Client != name {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

// A new key is found when a token comes with it, without waiting for the hour.
func TestAuth28UnknownKeyIsFetched(t *testing.T) {
	p := newIDP(t)
	tokens := p.open(t, IssuerOptions{})
	p.mu.Lock()
	p.keys = map[string]*rsa.PrivateKey{"two": rsaKey()}
	p.mu.Unlock()
	rotated := p.token(t, func(h, _ map[string]any) { h["kid"] = "two" })
	if _, err := tokens.Verify(t.Context(), rotated); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	if _, err := tokens.Verify(t.Context(), p.token(t, nil)); err == nil {
		t.Error("the key that was withdrawn is good")
	}
	for i := range 20 {
		unknown := p.token(t, func(h, _ map[string]any) { h["kid"] = fmt.Sprint(i) })
		if _, err := tokens.Verify(t.Context(), unknown); !errors.Is(err, refusal(errUnknownKey)) {
			t.Errorf("%v", err)
		}
	}
	if n := p.fetched.Load(); n != 2 {
		t.Errorf("keys were fetched %d times", n)
	}
}

func TestAuth28Discovery(t *testing.T) {
	for name, tc := range map[string]struct {
		metadata map[string]any
		ok       bool
	}{
		"good":                 {map[string]any{}, true},
		"issuer with a slash":  {map[string]any{"issuer": "URL/"}, false},
		"issuer of another":    {map[string]any{"issuer": "https://example.com"}, false},
		"no issuer":            {map[string]any{"issuer": nil}, false},
		"no keys":              {map[string]any{"jwks_uri": nil}, false},
		"keys over plain http": {map[string]any{"jwks_uri": "http://example.com/keys"}, false},
		"keys in a file":       {map[string]any{"jwks_uri": "file:///etc/keys"}, false},
		"too long":             {map[string]any{"padding": strings.Repeat("x", issuerDocument)}, false},
	} {
		p := newIDP(t)
		for key, value := range tc.metadata {
			if s, ok := value.(string); ok {
				value = strings.Replace(s, "URL", p.URL, 1)
			}
			p.metadata[key] = value
		}
		e := &Issuer{url: p.URL, client: newIssuerClient(), o: IssuerOptions{Logger: slog.New(slog.DiscardHandler)}}
		if _, err := e.discover(t.Context()); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
		e.client.CloseIdleConnections()
	}
}

// While an issuer cannot be asked, its tokens are neither good nor bad.
func TestAuth28IssuerIsAway(t *testing.T) {
	p := newIDP(t)
	p.broken = true
	logger, logs := newLogger()
	e, err := OpenIssuer(IssuerOptions{URL: p.URL, Audience: []string{"chat"}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	tokens := newTokens(t, newKey(t), "alice")
	tokens.external = []*Issuer{e}
	_, err = tokens.Verify(t.Context(), p.token(t, nil))
	if _, refused := errors.AsType[TokenError](err); err == nil || refused {
		t.Errorf("%v", err)
	}
	own, _ := issue(t, tokens, "alice", "")
	if _, err := tokens.Verify(t.Context(), own); err != nil {
		t.Errorf("an own token: %v", err)
	}
	deadline := time.After(30 * time.Second)
	for !strings.Contains(logs.String(), "could not be discovered") {
		select {
		case <-deadline:
			t.Fatal("nobody is told")
		case <-time.After(5 * time.Millisecond):
		}
	}
	e.Close() // does not wait for the next try
}

func TestOpenIssuerRefuses(t *testing.T) {
	for name, o := range map[string]IssuerOptions{
		"no URL":         {Audience: []string{"a"}},
		"plain http":     {URL: "http://example.com", Audience: []string{"a"}},
		"by name":        {URL: "http://localhost:1", Audience: []string{"a"}},
		"query":          {URL: "https://example.com?a", Audience: []string{"a"}},
		"user":           {URL: "https://a@example.com", Audience: []string{"a"}},
		"no audience":    {URL: "https://example.com"},
		"empty audience": {URL: "https://example.com", Audience: []string{""}},
		"HS256":          {URL: "https://example.com", Audience: []string{"a"}, Algorithms: []string{"RS256", "HS256"}},
		"none":           {URL: "https://example.com", Audience: []string{"a"}, Algorithms: []string{"none"}},
	} {
		if e, err := OpenIssuer(o); err == nil {
			e.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// inMemory is a client of the provider that needs no network.
func (p *idp) inMemory() *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		p.serve(w, r)
		return w.Result(), nil
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An issuer that was away is asked again, less and less often; and then its
// keys are fetched every hour.
func TestAuth28KeysAreRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const address = "https://id.example"
		p := &idp{keys: map[string]*rsa.PrivateKey{"one": rsaKey()}, metadata: map[string]any{"issuer": address, "jwks_uri": address + "/keys"}, broken: true}
		logger, logs := newLogger()
		e, err := openIssuer(IssuerOptions{URL: address, Audience: []string{"chat"}, Logger: logger}, p.inMemory())
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		pass(10*time.Minute + time.Second)
		if n := strings.Count(logs.String(), "could not be discovered"); n < 10 || n > 15 {
			t.Errorf("tried %d times in ten minutes", n)
		}
		p.mu.Lock()
		p.broken = false
		p.mu.Unlock()
		pass(issuerRefetch)
		if e.keys.Load() == nil || p.fetched.Load() != 1 {
			t.Fatalf("no keys; fetched %d times", p.fetched.Load())
		}
		pass(3 * issuerRefresh)
		if n := p.fetched.Load(); n != 4 {
			t.Errorf("fetched %d times in three hours", n)
		}
		// While the issuer is away its keys stay.
		p.mu.Lock()
		p.broken = true
		p.mu.Unlock()
		pass(2 * issuerRefresh)
		if !strings.Contains(logs.String(), "could not be refreshed") {
			t.Error("nobody is told")
		}
		tokens := newTokens(t, newKey(t))
		tokens.external = []*Issuer{e}
		p.Server = &httptest.Server{URL: address}
		if _, err := tokens.Verify(t.Context(), p.token(t, nil)); err != nil {
			t.Error(err)
		}
	})
}

// The list of algorithms holds for keys that do not say theirs.
func TestAuth28Algorithms(t *testing.T) {
	p := newIDP(t)
	p.anyAlgorithm = true
	tokens := p.open(t, IssuerOptions{Algorithms: []string{"RS256"}})
	if id, err := tokens.Verify(t.Context(), p.sign(t, jwt.SigningMethodRS512, rsaKey(), nil)); err == nil {
		t.Errorf("%+v", id)
	}
	if _, err := tokens.Verify(t.Context(), p.token(t, nil)); err != nil {
		t.Error(err)
	}
}
