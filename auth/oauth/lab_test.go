package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wigwag/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password = "correct horse battery"
	callback = "http://127.0.0.1:33418/callback"
)

// lab is the server with real accounts behind it, served over HTTP behind the
// check of Host and Origin that stands there in the program.
type lab struct {
	t           *testing.T
	server      atomic.Pointer[Server]
	options     Options
	fetcher     *fetcher
	http        *httptest.Server
	users       *auth.Users
	tokens      *auth.Tokens
	credentials *auth.Credentials
	audit       *audit
	clock       *clock
}

// newLab starts a server at http://127.0.0.1:PORT, http://localhost:PORT and
// https://chat.example.com, with the users alice, a member, and root.
func newLab(t *testing.T, change ...func(*Options)) *lab {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	l := &lab{t: t, audit: &audit{}, clock: &clock{}, fetcher: newFetcher()}
	var err error
	record := auth.NewAuditLog(l.audit, logger)
	l.users, err = auth.NewUsers(people(t), record)
	must(t, err)
	keys, err := auth.LoadKeys(t.Context(), auth.NewMemoryStore())
	must(t, err)
	l.credentials = auth.NewCredentials(auth.CredentialsOptions{Store: auth.NewMemoryStore(), Users: l.users, Audit: record, Logger: logger})
	t.Cleanup(l.credentials.Close)

	l.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := l.server.Load()
		guard, err := auth.Guard(auth.GuardOptions{PublicURLs: s.o.PublicURLs, Exempt: s.Paths(), Logger: logger})
		if err != nil {
			t.Error(err)
			return
		}
		mux := http.NewServeMux()
		for path, h := range s.Handlers() {
			mux.Handle(path, h)
		}
		guard(mux).ServeHTTP(w, r)
	}))
	l.http.Start()
	t.Cleanup(l.http.Close)
	l.tokens, err = auth.NewTokens(auth.TokensOptions{Issuer: l.http.URL, Keys: keys, Users: l.users, Credentials: l.credentials, Audit: record, Logger: logger})
	must(t, err)
	l.options = Options{
		PublicURLs: []string{l.http.URL, l.localhost(), "https://chat.example.com"},
		Browsers:   browsers{l.users, l.tokens}, Users: l.users, Tokens: l.tokens, Credentials: l.credentials, Keys: keys,
		Store: auth.NewMemoryStore(), Audit: record, Logger: logger,
	}
	for _, c := range change {
		c(&l.options)
	}
	l.start()
	t.Cleanup(func() { l.server.Load().Close() })
	return l
}

// people returns a store of its own with the users, whose passwords are hashed
// once for all tests.
func people(t *testing.T) *auth.MemoryStore {
	t.Helper()
	stored, err := hashedPeople()
	must(t, err)
	store := auth.NewMemoryStore()
	for name, value := range stored {
		_, err := store.Put(t.Context(), name, value, 0)
		must(t, err)
	}
	return store
}

var hashedPeople = sync.OnceValues(func() (map[string][]byte, error) {
	store := auth.NewMemoryStore()
	users, err := auth.NewUsers(store, nil)
	if err != nil {
		return nil, err
	}
	stored := map[string][]byte{}
	for name, role := range map[string]auth.Role{"alice": auth.RoleMember, "root": auth.RoleAdmin} {
		if _, err := users.Create(context.Background(), name, password, role); err != nil {
			return nil, err
		}
		stored[name], _ = store.Get(name)
	}
	return stored, nil
})

func (l *lab) localhost() string { return strings.Replace(l.http.URL, "127.0.0.1", "localhost", 1) }

func (l *lab) start() {
	l.t.Helper()
	s, err := newServer(l.options, l.fetcher, l.clock.now)
	must(l.t, err)
	l.server.Store(s)
}

// restart replaces the server by one that knows only what was stored.
func (l *lab) restart() {
	l.t.Helper()
	l.server.Load().Close()
	l.start()
}

// browsers is what the program has for its cookie, in short.
type browsers struct {
	users  *auth.Users
	tokens *auth.Tokens
}

func (b browsers) SignIn(w http.ResponseWriter, r *http.Request, name, password string) error {
	user, err := b.users.Authenticate(r.Context(), connectionAddr(r), name, password)
	if err != nil {
		return err
	}
	secret, _, err := b.tokens.OpenSession(r.Context(), user)
	if err == nil {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: secret, Path: "/", HttpOnly: true}) //nolint:gosec // on loopback
	}
	return err
}

