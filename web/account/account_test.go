package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wigwag/auth"
)

const secret = "correct horse battery"

// lab is a server over accounts in memory, with the user alice.
type lab struct {
	*Server
	tokens *auth.Tokens
	users  *auth.Users
	api    map[string]http.Handler
}

func newLab(t *testing.T) *lab {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	users, err := auth.NewUsers(auth.NewMemoryStore(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Create(t.Context(), "alice", secret, auth.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	keys, err := auth.LoadKeys(t.Context(), auth.NewMemoryStore())
	if err != nil {
		t.Fatal(err)
	}
	credentials := auth.NewCredentials(auth.CredentialsOptions{Store: auth.NewMemoryStore(), Users: users, Logger: logger})
	t.Cleanup(credentials.Close)
	tokens, err := auth.NewTokens(auth.TokensOptions{Issuer: "http://127.0.0.1:8080", Keys: keys, Users: users, Credentials: credentials, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	signUps, err := auth.NewSignUps(auth.SignUpOpen, users, credentials)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{
		Users: users, Tokens: tokens, Credentials: credentials, SignUps: signUps, Audit: auth.NewAuditLog(&auditLog{}, logger),
		Bearer:    auth.Bearer(auth.BearerOptions{Verifier: tokens, Logger: logger}),
		PublicURL: func(*http.Request) string { return "http://127.0.0.1:8080" }, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &lab{s, tokens, users, s.API(func(next http.Handler) http.Handler { return next })}
}

// form sends a form to a page.
func (l *lab) form(t *testing.T, path string, fields url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	l.Pages()[path].ServeHTTP(w, r)
	return w
}

// What the description of REST has of accounts is what is served.
func TestDescribed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "api", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var described struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &described); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	user, err := l.users.Authenticate(t.Context(), netip.Addr{}, "alice", secret)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := l.tokens.Login(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+issued.Access)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		l.api[path].ServeHTTP(w, r)
		return w
	}
	for path := range l.api {
		methods := []string{}
		for method, text := range described.Paths[path] {
			if method == "parameters" {
				continue
			}
			var operation struct {
				RequestBody struct {
					Content map[string]struct {
						Schema struct{ Properties map[string]any }
					}
				}
			}
			if err := json.Unmarshal(text, &operation); err != nil {
				t.Fatal(err)
			}
			method = strings.ToUpper(method)
			methods = append(methods, method)
			members := slices.Sorted(maps.Keys(operation.RequestBody.Content["application/json"].Schema.Properties))
			if len(members) == 0 || path == "/api/login" {
				continue
			}
			_, allowed, _ := strings.Cut(ask(method, path, `{"nonsense":1}`).Body.String(), "Allowed are ")
			allowed, _, _ = strings.Cut(allowed, ".")
			if got := slices.Sorted(slices.Values(strings.Split(allowed, ", "))); !slices.Equal(got, members) {
				t.Errorf("%s %s takes %v, and is described with %v", method, path, got, members)
			}
		}
		slices.Sort(methods)
		allow := strings.ReplaceAll(ask("BREW", path, "").Header().Get("Allow"), ", HEAD", "")
		if got := strings.Join(methods, ", "); got != allow {
			t.Errorf("%s allows %s, and is described with %s", path, allow, got)
		}
	}
}

// Each form of the pages is shown, with what is wrong, and what was typed in is
// never taken for markup.
func TestPages(t *testing.T) {
	l := newLab(t)
	const evil = `"><script>alert(1)</script>`
	link, err := l.users.NewLink(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct {
		answer *httptest.ResponseRecorder
		status int
		has    string
	}{
		"wrong":         {l.form(t, "/signin", url.Values{"username": {evil}, "password": {evil}}), 401, "Wrong user name or password"},
		"a bad link":    {l.form(t, "/signin", url.Values{"link": {evil}, "password": {secret}}), 403, "The link is not valid"},
		"too short":     {l.form(t, "/signin", url.Values{"link": {link}, "password": {"x"}}), 400, "8"},
		"a bad name":    {l.form(t, "/signup", url.Values{"username": {evil}, "password": {secret}}), 400, "name: must be"},
		"a name taken":  {l.form(t, "/signup", url.Values{"username": {"alice"}, "password": {secret}}), 409, "exists already"},
		"an invitation": {l.form(t, "/signup", url.Values{"username": {"bob"}, "password": {secret}, "invitation": {evil}}), 403, "invitation is not valid"},
	} {
		text := w.answer.Body.String()
		if w.answer.Code != w.status || !strings.Contains(text, w.has) || strings.Contains(text, "<script") {
			t.Errorf("%s: %d, want %d with %q: %s", name, w.answer.Code, w.status, w.has, text)
		}
		if h := w.answer.Header(); h.Get("Cache-Control") != "no-store" || !strings.Contains(h.Get("Content-Security-Policy"), "form-action 'self'") {
			t.Errorf("%s: %v", name, h)
		}
	}
	cross := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signin", strings.NewReader("username=alice"))
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	if l.Pages()["/signin"].ServeHTTP(w, cross); w.Code != http.StatusForbidden {
		t.Errorf("a form of another site: %d", w.Code)
	}
}

// Who signs in anew leaves the session of before.
func TestOneSessionOfABrowser(t *testing.T) {
	l := newLab(t)
	good := url.Values{"username": {"alice"}, "password": {secret}}
	first := l.form(t, "/signin", good).Result().Cookies()
	second := l.form(t, "/signin", good, first...).Result().Cookies()
	if len(first) != 1 || len(second) != 1 || first[0].Value == second[0].Value {
		t.Fatal(first, second)
	}
	for c, want := range map[*http.Cookie]bool{first[0]: false, second[0]: true} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.AddCookie(c)
		if _, ok := l.SignedIn(r); ok != want {
			t.Errorf("signed in: %t, want %t", ok, want)
		}
	}
}

// Errors of package auth have their status; what is internal has none, and is
// not told.
func TestProblems(t *testing.T) {
	for err, want := range map[error]int{
		auth.ErrExists: 409, auth.ErrUnknownUser: 404, auth.ErrRefresh: 401, auth.ErrInvitation: 403, auth.ErrBusy: 503,
		&auth.ThrottledError{RetryAfter: time.Second}: 429, auth.TokenError("revoked"): 401, errors.New("password: too short"): 400,
		fmt.Errorf("create user: %w", auth.ErrTooMany): 409,
	} {
		if p := problemOf(err); p == nil || p.Status != want || p.Detail == "" {
			t.Errorf("%v: %+v, want %d", err, p, want)
		}
	}
	if p := problemOf(errors.New("the disk at /data is full")); p != nil {
		t.Errorf("an internal error is told as %+v", p)
	}
}

// TestTicketOnce: of a ticket in the query the stream learns whose it is, and
// nothing of the ticket.
func TestTicketOnce(t *testing.T) {
	l := newLab(t)
	user, err := l.users.Authenticate(t.Context(), remote(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)), "alice", secret)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := l.tokens.Login(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	ask := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/stream-ticket", nil)
	ask.Header.Set("Authorization", "Bearer "+issued.Access)
	w := httptest.NewRecorder()
	l.api["/api/stream-ticket"].ServeHTTP(w, ask)
	var got struct{ Ticket string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	stream := l.IdentifyStream(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, ok := auth.FromContext(r.Context())
		if !ok || id.Subject != "alice" || id.Credential != issued.Identity.Credential || r.URL.RawQuery != "rooms=general" {
			t.Errorf("%+v asks for %s", id, r.URL)
		}
	}))
	for _, want := range []int{200, 401} {
		w := httptest.NewRecorder()
		stream.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events?rooms=general&ticket="+got.Ticket, nil))
		if w.Code != want {
			t.Errorf("%d, want %d", w.Code, want)
		}
	}
}
