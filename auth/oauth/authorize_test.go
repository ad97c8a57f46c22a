package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestLine12AuthorizeRefusals(t *testing.T) {
	l := newLab(t)
	client := l.register(callback, "cursor://anysphere.cursor-mcp/oauth/callback")
	b := l.browser()

	t.Run("by a page", func(t *testing.T) {
		for name, q := range map[string]url.Values{
			"unknown client":      ask("c_" + strings.Repeat("A", 26)),
			"no client":           ask(""),
			"foreign redirect":    ask(client, "redirect_uri", "https://evil.example/cb"),
			"redirect with more":  ask(client, "redirect_uri", callback+"/more"),
			"redirect as a hint":  ask(client, "redirect_uri", "http://127.0.0.1@evil.example/callback"),
			"no redirect of two":  ask(client, "redirect_uri", ""),
			"script as redirect":  ask(client, "redirect_uri", "javascript:alert(1)"),
			"repeated state":      {"client_id": {client}, "redirect_uri": {callback}, "state": {"a", "b"}},
			"repeated redirect":   {"client_id": {client}, "redirect_uri": {callback, callback}},
			"repeated resource":   {"client_id": {client}, "redirect_uri": {callback}, "resource": {l.http.URL + "/mcp", l.http.URL + "/mcp"}},
			"repeated client":     {"client_id": {client, client}, "redirect_uri": {callback}},
			"an endless request":  ask(client, "nonce", strings.Repeat("x", maxQuery)),
			"client of no scheme": ask("example.com/client.json"),
		} {
			a := b.authorize(q)
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || !strings.Contains(a.body, "<h1>") {
				t.Errorf("%s: %d, Location %q: want a page with 400", name, a.status, a.header.Get("Location"))
			}
		}
		if a := b.open(authorizePath + "?client_id=%zz"); a.status != http.StatusBadRequest {
			t.Errorf("bad escape: %d", a.status)
		}
		if a := l.get(authorizePath+"?"+ask(client).Encode(), "Host", "evil.example"); a.status != http.StatusForbidden {
			t.Errorf("foreign Host: %d, want 403", a.status)
		}
		if a := l.do(http.MethodPut, l.http.URL+authorizePath, ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
			t.Errorf("PUT: %d", a.status)
		}
		if !l.audit.has("authorize", "refused") {
			t.Error("no trace in the audit")
		}
	})

	t.Run("by a redirect", func(t *testing.T) {
		for name, c := range map[string]struct {
			q    url.Values
			want string
		}{
			"token":              {ask(client, "response_type", "token"), "unsupported_response_type"},
			"code id_token":      {ask(client, "response_type", "code id_token"), "unsupported_response_type"},
			"no response type":   {ask(client, "response_type", ""), "invalid_request"},
			"no PKCE":            {ask(client, "code_challenge", ""), "invalid_request"},
			"plain PKCE":         {ask(client, "code_challenge_method", "plain"), "invalid_request"},
			"PKCE of no method":  {ask(client, "code_challenge_method", ""), "invalid_request"},
			"short challenge":    {ask(client, "code_challenge", "abc"), "invalid_request"},
			"padded challenge":   {ask(client, "code_challenge", challengeOf(verifier)+"="), "invalid_request"},
			"foreign resource":   {ask(client, "resource", "https://evil.example/mcp"), "invalid_target"},
			"resource with more": {ask(client, "resource", l.http.URL+"/mcp/x"), "invalid_target"},
			"unknown scope":      {ask(client, "scope", "everything"), "invalid_scope"},
			"fragment":           {ask(client, "response_mode", "fragment"), "invalid_request"},
			"request object":     {ask(client, "request", "eyJ"), "request_not_supported"},
			"request address":    {ask(client, "request_uri", "https://evil.example"), "request_uri_not_supported"},
			"silent":             {ask(client, "prompt", "none"), "login_required"},
		} {
			to, params := b.authorize(c.q).location(t)
			if to != callback || params.Get("error") != c.want || params.Get("error_description") == "" {
				t.Errorf("%s: %s %v, want %s", name, to, params, c.want)
			}
			if params.Get("state") != "st&te" || params.Get("iss") != l.http.URL || params.Has("code") {
				t.Errorf("%s: %v, want state and iss, no code", name, params)
			}
		}
	})
}

