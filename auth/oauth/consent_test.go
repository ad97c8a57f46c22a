package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wigwag/auth"
)

func TestLine13ConsentPage(t *testing.T) {
	l := newLab(t)
	id := l.register(callback)
	b := l.browser()
	signIn := b.authorize(ask(id))
	page := b.signIn(signIn, "alice")
	for _, a := range []answer{signIn, page, b.authorize(ask("c_none"))} {
		policy := a.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"} {
			if !strings.Contains(policy, part) {
				t.Errorf("policy %q lacks %s", policy, part)
			}
		}
		style := sha256.Sum256([]byte(a.body[strings.Index(a.body, "<style>")+len("<style>") : strings.Index(a.body, "</style>")]))
		if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(style[:])+"'") {
			t.Error("the style is not the one that the policy allows")
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("headers %v", a.header)
		}
		if !strings.Contains(a.body, `<html lang="en">`) || strings.Contains(a.body, "<script") {
			t.Error("a page without a language, or with a script")
		}
	}
	for _, want := range []string{"Probe", "127.0.0.1:33418", "as alice?", "nobody has checked it", `value="chat:read" checked`, `value="chat:write" checked`, `value="notify" checked`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	a := b.allow(page)
	if a.status != http.StatusSeeOther || a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("after the form: %d %v, want 303", a.status, a.header)
	}
	if !l.audit.has("consent", "ok") {
		t.Error("no trace in the audit")
	}
}

func TestLine13NamesAreTextFromOthers(t *testing.T) {
	l := newLab(t)
	a := l.do(http.MethodPost, l.http.URL+registerPath, `{"client_name":"<b>Evil</b>\u202egnp\n\u0000 & \"co\"","redirect_uris":["`+callback+`"]}`)
	if got := a.field(t, "client_name"); got != `<b>Evil</b> gnp & "co"` {
		t.Errorf("name %q", got)
	}
	b := l.browser()
	page := b.signIn(b.authorize(ask(a.field(t, "client_id"))), "alice")
	if strings.Contains(page.body, "<b>") || !strings.Contains(page.body, "&lt;b&gt;Evil&lt;/b&gt; gnp") {
		t.Errorf("%s", page.body)
	}
}

func TestLine13BoxesDecideWhatIsGranted(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	all := auth.ScopeAdmin.String()
	const members = "chat:read chat:write notify logs:read logs:write"
	for _, c := range []struct {
		person, asked, offered string
		ticks                  []string
		want                   string
	}{
		{"alice", all, members, []string{"chat:read"}, "chat:read"},
		{"alice", all, members, []string{"chat:write"}, "chat:read chat:write"},
		{"alice", all, members, []string{"admin"}, members}, // of it, what a member may
		{"alice", "chat:read", "chat:read", []string{"chat:read", "notify"}, "chat:read"},
		{"root", all, all, []string{"notify"}, "notify"},
		{"root", all, all, []string{"admin"}, all},
		{"root", "notify", "notify", []string{"admin"}, "notify"},
	} {
		b := l.browser()
		page := b.signIn(b.authorize(ask(client, "scope", c.asked)), c.person)
		if got := strings.Join(matches(boxForm, page.body), " "); got != c.offered {
			t.Errorf("%s is offered %q, want %q", c.person, got, c.offered)
		}
		_, params := b.allow(page, c.ticks...).location(t)
		if got := l.post(tokenPath, trade(client, params.Get("code"))).field(t, "scope"); got != c.want {
			t.Errorf("%s ticks %q and grants %q, want %q", c.person, c.ticks, got, c.want)
		}
	}
	b := l.browser()
	page := b.signIn(b.authorize(ask(client, "scope", all)), "root")
	if a := b.submit(page, url.Values{"decision": {"allow"}}); a.status != http.StatusBadRequest || !strings.Contains(a.body, "at least one") {
		t.Errorf("no box ticked: %d", a.status)
	}
	if a := b.submit(page, url.Values{"scope": {"notify"}}); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
		t.Errorf("no decision: %d", a.status)
	}
}

func TestLine13AdminIsNotTickedAtFirst(t *testing.T) {
	l := newLab(t)
	b := l.browser()
	page := b.signIn(b.authorize(ask(l.register(callback), "scope", "admin")), "root")
	if got := strings.Join(matches(tickedForm, page.body), " "); got != "chat:read chat:write notify logs:read logs:write" {
		t.Errorf("ticked %q", got)
	}
}

