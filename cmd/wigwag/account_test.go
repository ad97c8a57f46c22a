package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wigwag/auth"
)

// TestLine10And11Modes: with OAuth there are its documents and no others; with
// tokens alone there are none, and the challenge names none.
func TestLine10And11Modes(t *testing.T) {
	for mode, want := range map[string]int{"oauth": http.StatusOK, "token": http.StatusNotFound, "none": http.StatusNotFound} {
		p := start(t, withPassword, "--auth="+mode)
		client := newClient(t)
		for _, path := range []string{
			"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
			"/.well-known/oauth-authorization-server/mcp", "/oauth/jwks",
		} {
			status(t, mode+" "+path, request(t, client, "GET", p.url+path, ""), want)
		}
		for _, path := range []string{"/.well-known/other", "/.well-known/", "/oauth", "/oauth/other"} {
			status(t, mode+" "+path, request(t, client, "GET", p.url+path, ""), http.StatusNotFound)
		}
		if mode == "token" {
			resp := request(t, client, "POST", p.url+"/mcp", listTools)
			if got := resp.Header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("the challenge is %q", got)
			}
			status(t, "registration", request(t, client, "POST", p.url+"/oauth/register", "{}"), http.StatusNotFound)
		}
	}
	p := start(t, withPassword, "--client-registration=off")
	status(t, "registration, off", request(t, newClient(t), "POST", p.url+"/oauth/register", `{"redirect_uris":["http://127.0.0.1/"]}`), http.StatusForbidden)
}

// TestLine24Cookie: the cookie's own rules, and what it is good for.
func TestLine24Cookie(t *testing.T) {
	p := start(t, withPassword, "--public-url=http://127.0.0.1:1", "--public-url=https://chat.example.com")
	client := newBrowser(t)
	in := fmt.Sprintf(`{"username":"admin","password":%q,"cookie":true}`, password)
	for host, want := range map[string]struct {
		name   string
		secure bool
	}{"127.0.0.1:1": {"wigwag_session", false}, "chat.example.com": {"__Host-session", true}} {
		resp := request(t, newClient(t), "POST", p.listens(t)+"/api/login", in, "Host: "+host)
		cookies := resp.Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%s: %d, %d cookies: %s", host, resp.StatusCode, len(cookies), body(t, resp))
		}
		c := cookies[0]
		if c.Name != want.name || c.Secure != want.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || len(c.Value) < 43 {
			t.Errorf("%s: %+v", host, c)
		}
		if text := body(t, resp); strings.Contains(text, "token") {
			t.Errorf("a page is given tokens: %s", text)
		}
		cookie := "Cookie: " + c.Name + "=" + c.Value
		api := func(method, path, text string, headers ...string) *http.Response {
			return request(t, client, method, p.listens(t)+path, text, append(headers, "Host: "+host, cookie)...)
		}
		status(t, "session", api("GET", "/api/session", ""), http.StatusOK)
		status(t, "another site", api("POST", "/api/logout", "", "Sec-Fetch-Site: cross-site"), http.StatusForbidden)
		status(t, "another origin of the site, reading", api("GET", "/api/tokens", "", "Sec-Fetch-Site: same-site"), http.StatusForbidden)
		status(t, "a stream from there", api("GET", "/events", "", "Sec-Fetch-Site: same-site"), http.StatusForbidden)
		status(t, "two cookies", request(t, client, "GET", p.listens(t)+"/api/session", "", "Host: "+host, cookie+"; "+c.Name+"=x"), http.StatusUnauthorized)
		status(t, "sign-out", api("POST", "/api/logout", "", "Sec-Fetch-Site: same-origin"), http.StatusNoContent)
		status(t, "after it", api("GET", "/api/session", ""), http.StatusUnauthorized)
	}
	resp := request(t, client, "POST", p.listens(t)+"/api/login", in, "Host: chat.example.com", "Sec-Fetch-Site: cross-site")
	if len(resp.Cookies()) != 0 || resp.StatusCode == http.StatusOK {
		t.Errorf("another site begins a session: %d", resp.StatusCode)
	}
}

