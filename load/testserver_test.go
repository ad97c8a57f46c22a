package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/transport"
)

// testServerEnv, set to transport.Limits in JSON, makes the test binary a
// server instead.
const testServerEnv = "WIGWAG_LOAD_TEST_SERVER"

// Users of the test server. A bearer token is the user's name and, after a
// slash, the client's: sessions belong to both together, limits to the user.
const (
	alice          = "alice"
	bob            = "bob"
	aliceElsewhere = "alice/elsewhere"
)

// runTestServer serves the transport with the test tools until it is told to
// stop. It returns the exit code.
func runTestServer(limits string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	opts := transport.Options{Owner: bearer, Logger: logger}
	err := json.Unmarshal([]byte(limits), &opts.Limits)
	if err == nil {
		err = serveTests(ctx, opts)
	}
	if err != nil {
		logger.LogAttrs(ctx, slog.LevelError, "failed", slog.Any("error", err))
		return 1
	}
	return 0
}

func bearer(r *http.Request) transport.Owner {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	user, _, _ := strings.Cut(key, "/")
	return transport.Owner{User: user, Key: key}
}

func serveTests(ctx context.Context, opts transport.Options) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mcpServer, tools := newTestTools()
	t := transport.New(mcpServer, opts)
	tools.updated = func(uri string) { t.ResourceUpdated(uri, func(string) bool { return true }) }

	mux := http.NewServeMux()
	mux.HandleFunc("/mcp", t.ServeMCP)
	mux.HandleFunc("/sse", t.ServeSSE)
	mux.HandleFunc("/messages", t.ServeMessages)
	mux.HandleFunc("/goroutines", func(w http.ResponseWriter, _ *http.Request) {
		_ = pprof.Lookup("goroutine").WriteTo(w, 1)
	})
	httpServer := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols),
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: 10 * time.Second},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		// So that a reader that stops is soon felt.
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetWriteBuffer(64 << 10) // else it is felt later
			}
			return ctx
		},
	}
	httpServer.Protocols.SetHTTP1(true)
	httpServer.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(listener) }()
	opts.Logger.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("url", "http://"+listener.Addr().String()))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = t.Shutdown(stopping) // clients that were left stuck on purpose are cut off
	if err := httpServer.Close(); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// testTools are the tools of the test server.
type testTools struct {
	updated func(uri string)

	mu    sync.Mutex
	gates map[string]*gate // guarded by mu; of those that are held or were
	sent  int              // guarded by mu; notifications of bursts that were taken over
}

// gate is what calls of the tool hold wait at.
type gate struct {
	held  int
	ended int           // of those, the ones that were cancelled
	open  chan struct{} // closed by the tool release
}

func newTestTools() (*server.MCPServer, *testTools) {
	tools := &testTools{gates: make(map[string]*gate)}
	srv := server.NewMCPServer("load", "1", server.WithToolCapabilities(true), server.WithResourceCapabilities(true, true))
	for name, handler := range map[string]func(context.Context, mcp.CallToolRequest) (string, error){
		"burst": tools.burst, "burst_by_mcp_go": tools.burst, "sent": tools.countSent,
		"hold": tools.hold, "release": tools.release, "held": tools.countHeld,
		"fill": fill, "touch": tools.touch,
	} {
		srv.AddTool(mcp.NewTool(name), func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			text, err := handler(ctx, req)
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			return mcp.NewToolResultText(text), nil
		})
	}
	srv.AddTool(mcp.NewTool("ask"), ask)
	return srv, tools
}

