package oauth

import (
	"net/url"
	"strings"
	"testing"
)

func TestLine14RedirectsAllowedAndRefused(t *testing.T) {
	for _, good := range []string{
		"https://claude.ai/api/mcp/auth_callback",
		"https://vscode.dev/redirect",
		"https://chatgpt.com/connector/oauth/abc-123",
		"https://www.cursor.com/agents/mcp/oauth/callback",
		"https://app.example:8443/cb?tenant=1",
		"cursor://anysphere.cursor-mcp/oauth/callback",
		"com.example.app:/oauth",
		"vscode://ms.extension/did-authenticate",
		"http://localhost/callback",
		"http://localhost:8787/callback",
		"http://127.0.0.1:33418/",
		"http://127.0.0.1:33418",
		"http://[::1]:7777/cb",
	} {
		if err := checkRedirect(good); err != nil {
			t.Errorf("%s refused: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "/callback", "callback", "//host/cb", "https://", "https:///cb", "https:/cb",
		"javascript:alert(1)", "JavaScript:alert(1)", "javascript://x/%0aalert(1)", "data:text/html,x", "data://x/y", "vbscript:x", "file:///etc/passwd", "blob:https://x/y",
		"urn:ietf:wg:oauth:2.0:oob", "mailto:a@b", "ms-msdt:/id", "view-source:https://x/", "intent://x/y",
		"http://example.com/cb", "http://localhost.evil/cb", "http://localhost.evil:80/cb", "http://127.0.0.1.evil/cb", "http://evil/127.0.0.1",
		"http://localhost@evil/cb", "http://127.0.0.1:80@evil/cb", "https://user@host/cb", "https://user:pass@host/cb", "https://@host/cb",
		"http://127.1/cb", "http://2130706433/cb", "http://0.0.0.0/cb", "http://[::]/cb", "http://[::ffff:127.0.0.1]/cb", "http://localhost./cb",
		"https://claud%D0%B5.ai/cb", "https://a%E2%80%AEb.example/cb", "https://evil.example(claude.ai)/cb", "https://claude.ai&evil.example/cb", "https://[fe80::1%25eth0]/cb", "https://host:/cb",
		"https://host/cb#fragment", "https://host/cb#", "https://host/c b", "https://host/\ncb", "https://host\\@evil/cb", "https://host/ü",
		"http://localhost:99999/cb", "http://localhost:x/cb", "https://host/" + strings.Repeat("a", maxRedirect),
	} {
		if checkRedirect(bad) == nil {
			t.Errorf("%q allowed", bad)
		}
	}
}

func TestLine12RedirectsMatchExactlyButForTheLoopbackPort(t *testing.T) {
	for _, c := range []struct {
		registered, asked string
		want              bool
	}{
		{"http://localhost/callback", "http://localhost:53421/callback", true},
		{"http://127.0.0.1:33418/", "http://127.0.0.1:1/", true},
		{"http://127.0.0.1:33418/", "http://127.0.0.1:33418", true},
		{"http://127.0.0.1", "http://127.0.0.1:80/", true},
		{"http://[::1]/cb", "http://[::1]:4000/cb", true},
		{"https://vscode.dev", "https://vscode.dev/", true},
		{"https://a.example/cb?x=1", "https://a.example/cb?x=1", true},
		{"cursor://host/cb", "cursor://host/cb", true},

		{"http://localhost/callback", "http://127.0.0.1/callback", false},
		{"http://127.0.0.1/callback", "http://[::1]/callback", false},
		{"http://localhost/callback", "http://localhost:53421/callback/", false},
		{"http://localhost/callback", "http://localhost:53421/callback?x=1", false},
		{"http://localhost/callback", "http://localhost:53421/call%62ack", false},
		{"http://localhost/callback", "http://localhost:53421/x/../callback", false},
		{"http://localhost/callback", "http://localhost.evil:53421/callback", false},
		{"http://localhost/callback", "https://localhost:53421/callback", false},
		{"https://a.example/cb", "https://a.example:444/cb", false},
		{"https://a.example/cb", "https://a.example/cb/..", false},
		{"https://a.example/cb", "https://a.example/CB", false},
		{"https://a.example/cb", "https://a.example.evil/cb", false},
		{"https://a.example/cb", "https://evil@a.example/cb", false},
		{"https://a.example/cb", "https://a.example/cb?", false},
		{"cursor://host:1/cb", "cursor://host:2/cb", false},
	} {
		if got := redirectRegistered(c.asked, []string{"https://other.example/", c.registered}); got != c.want {
			t.Errorf("%s for %s: %v, want %v", c.asked, c.registered, got, c.want)
		}
	}
}

func TestRedirectToKeepsTheQuery(t *testing.T) {
	for uri, want := range map[string]string{
		"https://a/cb":       "https://a/cb?code=x",
		"https://a/cb?":      "https://a/cb?code=x",
		"https://a/cb?y=%20": "https://a/cb?y=%20&code=x",
		"cursor://a/cb":      "cursor://a/cb?code=x",
	} {
		if got := redirectTo(uri, url.Values{"code": {"x"}}); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

// FuzzRedirect: what matches a registered address goes to the same scheme and
// host, and to the same port unless it is loopback.
func FuzzRedirect(f *testing.F) {
	for _, asked := range []string{"http://localhost:1/callback", "http://localhost:1@evil/callback", "https://app.example/cb", "https://app.example/cb#", "cursor://host/cb", "http://[::1]:9/", "HTTP://LOCALHOST/callback", "https://app.example\t/cb"} {
		f.Add(asked)
	}
	registered := []string{"http://localhost/callback", "http://127.0.0.1/", "http://[::1]/", "https://app.example/cb", "cursor://host/cb", "com.example:/cb"}
	f.Fuzz(func(t *testing.T, asked string) {
		if !redirectRegistered(asked, registered) {
			return
		}
		if checkRedirect(asked) != nil {
			t.Fatalf("%q matches and is none", asked)
		}
		to := redirectTo(asked, url.Values{"code": {"c"}, "state": {"s"}})
		u, err := url.Parse(to)
		if err != nil || u.User != nil || u.Fragment != "" || u.Query().Get("code") != "c" {
			t.Fatalf("%q leads to %q: %v", asked, to, err)
		}
		switch {
		case u.Scheme == "http" && loopback(u), u.Scheme == "https" && u.Host == "app.example" && u.Path == "/cb":
		case u.Scheme == "cursor" && u.Host == "host", u.Scheme == "com.example" && u.Host == "" && u.Path == "/cb":
		default:
			t.Fatalf("%q leads to %q", asked, to)
		}
	})
}
