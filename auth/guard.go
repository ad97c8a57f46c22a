package auth

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// GuardOptions say which Host and Origin headers [Guard] lets pass.
type GuardOptions struct {
	// PublicURLs are the addresses people and clients use, such as
	// "https://chat.example.com" or "http://127.0.0.1:8080". Their hosts and
	// origins are allowed. At least one is required.
	PublicURLs []string
	// Hosts are further hosts, "name" (on the default ports) or "name:port".
	Hosts []string
	// Origins are further origins, such as "https://other.example" or
	// "vscode-webview://id".
	Origins []string
	// Exempt are paths that are served under any Host and Origin.
	Exempt []string
	// Logger is required.
	Logger *slog.Logger
}

// Guard refuses requests with 403 whose Host is not one of this server's, or
// whose Origin is present and not allowed. That stops pages of other sites,
// also those that point a name of their own at this machine (DNS rebinding).
func Guard(o GuardOptions) (func(http.Handler) http.Handler, error) {
	hosts, origins, err := allowed(o)
	if err != nil {
		return nil, err
	}
	refused := newRefusals(o.Logger)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case slices.Contains(o.Exempt, r.URL.Path):
				next.ServeHTTP(w, r)
			case !hostAllowed(r, hosts):
				refused.log(r, "host not allowed", slog.String("host", clip(r.Host)))
				WriteProblem(w, http.StatusForbidden, fmt.Sprintf(
					"Host %q is not an address of this server. Use its public URL; if this is one, start the server with it as --public-url.", clip(r.Host)))
			case !originAllowed(r, origins):
				origin := clip(strings.Join(r.Header.Values("Origin"), ", "))
				refused.log(r, "origin not allowed", slog.String("origin", origin))
				WriteProblem(w, http.StatusForbidden, fmt.Sprintf(
					"Pages of origin %q may not use this server.", origin))
			default:
				next.ServeHTTP(w, r)
			}
		})
	}, nil
}

// set is a set of normalised hosts or origins.
type set map[string]struct{}

func allowed(o GuardOptions) (hosts, origins set, err error) {
	if len(o.PublicURLs) == 0 {
		return nil, nil, fmt.Errorf("guard: a public URL is required")
	}
	hosts, origins = set{}, set{}
	for _, raw := range o.PublicURLs {
		u, err := url.Parse(raw)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") ||
			strings.TrimSuffix(raw[len(u.Scheme):], "/") != "://"+u.Host {
			return nil, nil, fmt.Errorf("public URL %q: must be http://HOST or https://HOST, with :PORT if needed and nothing else", raw)
		}
		origin, err := normalOrigin(u.Scheme + "://" + u.Host)
		if err != nil {
			return nil, nil, fmt.Errorf("public URL %q: %w", raw, err)
		}
		origins[origin] = struct{}{}
		host, port, err := splitHost(u.Host)
		if err != nil {
			return nil, nil, fmt.Errorf("public URL %q: %w", raw, err)
		}
		if port == "" || port == defaultPort(u.Scheme) {
			hosts[host] = struct{}{}
			port = defaultPort(u.Scheme)
		}
		hosts[host+":"+port] = struct{}{}
	}
	for _, raw := range o.Hosts {
		host, port, err := splitHost(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("host %q: %w", raw, err)
		}
		if port != "" {
			hosts[host+":"+port] = struct{}{}
			continue
		}
		for _, form := range []string{host, host + ":80", host + ":443"} {
			hosts[form] = struct{}{}
		}
	}
	for _, raw := range o.Origins {
		origin, err := normalOrigin(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("origin %q: %w", raw, err)
		}
		origins[origin] = struct{}{}
	}
	return hosts, origins, nil
}

// hostAllowed also refuses what HTTP/2 lets through: a Host header beside
// another :authority.
func hostAllowed(r *http.Request, hosts set) bool {
	for _, value := range r.Header.Values("Host") {
		if value != r.Host {
			return false
		}
	}
	if _, ok := hosts[r.Host]; ok { // as nearly all send it: in normal form
		return true
	}
	host, port, err := splitHost(r.Host)
	if err != nil {
		return false
	}
	if port != "" {
		host += ":" + port
	}
	_, ok := hosts[host]
	return ok
}

func originAllowed(r *http.Request, origins set) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	if len(values) > 1 {
		return false
	}
	origin, err := normalOrigin(values[0])
	if err != nil {
		return false
	}
	_, ok := origins[origin]
	return ok
}

// normalOrigin returns scheme://host, or scheme://host:port where the port is
// not the scheme's default. "null" is no origin.
func normalOrigin(s string) (string, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !validScheme(scheme) {
		return "", fmt.Errorf("must be SCHEME://HOST or SCHEME://HOST:PORT")
	}
	scheme = strings.ToLower(scheme)
	host, port, err := splitHost(rest)
	if err != nil {
		return "", err
	}
	if port == "" || port == defaultPort(scheme) {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

// splitHost takes "name", "1.2.3.4" or "[::1]" apart from its port, which may
// be missing. The host comes back in lower case, an address in its one normal
// form.
func splitHost(s string) (host, port string, err error) {
	host = s
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", "", fmt.Errorf("the port must be a number from 1 to 65535")
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", fmt.Errorf("must be an IPv6 address in brackets")
		}
		return "[" + addr.String() + "]", port, nil
	}
	if host == "" || len(host) > 253 || strings.IndexFunc(host, notInName) >= 0 {
		return "", "", fmt.Errorf("must be a host name of letters, digits, dots and hyphens, or an address")
	}
	return strings.ToLower(host), port, nil
}

func notInName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
}

func validScheme(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return notInName(c) && c != '+' || c == '_'
	})
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	default:
		return ""
	}
}
