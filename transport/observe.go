package transport

import (
	"encoding/json"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// Observer is told what the server does. Its methods are called from many
// goroutines and must not block. What it is told comes from small, fixed sets,
// never from a client's text.
type Observer interface {
	// Call tells of a call that has ended: its method, "other" for one that is
	// not MCP's; the tool, of tools/call only, "other" for one that the server
	// does not have; the outcome, one of [OutcomeOK], [OutcomeToolError],
	// [OutcomeError] and [OutcomeCancelled].
	Call(method, tool, outcome string, took time.Duration)
	// Refused tells why something was not let in.
	Refused(reason string)
	// Replayed tells that a client resumed a stream and got so many events again.
	Replayed(events int)
}

// Outcomes of calls.
const (
	OutcomeOK        = "ok"
	OutcomeToolError = "tool_error" // a tool's result with isError
	OutcomeError     = "error"      // a JSON-RPC error
	OutcomeCancelled = "cancelled"
)

// Reasons of refusals.
const (
	RefusedCalls    = "calls"    // of the user, or of all
	RefusedStreams  = "streams"  // of the user, or of all
	RefusedSessions = "sessions" // of the user, or of all
	RefusedBody     = "body"     // too large
	RefusedMemory   = "memory"   // the server is short of it
	RefusedDraining = "draining"
	RefusedRevoked  = "revoked"
	RefusedScope    = "scope" // the token's do not allow it
	RefusedRate     = "rate"  // the user's requests come too fast
)

// Stats is what there is at one moment.
type Stats struct {
	Sessions int // of Streamable HTTP and of HTTP+SSE
	Streams  int // listening: GET, /sse, subscriptions/listen
	Calls    int // running
}

// Stats counts what there is now.
func (s *Server) Stats() Stats {
	s.sessions.mu.Lock()
	sessions := len(s.sessions.byID)
	s.sessions.mu.Unlock()
	s.quota.mu.Lock()
	defer s.quota.mu.Unlock()
	return Stats{Sessions: sessions, Streams: s.quota.streams, Calls: s.quota.calls}
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Call(string, string, string, time.Duration) {}
func (nobody) Refused(string)                             {}
func (nobody) Replayed(int)                               {}

// other stands for names that are not the server's own.
const other = "other"

// methods are those that are told by name.
var methods = map[string]bool{
	string(mcp.MethodInitialize): true, string(mcp.MethodPing): true, string(mcp.MethodServerDiscover): true,
	string(mcp.MethodToolsList): true, string(mcp.MethodToolsCall): true,
	string(mcp.MethodPromptsList): true, string(mcp.MethodPromptsGet): true,
	string(mcp.MethodResourcesList): true, string(mcp.MethodResourcesRead): true, string(mcp.MethodResourcesTemplatesList): true,
	string(mcp.MethodResourcesSubscribe): true, string(mcp.MethodResourcesUnsubscribe): true, string(mcp.MethodSubscriptionsListen): true,
	string(mcp.MethodSetLogLevel): true, string(mcp.MethodCompletionComplete): true,
}

// observe tells of a call that has ended.
func (c *call) observe(reply []byte) {
	if _, none := c.srv.observer.(nobody); none {
		return
	}
	method, tool, outcome := c.msg.method, "", OutcomeOK
	if !methods[method] {
		method = other
	}
	if method == string(mcp.MethodToolsCall) {
		tool = c.toolName()
	}
	switch {
	case reply == nil:
		outcome = OutcomeCancelled
	case c.code != 0:
		outcome = OutcomeError
	case c.toolFailed:
		outcome = OutcomeToolError
	}
	c.srv.observer.Call(method, tool, outcome, time.Since(c.began))
}

func (c *call) toolName() string {
	var p struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(c.msg.params, &p) != nil || c.srv.mcp.GetTool(p.Name) == nil {
		return other
	}
	return p.Name
}
