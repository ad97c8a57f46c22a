package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

const (
	fetchTime   = 5 * time.Second
	maxDocument = 5 << 10
)

// fetcher gets documents from addresses that strangers name. It reaches the
// public internet only, whatever a name resolves to: addresses are checked
// when they are dialled.
type fetcher struct {
	client *http.Client
}

func newFetcher() *fetcher { return guardedFetcher(publicAddress) }

// guardedFetcher dials only what allowed returns no error for.
func guardedFetcher(allowed func(netip.Addr) error) *fetcher {
	dialer := &net.Dialer{
		Timeout: fetchTime,
		Control: func(_, address string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("address %q: %w", address, err)
			}
			return allowed(addr.Addr())
		},
	}
	return &fetcher{client: &http.Client{
		Timeout: fetchTime,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext, // and no proxy: it would resolve the name itself
			TLSHandshakeTimeout:    fetchTime,
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get returns a JSON document of at most 5 KiB and the headers it came with.
func (f *fetcher) get(ctx context.Context, url string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // strangers name it: that is what the guard is for
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "wigwag (client metadata)")
	resp, err := f.client.Do(req) //nolint:gosec // as above
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("the answer is %d; it must be 200, and redirects are not followed", resp.StatusCode)
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || (mediaType != "application/json" && (!strings.HasPrefix(mediaType, "application/") || !strings.HasSuffix(mediaType, "+json"))) {
		return nil, nil, errors.New("the answer is not declared as application/json")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, nil, errors.New("the answer did not arrive in whole") // and not err: it names addresses of this network
	}
	if len(body) > maxDocument {
		return nil, nil, fmt.Errorf("the document is longer than %d bytes", maxDocument)
	}
	return body, resp.Header, nil
}

// errNotPublic is why a document is not fetched.
var errNotPublic = errors.New("the address is not on the public internet")

// publicAddress refuses all but global unicast addresses that are routed on
// the public internet (IANA's special-purpose registries), and those that lead
// back to IPv4 by translation.
func publicAddress(addr netip.Addr) error {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.Zone() != "" || !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return errNotPublic
	}
	for _, prefix := range specialPrefixes() {
		if prefix.Contains(addr) {
			return errNotPublic
		}
	}
	if addr.Is6() && !netip.MustParsePrefix("2000::/3").Contains(addr) { // so no NAT64 either
		return errNotPublic
	}
	return nil
}

// specialPrefixes are those that IsGlobalUnicast and IsPrivate let pass.
func specialPrefixes() []netip.Prefix {
	var prefixes []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8",         // this network
		"100.64.0.0/10",     // carrier-grade NAT, and a cloud's metadata
		"168.63.129.16/32",  // a cloud's metadata
		"192.0.0.0/24",      // protocol assignments, and a cloud's metadata
		"192.0.2.0/24",      // documentation
		"192.31.196.0/24",   // AS112
		"192.52.193.0/24",   // AMT
		"192.88.99.0/24",    // 6to4 relays
		"192.175.48.0/24",   // AS112
		"198.18.0.0/15",     // benchmarks
		"198.51.100.0/24",   // documentation
		"203.0.113.0/24",    // documentation
		"240.0.0.0/4",       // reserved, and broadcast
		"2001::/23",         // protocol assignments: Teredo, ORCHID and others
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4: an IPv4 address inside
		"2620:4f:8000::/48", // AS112
		"3fff::/20",         // documentation
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(s))
	}
	return prefixes
}
