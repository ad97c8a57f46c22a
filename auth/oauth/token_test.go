package oauth

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// decodePart decodes a part of a JWT.
func decodePart(t *testing.T, token string, part int, v any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[part])
	must(t, err)
	must(t, json.Unmarshal(data, v))
}

func TestLine17RefreshNarrowsAndNeverWidens(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	first := l.post(tokenPath, trade(client, l.code(ask(client, "scope", "chat:read notify")))).field(t, "refresh_token")

	a := l.post(tokenPath, refreshForm(client, first, "scope", "notify"))
	if a.status != http.StatusOK || a.field(t, "scope") != "notify" {
		t.Fatalf("narrowed: %d %s", a.status, a.body)
	}
	second := a.field(t, "refresh_token")
	wantError(t, l.post(tokenPath, refreshForm(client, second, "scope", "chat:write")), http.StatusBadRequest, "invalid_scope")
	wantError(t, l.post(tokenPath, refreshForm(client, second, "scope", "no-such")), http.StatusBadRequest, "invalid_scope")
	wantError(t, l.post(tokenPath, refreshForm(client, second, "resource", l.http.URL+"/sse")), http.StatusBadRequest, "invalid_target")
	a = l.post(tokenPath, refreshForm(client, second, "resource", l.http.URL+"/mcp", "scope", "offline_access"))
	if a.status != http.StatusOK || a.field(t, "scope") != "chat:read notify" {
		t.Errorf("after narrowing: %d %s, want all that was granted", a.status, a.body)
	}

	other := l.register(callback)
	wantError(t, l.post(tokenPath, refreshForm(other, a.field(t, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
	wantError(t, l.post(tokenPath, refreshForm(client, "nonsense")), http.StatusBadRequest, "invalid_grant")
	if a := l.post(tokenPath, refreshForm(client, a.field(t, "refresh_token"))); a.status != http.StatusOK {
		t.Errorf("refused tries of others have ended the family: %d %s", a.status, a.body)
	}
}

func TestLine17ReuseEndsTheFamily(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	first := l.post(tokenPath, trade(client, l.code(ask(client))))
	second := l.post(tokenPath, refreshForm(client, first.field(t, "refresh_token")))
	again := l.post(tokenPath, refreshForm(client, first.field(t, "refresh_token")))
	if again.status != http.StatusOK || again.field(t, "refresh_token") != second.field(t, "refresh_token") {
		t.Fatalf("within the grace: %d %s, want the same successor", again.status, again.body)
	}
	third := l.post(tokenPath, refreshForm(client, second.field(t, "refresh_token")))
	fourth := l.post(tokenPath, refreshForm(client, third.field(t, "refresh_token")))
	wantError(t, l.post(tokenPath, refreshForm(client, first.field(t, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
	wantError(t, l.post(tokenPath, refreshForm(client, fourth.field(t, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
	if l.good(fourth.field(t, "access_token")) {
		t.Error("an access token of an ended family is good")
	}
	if !l.audit.has("token.create", "ok") || !l.audit.has("token.reuse", "revoked") {
		t.Error("no trace in the audit")
	}
}

func TestLine17SixteenRefreshesGiveOneSuccessor(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	first := l.post(tokenPath, trade(client, l.code(ask(client)))).field(t, "refresh_token")
	answers := make([]answer, 16)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = l.post(tokenPath, refreshForm(client, first)) })
	}
	all.Wait()
	for _, a := range answers {
		if a.status != http.StatusOK || a.field(t, "refresh_token") != answers[0].field(t, "refresh_token") || !l.good(a.field(t, "access_token")) {
			t.Errorf("%d %s, want the same successor for all", a.status, a.body)
		}
	}
	if a := l.post(tokenPath, refreshForm(client, answers[15].field(t, "refresh_token"))); a.status != http.StatusOK {
		t.Errorf("the successor: %d %s", a.status, a.body)
	}
}

func TestLine18TokenEndpoint(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	a := l.post(tokenPath, trade(client, l.code(ask(client))))
	if a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a.field(t, "token_type") != "Bearer" || !strings.HasPrefix(a.field(t, "expires_in"), "3") || len(a.field(t, "expires_in")) != 4 || a.field(t, "refresh_token") == "" {
		t.Errorf("%s", a.body)
	}

	code := url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {"x"}, "code_verifier": {verifier}}
	with := func(name string, values ...string) url.Values {
		q := maps.Clone(code)
		if q[name] = values; len(values) == 0 {
			delete(q, name)
		}
		return q
	}
	for _, c := range []struct {
		form   url.Values
		status int
		want   string
	}{
		{with("client_id", "c_"+strings.Repeat("A", 26)), http.StatusUnauthorized, "invalid_client"},
		{with("client_id", "anything"), http.StatusUnauthorized, "invalid_client"},
		{with("client_id", "http://insecure.example/client.json"), http.StatusUnauthorized, "invalid_client"},
		{with("client_id"), http.StatusBadRequest, "invalid_request"},
		{with("client_id", client, client), http.StatusBadRequest, "invalid_request"},
		{with("grant_type"), http.StatusBadRequest, "invalid_request"},
		{with("grant_type", "password"), http.StatusBadRequest, "unsupported_grant_type"},
		{with("grant_type", "client_credentials"), http.StatusBadRequest, "unsupported_grant_type"},
		{with("grant_type", "refresh_token"), http.StatusBadRequest, "invalid_request"},
		{with("code"), http.StatusBadRequest, "invalid_request"},
		{with("code_verifier"), http.StatusBadRequest, "invalid_request"},
		{with("code_verifier", "short"), http.StatusBadRequest, "invalid_grant"},
		{with("code", "unknown"), http.StatusBadRequest, "invalid_grant"},
		{with("code", strings.Repeat("x", maxParameter+1)), http.StatusBadRequest, "invalid_request"},
		{with("filler", strings.Repeat("x", maxBody)), http.StatusRequestEntityTooLarge, "invalid_request"},
	} {
		wantError(t, l.post(tokenPath, c.form), c.status, c.want)
	}
	wantError(t, l.do(http.MethodPost, l.http.URL+tokenPath, `{"grant_type":"authorization_code"}`, "Content-Type", "application/json"), http.StatusBadRequest, "invalid_request")
	basic := l.do(http.MethodPost, l.http.URL+tokenPath, code.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic eDp5")
	wantError(t, basic, http.StatusUnauthorized, "invalid_client")
	if basic.header.Get("WWW-Authenticate") != "Basic" {
		t.Errorf("WWW-Authenticate %q", basic.header.Get("WWW-Authenticate"))
	}
	if a := l.do(http.MethodPost, l.http.URL+tokenPath+"?"+code.Encode(), "", "Content-Type", "application/x-www-form-urlencoded"); a.field(t, "error") != "invalid_request" {
		t.Errorf("the query is read: %s", a.body)
	}
}

func TestLine19AccessTokenClaims(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	for asked, want := range map[string]string{"": l.http.URL + "/mcp", l.http.URL + "/sse": l.http.URL + "/sse", l.localhost() + "/mcp": l.localhost() + "/mcp"} {
		a := l.post(tokenPath, trade(client, l.code(ask(client, "resource", asked, "scope", "chat:write"))))
		var claims struct {
			Iss, Sub, Scope, Jti string
			Aud                  any
			ClientID             string `json:"client_id"`
			Iat, Exp             int64
		}
		decodePart(t, a.field(t, "access_token"), 1, &claims)
		aud, _ := claims.Aud.(string)
		if list, ok := claims.Aud.([]any); ok && len(list) == 1 {
			aud, _ = list[0].(string)
		}
		if aud != want || claims.Iss != l.http.URL || claims.Sub != "alice" || claims.ClientID != client || claims.Scope != "chat:read chat:write" || claims.Jti == "" {
			t.Errorf("resource %q: %+v", asked, claims)
		}
		if left := time.Until(time.Unix(claims.Exp, 0)); claims.Iat == 0 || left <= 0 || left > time.Hour {
			t.Errorf("iat %d, exp %d", claims.Iat, claims.Exp)
		}
		id, err := l.tokens.Verify(t.Context(), a.field(t, "access_token"))
		if err != nil || id.Subject != "alice" || id.Client != client || id.ClientName != "Probe" || id.Resource != want {
			t.Errorf("%+v, %v", id, err)
		}
	}
}

func TestLine19Revocation(t *testing.T) {
	l := newLab(t)
	client, other := l.register(callback), l.register(callback)
	tokens := func() answer { return l.post(tokenPath, trade(client, l.code(ask(client)))) }
	for _, kind := range []string{"refresh_token", "access_token"} {
		a := tokens()
		if a := l.post(revokePath, url.Values{"token": {a.field(t, kind)}, "client_id": {other}}); a.status != http.StatusOK {
			t.Errorf("by another client: %d", a.status)
		}
		if !l.good(a.field(t, "access_token")) {
			t.Fatal("another client has revoked the token")
		}
		if a := l.post(revokePath, url.Values{"token": {a.field(t, kind)}, "client_id": {client}, "token_type_hint": {kind}}); a.status != http.StatusOK || a.body != "" {
			t.Errorf("%d %s", a.status, a.body)
		}
		if l.good(a.field(t, "access_token")) {
			t.Errorf("%s revoked, and the access token is good", kind)
		}
		wantError(t, l.post(tokenPath, refreshForm(client, a.field(t, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
	}
	for _, unknown := range []string{"x", "a.b.c", tokens().field(t, "refresh_token") + "x"} {
		if a := l.post(revokePath, url.Values{"token": {unknown}, "client_id": {client}}); a.status != http.StatusOK {
			t.Errorf("unknown token: %d, want 200", a.status)
		}
	}
	wantError(t, l.post(revokePath, url.Values{"client_id": {client}}), http.StatusBadRequest, "invalid_request")
	wantError(t, l.post(revokePath, url.Values{"token": {"a", "b"}}), http.StatusBadRequest, "invalid_request")
}

func TestLine27NewPasswordEndsCodesAndTokens(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	tokens := l.post(tokenPath, trade(client, l.code(ask(client))))
	code := l.code(ask(client))
	must(t, l.users.SetPassword(t.Context(), "alice", "another password"))
	wantError(t, l.post(tokenPath, trade(client, code)), http.StatusBadRequest, "invalid_grant")
	wantError(t, l.post(tokenPath, refreshForm(client, tokens.field(t, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
	if l.good(tokens.field(t, "access_token")) {
		t.Error("the access token is good")
	}
}