// listens is where the program is reached, whatever its public URL.
func (p *program) listens(t *testing.T) string {
	t.Helper()
	return "http://" + p.waitFor(t, `"msg":"listening".*"addr":"([^"]+)"`)
}

// TestLine24Refresh: a login is refreshed, and its tokens end with it.
func TestLine24Refresh(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	type tokens struct {
		Token   string
		Refresh string `json:"refresh_token"`
		Seconds int    `json:"expires_in"`
	}
	get := func(path, text string) (got tokens) {
		t.Helper()
		resp := request(t, client, "POST", p.url+path, text)
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
		}
		return got
	}
	first := get("/api/login", fmt.Sprintf(`{"username":"admin","password":%q}`, password))
	second := get("/api/refresh", fmt.Sprintf(`{"refresh_token":%q}`, first.Refresh))
	if second.Token == first.Token || second.Refresh == first.Refresh || second.Seconds != 3600 {
		t.Errorf("%+v after %+v", second, first)
	}
	u := user{p, client, "Authorization: Bearer " + second.Token}
	status(t, "the new token", u.get(t, "/api/session"), http.StatusOK)
	status(t, "a wrong one", request(t, client, "POST", p.url+"/api/refresh", `{"refresh_token":"x"}`), http.StatusUnauthorized)
	status(t, "sign-out", u.post(t, "/api/logout", ""), http.StatusNoContent)
	status(t, "after it", u.get(t, "/api/session"), http.StatusUnauthorized)
	status(t, "refresh after it", request(t, client, "POST", p.url+"/api/refresh", fmt.Sprintf(`{"refresh_token":%q}`, second.Refresh)), http.StatusUnauthorized)
}

