package attack_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	callback = "http://127.0.0.1:33418/callback"
	formType = "Content-Type: application/x-www-form-urlencoded"
)

var verifier = strings.Repeat("v", 43)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// register registers an app and returns its client_id.
func (l *lab) register(name string) string {
	l.t.Helper()
	return l.do("POST", "/oauth/register", fmt.Sprintf(`{"client_name":%q,"redirect_uris":[%q]}`, name, callback)).field(l.t, "client_id")
}

// authorization is the address at which an app asks; changes come in pairs.
func authorization(client string, changes ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "state": {"st"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "scope": {"chat:read chat:write"},
	}
	set(q, changes)
	return "/oauth/authorize?" + q.Encode()
}

// set sets parameters that come in pairs.
func set(q url.Values, pairs []string) {
	for pair := range slices.Chunk(pairs, 2) {
		q.Set(pair[0], pair[1])
	}
}

// browser is somebody's browser. It sends what browsers send with a form of the
// same site, unless headers say otherwise.
type browser struct {
	lab     *lab
	cookies map[string]string
}

func (l *lab) browser() *browser { return &browser{l, map[string]string{}} }

func (b *browser) send(method, path, form string, headers ...string) answer {
	b.lab.t.Helper()
	if method == "POST" {
		headers = append([]string{formType, "Sec-Fetch-Site: same-origin", "Origin: null"}, headers...)
	}
	var cookies []string
	for name, value := range b.cookies {
		cookies = append(cookies, name+"="+value)
	}
	if cookies != nil {
		headers = append(headers, "Cookie: "+strings.Join(cookies, "; "))
	}
	a := b.lab.do(method, path, form, headers...)
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return a
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// form is what a page's form sends, with more fields.
func (a answer) form(t *testing.T, more url.Values) string {
	t.Helper()
	fields := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	if fields.Get("proof") == "" {
		t.Fatalf("no form: %d %s", a.status, a.body)
	}
	maps.Copy(fields, more)
	return fields.Encode()
}

// signIn signs somebody in and returns the consent page.
func (b *browser) signIn(name, address string) answer {
	b.lab.t.Helper()
	p := b.send("GET", address, "")
	p = b.send("POST", address, p.form(b.lab.t, url.Values{"username": {name}, "password": {passwordOf(name)}}))
	p.want(b.lab.t, http.StatusSeeOther)
	return b.send("GET", address, "")
}

func allowed(scopes ...string) url.Values {
	return url.Values{"decision": {"allow"}, "scope": scopes}
}

// code is what an app gets when somebody allows it.
func (l *lab) code(name, client string, changes ...string) string {
	l.t.Helper()
	b, address := l.browser(), authorization(client, changes...)
	p := b.signIn(name, address)
	p = b.send("POST", address, p.form(l.t, allowed("chat:read", "chat:write")))
	to, err := url.Parse(p.header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		l.t.Fatalf("no code: %d %s, %v", p.status, p.header.Get("Location"), err)
	}
	return to.Query().Get("code")
}

// token asks the token endpoint; fields come in pairs.
func (l *lab) token(fields ...string) answer {
	l.t.Helper()
	form := url.Values{}
	set(form, fields)
	return l.do("POST", "/oauth/token", form.Encode(), formType)
}

func (l *lab) redeem(client, code string, changes ...string) answer {
	l.t.Helper()
	return l.token(append([]string{
		"grant_type", "authorization_code", "client_id", client, "code", code, "redirect_uri", callback, "code_verifier", verifier,
	}, changes...)...)
}

func (l *lab) refresh(client, token string, more ...string) answer {
	l.t.Helper()
	return l.token(append([]string{"grant_type", "refresh_token", "client_id", client, "refresh_token", token}, more...)...)
}

// wantOAuth checks an OAuth error.
func (a answer) wantOAuth(t *testing.T, status int, code string) {
	t.Helper()
	a.want(t, status)
	if got := a.field(t, "error"); got != code {
		t.Errorf("error %s, want %s: %s", got, code, a.body)
	}
}

// Attack: a code, or the browser with it, is sent to mallory.
func TestRedirects(t *testing.T) {
	l := start(t)
	for _, uri := range []string{
		"javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "http://evil.example/callback",
		"http://localhost.evil.example/callback", "http://127.0.0.1.evil.example/", "http://localhost@evil.example/", "https://user@evil.example/",
		"https://evil.example/#fragment", "http://[::1].evil.example/", "http://127.0.0.1:0/", "//evil.example/", "https://", "",
	} {
		a := l.do("POST", "/oauth/register", fmt.Sprintf(`{"client_name":"x","redirect_uris":[%q]}`, uri))
		a.wantOAuth(t, http.StatusBadRequest, "invalid_redirect_uri")
	}
	client := l.register("an app")
	for _, uri := range []string{
		"https://evil.example/callback", "http://127.0.0.1:33418/callback/../evil", "http://127.0.0.1:33418/callback?x=1", "http://127.0.0.1:33418/Callback",
		"http://127.0.0.1:33418@evil.example/callback", "http://localhost:33418/callback", "http://127.0.0.1.evil.example:33418/callback",
		`http://127.0.0.1\@evil.example/callback`, "https://127.0.0.1:33418/callback", "http://127.0.0.1:33418/callback#x", "javascript:alert(1)//callback",
	} {
		a := l.do("GET", authorization(client, "redirect_uri", uri), "")
		a.want(t, http.StatusBadRequest)
		if a.header.Get("Location") != "" {
			t.Errorf("%s is redirected to", uri)
		}
	}
	// Nobody signed in, nothing asked: the app learns that, and nothing else.
	a := l.do("GET", authorization(client, "prompt", "none"), "")
	if to := a.header.Get("Location"); !strings.HasPrefix(to, callback+"?") || !strings.Contains(to, "error=login_required") || strings.Contains(to, "code=") {
		t.Errorf("prompt=none: %d %s", a.status, to)
	}
	l.do("GET", authorization("c_"+madeUp), "").want(t, http.StatusBadRequest)
	l.traced("authorize", "", "redirect_uri")
}

// Attack: alice's browser is made to consent, or consent is got for more.
func TestConsent(t *testing.T) {
	l := start(t)
	client := l.register("<b>Claude</b>\u202e")
	address := authorization(client)
	alice, mallory := l.browser(), l.browser()
	hers, his := alice.signIn("alice", address), mallory.signIn("mallory", address)
	if strings.Contains(hers.body, "<b>") || strings.Contains(hers.body, "\u202e") {
		t.Error("the name of the app is taken for HTML, or turns the page")
	}
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"} {
		if got := hers.header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if !strings.Contains(hers.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Error("the page can be framed")
	}
	for _, attack := range []struct {
		name, form string
		headers    []string
	}{
		{"a form of another site", hers.form(t, allowed("chat:read")), []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}},
		{"a form of a neighbour", hers.form(t, allowed("chat:read")), []string{"Sec-Fetch-Site: same-site", "Origin: https://evil.example"}},
		{"a form of an old browser elsewhere", hers.form(t, allowed("chat:read")), []string{"Sec-Fetch-Site: ", "Origin: https://evil.example"}},
		{"the form of mallory's browser", his.form(t, allowed("chat:read")), nil},
		{"no proof", "step=consent&decision=allow&scope=chat:read", nil},
	} {
		t.Run(attack.name, func(t *testing.T) {
			p := alice.send("POST", address, attack.form, attack.headers...)
			p.want(t, http.StatusForbidden)
			if p.header.Get("Location") != "" {
				t.Error("the app hears of it")
			}
		})
	}
	t.Run("another request than was shown", func(t *testing.T) {
		alice.send("POST", authorization(client, "scope", "chat:read notify"), hers.form(t, allowed("notify"))).want(t, http.StatusForbidden)
	})
	t.Run("a browser that is not signed in", func(t *testing.T) {
		p := l.browser().send("POST", address, hers.form(t, allowed("chat:read")))
		if p.header.Get("Location") != "" {
			t.Errorf("answered with %d to %s", p.status, p.header.Get("Location"))
		}
	})
	for _, ask := range []struct{ name, scope, want string }{
		{"more than was asked for", "chat:read", "chat:read"},
		{"more than a member may", "admin", "chat:read chat:write notify logs:read logs:write"},
	} {
		t.Run(ask.name, func(t *testing.T) {
			address := authorization(client, "scope", ask.scope)
			p := mallory.send("GET", address, "")
			p = mallory.send("POST", address, p.form(t, allowed("chat:read", "notify", "admin")))
			to, err := url.Parse(p.header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			a := l.redeem(client, to.Query().Get("code"))
			if got := a.field(t, "scope"); got != ask.want {
				t.Errorf("scope %q, want %q", got, ask.want)
			}
			(user{l, "mallory", a.field(t, "access_token")}).do("GET", "/api/users", "").want(t, http.StatusForbidden)
		})
	}
	l.traced("authorize", "", "That came from another site")
	l.traced("authorize", "", "not of this browser")
}

// Attack: a code that was meant for another app, is used again, by sixteen at
// once, or without its verifier.
func TestCodes(t *testing.T) {
	l := start(t)
	app, evil := l.register("an app"), l.register("mallory's")
	code := l.code("alice", app)
	l.redeem(evil, code).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	l.redeem(app, code, "code_verifier", strings.Repeat("w", 43)).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	l.redeem(app, code, "redirect_uri", "http://127.0.0.1:1/callback").wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	l.redeem(app, code, "resource", "https://evil.example/mcp").wantOAuth(t, http.StatusBadRequest, "invalid_target")
	l.redeem("c_"+madeUp, code).wantOAuth(t, http.StatusUnauthorized, "invalid_client")
	l.redeem(app, madeUp+madeUp).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	l.token("grant_type", "password", "client_id", app, "username", "alice", "password", "x").wantOAuth(t, http.StatusBadRequest, "unsupported_grant_type")
	l.traced("token", "", "another client's")
	l.traced("token", "", "code_verifier")

	got := l.redeem(app, code)
	access, refresh := got.field(t, "access_token"), got.field(t, "refresh_token")
	hers := user{l, "alice", access}
	hers.call("list_rooms", `{}`).want(t, http.StatusOK)
	// Shown again, it ends all that came from it.
	l.redeem(app, code).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	hers.call("list_rooms", `{}`).want(t, http.StatusUnauthorized)
	l.refresh(app, refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	l.traced("code.replay", "", "alice")

	code = l.code("alice", app)
	var won atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			form := url.Values{
				"grant_type": {"authorization_code"}, "client_id": {app}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
			}
			a, err := l.try(t.Context(), "POST", "/oauth/token", form.Encode(), formType)
			switch {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusOK:
				won.Add(1)
			case a.status != http.StatusBadRequest:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if n := won.Load(); n > 1 {
		t.Errorf("%d of 16 got tokens for one code", n)
	}
	l.untold(code, access, refresh, verifier)
}

// Attack: a refresh token is used by another app, for more, for elsewhere, as
// something else, or after it was stolen.
func TestRefreshTokens(t *testing.T) {
	l := start(t)
	app, evil := l.register("an app"), l.register("mallory's")
	got := l.redeem(app, l.code("alice", app))
	access, refresh := got.field(t, "access_token"), got.field(t, "refresh_token")
	l.refresh(evil, refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	l.refresh(app, refresh, "scope", "chat:read notify").wantOAuth(t, http.StatusBadRequest, "invalid_scope")
	l.refresh(app, refresh, "resource", l.url+"/sse").wantOAuth(t, http.StatusBadRequest, "invalid_target")
	l.do("POST", "/api/refresh", fmt.Sprintf(`{"refresh_token":%q}`, refresh)).want(t, http.StatusUnauthorized)
	(user{l, "alice", refresh}).call("list_rooms", `{}`).want(t, http.StatusUnauthorized)
	l.refresh(app, access).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	// Somebody else's app cannot revoke it, and is not told so (RFC 7009).
	l.do("POST", "/oauth/revoke", url.Values{"token": {refresh}, "client_id": {evil}}.Encode(), formType).want(t, http.StatusOK)
	hers := user{l, "alice", access}
	hers.call("list_rooms", `{}`).want(t, http.StatusOK)
	// The token is for /mcp alone.
	hers.do("GET", "/sse", "").want(t, http.StatusUnauthorized)

	// With a token of the family that is not the newest, somebody has stolen one.
	family, _, _ := strings.Cut(refresh, ".")
	l.refresh(app, family+"."+strings.Repeat("a", 52)).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	l.refresh(app, refresh).wantOAuth(t, http.StatusBadRequest, "invalid_grant")
	hers.call("list_rooms", `{}`).want(t, http.StatusUnauthorized)
	l.traced("token.reuse", "", "alice")
	l.untold(access, refresh)
}

// Attack: the server is made to fetch a client's metadata document from its own
// machine or network. Nothing is connected to, and the page tells nothing.
func TestMetadataFetch(t *testing.T) {
	l := start(t)
	var connected atomic.Int32
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with the listener
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connected.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{
		"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]:" + port, "0.0.0.0:" + port, "[::]:" + port,
		"127.1:" + port, "2130706433:" + port, "0x7f000001:" + port, "127.0.0.2:" + port,
		"169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "100.100.100.200", "168.63.129.16",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255",
	} {
		a := l.do("GET", authorization("https://"+host+"/client.json"), "")
		a.want(t, http.StatusBadRequest)
		if a.header.Get("Location") != "" || !strings.Contains(a.body, "not known here") {
			t.Errorf("%s: %s %s", host, a.header.Get("Location"), a.body)
		}
	}
	for _, id := range []string{
		"http://127.0.0.1:" + port + "/client.json", "https://127.0.0.1:" + port, "file:///etc/passwd", "gopher://127.0.0.1:" + port + "/x",
		"https://a@127.0.0.1:" + port + "/x", "https://127.0.0.1:" + port + "/a/../x", "https://127.0.0.1:" + port + "/x#y",
	} {
		l.do("GET", authorization(id), "").want(t, http.StatusBadRequest)
	}
	if n := connected.Load(); n > 0 {
		t.Errorf("the server connected to itself %d times", n)
	}
	l.traced("authorize", "", "not known here")
}
