package auth

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestAuth1Challenge(t *testing.T) {
	const metadata = `resource_metadata="https://chat.example.com/.well-known/oauth-protected-resource/mcp"`
	for want, c := range map[string]Challenge{
		`Bearer`: {Scopes: ScopesEveryday},
		`Bearer scope="chat:read chat:write notify", ` + metadata:                                                 {Scopes: ScopesEveryday, Resource: "https://chat.example.com/mcp"},
		`Bearer error="invalid_token", error_description="it ended"`:                                              {Error: "invalid_token", Description: "it ended"},
		`Bearer error="insufficient_scope", error_description="no", scope="logs:write", ` + metadata:              {Error: "insufficient_scope", Description: "no", Scopes: ScopeLogsWrite, Resource: "https://chat.example.com/mcp"},
		`Bearer error="x", error_description="ab, c=d"`:                                                           {Error: "x", Description: "a\"b,\r\n c\\=d\x00é"},
		`Bearer scope="notify", resource_metadata="http://[::1]:8080/.well-known/oauth-protected-resource"`:       {Scopes: ScopeNotify, Resource: "http://[::1]:8080/"},
		`Bearer scope="notify", resource_metadata="http://127.0.0.1:8080/.well-known/oauth-protected-resource/a"`: {Scopes: ScopeNotify, Resource: "http://127.0.0.1:8080/a?b=c#d"},
		`Bearer scope="notify"`: {Scopes: ScopeNotify, Resource: "nowhere"},
	} {
		if got := c.String(); got != want {
			t.Errorf("%+v:\n got %s\nwant %s", c, got, want)
		}
	}
}

// With OAuth, the challenge on every request says where to begin; a token for
// another resource is refused.
func TestAuth11TokensOfOneResource(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	logger, _ := newLogger()
	h := Bearer(BearerOptions{Verifier: tokens, Logger: logger, Resource: resourceOf})(ok200)
	login, _ := issue(t, tokens, "alice", "")
	granted, _ := issue(t, tokens, "alice", "client") // for testIssuer+"/mcp"
	personal, _, err := tokens.NewPersonal(t.Context(), find(t, tokens, "alice"), Personal{Name: "script", Scopes: ScopeChatRead, Lifetime: tokenLifetime})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		url, token string
		status     int
	}{
		{"http://127.0.0.1:8080/mcp", "", 401},
		{"http://127.0.0.1:8080/mcp", granted, 200},
		{"http://localhost:8080/mcp", granted, 401}, // another address is another resource
		{"http://127.0.0.1:8080/sse", granted, 401},
		{"http://127.0.0.1:8080/mcp/", granted, 401},
		{"http://127.0.0.1:8080/mcp", login, 200},
		{"http://localhost:8080/sse", login, 200},
		{"http://localhost:8080/mcp", personal, 200},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", tc.url, nil)
		if tc.token != "" {
			r.Header.Set("Authorization", "Bearer "+tc.token)
		}
		res := do(h, r)
		challenge := res.header.Get("WWW-Authenticate")
		if res.status != tc.status || (challenge == "") != (tc.status == 200) {
			t.Errorf("%s: status %d, challenge %q", tc.url, res.status, challenge)
		}
		if challenge != "" && !strings.Contains(challenge, `scope="chat:read chat:write notify", resource_metadata="http://`+r.Host+`/.well-known/oauth-protected-resource/`) {
			t.Errorf("%s: challenge %q", tc.url, challenge)
		}
	}
	// Where there is no OAuth its tokens are good for nothing.
	h = Bearer(BearerOptions{Verifier: tokens, Logger: logger})(unreachable(t))
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:8080/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+granted)
	if res := do(h, r); res.status != 401 {
		t.Errorf("without OAuth: status %d", res.status)
	}
}

var challengeForm = regexp.MustCompile(`^Bearer( [a-z_]+="[ !#-\[\]-~]+"(, [a-z_]+="[ !#-\[\]-~]+")*)?$`)

func FuzzChallenge(f *testing.F) {
	f.Add("invalid_token", "the token has expired", "https://chat.example.com/mcp", byte(7))
	f.Add("\"\\\r\n", "é\x00\xff", "http://[::1]:1/a b%20\"?q#f", byte(255))
	f.Add("", "", "", byte(0))
	f.Fuzz(func(t *testing.T, code, description, resource string, scopes byte) {
		got := Challenge{Error: code, Description: description, Resource: resource, Scopes: Scopes(scopes) & ScopeAdmin}.String()
		if !challengeForm.MatchString(got) {
			t.Errorf("%q", got)
		}
	})
}
