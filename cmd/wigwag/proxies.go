package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"wigwag/auth"
)

// proxies are those in front of the server that are believed when they say who
// a request comes from.
type proxies struct {
	nets []netip.Prefix
	only bool // nobody else may come, but from this machine: it would be in the clear
}

func parseProxies(list []string) ([]netip.Prefix, error) {
	var nets []netip.Prefix
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return nil, fmt.Errorf("--trusted-proxy %q must be an address, such as 10.0.0.2, or a network, such as 10.0.0.0/8", text)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		nets = append(nets, prefix.Masked())
	}
	return nets, nil
}

func (p proxies) trust(addr netip.Addr) bool {
	for _, n := range p.nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

type schemeKey struct{}

// byHTTPS tells whether a trusted proxy says that the request came to it by
// https.
func byHTTPS(r *http.Request) bool {
	scheme, _ := r.Context().Value(schemeKey{}).(string)
	return scheme == "https"
}

// handler gives every request the RemoteAddr of the client, for limits, logs
// and the audit, and the scheme it came by.
func (p proxies) handler(next http.Handler) http.Handler {
	if len(p.nets) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		from := peer.Addr().Unmap().WithZone("")
		switch {
		case err == nil && p.trust(from):
			next.ServeHTTP(w, p.forwarded(r, from))
		case p.only && !from.IsLoopback() && r.URL.Path != "/healthz" && r.URL.Path != "/readyz":
			auth.WriteProblem(w, http.StatusForbidden, "This is reached through a proxy only, by https.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// forwarded is a request as the proxy at an address got it.
func (p proxies) forwarded(r *http.Request, from netip.Addr) *http.Request {
	hops, scheme := r.Header.Values("X-Forwarded-For"), lastOf(r.Header.Values("X-Forwarded-Proto"))
	if len(hops) == 0 {
		hops = nil
		for _, element := range elements(r.Header.Values("Forwarded")) {
			hops = append(hops, parameter(element, "for"))
			if proto := parameter(element, "proto"); scheme == "" && proto != "" {
				scheme = proto
			}
		}
	}
	// Each proxy adds who it heard from, so the last one that no trusted proxy is
	// is the client. What stands before that, anybody can have written.
	all := elements(hops)
	for i := len(all) - 1; i >= 0 && p.trust(from); i-- {
		addr, ok := nodeAddr(all[i])
		if !ok {
			break
		}
		from = addr
	}
	r = r.WithContext(context.WithValue(r.Context(), schemeKey{}, strings.ToLower(scheme)))
	r.RemoteAddr = netip.AddrPortFrom(from, 0).String()
	return r
}

// elements are those of a header that is a list.
func elements(values []string) []string {
	var all []string
	for _, value := range values {
		for element := range strings.SplitSeq(value, ",") {
			all = append(all, strings.TrimSpace(element))
		}
	}
	return all
}

func lastOf(values []string) string {
	all := elements(values)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// parameter is one of an element of Forwarded (RFC 7239, section 4).
func parameter(element, name string) string {
	for pair := range strings.SplitSeq(element, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(key, name) {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// nodeAddr reads an address with or without a port, IPv6 in brackets or not.
func nodeAddr(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}
