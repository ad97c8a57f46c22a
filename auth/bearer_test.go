package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// unreachable is what a refused request must not get to.
func unreachable(t *testing.T) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s reached the handler", r.Method, r.URL.Path)
	})
}

// unreadable is a body that must not be read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// Also line 11: the challenge of --auth=token names no resource metadata.
func TestAuth11ChallengeOnEveryMethod(t *testing.T) {
	logger, logs := newLogger()
	h := Bearer(BearerOptions{Verifier: newTokens(t, newKey(t), "alice"), Logger: logger})(unreachable(t))
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		r := httptest.NewRequestWithContext(t.Context(), method, "/mcp", unreadable{t})
		r.Header.Set("MCP-Protocol-Version", "nonsense")
		res := do(h, r)
		if got := res.header.Values("WWW-Authenticate"); res.status != 401 || len(got) != 1 || got[0] != "Bearer" {
			t.Errorf("%s: status %d, challenge %q", method, res.status, got)
		}
		if detail := problemDetail(t, res); !strings.Contains(detail, "POST /api/login") {
			t.Errorf("%s: detail %q does not say what to do", method, detail)
		}
	}
	if strings.Contains(logs.String(), "level=WARN") {
		t.Error("asking for the challenge is logged as a refusal")
	}
}

func TestAuth3AuthorizationHeader(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	token, _ := issue(t, tokens, "alice", "")
	fit := "Bearer " + strings.Repeat("a", maxAuthorization-len("Bearer "))

	for name, tc := range map[string]struct {
		values []string
		want   string // part of the challenge; empty: let in
	}{
		"good":                   {[]string{"Bearer " + token}, ""},
		"scheme in lower case":   {[]string{"bearer " + token}, ""},
		"scheme in upper case":   {[]string{"BEARER " + token}, ""},
		"two spaces":             {[]string{"Bearer  " + token}, ""},
		"two headers":            {[]string{"Bearer " + token, "Bearer " + token}, "more than one"},
		"two schemes":            {[]string{"Basic eDp5", "Bearer " + token}, "more than one"},
		"two in one":             {[]string{"Bearer " + token + ", Bearer " + token}, "no well-formed"},
		"as a parameter":         {[]string{"Bearer token=" + token}, "no well-formed"},
		"quoted":                 {[]string{`Bearer "` + token + `"`}, "no well-formed"},
		"no token":               {[]string{"Bearer"}, "no well-formed"},
		"empty token":            {[]string{"Bearer "}, "no well-formed"},
		"tab":                    {[]string{"Bearer\t" + token}, "Bearer"}, // a scheme of that name
		"exactly 8 KiB":          {[]string{fit}, "not valid"},
		"over 8 KiB":             {[]string{fit + "a"}, "longer than 8 KiB"},
		"over 8 KiB, not bearer": {[]string{"Basic " + fit}, "longer than 8 KiB"},
		"Basic":                  {[]string{"Basic eDp5"}, "Bearer"},
		"scheme's prefix":        {[]string{"Bear " + token}, "Bearer"},
		"token alone":            {[]string{token}, "Bearer"},
		"empty":                  {[]string{""}, "Bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			logger, logs := newLogger()
			var id Identity
			var passedOn string
			h := Bearer(BearerOptions{Verifier: tokens, Logger: logger})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				id, _ = FromContext(r.Context())
				passedOn = r.Header.Get("Authorization")
			}))
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", nil)
			r.Header["Authorization"] = tc.values
			res := do(h, r)
			challenge := res.header.Get("WWW-Authenticate")
			if tc.want == "" {
				if res.status != 200 || id.Subject != "alice" || passedOn != "" || challenge != "" {
					t.Errorf("status %d, identity %+v, passed on %q, challenge %q", res.status, id, passedOn, challenge)
				}
			} else if res.status != 401 || id.Subject != "" || !strings.Contains(challenge, tc.want) {
				t.Errorf("status %d, challenge %q; want %q", res.status, challenge, tc.want)
			}
			if strings.Contains(logs.String(), token) || strings.Contains(logs.String(), "aaaa") {
				t.Error("the token is in the log")
			}
		})
	}
}

