package oauth

import (
	"slices"
	"strings"
)

// Scope is something a client can be allowed to do.
type Scope struct {
	Name  string
	Means string // for people: what a client that has it may do
	// Usual is for those of normal use: what a client gets that asks for none.
	Usual bool
}

// Scopes returns all scopes there are.
func Scopes() []Scope {
	return []Scope{
		{"chat:read", "Read the messages of the rooms you can see", true},
		{"chat:write", "Send messages as you, open rooms and manage those you own", true},
		{"notify", "Send notifications as you", true},
		{"logs:read", "Read the log", false},
		{"logs:write", "Write to the log as you", false},
		{"admin", "Do everything an administrator can", false},
	}
}

// usualScopes and scopeNames are in the order of [Scopes].
func usualScopes() []string { return names(func(s Scope) bool { return s.Usual }) }
func scopeNames() []string  { return names(func(Scope) bool { return true }) }

func names(which func(Scope) bool) []string {
	var names []string
	for _, s := range Scopes() {
		if which(s) {
			names = append(names, s.Name)
		}
	}
	return names
}

// openIDScopes are what OpenID clients and those that know OpenID servers ask
// for by habit. They are passed over, as if they had not been named.
func openIDScope(name string) bool {
	return slices.Contains([]string{"openid", "profile", "email", "offline_access"}, name)
}

// parseScope returns the known ones of the scopes asked for (RFC 6749, section
// 3.3), in the order of [Scopes]; the usual ones if none is asked for. It is
// false when all of those asked for are unknown.
func parseScope(asked string) ([]string, bool) {
	fields := slices.DeleteFunc(strings.Fields(asked), openIDScope)
	if len(fields) == 0 {
		return usualScopes(), true
	}
	known := intersect(scopeNames(), fields)
	return known, len(known) > 0
}

// intersect returns what is in both, in a's order.
func intersect(a, b []string) []string {
	var both []string
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}
