package oauth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shelf serves metadata documents by https on loopback.
type shelf struct {
	*httptest.Server
	fetched atomic.Int64
	mu      sync.Mutex
	serve   http.HandlerFunc // guarded by mu
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		s.mu.Lock()
		serve := s.serve
		s.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) hold(serve http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = serve
}

// json holds a document; %s is its URL.
func (s *shelf) json(document string, headers ...string) {
	s.hold(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		for name, value := range pairs(headers) {
			w.Header().Set(name, value)
		}
		_, _ = strings.NewReplacer("%s", s.URL+r.URL.Path).WriteString(w, document)
	})
}

// fetcher reaches the shelf, which the guard would not let pass.
func (s *shelf) fetcher() *fetcher {
	f := guardedFetcher(func(netip.Addr) error { return nil })
	f.trust(s.Server)
	return f
}

func (f *fetcher) trust(s *httptest.Server) {
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	f.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// newShelfLab starts a lab that reaches a shelf.
func newShelfLab(t *testing.T) (*lab, *shelf) {
	t.Helper()
	l, s := newLab(t), newShelf(t)
	l.fetcher = s.fetcher()
	l.restart()
	return l, s
}

const plainDocument = `{"client_id":"%s","client_name":"Claude Code","client_uri":"https://claude.ai","redirect_uris":["http://localhost/callback","http://127.0.0.1/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}`

func TestLine15MetadataDocumentClients(t *testing.T) {
	l, s := newShelfLab(t)
	for name, document := range map[string]string{
		"Claude Code": plainDocument,
		"VS Code":     `{"client_id":"%s","client_name":"Visual Studio Code","application_type":"native","redirect_uris":["https://vscode.dev/redirect","http://127.0.0.1:33418/callback","http://localhost:1/callback"],"token_endpoint_auth_method":"none"}`,
		"ChatGPT":     `{"client_id":"%s","client_name":"ChatGPT","redirect_uris":["http://localhost/callback"],"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["private_key_jwt","none"],"jwks_uri":"https://chatgpt.com/jwks.json"}`,
		"no method":   `{"client_id":"%s","redirect_uris":["http://localhost/callback"]}`,
	} {
		s.json(document)
		id := s.URL + "/" + strings.ReplaceAll(name, " ", "-") + ".json"
		q := ask(id, "redirect_uri", "http://localhost:50505/callback")
		b := l.browser()
		page := b.signIn(b.authorize(q), "alice")
		if !strings.Contains(page.body, "<strong>"+strings.TrimPrefix(s.URL, "https://")+"</strong> says") || !strings.Contains(page.body, "any program on this computer") {
			t.Errorf("%s: %s", name, page.body)
		}
		_, params := b.allow(page).location(t)
		l.restart() // what was fetched is forgotten
		s.hold(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		a := l.post(tokenPath, trade(id, params.Get("code"), "redirect_uri", "http://localhost:50505/callback"))
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, a.status, a.body)
		}
		if a = l.post(tokenPath, refreshForm(id, a.field(t, "refresh_token"))); a.status != http.StatusOK {
			t.Errorf("%s: refresh without the document: %d %s", name, a.status, a.body)
		}
	}
}

func TestLine15MetadataDocumentRefusals(t *testing.T) {
	l, s := newShelfLab(t)
	longer := strings.Replace(plainDocument, `"client_uri"`, `"filler":"`+strings.Repeat("x", maxDocument)+`","client_uri"`, 1)
	for i, c := range []struct{ document, why string }{
		{strings.Replace(plainDocument, "%s", "https://claude.ai/other", 1), "names another client_id"},
		{strings.Replace(plainDocument, `"%s"`, `""`, 1), "names another client_id"},
		{strings.Replace(plainDocument, `"none"`, `"client_secret_basic"`, 1), "does not list none"},
		{strings.Replace(plainDocument, `"none"`, `"private_key_jwt"`, 1), "does not list none"},
		{strings.Replace(plainDocument, "http://localhost/callback", "javascript:alert(1)", 1), "redirect_uris[0]"},
		{`{"client_id":"%s"}`, "redirect_uris has 0 entries"},
		{`<html>`, "not a JSON object"},
		{longer, "longer than"},
	} {
		s.json(c.document)
		a := l.browser().authorize(ask(fmt.Sprintf("%s/%d.json", s.URL, i), "redirect_uri", "http://localhost/callback"))
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, c.why) {
			t.Errorf("%s: %d, want a page with %q: %s", c.document, a.status, c.why, a.body[strings.Index(a.body, "<main>"):])
		}
	}
	for name, serve := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/good" {
				http.Redirect(w, r, "/good", http.StatusFound)
			}
		},
		"html":    func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") },
		"jsonish": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/json+html") },
		"absent":  http.NotFound,
	} {
		s.hold(serve)
		before := s.fetched.Load()
		if a := l.browser().authorize(ask(s.URL + "/" + name)); a.status != http.StatusBadRequest || !strings.Contains(a.body, "could not be fetched") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if s.fetched.Load() != before+1 {
			t.Errorf("%s: %d requests, want one", name, s.fetched.Load()-before)
		}
	}
}

