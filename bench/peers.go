package main

import (
	"context"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// burstText is the message of every notification.
const burstText = "one of two hundred"

// stockMCPGo is mcp-go's own StreamableHTTPServer, as it comes: no token is asked
// for, the Origin is not checked, bodies have no limit.
func stockMCPGo(string) (*backend, error) {
	s := server.NewMCPServer("bench", "1", server.WithToolCapabilities(false))
	s.AddTools(mcpTools()...)
	return plainBackend(server.NewStreamableHTTPServer(s)), nil
}

// mcpTools are echo and burst, for whatever transport is under mcp-go.
func mcpTools() []server.ServerTool {
	return []server.ServerTool{
		{
			Tool: mcp.NewTool("echo", mcp.WithString("text", mcp.Required())),
			Handler: func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				text, err := req.RequireString("text")
				if err != nil {
					return mcp.NewToolResultError(err.Error()), nil
				}
				return mcp.NewToolResultText(text), nil
			},
		},
		{Tool: mcp.NewTool("burst"), Handler: burst},
	}
}

// burst sends its notifications in the way that wigwag's tools do: by Notify
// where the session has it, otherwise by mcp-go's own sender, which drops what
// does not fit at once.
func burst(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	session, waits := server.ClientSessionFromContext(ctx).(interface {
		Notify(ctx context.Context, n mcp.JSONRPCNotification) error
	})
	for i := range notifications {
		params := map[string]any{
			"progressToken": req.Params.Meta.ProgressToken, "progress": i + 1, "total": notifications, "message": burstText,
		}
		if !waits {
			_ = server.ServerFromContext(ctx).SendNotificationToClient(ctx, string(mcp.MethodNotificationProgress), params) // what is dropped is counted by the client
			continue
		}
		if err := session.Notify(ctx, mcp.JSONRPCNotification{
			JSONRPC: mcp.JSONRPC_VERSION,
			Notification: mcp.Notification{
				Method: string(mcp.MethodNotificationProgress), Params: mcp.NotificationParams{AdditionalFields: params},
			},
		}); err != nil {
			return nil, err
		}
	}
	return mcp.NewToolResultText("done"), nil
}

// sdkModernPath is where the Go SDK serves 2026-07-28: its handler with sessions
// refuses that revision.
const sdkModernPath = "/stateless"

// stockGoSDK is the official Go SDK's streamable handler, as it comes: no token
// is asked for, and what it answers is always an SSE stream.
func stockGoSDK(string) (*backend, error) {
	s := sdk.NewServer(&sdk.Implementation{Name: "bench", Version: "1"}, nil)
	type echoArguments struct {
		Text string `json:"text"`
	}
	sdk.AddTool(s, &sdk.Tool{Name: "echo"}, func(_ context.Context, _ *sdk.CallToolRequest, in echoArguments) (*sdk.CallToolResult, any, error) {
		return sdkText(in.Text), nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "burst"}, func(ctx context.Context, req *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
		for i := range notifications {
			if err := req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{
				ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1), Total: notifications, Message: burstText,
			}); err != nil {
				return nil, nil, err
			}
		}
		return sdkText("done"), nil, nil
	})
	one := func(*http.Request) *sdk.Server { return s }
	mux := http.NewServeMux()
	mux.Handle("/mcp", sdk.NewStreamableHTTPHandler(one, nil))
	mux.Handle(sdkModernPath, sdk.NewStreamableHTTPHandler(one, &sdk.StreamableHTTPOptions{Stateless: true}))
	return plainBackend(mux), nil
}

func sdkText(text string) *sdk.CallToolResult {
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}
}
