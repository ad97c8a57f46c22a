package oauth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"wigwag/auth"
)

func TestLine01ChallengeNamesTheMetadataOfTheAddressUsed(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct{ host, path, want string }{
		{"chat.example.com", "/mcp", "https://chat.example.com/mcp"},
		{"CHAT.example.com:443", "/mcp", "https://chat.example.com/mcp"},
		{"chat.example.com", "/sse", "https://chat.example.com/sse"},
		{"chat.example.com", "/messages", "https://chat.example.com/sse"},
		{"chat.example.com", "/events", "https://chat.example.com/mcp"},
		{strings.TrimPrefix(l.localhost(), "http://"), "/mcp", l.localhost() + "/mcp"},
		{"unknown.example", "/mcp", l.http.URL + "/mcp"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.host+c.path, nil)
		got := l.server.Load().Resource(r)
		if got != c.want {
			t.Errorf("%s%s: %s, want %s", c.host, c.path, got, c.want)
		}
		metadata, err := url.Parse(auth.MetadataURL(got))
		must(t, err)
		if a := l.get(metadata.Path, "Host", metadata.Host); a.field(t, "resource") != got {
			t.Errorf("%s: %s, want resource %s", metadata, a.body, got)
		}
	}
}

func TestLine02ProtectedResourceMetadata(t *testing.T) {
	l := newLab(t)
	for _, origin := range []string{l.http.URL, l.localhost()} {
		for path, resource := range map[string]string{"": "/mcp", "/mcp": "/mcp", "/sse": "/sse"} {
			a := l.do(http.MethodGet, origin+resourceMetadata+path, "")
			if a.status != http.StatusOK || a.field(t, "resource") != origin+resource {
				t.Errorf("%s%s: %d %s, want resource %s%s", origin, path, a.status, a.body, origin, resource)
			}
			if got := a.field(t, "authorization_servers"); got != `["`+origin+`"]` {
				t.Errorf("authorization_servers %s, want %s alone", got, origin)
			}
			if got := a.field(t, "scopes_supported"); got != `["chat:read","chat:write","notify"]` {
				t.Errorf("scopes_supported %s, want those of normal use", got)
			}
		}
	}
	if got := l.get(resourceMetadata+"/mcp", "Host", "chat.example.com").field(t, "resource"); got != "https://chat.example.com/mcp" {
		t.Errorf("resource %s, want that of the Host", got)
	}
}

func TestLine07DiscoveryIsForPagesOfAnyOriginAndHost(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{resourceMetadata, serverMetadata, keysPath} {
		a := l.get(path, "Origin", "https://inspector.example", "Host", "other.example")
		if a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v, want 200 for * without credentials", path, a.status, a.header)
		}
	}
	for path, method := range map[string]string{registerPath: "POST", tokenPath: "POST", revokePath: "POST", serverMetadata: "GET", keysPath: "GET"} {
		a := l.do(http.MethodOptions, l.http.URL+path, "", "Origin", "https://inspector.example",
			"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type,mcp-protocol-version")
		if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Methods") != method {
			t.Errorf("preflight of %s: %d %v", path, a.status, a.header)
		}
	}
	for _, path := range []string{tokenPath, registerPath, revokePath} {
		if a := l.do(http.MethodPost, l.http.URL+path, "", "Origin", "null"); a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s refused: an error without CORS headers is not seen by a page: %v", path, a.header)
		}
	}
	if a := l.get(authorizePath, "Origin", "https://inspector.example"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("pages of other origins may read the authorization page")
	}
}