func TestLine15DocumentURLs(t *testing.T) {
	for _, good := range []string{"https://claude.ai/oauth/claude-code-client-metadata", "https://vscode.dev/oauth/client-metadata.json", "https://h:8443/c?v=1"} {
		if _, err := checkDocumentURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"http://h/c", "https://h", "https://h/", "https://h//", "https:///c", "https://u@h/c", "https://u:p@h/c", "https://h/c#f", "https://h/c#", "https://h/../c", "https://h/a/./c", "https://h/%2e%2e/c",
		"ftp://h/c", "https://h/c d", "https://h\\@e/c", "https://h/" + strings.Repeat("a", maxDocumentURL), "javascript://h/c",
		"https://claud%D0%B5.ai/c", "https://a%E2%80%AEb.example/c", "https://claude.ai&evil.example/c",
	} {
		if _, err := checkDocumentURL(bad); err == nil {
			t.Errorf("%s is allowed", bad)
		}
	}
}

func TestLine15DocumentsAreRememberedWithinBounds(t *testing.T) {
	s, c := newShelf(t), &clock{}
	d := newDocuments(s.fetcher(), c.now)
	fetched := func(id string) int64 {
		before := s.fetched.Load()
		_, err := d.client(t.Context(), s.URL+id)
		t.Log(id, err)
		return s.fetched.Load() - before
	}
	for id, want := range map[string]struct {
		header string
		age    time.Duration
	}{
		"/unsaid": {"", documentAge}, "/long": {"public, max-age=99999999", maxDocumentAge}, "/short": {"max-age=1", minDocumentAge},
		"/hours": {`MAX-AGE="7200"`, 2 * time.Hour}, "/never": {"no-store", minDocumentAge}, "/odd": {"max-age=-5", documentAge},
	} {
		s.json(plainDocument, "Cache-Control", want.header)
		if fetched(id) != 1 {
			t.Errorf("%s: not fetched at first", id)
		}
		c.advance(want.age - time.Second)
		if fetched(id) != 0 {
			t.Errorf("%s: fetched again before %s", id, want.age)
		}
		c.advance(2 * time.Second)
		if fetched(id) != 1 {
			t.Errorf("%s: not fetched again after %s", id, want.age)
		}
	}
	s.hold(http.NotFound)
	if fetched("/none") != 1 || fetched("/none") != 0 {
		t.Error("that there is none is not remembered")
	}
	c.advance(failureAge)
	s.json(plainDocument)
	if fetched("/none") != 1 {
		t.Error("that there was none is remembered for too long")
	}
	for i := range maxDocuments + 10 {
		_, _ = d.document(fmt.Sprint("https://filler.example/", i))
	}
	if len(d.known) != maxDocuments {
		t.Errorf("%d documents are known, want %d at most", len(d.known), maxDocuments)
	}
}

func TestLine15OneFetchForThoseWhoAskAtOnce(t *testing.T) {
	s := newShelf(t)
	release := make(chan struct{})
	s.hold(func(w http.ResponseWriter, r *http.Request) {
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"client_id":%q,"redirect_uris":["https://app.example/cb"]}`, s.URL+r.URL.Path) //nolint:gosec // JSON
	})
	d := newDocuments(s.fetcher(), time.Now)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := d.client(t.Context(), s.URL+"/one"); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range maxFetches - 1 {
		all.Go(func() {
			if _, err := d.client(t.Context(), fmt.Sprint(s.URL, "/", i)); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, func() bool { return s.fetched.Load() == maxFetches })
	if _, err := d.client(t.Context(), s.URL+"/one-too-many"); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("beyond %d fetches: %v", maxFetches, err)
	}
	close(release)
	all.Wait()
	if n := s.fetched.Load(); n != maxFetches {
		t.Errorf("%d fetches, want %d", n, maxFetches)
	}
}

// FuzzMetadata: whatever a document says, the client has its ID and redirects
// that are allowed.
func FuzzMetadata(f *testing.F) {
	const id = "https://app.example/client.json"
	for _, seed := range []string{strings.ReplaceAll(plainDocument, "%s", id), `{"client_id":"` + id + `","redirect_uris":["https://a/b"],"client_name":"\u202e\u0000x"}`, `{"redirect_uris":null}`, `[]`, `{"client_id":"` + id + `","redirect_uris":["http://localhost:0/"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := parseDocument(id, body)
		if err != nil {
			if _, ok := errors.AsType[*documentError](err); !ok {
				t.Fatalf("%T: people are not told: %v", err, err)
			}
			return
		}
		if c.ID != id || c.Host != "app.example" || len(c.Redirects) == 0 || len(c.Redirects) > maxRedirects || len([]rune(c.Name)) > maxName {
			t.Fatalf("%+v", c)
		}
		for _, uri := range c.Redirects {
			if checkRedirect(uri) != nil {
				t.Fatalf("redirect %q", uri)
			}
		}
		if strings.ContainsAny(c.Name, "\x00\n\r\u202e\u2066") {
			t.Fatalf("name %q", c.Name)
		}
	})
}
