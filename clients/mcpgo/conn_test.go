// Package mcpgo drives the built program with mcp-go's client: every revision
// it speaks, over Streamable HTTP and over HTTP+SSE.
package mcpgo

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/clients/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// The revisions the client speaks. The oldest goes over HTTP+SSE.
const (
	modern = "2026-07-28"
	oldest = "2024-11-05"
)

func everyRevision() []string {
	return []string{modern, "2025-11-25", "2025-06-18", "2025-03-26", oldest}
}

// revisionsWithResume are those in which a stream can be taken up again.
func revisionsWithResume() []string {
	return []string{"2025-11-25", "2025-06-18", "2025-03-26"}
}

// patience bounds every wait of a test.
const patience = time.Minute

// conn is a connected client that notes what it is told.
type conn struct {
	*client.Client
	updates chan string // URIs of updated resources
	other   chan string // methods of the notifications that are neither updates nor progress

	mu       sync.Mutex
	progress []progress // guarded by mu; of all calls, as it came
}

// progress is one notification of it.
type progress struct {
	token    string
	progress float64
	total    float64
	message  string
	partial  map[string]any // of _meta
}

// connect opens a connection in exactly the given revision, ended with the test.
func connect(t *testing.T, url, token, revision string) *conn {
	t.Helper()
	headers := map[string]string{"Authorization": "Bearer " + token}
	silent := slog.New(slog.DiscardHandler)
	var wire transport.Interface
	var err error
	switch revision {
	case oldest:
		wire, err = transport.NewSSE(url+"/sse", transport.WithHeaders(headers), transport.WithSSELogger(silent))
	case modern:
		wire, err = transport.NewStreamableHTTP(url+"/mcp", transport.WithHTTPHeaders(headers),
			transport.WithHTTPLogger(silent))
	default:
		wire, err = transport.NewStreamableHTTP(url+"/mcp", transport.WithHTTPHeaders(headers),
			transport.WithHTTPLogger(silent), transport.WithContinuousListening())
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{
		Client:  client.NewClient(wire, client.WithProtocolVersion(revision)),
		updates: make(chan string, 100),
		other:   make(chan string, 100),
	}
	c.OnNotification(c.note)
	t.Cleanup(func() { c.Close() })
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Initialize(bounded(t), mcp.InitializeRequest{Params: mcp.InitializeParams{
		ClientInfo: mcp.Implementation{Name: "mcp-go", Version: "1"},
	}})
	if err != nil {
		t.Fatalf("initialize: %v", err)
	}
	if c.ProtocolVersion() != revision {
		t.Fatalf("revision %s was negotiated, want %s", c.ProtocolVersion(), revision)
	}
	return c
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// note runs on the goroutine that reads the stream, before whatever comes next
// on it is handled.
func (c *conn) note(n mcp.JSONRPCNotification) {
	fields := n.Params.AdditionalFields
	switch n.Method {
	case "notifications/progress":
		p := progress{token: fmt.Sprint(fields["progressToken"])}
		p.progress, _ = fields["progress"].(float64)
		p.total, _ = fields["total"].(float64)
		p.message, _ = fields["message"].(string)
		p.partial, _ = n.Params.Meta["wigwag/partial"].(map[string]any)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.progress = append(c.progress, p)
	case "notifications/resources/updated":
		uri, _ := fields["uri"].(string)
		c.updates <- uri
	default:
		c.other <- n.Method
	}
}

// noted is the progress so far of the call with a token.
func (c *conn) noted(token string) []progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	var of []progress
	for _, p := range c.progress {
		if p.token == token {
			of = append(of, p)
		}
	}
	return of
}

// interleaved reports whether progress of each of two calls came after the
// first of the other.
func (c *conn) interleaved(a, b string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, last := map[string]int{}, map[string]int{}
	for i, p := range c.progress {
		if _, ok := first[p.token]; !ok {
			first[p.token] = i
		}
		last[p.token] = i
	}
	return first[a] < last[b] && first[b] < last[a]
}

func toolCall(tool, token string, args map[string]any) mcp.CallToolRequest {
	req := mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool, Arguments: args}}
	if token != "" {
		req.Params.Meta = &mcp.Meta{ProgressToken: token}
	}
	return req
}

// call calls a tool that must succeed. It returns the structured result and the
// text, which must both be there.
func (c *conn) call(t *testing.T, tool, token string, args map[string]any) (map[string]any, string) {
	t.Helper()
	result, err := c.CallTool(bounded(t), toolCall(tool, token, args))
	if err != nil {
		t.Errorf("%s: %v", tool, err)
		return nil, ""
	}
	var text strings.Builder
	for _, content := range result.Content {
		if part, ok := content.(mcp.TextContent); ok {
			text.WriteString(part.Text)
		}
	}
	if result.IsError {
		t.Errorf("%s: the tool failed: %s", tool, text.String())
	}
	structured, ok := result.StructuredContent.(map[string]any)
	if !ok || text.Len() == 0 {
		t.Errorf("%s: structured result %v, text %q; want both", tool, result.StructuredContent, text.String())
	}
	return structured, text.String()
}

// texts reads a room from its beginning.
func (c *conn) texts(t *testing.T, room string) []string {
	t.Helper()
	result, _ := c.call(t, "read_messages", "", map[string]any{"room": room, "after": "0"})
	return textsOf(t, result)
}

func textsOf(t *testing.T, result map[string]any) []string {
	t.Helper()
	messages, ok := result["messages"].([]any)
	if !ok {
		t.Fatalf("no list of messages in %v", result)
	}
	texts := []string{}
	for _, m := range messages {
		message, _ := m.(map[string]any)
		text, _ := message["message"].(string)
		texts = append(texts, text)
	}
	return texts
}

// await returns the next of what is told, or fails.
func await(t *testing.T, what string, told <-chan string) string {
	t.Helper()
	select {
	case got := <-told:
		return got
	case <-bounded(t).Done():
		t.Fatalf("%s did not come", what)
		return ""
	}
}
