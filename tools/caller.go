package tools

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// notifier is a session that loses nothing: Notify waits until the call's
// stream has room, and returns an error once nobody can be told any more. It
// also holds back log messages below the client's level.
type notifier interface {
	Notify(ctx context.Context, n mcp.JSONRPCNotification) error
}

// caller is the client of a running call, as far as it can be told something
// before the result. Being told is a courtesy: the result repeats it all, so a
// caller that is gone is no error and the call goes on without it.
type caller struct {
	token mcp.ProgressToken // nil if the caller wants no progress
	gone  bool
}

func newCaller(ctx context.Context, req mcp.CallToolRequest) *caller {
	c := &caller{gone: server.ClientSessionFromContext(ctx) == nil}
	if req.Params.Meta != nil {
		c.token = req.Params.Meta.ProgressToken
	}
	return c
}

// progress tells how far the call is, if the caller asked to be told. meta may
// be nil.
func (c *caller) progress(ctx context.Context, done, total int, message string, meta map[string]any) {
	if c.token == nil {
		return
	}
	c.notify(ctx, mcp.MethodNotificationProgress, meta, map[string]any{
		"progressToken": c.token,
		"progress":      done,
		"total":         total,
		"message":       message,
	})
}

// log sends a log message at the level info.
func (c *caller) log(ctx context.Context, data any) {
	c.notify(ctx, mcp.MethodNotificationMessage, nil, map[string]any{
		"level":  mcp.LoggingLevelInfo,
		"logger": "wigwag",
		"data":   data,
	})
}

func (c *caller) notify(ctx context.Context, method mcp.MCPMethod, meta, params map[string]any) {
	if c.gone {
		return
	}
	switch session := server.ClientSessionFromContext(ctx).(type) {
	case notifier:
		c.gone = session.Notify(ctx, mcp.JSONRPCNotification{
			JSONRPC: mcp.JSONRPC_VERSION,
			Notification: mcp.Notification{
				Method: string(method),
				Params: mcp.NotificationParams{Meta: meta, AdditionalFields: params},
			},
		}) != nil
	default:
		// mcp-go's own transports carry no _meta and drop what does not fit at
		// once; there is no more to be had from them.
		_ = server.ServerFromContext(ctx).SendNotificationToClient(ctx, string(method), params)
	}
}