// TestLine25PersonalTokens: made, listed, used, shown once, revoked; and never
// for more than the one who makes them may do.
func TestLine25PersonalTokens(t *testing.T) {
	p := start(t, withPassword)
	admin := admit(t, p)
	alice := admin.member(t, "alice")
	header, id := alice.personal(t, "chat:read chat:write")
	script := user{p, newClient(t), header}
	status(t, "use", script.post(t, "/mcp", call(1, "send_message", `{"message":"hi"}`)), http.StatusOK)
	list := body(t, alice.get(t, "/api/tokens"))
	if !strings.Contains(list, `"id":"`+id+`"`) || !strings.Contains(list, `"name":"test"`) || !strings.Contains(list, `"last_used"`) || strings.Contains(list, "pat_") {
		t.Errorf("the list: %s", list)
	}
	status(t, "one of another", request(t, admin.client, "DELETE", p.url+"/api/tokens/"+id, "", admin.auth), http.StatusNotFound)
	status(t, "made by one for less", script.post(t, "/api/tokens", `{"name":"x","scopes":"chat:read"}`), http.StatusForbidden)
	for text, want := range map[string]int{
		`{"name":"x","scopes":"admin"}`:                           http.StatusBadRequest,
		`{"name":"x","scopes":"other"}`:                           http.StatusBadRequest,
		`{"name":"","scopes":"chat:read"}`:                        http.StatusBadRequest,
		`{"name":"x","scopes":"chat:read","expires_in":99999999}`: http.StatusBadRequest,
		`{"name":"x","scopes":"chat:read","expires_in":-1}`:       http.StatusBadRequest,
		`{"name":"x","scopes":"chat:read","more":1}`:              http.StatusBadRequest,
		`[]`: http.StatusBadRequest,
		`{"name":"` + strings.Repeat("x", 16<<10) + `"}`: http.StatusRequestEntityTooLarge,
	} {
		status(t, text[:min(len(text), 60)], alice.post(t, "/api/tokens", text), want)
	}
	status(t, "no JSON", alice.post(t, "/api/tokens", "{}", "Content-Type: text/plain"), http.StatusUnsupportedMediaType)
	resp := request(t, alice.client, "PUT", p.url+"/api/tokens", "", alice.auth)
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("PUT: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
	status(t, "revocation", request(t, alice.client, "DELETE", p.url+"/api/tokens/"+id, "", alice.auth), http.StatusNoContent)
	status(t, "use after it", script.post(t, "/mcp", listTools), http.StatusUnauthorized)
	admin.wantTrail(t, "the token", func(e auth.Event) bool {
		return e.Action == "token.create" && e.Actor == "alice" && strings.Contains(e.Detail, id)
	})
}

// TestLine26FirstStart: the first start prints a link that is good once, by
// which the admin chooses a password. A start before that prints another one.
func TestLine26FirstStart(t *testing.T) {
	dir := t.TempDir()
	p := start(t, nil, "--data", dir)
	void := p.waitFor(t, `(http://\S+/signin\?link=\S+)`)
	p.stop()
	p = start(t, nil, "--data", dir)
	link := p.waitFor(t, `(http://\S+/signin\?link=\S+)`)
	client := newBrowser(t)
	use := func(link, word string) *http.Response {
		t.Helper()
		return fill(t, client, p.url, request(t, client, "GET", p.url+strings.TrimPrefix(link, "http://"+strings.SplitN(link, "/", 4)[2]), ""), url.Values{"password": {word}})
	}
	status(t, "the link of before", use(void, password), http.StatusForbidden)
	again := use(link, "short")
	if again.StatusCode != http.StatusBadRequest {
		t.Fatalf("a short password: %d", again.StatusCode)
	}
	if page := body(t, again); !strings.Contains(page, strings.SplitN(link, "link=", 2)[1]) {
		t.Errorf("the form that comes again is for another link: %s", page)
	}
	done := use(link, password) // it is good until it has been used
	if done.StatusCode != http.StatusSeeOther || len(done.Cookies()) != 1 {
		t.Fatalf("the link: %d %s", done.StatusCode, body(t, done))
	}
	if page := body(t, request(t, client, "GET", p.url+"/signin", "")); !strings.Contains(page, "<strong>admin</strong>") || !strings.Contains(page, p.url+"/mcp") {
		t.Errorf("the page afterwards: %s", page)
	}
	status(t, "the link again", use(link, password), http.StatusForbidden)
	if admin := (user{p, newClient(t), signIn(t, p, "admin")}); true {
		admin.wantTrail(t, "the sign-in", func(e auth.Event) bool { return e.Action == "sign-in" && e.Actor == "admin" && e.Detail == "link" })
	}
	out := fill(t, client, p.url, request(t, client, "GET", p.url+"/signin", ""), url.Values{})
	status(t, "sign-out", out, http.StatusSeeOther)
	status(t, "after it", request(t, client, "GET", p.url+"/api/session", ""), http.StatusUnauthorized)
	p.stop()
	p = start(t, nil, "--data", dir)
	if p.waitFor(t, `(?s)"listening".*(\n\n)`); strings.Contains(p.logs(), "link=") {
		t.Error("there is a link when somebody has a password")
	}
}

// TestLine26SignUp: off by default; with an invitation; for everybody.
func TestLine26SignUp(t *testing.T) {
	off := start(t, withPassword)
	status(t, "off", request(t, newClient(t), "POST", off.url+"/api/register", `{"username":"eve","password":"`+password+`"}`), http.StatusForbidden)
	status(t, "off, an invitation", admit(t, off).post(t, "/api/invitations", `{}`), http.StatusForbidden)

	p := start(t, withPassword, "--signup=invite")
	admin := admit(t, p)
	var invitation struct{ Invitation, Link, ID string }
	resp := admin.post(t, "/api/invitations", `{}`)
	if err := json.NewDecoder(resp.Body).Decode(&invitation); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("an invitation: %d, %v", resp.StatusCode, err)
	}
	status(t, "without one", request(t, newClient(t), "POST", p.url+"/api/register", `{"username":"eve","password":"`+password+`"}`), http.StatusForbidden)
	client := newBrowser(t)
	joined := fill(t, client, p.url, request(t, client, "GET", invitation.Link, ""), url.Values{"username": {"bob"}, "password": {password}})
	status(t, "with one", joined, http.StatusSeeOther)
	text := fmt.Sprintf(`{"username":"eve","password":%q,"invitation":%q}`, password, invitation.Invitation)
	status(t, "with it again", request(t, newClient(t), "POST", p.url+"/api/register", text), http.StatusForbidden)
	bob := user{p, newClient(t), signIn(t, p, "bob")}
	status(t, "a member invites", bob.post(t, "/api/invitations", `{}`), http.StatusForbidden)

	p = start(t, withPassword, "--signup=open")
	text = `{"username":"eve","password":"` + password + `"}`
	status(t, "open", request(t, newClient(t), "POST", p.url+"/api/register", text), http.StatusCreated)
	status(t, "a name that is taken", request(t, newClient(t), "POST", p.url+"/api/register", text), http.StatusConflict)
	status(t, "a short password", request(t, newClient(t), "POST", p.url+"/api/register", `{"username":"mallory","password":"short"}`), http.StatusBadRequest)
}

