package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// A PermitFunc tells whether the request, whose context it gets, may use a
// method. What the method is used on is the tool of tools/call, the prompt of
// prompts/get, the URI of resources/read, resources/subscribe and
// resources/unsubscribe, and "" for others; neither need exist. A refusal
// comes with the WWW-Authenticate header that says what would do.
type PermitFunc func(ctx context.Context, method, on string) (challenge string, ok bool)

// A PaceFunc counts a use of a method, as a [PermitFunc] is told of it, by the
// request whose context it gets. It returns 0, or how long to wait because there
// were too many; that one does not count.
type PaceFunc func(ctx context.Context, method, on string) time.Duration

// permitted refuses requests of which one is not permitted, before any of them
// has begun: with 403, and the challenge of the first (2025-11-25,
// authorization, "Scope Challenge Handling"). Of those that are it refuses all
// with 429 when one comes too soon.
func (s *Server) permitted(ctx context.Context, requests ...message) error {
	if s.permit != nil {
		if err := s.inScope(ctx, requests); err != nil {
			return err
		}
	}
	if s.pace == nil {
		return nil
	}
	for i := range requests {
		m := &requests[i]
		if wait := s.pace(ctx, m.method, m.on()); wait > 0 {
			return &fault{
				status: http.StatusTooManyRequests, code: codeRefused, id: m.id, reason: RefusedRate, retry: max(wait, time.Second),
				msg: "you send requests faster than one user may; wait as long as the header Retry-After says",
			}
		}
	}
	return nil
}

func (s *Server) inScope(ctx context.Context, requests []message) error {
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
