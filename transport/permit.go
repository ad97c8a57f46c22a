package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// A PermitFunc tells whether the request, whose context it gets, may use a
// method. What the method is used on is the tool of tools/call, the prompt of
// prompts/get, the URI of resources/read, resources/subscribe and
// resources/unsubscribe, and "" for others; neither need exist. A refusal
// comes with the WWW-Authenticate header that says what would do.
type PermitFunc func(ctx context.Context, method, on string) (challenge string, ok bool)

// permitted refuses requests of which one is not permitted, before any of them
// has begun: with 403, and the challenge of the first (2025-11-25,
// authorization, "Scope Challenge Handling").
func (s *Server) permitted(ctx context.Context, requests ...message) error {
	if s.permit == nil {
		return nil
	}
	for i := range requests {
		m := &requests[i]
		if challenge, ok := s.permit(ctx, m.method, m.on()); !ok {
			return &fault{
				status: http.StatusForbidden, code: codeRefused, id: m.id, reason: RefusedScope, challenge: challenge,
				msg: "the token is not good for this: it lacks a scope, which the header WWW-Authenticate names",
			}
		}
	}
	return nil
}

// on is what the request's method is used on. It is read as mcp-go reads it:
// what cannot be read here, and is "", cannot be used there.
func (m *message) on() string {
	if m.tool.name != "" {
		return m.tool.name
	}
	if strings.HasPrefix(m.method, "resources/") {
		var p struct {
			URI string `json:"uri"`
		}
		_ = json.Unmarshal(m.params, &p)
		return p.URI
	}
	var p struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(m.params, &p)
	return p.Name
}