// What all boxes together give is more than each of them says.
func TestLine13AllOfItIsTheAccount(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	for scope, want := range map[string]bool{"": false, "chat:read chat:write notify logs:read": false, "chat:write notify logs:read logs:write": true, "admin": true} {
		b := l.browser()
		page := b.signIn(b.authorize(ask(client, "scope", scope)), "alice")
		if got := strings.Contains(page.body, "access tokens"); got != want {
			t.Errorf("%q: told of access tokens: %t", scope, got)
		}
	}
}

func TestLine13FormsAreBoundToTheirBrowser(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	b := l.browser()
	signIn := b.authorize(ask(client))
	page := b.signIn(signIn, "alice")
	yes := url.Values{"decision": {"allow"}, "scope": {"chat:read"}}

	thief := l.browser() // signed in as somebody else, with a form made for alice
	thief.signIn(thief.authorize(ask(client)), "root")
	forged := answer{body: actionForm.ReplaceAllString(page.body, `<form method="post" action="`+authorizePath+`"`)}
	for name, a := range map[string]answer{
		"of another browser":          thief.submit(page, yes),
		"of another request":          b.submit(answer{body: strings.ReplaceAll(page.body, "st%26te", "other")}, yes),
		"of another step":             b.submit(answer{body: strings.ReplaceAll(signIn.body, `value="sign-in"`, `value="consent"`)}, yes),
		"from another site":           b.submit(page, yes, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"),
		"from a neighbouring site":    b.submit(page, yes, "Sec-Fetch-Site", "same-site", "Origin", "http://evil.chat.example.com"),
		"from another old browser":    b.submit(page, yes, "Sec-Fetch-Site", "", "Origin", "https://evil.example"),
		"without a proof":             b.send(authorizePath+"?"+ask(client).Encode(), url.Values{"step": {"consent"}, "decision": {"allow"}, "scope": {"chat:read"}}),
		"sign-in from another site":   b.submit(signIn, url.Values{"username": {"root"}, "password": {password}}, "Sec-Fetch-Site", "cross-site"),
		"sign-in of another browser":  l.browser().submit(signIn, url.Values{"username": {"root"}, "password": {password}}),
		"without the request":         b.submit(forged, yes),
		"old browser without a proof": l.browser().submit(page, yes, "Sec-Fetch-Site", ""),
	} {
		if a.status != http.StatusForbidden && a.status != http.StatusBadRequest && !strings.Contains(a.body, "Sign in to") || a.header.Get("Location") != "" {
			t.Errorf("%s: %d %s %s", name, a.status, a.header.Get("Location"), a.body)
		}
	}
	turned := l.browser() // that somebody else has signed in at since the page was shown
	shown := turned.signIn(turned.authorize(ask(client)), "alice")
	turned.signIn(turned.authorize(ask(client, "prompt", "login")), "root")
	if a := turned.submit(shown, yes); a.status != http.StatusForbidden {
		t.Errorf("alice's page, in root's session: %d, want 403", a.status)
	}
	if a := b.submit(page, yes, "Sec-Fetch-Site", ""); a.status != http.StatusSeeOther {
		t.Errorf("old browser: %d, want 303", a.status)
	}
	if a := b.allow(page); a.status != http.StatusSeeOther {
		t.Errorf("the true form: %d, want 303", a.status)
	}
}

func TestLine13FlowCookie(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	for host, want := range map[string]string{"chat.example.com": "__Host-flow=", "": "wigwag_flow="} {
		a := l.get(authorizePath+"?"+ask(client).Encode(), "Host", host)
		cookie := a.header.Get("Set-Cookie")
		if !strings.HasPrefix(cookie, want) || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "Path=/") {
			t.Errorf("%s: %s", host, cookie)
		}
		if strings.Contains(cookie, "Secure") != (host != "") || strings.Contains(cookie, "Domain") {
			t.Errorf("%s: %s", host, cookie)
		}
	}
	b := l.browser()
	if first, second := b.authorize(ask(client)), b.authorize(ask(client, "state", "2")); first.header.Get("Set-Cookie") == "" || second.header.Get("Set-Cookie") != "" {
		t.Error("a second tab takes the cookie of the first")
	}
}