// TestLine27AtOnce: another password, another role and being disabled end all
// that is open.
func TestLine27AtOnce(t *testing.T) {
	p := start(t, withPassword)
	admin := admit(t, p)
	ends := map[string]func(u user, name string) *http.Response{
		"password": func(u user, _ string) *http.Response {
			return u.post(t, "/api/password", fmt.Sprintf(`{"old_password":%q,"new_password":"another good one"}`, password))
		},
		"role": func(_ user, name string) *http.Response {
			return request(t, admin.client, "PATCH", p.url+"/api/users/"+name, `{"role":"admin"}`, admin.auth)
		},
		"disabled": func(_ user, name string) *http.Response {
			return request(t, admin.client, "PATCH", p.url+"/api/users/"+name, `{"disabled":true}`, admin.auth)
		},
	}
	for name, end := range ends {
		u := admin.member(t, name)
		session := u.session(t)
		open := []*http.Response{u.get(t, "/mcp", session), u.get(t, "/sse"), u.get(t, "/events")}
		if resp := end(u, name); resp.StatusCode >= 300 {
			t.Fatalf("%s: %d %s", name, resp.StatusCode, body(t, resp))
		}
		for _, resp := range open {
			body(t, resp)
		}
		status(t, name+": the token", u.post(t, "/mcp", listTools), http.StatusUnauthorized)
	}
	status(t, "a wrong old password", admin.post(t, "/api/password", `{"old_password":"wrong","new_password":"another good one"}`), http.StatusForbidden)
	status(t, "the own rights", request(t, admin.client, "PATCH", p.url+"/api/users/admin", `{"role":"member"}`, admin.auth), http.StatusConflict)
	status(t, "nobody", request(t, admin.client, "PATCH", p.url+"/api/users/nobody", `{"role":"member"}`, admin.auth), http.StatusNotFound)
	bob := admin.member(t, "bob")
	for _, path := range []string{"/api/users", "/api/audit", "/api/invitations"} {
		status(t, "a member at "+path, bob.get(t, path), http.StatusForbidden)
	}
	users := body(t, admin.get(t, "/api/users"))
	if !strings.Contains(users, `"username":"disabled","role":"member","disabled":true`) {
		t.Errorf("the users: %s", users)
	}
	admin.wantTrail(t, "what was forbidden", func(e auth.Event) bool {
		return e.Action == "request" && e.Actor == "bob" && e.Target == "GET /api/audit"
	})
}
