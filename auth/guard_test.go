package auth

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func newGuard(t *testing.T, next http.Handler, publicURLs ...string) (http.Handler, *logBuffer) {
	t.Helper()
	logger, logs := newLogger()
	guard, err := Guard(GuardOptions{
		PublicURLs: publicURLs,
		Hosts:      []string{"extra.example", "ported.example:9000"},
		Origins:    []string{"https://page.example", "vscode-webview://Abc-1", "http://odd.example:80"},
		Exempt:     []string{"/healthz"},
		Logger:     logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return guard(next), logs
}

func TestAuth7Host(t *testing.T) {
	h, logs := newGuard(t, http.NotFoundHandler(),
		"http://127.0.0.1:8080", "http://localhost:8080/", "https://Chat.Example.com", "http://plain.example:80", "http://[::1]:8080")
	for host, want := range map[string]bool{
		"127.0.0.1:8080":              true,
		"localhost:8080":              true,
		"LocalHost:8080":              true,
		"[::1]:8080":                  true,
		"[0:0:0:0:0:0:0:1]:8080":      true,
		"chat.example.com":            true,
		"CHAT.example.com:443":        true,
		"plain.example":               true,
		"plain.example:80":            true,
		"extra.example":               true,
		"extra.example:80":            true,
		"extra.example:443":           true,
		"ported.example:9000":         true,
		"":                            false,
		"127.0.0.1":                   false,
		"127.0.0.1:8081":              false,
		"127.0.0.1:08080":             false,
		"127.0.0.1:+8080":             false,
		"127.0.0.1:":                  false,
		"127.1:8080":                  false,
		"2130706433:8080":             false,
		"127.0.0.2:8080":              false,
		"[::ffff:127.0.0.1]:8080":     false,
		"[::1%lo]:8080":               false,
		"[::1":                        false,
		"::1:8080":                    false,
		"localhost.:8080":             false,
		"localhost.evil.example:8080": false,
		"evil.localhost:8080":         false,
		"user@localhost:8080":         false,
		"localhost:8080,evil.example": false,
		"localhost:8080 ":             false,
		"localhost:8080/":             false,
		"http://localhost:8080":       false,
		"chat.example.com:80":         false,
		"chat.example.com:8080":       false,
		"plain.example:443":           false,
		"xchat.example.com":           false,
		"chat.example.com.evil.com":   false,
		"chat.exаmple.com":            false, // a Cyrillic letter
		"extra.example:8080":          false,
		"ported.example":              false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", unreadable{t})
		r.Host = host
		res := do(h, r)
		if want {
			if res.status != 404 {
				t.Errorf("Host %q: status %d", host, res.status)
			}
			continue
		}
		if res.status != 403 {
			t.Errorf("Host %q: status %d", host, res.status)
			continue
		}
		if detail := problemDetail(t, res); !strings.Contains(detail, "--public-url") || strings.Contains(detail, "chat.example.com ") {
			t.Errorf("Host %q: detail %q", host, detail)
		}
	}
	if !strings.Contains(logs.String(), "host not allowed") {
		t.Error("no refusal was logged")
	}
}

func TestAuth7Origin(t *testing.T) {
	h, logs := newGuard(t, http.NotFoundHandler(), "http://127.0.0.1:8080", "http://localhost:8080", "https://chat.example.com")
	for origin, want := range map[string]bool{
		"http://127.0.0.1:8080":              true,
		"http://localhost:8080":              true,
		"HTTP://LOCALHOST:8080":              true,
		"https://chat.example.com":           true,
		"https://chat.example.com:443":       true,
		"https://page.example":               true,
		"vscode-webview://abc-1":             true,
		"http://odd.example":                 true,
		"":                                   false,
		"null":                               false,
		"NULL":                               false,
		"*":                                  false,
		"file://":                            false,
		"localhost:8080":                     false,
		"//localhost:8080":                   false,
		"https://localhost:8080":             false,
		"http://localhost":                   false,
		"http://localhost:8081":              false,
		"http://localhost:8080/":             false,
		"http://localhost:8080?":             false,
		"http://localhost:8080#":             false,
		"http://localhost:8080@evil.example": false,
		"http://evil@localhost:8080":         false,
		"http://localhost:8080.evil.example": false,
		"http://localhost.evil.example:8080": false,
		"http://localhost:8080, null":        false,
		"http://chat.example.com":            false,
		"http://chat.example.com:443":        false,
		"https://chat.example.com:80":        false,
		"https://evil.example":               false,
		"https://sub.page.example":           false,
		"http://page.example":                false,
		"https://extra.example":              false, // a host, but no origin
		"vscode-webview://abc-2":             false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", unreadable{t})
		r.Host = "localhost:8080"
		r.Header.Set("Origin", origin)
		if res := do(h, r); (res.status == 404) != want || !want && res.status != 403 {
			t.Errorf("Origin %q: status %d", origin, res.status)
		} else if !want {
			problemDetail(t, res)
		}
	}
	if !strings.Contains(logs.String(), "origin not allowed") {
		t.Error("no refusal was logged")
	}

	r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", nil)
	r.Host = "localhost:8080"
	r.Header["Origin"] = []string{"http://localhost:8080", "http://localhost:8080"}
	if res := do(h, r); res.status != 403 {
		t.Errorf("two Origin headers: status %d", res.status)
	}
	r.Header["Origin"] = nil
	r.Header["Host"] = []string{"localhost:8080", "evil.example"}
	if res := do(h, r); res.status != 403 {
		t.Errorf("another Host header beside the authority: status %d", res.status)
	}
}

func TestAuth7ExemptPaths(t *testing.T) {
	h, _ := newGuard(t, http.NotFoundHandler(), "http://localhost:8080")
	for path, want := range map[string]int{
		"/healthz": 404, "/healthz/": 403, "/healthz/x": 403, "/Healthz": 403, "/": 403, "/mcp": 403, "//healthz": 403,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://x", nil)
		r.URL.Path, r.Host = path, "10.1.2.3"
		r.Header.Set("Origin", "null")
		if res := do(h, r); res.status != want {
			t.Errorf("%s: status %d, want %d", path, res.status, want)
		}
	}
}

// What net/http makes of requests before the guard sees them.
func TestAuth7OnTheWire(t *testing.T) {
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h, _ := newGuard(t, reached, "http://chat.example.com")
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	for request, want := range map[string]int{
		"GET /mcp HTTP/1.1\r\nHost: chat.example.com\r\n":                                   204,
		"GET http://chat.example.com/mcp HTTP/1.1\r\nHost: chat.example.com\r\n":            204,
		"GET http://evil.example/mcp HTTP/1.1\r\nHost: chat.example.com\r\n":                403,
		"GET /mcp HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: chat.example.com\r\n": 403,
		"GET /mcp HTTP/1.1\r\nHost: chat.example.com\r\nHost: chat.example.com\r\n":         400,
		"GET /mcp HTTP/1.1\r\n":                                           400,
		"GET /mcp HTTP/1.0\r\n":                                           403,
		"GET /mcp HTTP/1.1\r\nHost:\r\n":                                  403,
		"GET /healthz HTTP/1.0\r\n":                                       204,
		"GET /mcp HTTP/1.1\r\nHost: chat.example.com\r\norigin: null\r\n": 403,
	} {
		conn := dial(t, srv)
		if _, err := fmt.Fprint(conn, request+"Connection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%q: status %d, want %d", request, res.StatusCode, want)
		}
	}
}

func TestGuardRefusesOptions(t *testing.T) {
	logger, _ := newLogger()
	for name, o := range map[string]GuardOptions{
		"no public URL":     {},
		"without a scheme":  {PublicURLs: []string{"chat.example.com"}},
		"host and port":     {PublicURLs: []string{"localhost:8080"}},
		"ftp":               {PublicURLs: []string{"ftp://chat.example.com"}},
		"without a host":    {PublicURLs: []string{"http://"}},
		"port alone":        {PublicURLs: []string{"http://:8080"}},
		"with a path":       {PublicURLs: []string{"https://chat.example.com/wigwag"}},
		"with a query":      {PublicURLs: []string{"https://chat.example.com?x"}},
		"with a user":       {PublicURLs: []string{"https://u@chat.example.com"}},
		"not in ASCII":      {PublicURLs: []string{"https://chät.example.com"}},
		"host as a URL":     {PublicURLs: []string{testIssuer}, Hosts: []string{"http://x"}},
		"host with a zone":  {PublicURLs: []string{testIssuer}, Hosts: []string{"[::1%lo]"}},
		"host, odd port":    {PublicURLs: []string{testIssuer}, Hosts: []string{"x:080"}},
		"host with a star":  {PublicURLs: []string{testIssuer}, Hosts: []string{"*.example.com"}},
		"origin of a host":  {PublicURLs: []string{testIssuer}, Origins: []string{"page.example"}},
		"origin null":       {PublicURLs: []string{testIssuer}, Origins: []string{"null"}},
		"origin and a path": {PublicURLs: []string{testIssuer}, Origins: []string{"https://page.example/"}},
	} {
		o.Logger = logger
		if _, err := Guard(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzSplitHost(f *testing.F) {
	for _, s := range []string{"localhost:8080", "[::1]:1", "[::1]", "A.b", "1.2.3.4:80", "::1", "[::ffff:1.2.3.4]:9", "a:0", ":1", "[a]b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := splitHost(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(host, "/@?#, \\%") || host == "" || host != strings.ToLower(host) {
			t.Errorf("%q: host %q", s, host)
		}
		normal := host
		if port != "" {
			normal += ":" + port
		}
		if h, p, err := splitHost(normal); h != host || p != port || err != nil {
			t.Errorf("%q: %q, %q; again %q, %q, %v", s, host, port, h, p, err)
		}
	})
}

func FuzzNormalOrigin(f *testing.F) {
	for _, s := range []string{"http://localhost:8080", "https://x:443", "null", "a+b.c://[::1]:5", "http://", "HTTPS://X:80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		origin, err := normalOrigin(s)
		if err != nil {
			return
		}
		if again, err := normalOrigin(origin); again != origin || err != nil {
			t.Errorf("%q: %q, again %q, %v", s, origin, again, err)
		}
		if strings.Count(origin, "://") != 1 || strings.ContainsAny(origin, "@?#, ") {
			t.Errorf("%q: %q", s, origin)
		}
	})
}
