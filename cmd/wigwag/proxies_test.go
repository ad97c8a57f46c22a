package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Who a request comes from is what the last trusted proxy says, and nobody else.
func TestForwarded(t *testing.T) {
	nets, err := parseProxies([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from    string
		headers string
		want    string
		https   bool
	}{
		"nobody trusted":        {"203.0.113.5:1", "X-Forwarded-For: 1.2.3.4", "203.0.113.5:1", false},
		"nobody trusted, proto": {"203.0.113.5:1", "X-Forwarded-Proto: https", "203.0.113.5:1", false},
		"a proxy":               {"10.1.2.3:1", "X-Forwarded-For: 1.2.3.4\nX-Forwarded-Proto: https", "1.2.3.4:0", true},
		"written by the client": {"10.1.2.3:1", "X-Forwarded-For: 6.6.6.6, 1.2.3.4", "1.2.3.4:0", false},
		"two headers":           {"10.1.2.3:1", "X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 1.2.3.4", "1.2.3.4:0", false},
		"two proxies":           {"10.1.2.3:1", "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 192.0.2.7", "1.2.3.4:0", false},
		"all trusted":           {"10.1.2.3:1", "X-Forwarded-For: 10.9.9.9", "10.9.9.9:0", false},
		"a name":                {"10.1.2.3:1", "X-Forwarded-For: unknown", "10.1.2.3:0", false},
		"with a port":           {"10.1.2.3:1", "X-Forwarded-For: 1.2.3.4:567", "1.2.3.4:0", false},
		"nothing said":          {"10.1.2.3:1", "", "10.1.2.3:0", false},
		"IPv6":                  {"[2001:db8::1]:1", "X-Forwarded-For: 2002::5", "[2002::5]:0", false},
		"mapped":                {"[::ffff:10.1.2.3]:1", "X-Forwarded-For: 1.2.3.4", "1.2.3.4:0", false},
		"Forwarded":             {"10.1.2.3:1", `Forwarded: for=6.6.6.6, for="[2002::5]:47";proto=https;by=10.1.2.3`, "[2002::5]:0", true},
		"Forwarded beside":      {"10.1.2.3:1", "Forwarded: for=6.6.6.6\nX-Forwarded-For: 1.2.3.4", "1.2.3.4:0", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = c.from
		for line := range strings.Lines(c.headers) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header.Add(key, value)
		}
		proxies{nets: nets}.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.RemoteAddr != c.want || byHTTPS(r) != c.https {
				t.Errorf("%s: %s, https %t; want %s, %t", name, r.RemoteAddr, byHTTPS(r), c.want, c.https)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

// What would be in the clear is refused, but for what watches the server.
func TestPastTheProxy(t *testing.T) {
	nets, err := parseProxies([]string{"10.0.0.2"})
	if err != nil {
		t.Fatal(err)
	}
	h := proxies{nets: nets, only: true}.handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for from, want := range map[string]int{"10.0.0.2:1": 200, "127.0.0.1:1": 200, "10.0.0.3:1": 403, "": 403} {
		r, w := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/mcp", nil), httptest.NewRecorder()
		r.RemoteAddr = from
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%q: %d, want %d", from, w.Code, want)
		}
		r.URL.Path, w = "/healthz", httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 200 {
			t.Errorf("%q at /healthz: %d", from, w.Code)
		}
	}
}