func (b browsers) SignedIn(r *http.Request) (auth.Identity, bool) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return auth.Identity{}, false
	}
	id, err := b.tokens.Session(cookie.Value)
	return id, err == nil
}

// audit is the log behind the audit.
type audit struct {
	mu     sync.Mutex
	events []auth.Event // guarded by mu
}

// Append implements auth.Log.
func (a *audit) Append(_ context.Context, e auth.LogEntry) (auth.LogRecord, error) {
	var event auth.Event
	err := json.Unmarshal(e.Data, &event)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, event)
	return auth.LogRecord{}, err
}

// Read implements auth.Log.
func (a *audit) Read(context.Context, auth.LogRange) ([]auth.LogRecord, error) { return nil, nil }

// has reports whether an event of that action and outcome was recorded, with
// the address it came from.
func (a *audit) has(action, outcome string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.events, func(e auth.Event) bool {
		return e.Action == action && e.Outcome == outcome && e.Remote == "127.0.0.1"
	})
}

type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

type limiter struct{ left atomic.Int64 }

func (l *limiter) Wait(netip.Addr) time.Duration {
	if l.left.Add(-1) < 0 {
		return 90 * time.Second
	}
	return 0
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is an HTTP answer, read in whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// field returns a field of an answer in JSON, as text.
func (a answer) field(t *testing.T, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	switch v := fields[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		text, err := json.Marshal(v)
		must(t, err)
		return string(text)
	}
}

// location returns where an answer redirects to, and with what.
func (a answer) location(t *testing.T) (to string, params url.Values) {
	t.Helper()
	if a.status != http.StatusSeeOther {
		t.Fatalf("status %d, want 303: %s", a.status, a.body)
	}
	u, err := url.Parse(a.header.Get("Location"))
	must(t, err)
	params = u.Query()
	u.RawQuery = ""
	return u.String(), params
}

func send(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// do sends a request of a program; headers come in pairs.
func (l *lab) do(method, url, body string, headers ...string) answer {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, url, strings.NewReader(body))
	must(l.t, err)
	for name, value := range pairs(headers) {
		if req.Header.Add(name, value); name == "Host" {
			req.Host = value
		}
	}
	return send(l.t, noRedirects(l.http.Client()), req)
}

func noRedirects(c *http.Client) *http.Client {
	one := *c
	one.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &one
}

func (l *lab) get(path string, headers ...string) answer {
	l.t.Helper()
	return l.do(http.MethodGet, l.http.URL+path, "", headers...)
}

func (l *lab) post(path string, form url.Values) answer {
	l.t.Helper()
	return l.do(http.MethodPost, l.http.URL+path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// register registers a client and returns its ID.
func (l *lab) register(redirects ...string) string {
	l.t.Helper()
	body, err := json.Marshal(map[string]any{"client_name": "Probe", "redirect_uris": redirects})
	must(l.t, err)
	a := l.do(http.MethodPost, l.http.URL+registerPath, string(body), "Content-Type", "application/json")
	if a.status != http.StatusCreated {
		l.t.Fatalf("register: %d %s", a.status, a.body)
	}
	return a.field(l.t, "client_id")
}

// challengeOf returns the S256 challenge of a verifier.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var verifier = strings.Repeat("v", 43)

// pairs returns a list's entries two by two.
func pairs(list []string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for pair := range slices.Chunk(list, 2) {
			if len(pair) != 2 || !yield(pair[0], pair[1]) {
				return
			}
		}
	}
}

// changed sets parameters, given in pairs, or leaves those out that are empty.
func changed(q url.Values, changes []string) url.Values {
	for name, value := range pairs(changes) {
		if q.Set(name, value); value == "" {
			q.Del(name)
		}
	}
	return q
}

// ask returns the query of an authorization request in order, with changes.
func ask(client string, changes ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "state": {"st&te"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	return changed(q, changes)
}

// trade is the form of a code's exchange, with changes.
func trade(client, code string, changes ...string) url.Values {
	q := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}
	return changed(q, changes)
}

func refreshForm(client, token string, more ...string) url.Values {
	q := url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {token}}
	return changed(q, more)
}

// wantError checks an error for programs.
func wantError(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.field(t, "error") != code || a.field(t, "error_description") == "" {
		t.Errorf("%d %s, want %d %s with a description", a.status, a.body, status, code)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v, want no-store and application/json", a.header)
	}
}

// good reports whether an access token is good.
func (l *lab) good(token string) bool {
	_, err := l.tokens.Verify(l.t.Context(), token)
	return err == nil
}