// burst sends n notifications of progress with a message of size bytes, as fast
// as they are taken: through the session's Notify, which waits for room, or,
// as burst_by_mcp_go, through mcp-go's own sender, which does not.
func (tt *testTools) burst(ctx context.Context, req mcp.CallToolRequest) (string, error) {
	n, message := req.GetInt("n", 1), strings.Repeat("x", req.GetInt("size", 0))
	srv := server.ServerFromContext(ctx)
	session, ok := server.ClientSessionFromContext(ctx).(interface {
		Notify(ctx context.Context, n mcp.JSONRPCNotification) error
	})
	if !ok {
		return "", errors.New("the session has no Notify")
	}
	for i := range n {
		params := map[string]any{"progress": i + 1, "total": n, "message": message}
		if req.Params.Meta != nil {
			params["progressToken"] = req.Params.Meta.ProgressToken
		}
		var err error
		if req.Params.Name == "burst" {
			err = session.Notify(ctx, mcp.JSONRPCNotification{
				JSONRPC: mcp.JSONRPC_VERSION,
				Notification: mcp.Notification{
					Method: string(mcp.MethodNotificationProgress),
					Params: mcp.NotificationParams{AdditionalFields: params},
				},
			})
		} else {
			err = srv.SendNotificationToClient(ctx, string(mcp.MethodNotificationProgress), params)
		}
		if err != nil {
			return "", fmt.Errorf("notification %d: %w", i+1, err)
		}
		tt.mu.Lock()
		tt.sent++
		tt.mu.Unlock()
	}
	return fmt.Sprint(n), nil
}

func (tt *testTools) countSent(context.Context, mcp.CallToolRequest) (string, error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return fmt.Sprint(tt.sent), nil
}

func (tt *testTools) gateLocked(req mcp.CallToolRequest) *gate {
	name := req.GetString("gate", "")
	g := tt.gates[name]
	if g == nil {
		g = &gate{open: make(chan struct{})}
		tt.gates[name] = g
	}
	return g
}

// hold sends one notification of progress and then waits at a gate until it is
// released or the call is cancelled.
func (tt *testTools) hold(ctx context.Context, req mcp.CallToolRequest) (string, error) {
	if _, err := tt.burst(ctx, req); err != nil {
		return "", err
	}
	tt.mu.Lock()
	g := tt.gateLocked(req)
	g.held++
	tt.mu.Unlock()
	select {
	case <-g.open:
		return "released", nil
	case <-ctx.Done():
		tt.mu.Lock()
		defer tt.mu.Unlock()
		g.ended++
		return "", context.Cause(ctx)
	}
}

func (tt *testTools) release(_ context.Context, req mcp.CallToolRequest) (string, error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	close(tt.gateLocked(req).open)
	return "open", nil
}

// countHeld tells how many calls came to the gate and how many of them were
// cancelled there.
func (tt *testTools) countHeld(_ context.Context, req mcp.CallToolRequest) (string, error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	g := tt.gateLocked(req)
	return fmt.Sprintf("%d held, %d cancelled", g.held, g.ended), nil
}

// fill returns a text of size bytes.
func fill(_ context.Context, req mcp.CallToolRequest) (string, error) {
	return strings.Repeat("x", req.GetInt("size", 0)), nil
}

// touch says of each of n resources that it changed; see resourceURI.
func (tt *testTools) touch(_ context.Context, req mcp.CallToolRequest) (string, error) {
	for i := range req.GetInt("n", 0) {
		tt.updated(resourceURI(i))
	}
	return "touched", nil
}

// resourceURI is a long one, so that a few fill the buffers of a connection.
func resourceURI(i int) string { return fmt.Sprintf("load://%d/%s", i, strings.Repeat("x", 3<<9)) }

// ask asks the client for a word, with a request state to be returned, and
// repeats both.
func ask(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	answer, ok := req.Params.InputResponses["word"]
	if !ok {
		form := mcp.NewElicitationInputRequest(mcp.ElicitationParams{
			Message: "a word?", RequestedSchema: map[string]any{
				"type": "object", "properties": map[string]any{"word": map[string]any{"type": "string"}},
			},
		})
		return &mcp.CallToolResult{
			Result: mcp.Result{ResultType: mcp.ResultTypeInputRequired},
			MultiRoundTripResult: mcp.MultiRoundTripResult{
				InputRequests: mcp.InputRequests{"word": form}, RequestState: "the state",
			},
		}, nil
	}
	if err := answer.DecodeFor(mcp.MethodElicitationCreate); err != nil {
		return nil, err
	}
	word, err := json.Marshal(answer.Elicitation.Content)
	if err != nil {
		return nil, err
	}
	return mcp.NewToolResultText(fmt.Sprintf("%s %s", req.Params.RequestState, word)), nil
}
