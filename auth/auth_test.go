package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const testIssuer = "http://127.0.0.1:8080"

// logBuffer is where a test's logger writes to.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newLogger returns a logger that keeps everything, and what it kept.
func newLogger() (*slog.Logger, *logBuffer) {
	var b logBuffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})), &b
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keysOf are stored keys; the first one signs.
func keysOf(t *testing.T, keys ...*ecdsa.PrivateKey) *Keys {
	t.Helper()
	store := NewMemoryStore()
	var ders [][]byte
	for _, key := range keys {
		ders = append(ders, stored(t, key))
	}
	write(t, store, signingKeys, stringOf(t, 1, ders...))
	return loadKeys(t, store)
}

// keyID is that of the key that signs.
func keyID(t *testing.T, k *Keys) string {
	t.Helper()
	key, err := k.signing()
	if err != nil {
		t.Fatal(err)
	}
	return key.id
}

// newTokensOf stands on users and keys, and on a store of its own or, if there
// is one, the given.
func newTokensOf(t *testing.T, users *Users, keys *Keys, stores ...Store) *Tokens {
	t.Helper()
	stores = append(stores, NewMemoryStore())
	logger := slog.New(slog.DiscardHandler)
	credentials := NewCredentials(CredentialsOptions{Store: stores[0], Users: users, Audit: users.audit, Logger: logger})
	t.Cleanup(credentials.Close)
	tokens, err := NewTokens(TokensOptions{
		Issuer: testIssuer, Keys: keys, Users: users, Credentials: credentials, Audit: users.audit, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// issue returns a new access token and the identity it proves: of a login, or,
// for a client, of a grant.
func issue(t *testing.T, tokens *Tokens, name, client string) (string, Identity) {
	t.Helper()
	var issued Issued
	var err error
	if client == "" {
		issued, err = tokens.Login(t.Context(), find(t, tokens, name))
	} else {
		issued, err = tokens.Authorize(t.Context(), find(t, tokens, name), Authorization{
			Client: client, ClientName: "The Client", Resource: testIssuer + "/mcp", Scopes: ScopesEveryday,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return issued.Access, issued.Identity
}

// newTokens has users of any name, whose generations are "of" and the name, and
// who are logged in by the credential of that name.
func newTokens(t *testing.T, key *ecdsa.PrivateKey, names ...string) *Tokens {
	t.Helper()
	var f fakeHashes
	users, err := newUsers(NewMemoryStore(), nil, f.hasher())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if ok, err := users.put(t.Context(), name, record{Generation: "of " + name}, 0); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	tokens := newTokensOf(t, users, keysOf(t, key))
	for _, name := range names {
		r := tokens.newCredential(find(t, tokens, name), Credential{Kind: KindLogin, Scopes: ScopeAdmin}, refreshIdle)
		if err := tokens.credentials.add(t.Context(), "login of "+name, r); err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

// find returns a user as Authenticate would.
func find(t *testing.T, tokens *Tokens, name string) User {
	t.Helper()
	r, revision, err := tokens.users.get(name)
	if err != nil || revision == 0 {
		t.Fatal(name, revision, err)
	}
	return r.user(name)
}

// response is a whole response.
type response struct {
	status int
	header http.Header
	body   string
}

// do serves one request without a network.
func do(h http.Handler, r *http.Request) response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return response{w.Code, w.Header(), w.Body.String()}
}

// problemDetail checks that a response is a problem document of its status.
func problemDetail(t *testing.T, res response) string {
	t.Helper()
	var p struct {
		Title, Detail string
		Status        int
	}
	if err := json.Unmarshal([]byte(res.body), &p); err != nil {
		t.Fatalf("body %q: %v", res.body, err)
	}
	if p.Status != res.status || p.Title != http.StatusText(res.status) || p.Detail == "" {
		t.Errorf("problem %+v does not describe status %d", p, res.status)
	}
	if got := res.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type = %q", got)
	}
	if got := res.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
	return p.Detail
}

// ok200 answers every request.
var ok200 = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// resourceOf is the resource a request asks for, by the address it used.
func resourceOf(r *http.Request) string { return "http://" + r.Host + r.URL.Path }

// recorder is an audit that a test looks at.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (a *recorder) Record(_ context.Context, e Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
}

// take returns what was recorded since, as lines of action, outcome, actor,
// target and client.
func (a *recorder) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var lines []string
	for _, e := range a.events {
		lines = append(lines, strings.Join(strings.Fields(strings.Join([]string{e.Action, e.Outcome, e.Actor, e.Target, e.Client}, " ")), " "))
	}
	a.events = nil
	return lines
}

// atOnce calls fn from n goroutines at once, and returns how many it was true
// for.
func atOnce(n int, fn func() bool) int {
	var yes atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			if fn() {
				yes.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(yes.Load())
}

// pass lets time go by, in a synctest bubble.
func pass(d time.Duration) {
	<-time.After(d)
}

// A session is bound to issuer, subject and client, and to nothing else.
func TestAuth8KeyIsNotTheToken(t *testing.T) {
	alice := Identity{Issuer: "i", Subject: "alice", Client: "c", ID: "1", Expires: time.Unix(1, 0)}
	refreshed := alice
	refreshed.ID, refreshed.Expires = "2", time.Unix(2, 0)
	if alice.Key() != refreshed.Key() {
		t.Error("a refreshed token has another key")
	}
	others := []Identity{
		{},
		{Subject: "alice"},
		{Issuer: "i", Subject: "alice"},
		{Issuer: "i", Subject: "bob", Client: "c"},
		{Issuer: "j", Subject: "alice", Client: "c"},
		{Issuer: "i", Subject: "alice", Client: "d"},
		{Issuer: "i", Subject: "alicec"},
		{Issuer: "ialicec"},
		{Issuer: `i""alice`, Client: "c"},
		{Issuer: "i", Subject: `alice""c`},
		{Issuer: `i"`, Subject: "alice", Client: "c"},
		{Issuer: `i\"`, Subject: "alice", Client: "c"},
		{Issuer: "i", Subject: "alice", Client: "c\xff"},
		{Issuer: "i", Subject: "alice", Client: "c\xfe"},
		{Issuer: "i", Subject: "alice", Client: "c\ufffd"},
	}
	seen := map[string]Identity{alice.Key(): alice}
	for _, id := range others {
		if same, ok := seen[id.Key()]; ok {
			t.Errorf("%+v has the key of %+v", id, same)
		}
		seen[id.Key()] = id
	}
}

// Two logins of one user share a key; two users do not.
func TestAuth8KeyOfIssuedTokens(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice", "bob")
	key := func(user, client string) string {
		t.Helper()
		token, issued := issue(t, tokens, user, client)
		id, err := tokens.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if !id.Expires.Equal(issued.Expires) || id.Key() != issued.Key() || id.ID != issued.ID {
			t.Errorf("issued %+v, verified %+v", issued, id)
		}
		if strings.Contains(id.Key(), id.ID) {
			t.Error("the key holds the token's ID")
		}
		return id.Key()
	}
	first := key("alice", "")
	if key("alice", "") != first {
		t.Error("alice has another key after a second login")
	}
	if key("bob", "") == first || key("alice", "client") == first {
		t.Error("different actors share a key")
	}
}

func TestAnonymous(t *testing.T) {
	var got Identity
	h := Anonymous(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = FromContext(r.Context())
	}))
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", nil)
	r.Header.Set("Authorization", "Bearer whatever")
	do(h, r)
	if got != (Identity{Subject: "anonymous", Role: RoleMember, Scopes: ScopeAdmin &^ scopeAdmin}) {
		t.Errorf("identity = %+v", got)
	}
	if _, ok := FromContext(t.Context()); ok {
		t.Error("a bare context has an identity")
	}
}
