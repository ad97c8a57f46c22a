package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wigwag/auth"
)

const callback = "http://127.0.0.1:33418/callback"

// newBrowser is a browser that shows redirects instead of following them.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// fill sends the form of a page, with what is hidden in it.
func fill(t *testing.T, client *http.Client, base string, page *http.Response, fields url.Values) *http.Response {
	t.Helper()
	text := body(t, page)
	action := formAction.FindStringSubmatch(text)
	if action == nil {
		t.Fatalf("%d: there is no form in %s", page.StatusCode, text)
	}
	for _, hidden := range formHidden.FindAllStringSubmatch(text, -1) {
		if !fields.Has(hidden[1]) {
			fields.Set(hidden[1], html.UnescapeString(hidden[2]))
		}
	}
	return request(t, client, "POST", base+html.UnescapeString(action[1]), fields.Encode(),
		"Content-Type: application/x-www-form-urlencoded", "Origin: "+base, "Sec-Fetch-Site: same-origin")
}

// agentGrant is what an OAuth client was given.
type agentGrant struct {
	Token   string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	client  string
}

func (g agentGrant) header() string { return "Authorization: Bearer " + g.Token }

// grantTo has a new OAuth client sign a user in, at one of the addresses of
// the program, and returns what it gets for a resource.
func grantTo(t *testing.T, base, resource, name string, scopes ...string) agentGrant {
	t.Helper()
	client := newBrowser(t)
	registered := request(t, client, "POST", base+"/oauth/register", fmt.Sprintf(`{"client_name":"Test Agent","redirect_uris":[%q]}`, callback))
	var made struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(registered.Body).Decode(&made); err != nil || made.ID == "" {
		t.Fatalf("registration: %d, %v", registered.StatusCode, err)
	}
	verifier := strings.Repeat("verifier", 6)
	sum := sha256.Sum256([]byte(verifier))
	asked := url.Values{
		"response_type": {"code"}, "client_id": {made.ID}, "redirect_uri": {callback}, "state": {"s"}, "resource": {resource},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}, "scope": {strings.Join(scopes, " ")},
	}
	page := request(t, client, "GET", base+"/oauth/authorize?"+asked.Encode(), "")
	next := fill(t, client, base, page, url.Values{"username": {name}, "password": {password}})
	if next.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign-in: %d %s", next.StatusCode, body(t, next))
	}
	page = request(t, client, "GET", base+next.Header.Get("Location"), "")
	next = fill(t, client, base, page, url.Values{"decision": {"allow"}, "scope": slices.Clone(scopes)})
	back, err := url.Parse(next.Header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" || back.Query().Get("state") != "s" || back.Query().Get("iss") != base {
		t.Fatalf("consent: %d, Location %q", next.StatusCode, next.Header.Get("Location"))
	}
	g := exchange(t, client, base, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback},
		"client_id": {made.ID}, "code_verifier": {verifier},
	})
	if g.client = made.ID; g.Token == "" || g.Refresh == "" {
		t.Fatalf("got %+v", g)
	}
	return g
}

// exchange asks for tokens.
func exchange(t *testing.T, client *http.Client, base string, form url.Values) (g agentGrant) {
	t.Helper()
	resp := request(t, client, "POST", base+"/oauth/token", form.Encode(), "Content-Type: application/x-www-form-urlencoded")
	text := body(t, resp)
	if err := json.Unmarshal([]byte(text), &g); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("token: %d %s", resp.StatusCode, text)
	}
	return g
}

// personal makes a personal access token of a user who is signed in.
func (u user) personal(t *testing.T, scopes string) (header, id string) {
	t.Helper()
	resp := u.post(t, "/api/tokens", fmt.Sprintf(`{"name":"test","scopes":%q,"expires_in":3600}`, scopes))
	var made struct{ Token, ID string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || resp.StatusCode != http.StatusCreated || !strings.HasPrefix(made.Token, "pat_") {
		t.Fatalf("a personal token: %d, %v", resp.StatusCode, err)
	}
	return "Authorization: Bearer " + made.Token, made.ID
}

// member adds a user, as an administrator does, and signs in.
func (u user) member(t *testing.T, name string) user {
	t.Helper()
	resp := u.post(t, "/api/users", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password))
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("a new user: %d %s", resp.StatusCode, body(t, resp))
	}
	return user{u.program, newClient(t), signIn(t, u.program, name)}
}

// signIn returns the header of a user with the usual password.
func signIn(t *testing.T, p *program, name string) string {
	t.Helper()
	resp := request(t, newClient(t), "POST", p.url+"/api/login", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password))
	var answer struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("%s signs in: %d, %v", name, resp.StatusCode, err)
	}
	return "Authorization: Bearer " + answer.Token
}

// trail is the audit, as an administrator reads it.
func (u user) trail(t *testing.T) []auth.Event {
	t.Helper()
	resp := u.get(t, "/api/audit?limit=1000")
	var page struct{ Events []auth.Event }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the audit: %d, %v", resp.StatusCode, err)
	}
	return page.Events
}

// wantTrail wants an event in the audit.
func (u user) wantTrail(t *testing.T, what string, match func(auth.Event) bool) {
	t.Helper()
	if events := u.trail(t); !slices.ContainsFunc(events, match) {
		t.Errorf("%s is not in the audit: %+v", what, events)
	}
}

func status(t *testing.T, what string, resp *http.Response, want int) {
	t.Helper()
	if resp.StatusCode != want {
		t.Errorf("%s: %d, want %d: %s", what, resp.StatusCode, want, body(t, resp))
	}
}
