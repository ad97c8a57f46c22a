package auth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestAuth5Scopes(t *testing.T) {
	for _, tc := range []struct {
		names string
		want  string
		known bool
	}{
		{"", "", true},
		{"chat:read", "chat:read", true},
		{"chat:write", "chat:read chat:write", true}, // includes reading
		{"notify  chat:read notify", "chat:read notify", true},
		{"logs:write logs:read", "logs:read logs:write", true},
		{"admin", "chat:read chat:write notify logs:read logs:write admin", true}, // includes all
		{"offline_access chat:read", "chat:read", false},
		{"Chat:read chat:*", "", false},
	} {
		got, known := ParseScopes(tc.names)
		if got.String() != tc.want || known != tc.known {
			t.Errorf("%q: %q, %t", tc.names, got, known)
		}
		if again, _ := ParseScopes(got.String()); again != got {
			t.Errorf("%q: written and read %q", tc.names, again)
		}
		var read struct{ Scopes Scopes }
		value, err := json.Marshal(struct{ Scopes Scopes }{got})
		if err == nil {
			err = json.Unmarshal(value, &read)
		}
		if err != nil || read.Scopes != got {
			t.Errorf("%q: stored as %s: %q, %v", tc.names, value, read.Scopes, err)
		}
	}
	var s Scopes
	if err := s.UnmarshalText([]byte("chat:read root")); err == nil || s != 0 || !strings.Contains(err.Error(), "chat:read chat:write") {
		t.Errorf("%q, %v", s, err)
	}
	if got := ScopesEveryday.Names(); !slices.Equal(got, []string{"chat:read", "chat:write", "notify"}) {
		t.Errorf("every day: %q", got)
	}
}

// What is allowed is what both the token and the role allow.
func TestAuth5AllowedIsScopeAndRole(t *testing.T) {
	for _, tc := range []struct {
		scopes  Scopes
		role    Role
		needed  Scopes
		missing string
	}{
		{ScopeChatRead, RoleMember, ScopeChatRead, ""},
		{ScopeChatWrite, RoleMember, ScopeChatRead, ""},
		{ScopeNotify, RoleMember, ScopeChatRead | ScopeNotify, "chat:read"},
		{ScopesEveryday, RoleMember, ScopesEveryday | ScopeLogsWrite, "logs:write"},
		{ScopeAdmin, RoleMember, ScopeLogsRead | ScopeLogsWrite | ScopesEveryday, ""},
		{ScopeAdmin, RoleAdmin, ScopeAdmin, ""},
		{ScopeAdmin, "", ScopeChatRead, "chat:read"},
		{0, RoleAdmin, ScopeChatRead, "chat:read"},
	} {
		got := Identity{Scopes: tc.scopes, Role: tc.role}.Missing(tc.needed)
		if got.String() != tc.missing {
			t.Errorf("%+v: missing %q", tc, got)
		}
	}
	// The admin scope's names are all there for a member, but not its own right.
	if missing := (Identity{Scopes: ScopeAdmin, Role: RoleMember}).Missing(ScopeAdmin); missing == 0 {
		t.Error("a member is an administrator by scope")
	}
	if missing := (Identity{Scopes: ScopesEveryday, Role: RoleAdmin}).Missing(ScopeAdmin); missing == 0 {
		t.Error("an administrator's token is good for more than its scopes")
	}
}
