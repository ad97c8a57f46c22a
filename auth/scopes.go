package auth

import (
	"fmt"
	"strings"
)

// Scopes are what a token may be used for. The zero value is nothing.
type Scopes uint8

// The scopes there are. One that includes another holds its bit, too.
const (
	ScopeChatRead  Scopes = 1 << iota
	scopeChatWrite        // writing without reading is never given
	ScopeNotify
	ScopeLogsRead
	ScopeLogsWrite
	scopeAdmin

	ScopeChatWrite = ScopeChatRead | scopeChatWrite
	ScopeAdmin     = scopeAdmin | ScopeChatWrite | ScopeNotify | ScopeLogsRead | ScopeLogsWrite
	// ScopesEveryday are those of normal use, which a first challenge names.
	ScopesEveryday = ScopeChatWrite | ScopeNotify
)

// scopeNames are in the order in which they are written. Of two where one
// includes the other, both are: clients compare what they got with what they
// asked for.
var scopeNames = [...]struct {
	name   string
	scopes Scopes
}{
	{"chat:read", ScopeChatRead},
	{"chat:write", ScopeChatWrite},
	{"notify", ScopeNotify},
	{"logs:read", ScopeLogsRead},
	{"logs:write", ScopeLogsWrite},
	{"admin", ScopeAdmin},
}

// ParseScopes reads names that are separated by spaces (RFC 6749, section
// 3.3). Names it does not know are left out: known is false then.
func ParseScopes(s string) (scopes Scopes, known bool) {
	known = true
	for name := range strings.FieldsSeq(s) {
		one := scopeOf(name)
		scopes |= one
		known = known && one != 0
	}
	return scopes, known
}

func scopeOf(name string) Scopes {
	for _, s := range scopeNames {
		if s.name == name {
			return s.scopes
		}
	}
	return 0
}

// Names returns the names of all scopes that s includes.
func (s Scopes) Names() []string {
	var names []string
	for _, one := range scopeNames {
		if s.Include(one.scopes) {
			names = append(names, one.name)
		}
	}
	return names
}

// String returns the names, separated by spaces.
func (s Scopes) String() string { return strings.Join(s.Names(), " ") }

// Include reports whether s has all of other.
func (s Scopes) Include(other Scopes) bool { return s&other == other }

// MarshalText implements [encoding.TextMarshaler].
func (s Scopes) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It fails for names that
// are not known.
func (s *Scopes) UnmarshalText(text []byte) error {
	scopes, known := ParseScopes(string(text))
	if !known {
		return fmt.Errorf("scopes: must be of %s, separated by spaces", ScopeAdmin)
	}
	*s = scopes
	return nil
}

// Role is what a user is to the server.
type Role string

// The roles there are.
const (
	RoleAdmin  Role = "admin"  // may do all
	RoleMember Role = "member" // may do all but manage
)

// Scopes returns what the role allows at most.
func (r Role) Scopes() Scopes {
	switch r {
	case RoleAdmin:
		return ScopeAdmin
	case RoleMember:
		return ScopeAdmin &^ scopeAdmin
	default:
		return 0
	}
}

func checkRole(r Role) error {
	if r != RoleAdmin && r != RoleMember {
		return fmt.Errorf("role: must be %s or %s", RoleAdmin, RoleMember)
	}
	return nil
}
