package oauth

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxRedirect bounds a redirect URI, in bytes.
const maxRedirect = 1024

const redirectsAllowed = "allowed are https://…, http://127.0.0.1, http://[::1] or http://localhost with any port, and an app's own scheme such as cursor://…; without user name, password and fragment"

// checkRedirect says why a redirect URI cannot be one (RFC 9700, section 2.1,
// RFC 8252, section 7).
func checkRedirect(raw string) error {
	_, err := parseRedirect(raw)
	return err
}

// parseRedirect parses what a browser would understand in the same way: plain
// characters only, none of those that URL parsers differ over.
func parseRedirect(raw string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) {
		return nil, errors.New(why + "; " + redirectsAllowed)
	}
	if raw == "" || len(raw) > maxRedirect {
		return bad(fmt.Sprintf("it must have 1 to %d characters", maxRedirect))
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`\"<>^{|}`+"`", c) }) {
		return bad("it holds a character that must be percent-encoded")
	}
	if strings.Contains(raw, "#") {
		return bad("it has a fragment")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return bad("it is not a URL")
	case u.Scheme == "":
		return bad("it has no scheme")
	case u.Port() != "" && !validPort(u.Port()):
		return bad("its port is not a number from 1 to 65535")
	case u.User != nil || strings.Contains(u.Host, "@"):
		return bad("it has a user name")
	case u.Opaque != "" || (u.Host == "" && !strings.HasPrefix(u.Path, "/")):
		return bad("its scheme is not followed by / or //")
	}
	switch u.Scheme {
	case "https":
		if !webHost.MatchString(u.Host) {
			return bad("its host is not a name in ASCII (such as xn--… for others) or an address")
		}
	case "http":
		if !loopback(u) {
			return bad("plain http is for loopback addresses only")
		}
	default:
		if forbiddenScheme(u.Scheme) {
			return bad("the scheme " + u.Scheme + " cannot be an app's own")
		}
	}
	return u, nil
}

// webHost is a host that people can be shown: a name in ASCII, or an address.
// From others, which [url.Parse] takes percent-encoded, a browser makes names
// that look like somebody else's.
var webHost = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`)

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// forbiddenScheme reports schemes that browsers and systems understand
// themselves: a redirect there would run or open something.
func forbiddenScheme(scheme string) bool {
	return strings.HasPrefix(scheme, "ms-") || slices.Contains([]string{
		"about", "blob", "data", "feed", "file", "filesystem", "ftp", "ftps", "gopher", "intent", "jar", "javascript", "ldap", "mailto", "nfs",
		"resource", "search-ms", "sftp", "sms", "smb", "ssh", "tel", "telnet", "urn", "vbscript", "view-source", "ws", "wss",
	}, scheme)
}

// loopback reports whether u is plain http to this machine, by one of the three
// names that clients listen on.
func loopback(u *url.URL) bool {
	return u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, strings.ToLower(u.Hostname()))
}

// canonicalRedirect is equal for redirect URIs that count as the same: an empty
// path is "/", and on loopback any port will do, since a client learns only
// when it starts which one it gets (RFC 8252, section 7.3).
func canonicalRedirect(raw string) (string, error) {
	u, err := parseRedirect(raw)
	if err != nil {
		return "", err
	}
	if loopback(u) {
		port := u.Port()
		u.Host = strings.TrimSuffix(strings.TrimSuffix(u.Host, port), ":")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// redirectRegistered reports whether a redirect URI is one of those registered.
func redirectRegistered(asked string, registered []string) bool {
	want, err := canonicalRedirect(asked)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(registered, func(one string) bool {
		have, err := canonicalRedirect(one)
		return err == nil && have == want
	})
}

// redirectTo adds parameters to a redirect URI's own (RFC 6749, section 4.1.2).
func redirectTo(uri string, params url.Values) string {
	joint := "?"
	switch {
	case strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&"):
		joint = ""
	case strings.Contains(uri, "?"):
		joint = "&"
	}
	return uri + joint + params.Encode()
}

// redirectHost is what people are told of where they are sent.
func redirectHost(raw string) string {
	u, err := parseRedirect(raw)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "https":
		return u.Host
	case loopback(u):
		return "an app on this computer (" + u.Host + ")"
	default:
		return "the app that opens " + u.Scheme + ": addresses"
	}
}
