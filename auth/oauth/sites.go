package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Where the resources are. A client that names none means the first.
const (
	mcpPath      = "/mcp"
	ssePath      = "/sse"
	messagesPath = "/messages" // the other half of /sse
)

// resourcePaths are the resources of each public URL that tokens are for.
func resourcePaths() []string { return []string{mcpPath, ssePath} }

// site is one public URL: an issuer, and the origin of its resources.
type site struct {
	issuer string // byte for byte as configured, without a trailing slash
	host   string // as the Host header has it, without a default port
	secure bool
}

func parseSites(publicURLs []string) ([]site, error) {
	if len(publicURLs) == 0 {
		return nil, errors.New("a public URL is required")
	}
	var sites []site
	for _, raw := range publicURLs {
		issuer := strings.TrimSuffix(raw, "/")
		u, err := url.Parse(issuer)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || issuer != u.Scheme+"://"+u.Host {
			return nil, fmt.Errorf("public URL %q: must be http://HOST or https://HOST, with :PORT if needed and nothing else", raw)
		}
		sites = append(sites, site{issuer: issuer, host: plainHost(u.Host), secure: u.Scheme == "https"})
	}
	return sites, nil
}

// plainHost is a Host header in lower case, without the default ports.
func plainHost(host string) string {
	host = strings.ToLower(host)
	return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
}

// site returns the public URL that a request was sent to, and whether it is
// one; otherwise the first.
func (s *Server) site(r *http.Request) (site, bool) {
	i := slices.IndexFunc(s.sites, func(at site) bool { return at.host == plainHost(r.Host) })
	if i < 0 {
		return s.sites[0], false
	}
	return s.sites[i], true
}

// resources are all that a token can be for.
func (s *Server) resources() []string {
	var all []string
	for _, at := range s.sites {
		for _, path := range resourcePaths() {
			all = append(all, at.issuer+path)
		}
	}
	return all
}