func TestLine13ConsentIsRememberedPerClientAndScopes(t *testing.T) {
	l := newLab(t)
	const web = "https://app.example/callback"
	client := l.register(web, "https://app.example/other", callback)
	b := l.browser()
	again := func(changes ...string) answer {
		return b.authorize(ask(client, append([]string{"redirect_uri", web}, changes...)...))
	}
	redeem := func(a answer) answer {
		_, params := a.location(t)
		return l.post(tokenPath, trade(client, params.Get("code"), "redirect_uri", web))
	}
	redeem(b.allow(b.signIn(again(), "alice")))

	for _, scope := range []string{"", "chat:read"} {
		if a := redeem(again("scope", scope, "prompt", map[string]string{"chat:read": "none"}[scope])); a.status != http.StatusOK {
			t.Errorf("%q again: %d %s", scope, a.status, a.body)
		}
	}
	for name, a := range map[string]answer{
		"more scopes":       again("scope", "chat:read logs:read"),
		"another redirect":  again("redirect_uri", "https://app.example/other"),
		"asked to ask":      again("prompt", "consent"),
		"another client":    b.authorize(ask(l.register(web), "redirect_uri", web)),
		"any local program": again("redirect_uri", callback),
	} {
		if a.status != http.StatusOK || !strings.Contains(a.body, `name="decision"`) {
			t.Errorf("%s: %d, want the page: %s", name, a.status, a.header.Get("Location"))
		}
	}
	_, params := again("scope", "logs:read", "prompt", "none").location(t)
	if params.Get("error") != "consent_required" {
		t.Errorf("%v, want consent_required", params)
	}
	other := l.browser()
	if page := other.signIn(other.authorize(ask(client, "redirect_uri", web)), "root"); !strings.Contains(page.body, `name="decision"`) {
		t.Errorf("another person's consent counts: %d", page.status)
	}

	// Who has revoked all of it is asked again.
	must(t, l.credentials.RevokeClient(t.Context(), "alice", client))
	if page := again(); page.status != http.StatusOK || !strings.Contains(page.body, `name="decision"`) {
		t.Errorf("after the client was revoked: %d %s", page.status, page.header.Get("Location"))
	}

	// What was not granted is asked for again, or a client that needs it would
	// come back without it for ever. The boxes are as they were.
	redeem(b.allow(again("prompt", "consent"), "chat:read"))
	page := again()
	if got := strings.Join(matches(tickedForm, page.body), " "); page.status != http.StatusOK || got != "chat:read" {
		t.Errorf("granted in part: %d, ticked %q", page.status, got)
	}

	// Any program can listen on loopback: asked each time, ticked as before.
	b.allow(again("redirect_uri", callback), "chat:read", "notify")
	page = again("redirect_uri", "http://127.0.0.1:9999/callback")
	if got := strings.Join(matches(tickedForm, page.body), " "); page.status != http.StatusOK || got != "chat:read notify" {
		t.Errorf("loopback again: %d, ticked %q", page.status, got)
	}
}

func TestLine23SignInIsThrottledAndSaysOneThing(t *testing.T) {
	l := newLab(t)
	b := l.browser()
	page := b.authorize(ask(l.register(callback)))
	try := func(name string) answer {
		return b.submit(page, url.Values{"username": {name}, "password": {"wrong password"}})
	}
	known, unknown := try("alice"), try("mallory")
	if known.status != http.StatusUnauthorized || strings.ReplaceAll(known.body, "alice", "mallory") != unknown.body {
		t.Errorf("%d: the answers differ:\n%s\n%s", known.status, known.body, unknown.body)
	}
	if strings.Contains(known.body, "wrong password") || !strings.Contains(known.body, `value="alice"`) || !strings.Contains(known.body, `role="alert"`) {
		t.Errorf("%s", known.body)
	}
	var last answer
	for range 8 {
		last = try("alice")
	}
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" {
		t.Errorf("after many: %d, want 429 with Retry-After", last.status)
	}
	if a := b.submit(page, url.Values{"username": {"alice"}, "password": {password}}); a.status != http.StatusTooManyRequests {
		t.Errorf("the right password while throttled: %d", a.status)
	}
}

func TestSignInAsSomebodyElse(t *testing.T) {
	l := newLab(t)
	b := l.browser()
	page := b.signIn(b.authorize(ask(l.register(callback))), "alice")
	start := strings.Index(page.body, `<a href="`) + len(`<a href="`)
	other := strings.ReplaceAll(page.body[start:start+strings.Index(page.body[start:], `"`)], "&amp;", "&")
	again := b.open(other)
	if !strings.Contains(again.body, "Sign in to wigwag") {
		t.Fatalf("%d %s", again.status, again.body)
	}
	if page := b.signIn(again, "root"); !strings.Contains(page.body, "as root?") {
		t.Errorf("%d %s", page.status, page.body)
	}
}