func TestAuth4QueryTokensAreIgnored(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice", "bob")
	alice, _ := issue(t, tokens, "alice", "")
	bob, _ := issue(t, tokens, "bob", "")
	for _, target := range []string{"/mcp?access_token=", "/sse?token=", "/messages?sessionId=x&access_token="} {
		logger, logs := newLogger()
		guarded := Bearer(BearerOptions{Verifier: tokens, Logger: logger})

		res := do(guarded(unreachable(t)), httptest.NewRequestWithContext(t.Context(), "POST", target+alice, nil))
		if res.status != 401 || res.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: status %d", target, res.status)
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", target+alice, nil)
		r.Header.Set("Authorization", "Bearer x")
		if res := do(guarded(unreachable(t)), r); res.status != 401 {
			t.Errorf("%s with a bad header: status %d", target, res.status)
		}
		var id Identity
		r.Header.Set("Authorization", "Bearer "+bob)
		do(guarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id, _ = FromContext(r.Context())
		})), r)
		if id.Subject != "bob" {
			t.Errorf("%s with a good header: %+v", target, id)
		}
		if strings.Contains(logs.String(), alice) || strings.Contains(logs.String(), "token=") {
			t.Errorf("%s: the query is in the log", target)
		}
	}
}

// A token in the body (RFC 6750, section 2.2) is none either.
func TestAuth6CookiesAreNotAccepted(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	token, _ := issue(t, tokens, "alice", "")
	logger, logs := newLogger()
	h := Bearer(BearerOptions{Verifier: tokens, Logger: logger})(unreachable(t))
	for _, path := range []string{"/mcp", "/sse", "/messages?sessionId=x"} {
		for _, name := range []string{"token", "access_token", "Authorization", "session", "__Host-session"} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", path, nil)
			r.Header.Set("Cookie", name+"="+token)
			if res := do(h, r); res.status != 401 || res.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s with cookie %s: status %d", path, name, res.status)
			}
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader("access_token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if res := do(h, r); res.status != 401 {
			t.Errorf("%s with a form: status %d", path, res.status)
		}
	}
	if strings.Contains(logs.String(), token) {
		t.Error("the cookie is in the log")
	}
}

type verifierFunc func(context.Context, string) (Identity, error)

func (f verifierFunc) Verify(ctx context.Context, token string) (Identity, error) {
	return f(ctx, token)
}

// A verifier that does not know is not a verdict on the token: a client told
// 401 would throw it away.
func TestVerifierFails(t *testing.T) {
	logger, logs := newLogger()
	gone := verifierFunc(func(context.Context, string) (Identity, error) {
		return Identity{}, errors.New("store at 10.0.0.1 is gone")
	})
	h := Bearer(BearerOptions{Verifier: gone, Logger: logger})(unreachable(t))
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", nil)
	r.Header.Set("Authorization", "Bearer x")
	res := do(h, r)
	if res.status != 503 || res.header.Get("Retry-After") == "" || res.header.Get("WWW-Authenticate") != "" {
		t.Errorf("status %d, header %v", res.status, res.header)
	}
	if detail := problemDetail(t, res); strings.Contains(detail, "10.0.0.1") {
		t.Errorf("detail %q tells an internal error", detail)
	}
	if !strings.Contains(logs.String(), "10.0.0.1") {
		t.Error("the error is not in the log")
	}
}

func FuzzBearerToken(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer abc", "bearer  a.b.c==", "Basic eDp5", "Bearer a=b", "Bearer \x00", "Bearer é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := bearerToken([]string{value})
		if err != nil {
			if token != "" {
				t.Errorf("%q: %v, and token %q", value, err, token)
			}
			if bad, ok := errors.AsType[TokenError](err); ok && strings.ContainsAny(string(bad), "\"\\\r\n") {
				t.Errorf("%q: %q does not fit into a quoted string", value, bad)
			}
			return
		}
		head, ok := strings.CutSuffix(value, token)
		if !ok || !strings.EqualFold(strings.TrimRight(head, " "), "bearer") || !strings.HasSuffix(head, " ") {
			t.Errorf("%q: token %q", value, token)
		}
		if token == "" || len(value) > maxAuthorization || strings.ContainsAny(token, " \t\r\n,\"\x00") {
			t.Errorf("%q: token %q is no token68", value, token)
		}
		if twice, err := bearerToken([]string{value, value}); err == nil {
			t.Errorf("%q twice: token %q", value, twice)
		}
	})
}
