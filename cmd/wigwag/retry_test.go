package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"wigwag/transport/sse"
)

// modern is a client of 2026-07-28, which knows neither sessions nor resuming:
// of a call whose answer it lost it can only make another one.
type modern struct {
	program *program
	auth    string
}

// post sends a call and returns its answer, not read yet.
func (m modern) post(ctx context.Context, t *testing.T, id int, tool, arguments string) *http.Response {
	t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{
		"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":%d}}}`, id, tool, arguments, id)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.program.url+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{m.auth, both, "Content-Type: application/json", "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: " + tool} {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := newClient(t).Do(req) // a connection of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// sentAnswer is what a sending tool says, as far as it matters here.
type sentAnswer struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	Duplicate bool   `json:"duplicate"`
}

// read reads an answer to its end.
func read(t *testing.T, resp *http.Response) (a sentAnswer) {
	t.Helper()
	var last []byte
	if strings.HasPrefix(resp.Header.Get("Content-Type"), sse.ContentType) {
		for r := sse.NewReader(resp.Body, 1<<20); ; {
			ev, err := r.Next()
			if err != nil {
				break
			}
			if len(ev.Data) > 0 {
				last = ev.Data
			}
		}
	} else {
		last, _ = io.ReadAll(resp.Body)
	}
	var reply struct {
		Result struct {
			IsError           bool
			StructuredContent json.RawMessage
		}
	}
	err := json.Unmarshal(last, &reply)
	if err == nil {
		err = json.Unmarshal(reply.Result.StructuredContent, &a)
	}
	if err != nil || reply.Result.IsError {
		t.Fatalf("%d: %s: %v", resp.StatusCode, last, err)
	}
	return a
}

// TestRetryOn20260728: a client that makes a call again with the same
// idempotency key, because it lost the answer, makes no second message: be the
// first call over, cut off, or still running.
func TestRetryOn20260728(t *testing.T) {
	p := start(t, withPassword, "--memory")
	m := modern{p, login(t, newClient(t), p)}
	for _, tool := range []string{"send_message", "stream_message"} {
		for name, lose := range map[string]func(t *testing.T, arguments string) (first sentAnswer){
			"the answer is lost": func(t *testing.T, arguments string) sentAnswer {
				return read(t, m.post(t.Context(), t, 1, tool, arguments))
			},
			"the connection is cut": func(t *testing.T, arguments string) sentAnswer {
				ctx, cut := context.WithCancel(t.Context())
				resp := m.post(ctx, t, 1, tool, arguments)
				_, _ = resp.Body.Read(make([]byte, 1))
				cut()
				return sentAnswer{}
			},
		} {
			t.Run(tool+", "+name, func(t *testing.T) {
				text := tool + ", " + name
				arguments := fmt.Sprintf(`{"message":%q,"idempotency_key":%q}`, text, text)
				first := lose(t, arguments)
				again := read(t, m.post(t.Context(), t, 2, tool, arguments))
				if first != (sentAnswer{}) && (again.ID != first.ID || first.Duplicate || !again.Duplicate) {
					t.Errorf("first %+v, then %+v", first, again)
				}
				m.wantOnce(t, text, again.ID)
			})
		}
	}
	t.Run("the first is still running", func(t *testing.T) {
		const text = "one two three four five six seven eight"
		arguments := fmt.Sprintf(`{"message":%q,"interval_ms":50,"idempotency_key":"running"}`, text)
		running := m.post(t.Context(), t, 1, "stream_message", arguments)
		if _, err := sse.NewReader(running.Body, 1<<20).Next(); err != nil {
			t.Fatal(err)
		}
		// Answered only when the first is over, with what that stored.
		again := read(t, m.post(t.Context(), t, 2, "stream_message", arguments))
		if !again.Duplicate || again.Message != text {
			t.Errorf("the second answer is %+v", again)
		}
		if rest, err := io.ReadAll(running.Body); err != nil || !strings.Contains(string(rest), `"id":"`+again.ID+`"`) {
			t.Errorf("the first ended with %s, %v; want the message %s", rest, err, again.ID)
		}
		m.wantOnce(t, text, again.ID)
	})
}

// wantOnce checks that a text is in the room once, under that ID.
func (m modern) wantOnce(t *testing.T, text, id string) {
	t.Helper()
	page := body(t, m.post(t.Context(), t, 9, "read_messages", `{"limit":100}`))
	if n := strings.Count(page, fmt.Sprintf(`"message":%q`, text)); n != 1 || !strings.Contains(page, id) {
		t.Errorf("%q is there %d times; want it once, as %s:\n%s", text, n, id, page)
	}
}