func TestLine10ServerMetadata(t *testing.T) {
	l := newLab(t)
	for _, origin := range []string{l.http.URL, l.localhost()} {
		for _, path := range []string{serverMetadata, openIDMetadata, serverMetadata + "/mcp", openIDMetadata + "/mcp", "/mcp" + openIDMetadata, serverMetadata + "/sse"} {
			a := l.do(http.MethodGet, origin+path, "")
			var d serverDocument
			if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s%s: %d %v", origin, path, a.status, err)
			}
			if d.Issuer != origin {
				t.Errorf("%s: issuer %s, want %s to the byte", path, d.Issuer, origin)
			}
			for _, endpoint := range []string{d.Authorize, d.Token, d.Register, d.Revoke, d.Keys} {
				if _, ok := l.server.Load().Handlers()[strings.TrimPrefix(endpoint, origin)]; !ok {
					t.Errorf("%s: there is nothing at %s", path, endpoint)
				}
			}
			if !slices.Equal(d.ChallengeMethods, []string{"S256"}) || !slices.Equal(d.AuthMethods, []string{"none"}) || !slices.Equal(d.ResponseTypes, []string{"code"}) ||
				!slices.Equal(d.GrantTypes, []string{"authorization_code", "refresh_token"}) || !d.ClientDocuments || !d.ResponseIssuer {
				t.Errorf("%s: %s", path, a.body)
			}
		}
	}
}

func TestLine11OtherWellKnownAddressesAreNotFound(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{"/.well-known/", "/.well-known/mcp", "/.well-known/oauth-protected-resource/other", "/.well-known/oauth-authorization-server/", "/.well-known/jwks.json", "/.well-known/openid-configuration/events"} {
		if a := l.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404: %s", path, a.status, a.body)
		}
	}
}

func TestLine20KeysVerifyTokens(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	token := l.post(tokenPath, trade(client, l.code(ask(client)))).field(t, "access_token")
	var header struct{ Alg, Typ, Kid string }
	decodePart(t, token, 0, &header)
	var set struct {
		Keys []struct{ Kid, Kty, Alg, Use, D string }
	}
	must(t, json.Unmarshal([]byte(l.get(keysPath).body), &set))
	found := false
	for _, key := range set.Keys {
		found = found || key.Kid == header.Kid
		if key.Kty != "EC" || key.Alg != "ES256" || key.Use != "sig" || key.D != "" {
			t.Errorf("key %+v, want a public one for ES256", key)
		}
	}
	if !found || header.Alg != "ES256" || header.Typ != "at+jwt" {
		t.Errorf("header %+v; keys %+v", header, set)
	}
}

func TestEndpointsHaveMethodsAndRates(t *testing.T) {
	l := newLab(t, func(o *Options) {
		for _, limit := range []*Limiter{&o.LimitDiscovery, &o.LimitRegistration, &o.LimitAuthorize} {
			few := &limiter{}
			few.left.Store(1)
			*limit = few
		}
	})
	for path, method := range map[string]string{tokenPath: "GET", revokePath: "GET", registerPath: "GET", serverMetadata: "POST", keysPath: "DELETE"} {
		a := l.do(method, l.http.URL+path, "")
		wantError(t, a, http.StatusMethodNotAllowed, "invalid_request")
		if a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", method, path)
		}
	}
	l.get(keysPath)
	l.do(http.MethodPost, l.http.URL+registerPath, "{}")
	for _, a := range []answer{l.get(serverMetadata), l.do(http.MethodPost, l.http.URL+registerPath, "{}")} {
		wantError(t, a, http.StatusTooManyRequests, "temporarily_unavailable")
		if a.header.Get("Retry-After") != "90" {
			t.Errorf("Retry-After %q, want 90", a.header.Get("Retry-After"))
		}
	}
	l.get(authorizePath)
	if a := l.get(authorizePath); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "90" {
		t.Errorf("authorize: %d, want 429", a.status)
	}
}

// TestLine28OtherIssuers: clients are told of the outside issuers too, after
// this server.
func TestLine28OtherIssuers(t *testing.T) {
	l := newLab(t, func(o *Options) { o.OtherIssuers = []string{"https://idp.example.com"} })
	a := l.get("/.well-known/oauth-protected-resource/mcp")
	if got, want := a.field(t, "authorization_servers"), `["`+l.http.URL+`","https://idp.example.com"]`; got != want {
		t.Errorf("authorization_servers %s, want %s", got, want)
	}
}
