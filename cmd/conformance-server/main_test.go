package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

// serve runs the program on a free port and returns the URL it prints. It is stopped, and must stop well, when the test ends.
func serve(t *testing.T) (url string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--addr", "127.0.0.1:0"}, stdout, t.Output())
		stdout.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func TestServe(t *testing.T) {
	c, err := client.NewStreamableHttpClient(serve(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Initialize(t.Context(), mcp.InitializeRequest{}); err != nil {
		t.Fatal(err)
	}
	call := mcp.CallToolRequest{}
	call.Params.Name = "test_tool_with_logging"
	result, err := c.CallTool(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if text := mcp.GetTextFromContent(result.Content[0]); text != "Logged." {
		t.Errorf("result %q", text)
	}
}

func TestForeignHostsAndOrigins(t *testing.T) {
	url := serve(t)
	for _, foreign := range []http.Header{{"Host": {"evil.example.com"}}, {"Origin": {"http://evil.example.com"}}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = foreign
		req.Host = foreign.Get("Host")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s, want 403", foreign, resp.Status)
		}
	}
}

func TestLoopbackOnly(t *testing.T) {
	err := run(t.Context(), []string{"--addr", "0.0.0.0:0"}, t.Output(), t.Output())
	if err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("error %v, want one about loopback", err)
	}
}
