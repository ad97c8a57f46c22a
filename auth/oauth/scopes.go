package oauth

import (
	"slices"
	"strings"

	"wigwag/auth"
)

// scopeMeaning says what a client may do that has a scope. People read it.
func scopeMeaning(name string) string {
	return map[string]string{
		"chat:read":  "Read the messages of the rooms you can see",
		"chat:write": "Send messages as you, and open and manage rooms (includes reading)",
		"notify":     "Send notifications as you",
		"logs:read":  "Read the log",
		"logs:write": "Write to the log as you",
		"admin":      "Everything an administrator can do (includes all of the above)",
	}[name]
}

// parseScope returns the known ones of the scopes asked for (RFC 6749, section
// 3.3): zero if none is asked for. It is false when all of those asked for are
// unknown.
func parseScope(asked string) (scopes auth.Scopes, ok bool) {
	fields := slices.DeleteFunc(strings.Fields(asked), openIDScope)
	scopes, _ = auth.ParseScopes(strings.Join(fields, " "))
	return scopes, scopes != 0 || len(fields) == 0
}

// openIDScope reports what clients that know OpenID servers ask for by habit.
// It is passed over, as if it had not been named.
func openIDScope(name string) bool {
	return slices.Contains([]string{"openid", "profile", "email", "offline_access"}, name)
}
