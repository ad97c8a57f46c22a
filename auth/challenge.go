package auth

import (
	"net/url"
	"strings"
)

// Challenge is a WWW-Authenticate header of the Bearer scheme (RFC 6750,
// section 3; RFC 9728, section 5.1).
type Challenge struct {
	Error       string // such as "invalid_token"; empty where no token was sent
	Description string // for people
	Scopes      Scopes // that the request needs
	Resource    string // the resource that was asked for, a URL; empty where there is no OAuth
}

// String returns the header's value. What cannot be in one is left out.
func (c Challenge) String() string {
	var params []string
	add := func(name, value string) {
		if value = quotable(value); value != "" {
			params = append(params, name+`="`+value+`"`)
		}
	}
	add("error", c.Error)
	add("error_description", c.Description)
	if c.Resource != "" {
		add("scope", c.Scopes.String())
		add("resource_metadata", MetadataURL(c.Resource))
	}
	return strings.TrimSuffix("Bearer "+strings.Join(params, ", "), " ")
}

// MetadataURL returns where the metadata of a resource is (RFC 9728, section
// 3.1): "/.well-known/oauth-protected-resource" goes between host and path. It
// is empty when the resource is not a URL.
func MetadataURL(resource string) string {
	u, err := url.Parse(resource)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/.well-known/oauth-protected-resource" + strings.TrimSuffix(u.EscapedPath(), "/")
}

// quotable returns what of s may be in a quoted value of a Bearer challenge
// (RFC 6750, section 3): printable ASCII without quotes and backslashes.
func quotable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, s)
}