func TestLine12EveryAnswerNamesStateAndIssuer(t *testing.T) {
	l := newLab(t)
	client := l.register("http://localhost/callback")
	for _, origin := range []string{l.http.URL, l.localhost()} {
		b := l.browser()
		b.origin = origin
		q := ask(client, "redirect_uri", "http://localhost:60123/callback")
		to, params := b.allow(b.signIn(b.authorize(q), "alice")).location(t)
		if to != "http://localhost:60123/callback" || params.Get("code") == "" || params.Get("state") != "st&te" || params.Get("iss") != origin {
			t.Errorf("%s: %s %v", origin, to, params)
		}
		page := b.authorize(q)
		_, params = b.submit(page, url.Values{"decision": {"deny"}}).location(t)
		if params.Get("error") != "access_denied" || params.Get("state") != "st&te" || params.Get("iss") != origin {
			t.Errorf("%s: %v", origin, params)
		}
		_, params = b.submit(b.authorize(ask(client, "redirect_uri", "http://localhost:60123/callback", "state", "")), url.Values{"decision": {"deny"}}).location(t)
		if params.Has("state") {
			t.Errorf("%s: a state that nobody sent: %v", origin, params)
		}
	}
	if !l.audit.has("authorize", "access_denied") || !l.audit.has("consent", "ok") {
		t.Error("no trace in the audit")
	}
}

func TestLine12DefaultsAndTolerance(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	for name, q := range map[string]url.Values{
		"no resource, no scope": ask(client),
		"sole redirect":         ask(client, "redirect_uri", ""),
		"other port":            ask(client, "redirect_uri", "http://127.0.0.1:1234/callback"),
		"OpenID habits":         ask(client, "scope", "openid offline_access", "prompt", "consent", "access_type", "offline", "nonce", "n", "display", "page"),
		"some unknown scopes":   ask(client, "scope", "chat:read chat:write notify files:read"),
		"explicit mode":         ask(client, "response_mode", "query"),
		"unknown prompt":        ask(client, "prompt", "create"),
	} {
		b := l.browser()
		page := b.signIn(b.authorize(q), "alice")
		if got := strings.Join(matches(tickedForm, page.body), " "); got != "chat:read chat:write notify" {
			t.Errorf("%s: ticked %q, want those of normal use", name, got)
		}
		if _, params := b.allow(page).location(t); params.Get("code") == "" {
			t.Errorf("%s: %v", name, params)
		}
	}
}

func TestAppsOwnSchemeIsRedirectedTo(t *testing.T) {
	l := newLab(t)
	const cursor = "cursor://anysphere.cursor-mcp/oauth/callback"
	client := l.register(cursor, "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback")
	b := l.browser()
	a := b.allow(b.signIn(b.authorize(ask(client, "redirect_uri", cursor)), "alice"))
	to, params := a.location(t)
	if to != cursor || params.Get("code") == "" {
		t.Errorf("%s %v", to, params)
	}
	if strings.Contains(a.header.Get("Content-Security-Policy"), "form-action") {
		t.Error("form-action holds redirects back")
	}
}

// Anybody can register an app, so a link to this server must not be one that
// ends at an address of a stranger's choice (RFC 9700, section 4.11.2).
func TestLine12NobodyIsSentToAnUnknownAppUnasked(t *testing.T) {
	l := newLab(t)
	for _, redirect := range []string{"https://evil.example/cb", "some-app://open/cb"} {
		client, b := l.register(redirect), l.browser()
		for name, q := range map[string]url.Values{
			"not in order": ask(client, "redirect_uri", redirect, "response_type", "token"),
			"silent":       ask(client, "redirect_uri", redirect, "prompt", "none"),
		} {
			a := b.authorize(q)
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
				t.Errorf("%s: %s: %d to %q, want a page", redirect, name, a.status, a.header.Get("Location"))
			}
			if !strings.Contains(a.body, `<a href="`+redirect+`?error=`) || strings.Contains(a.body, "code=") {
				t.Errorf("%s: %s: no way back to the app: %s", redirect, name, a.body)
			}
		}
		page := b.signIn(b.authorize(ask(client, "redirect_uri", redirect)), "alice")
		if to, params := b.submit(page, url.Values{"decision": {"deny"}}).location(t); to != redirect || params.Get("error") != "access_denied" {
			t.Errorf("%s: a person's own decision: %s %v", redirect, to, params)
		}
		b.allow(page)
		if to, params := b.authorize(ask(client, "redirect_uri", redirect, "response_type", "token")).location(t); to != redirect || params.Get("error") == "" {
			t.Errorf("%s: an app that was allowed: %s %v", redirect, to, params)
		}
	}
}
