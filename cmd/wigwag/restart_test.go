package main

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestSessionsOutliveTheServer (checklist line 61): after a restart, and after a
// kill, a client goes on with the session, the token and the stream it has; a
// call that was running is answered with an error.
func TestSessionsOutliveTheServer(t *testing.T) {
	for name, sig := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			data, client := t.TempDir(), newClient(t)
			first, process := spawn(t, withPassword, "--data", data, "--drain-timeout", "1s")
			bearer := login(t, client, first)
			begun := request(t, client, "POST", first.url+"/mcp",
				`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`, bearer)
			session := "Mcp-Session-Id: " + begun.Header.Get("Mcp-Session-Id")
			body(t, begun)
			waiting := request(t, client, "POST", first.url+"/mcp",
				`{"jsonrpc":"2.0","id":"wait","method":"tools/call","params":{"name":"stream_message","arguments":{"room":"general","message":"one two three four five six seven eight nine ten","interval_ms":2000},"_meta":{"progressToken":"p"}}}`,
				bearer, session, "Accept: application/json, text/event-stream")
			id := make([]byte, 64)
			n, err := waiting.Body.Read(id)
			if err != nil {
				t.Fatal(err)
			}
			prime, _, _ := strings.Cut(strings.TrimPrefix(string(id[:n]), "id: "), "\n")

			if err := process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			<-first.exited
			client.CloseIdleConnections()
			second := start(t, withPassword, "--data", data, "--addr", strings.TrimPrefix(first.url, "http://"))

			ping := request(t, client, "POST", second.url+"/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, bearer, session)
			if got := body(t, ping); ping.StatusCode != http.StatusOK || !strings.Contains(got, `"result"`) {
				t.Errorf("the session is answered with %d %s", ping.StatusCode, got)
			}
			rest := request(t, client, "GET", second.url+"/mcp", "", bearer, session, "Accept: text/event-stream", "Last-Event-ID: "+prime)
			if got := body(t, rest); rest.StatusCode != http.StatusOK || !strings.Contains(got, `"id":"wait","error"`) {
				t.Errorf("the call that was cut off is answered with %d %s", rest.StatusCode, got)
			}
			messages := request(t, client, "POST", second.url+"/mcp",
				`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"read_messages","arguments":{"room":"general"}}}`, bearer, session)
			if got := body(t, messages); strings.Contains(got, "one two") {
				t.Errorf("the message that never ended is stored: %s", got)
			}
		})
	}
}
