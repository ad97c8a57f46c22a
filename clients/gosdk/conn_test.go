// Package gosdk drives the built program with the client of the official Go
// SDK: every revision it speaks, over Streamable HTTP and over HTTP+SSE. It is
// a module of its own, so that the program does not depend on the SDK.
package gosdk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

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
	*mcp.ClientSession
	updates chan string   // URIs of updated resources
	changes chan struct{} // changes of the list of resources

	mu       sync.Mutex
	progress []*mcp.ProgressNotificationParams // guarded by mu; of all calls, as it came
}

// bearer is a token that goes with every request.
type bearer string

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(req)
}

// connect opens a connection in exactly the given revision, ended with the test.
func connect(t *testing.T, url, token, revision string) *conn {
	t.Helper()
	c := &conn{updates: make(chan string, 100), changes: make(chan struct{}, 100)}
	client := mcp.NewClient(&mcp.Implementation{Name: "go-sdk", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.progress = append(c.progress, req.Params)
		},
		ResourceUpdatedHandler: func(_ context.Context, req *mcp.ResourceUpdatedNotificationRequest) {
			c.updates <- req.Params.URI
		},
		ResourceListChangedHandler: func(context.Context, *mcp.ResourceListChangedRequest) {
			c.changes <- struct{}{}
		},
	})
	signed := &http.Client{Transport: bearer(token)}
	var wire mcp.Transport = &mcp.StreamableClientTransport{Endpoint: url + "/mcp", HTTPClient: signed}
	if revision == oldest {
		wire = &mcp.SSEClientTransport{Endpoint: url + "/sse", HTTPClient: signed}
	}
	session, err := client.Connect(t.Context(), wire, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { session.Close() })
	if got := session.InitializeResult().ProtocolVersion; got != revision {
		t.Fatalf("revision %s was negotiated, want %s", got, revision)
	}
	c.ClientSession = session
	return c
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// noted is the progress so far of the call with a token.
func (c *conn) noted(token string) []*mcp.ProgressNotificationParams {
	c.mu.Lock()
	defer c.mu.Unlock()
	var of []*mcp.ProgressNotificationParams
	for _, p := range c.progress {
		if p.ProgressToken == token {
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
	first, last := map[any]int{}, map[any]int{}
	for i, p := range c.progress {
		if _, ok := first[p.ProgressToken]; !ok {
			first[p.ProgressToken] = i
		}
		last[p.ProgressToken] = i
	}
	return first[a] < last[b] && first[b] < last[a]
}

func toolCall(tool, token string, args map[string]any) *mcp.CallToolParams {
	params := &mcp.CallToolParams{Name: tool, Arguments: args}
	if token != "" {
		params.Meta = mcp.Meta{"progressToken": token}
	}
	return params
}

// result is what the tools' structured results hold, of all of them.
type result struct {
	ID        string `json:"id"`
	Room      string `json:"room"`
	StreamID  string `json:"stream_id"`
	Parts     int    `json:"parts"`
	Duplicate bool   `json:"duplicate"`
	Messages  []struct {
		Message string `json:"message"`
	} `json:"messages"`
}

func (r result) texts() []string {
	texts := []string{}
	for _, m := range r.Messages {
		texts = append(texts, m.Message)
	}
	return texts
}

// call calls a tool that must succeed. It returns the structured result and the
// text, which must both be there.
func (c *conn) call(t *testing.T, tool, token string, args map[string]any) (result, string) {
	t.Helper()
	var structured result
	answer, err := c.CallTool(bounded(t), toolCall(tool, token, args))
	if err != nil {
		t.Errorf("%s: %v", tool, err)
		return structured, ""
	}
	var text strings.Builder
	for _, content := range answer.Content {
		if part, ok := content.(*mcp.TextContent); ok {
			text.WriteString(part.Text)
		}
	}
	if answer.IsError {
		t.Errorf("%s: the tool failed: %s", tool, text.String())
		return structured, text.String()
	}
	raw, err := json.Marshal(answer.StructuredContent)
	if err == nil {
		err = json.Unmarshal(raw, &structured)
	}
	if err != nil || answer.StructuredContent == nil || text.Len() == 0 {
		t.Errorf("%s: structured result %s (%v), text %q; want both", tool, raw, err, text.String())
	}
	return structured, text.String()
}

// texts reads a room from its beginning.
func (c *conn) texts(t *testing.T, room string) []string {
	t.Helper()
	read, _ := c.call(t, "read_messages", "", map[string]any{"room": room, "after": "0"})
	return read.texts()
}

// words is a text of n words that all start with the given one.
func words(start string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%s%d ", start, i)
	}
	return strings.TrimSpace(text.String())
}

// poll asks until the answer is yes.
func poll(t *testing.T, what string, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !ask(); {
		select {
		case <-tick.C:
		case <-end:
			t.Errorf("%s did not come", what)
			return
		}
	}
}
