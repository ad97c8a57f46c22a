package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/transport"
)

// A step is the time between two things a tool does, long enough for a client to see them apart.
const step = 50 * time.Millisecond

// reconnectAfter is the `retry:` the client gets before its connection is closed, and resultAfter is how long
// test_reconnection then still works: the result finds the client away or already back, and must reach it in both cases.
const (
	reconnectAfter = 50 * time.Millisecond
	resultAfter    = 100 * time.Millisecond
)

// contentTools return one fixed result each: every kind of content, and an error.
func contentTools() []server.ServerTool {
	image := mcp.NewImageContent(redPixelPNG, "image/png")
	return []server.ServerTool{
		fixed("test_simple_text", "Returns one text.",
			mcp.NewToolResultText("This is a simple text response for testing.")),
		fixed("test_image_content", "Returns one image.",
			&mcp.CallToolResult{Content: []mcp.Content{image}}),
		fixed("test_audio_content", "Returns one sound.",
			&mcp.CallToolResult{Content: []mcp.Content{mcp.NewAudioContent(silenceWAV, "audio/wav")}}),
		fixed("test_embedded_resource", "Returns one embedded resource.",
			&mcp.CallToolResult{Content: []mcp.Content{
				embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."),
			}}),
		fixed("test_multiple_content_types", "Returns a text, an image and a resource.",
			&mcp.CallToolResult{Content: []mcp.Content{
				mcp.NewTextContent("Multiple content types test:"),
				image,
				embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`),
			}}),
		fixed("test_error_handling", "Fails on purpose.",
			mcp.NewToolResultError("This tool intentionally returns an error for testing")),
	}
}

// notifyingTools send something of their own before their result.
func notifyingTools(srv *server.MCPServer) []server.ServerTool {
	return []server.ServerTool{
		{
			Tool:    mcp.NewTool("test_tool_with_logging", mcp.WithDescription("Logs three messages, 50 ms apart.")),
			Handler: logSteps(srv, "Tool execution started", "Tool processing data", "Tool execution completed"),
		},
		{
			Tool:    mcp.NewTool("test_logging_tool", mcp.WithDescription("Logs one message, which only a request that names a log level may see.")),
			Handler: logSteps(srv, "Logging evaluated"),
		},
		{
			Tool:    mcp.NewTool("test_tool_with_progress", mcp.WithDescription("Reports progress 0, 50 and 100 of 100, 50 ms apart.")),
			Handler: reportProgress(srv),
		},
		{
			Tool:    mcp.NewTool("test_reconnection", mcp.WithDescription("Closes the connection in mid-call; the result is on the resumed stream.")),
			Handler: closeConnection,
		},
	}
}

// protocolTools exercise one rule of the protocol each.
func protocolTools(srv *server.MCPServer) []server.ServerTool {
	return []server.ServerTool{
		{
			Tool: mcp.NewToolWithRawSchema("json_schema_2020_12_tool", "Has an input schema with keywords of JSON Schema 2020-12.",
				json.RawMessage(schema2020)),
			Handler: text("The schema is what matters here."),
		},
		{
			Tool: mcp.NewTool("test_header_parameter", mcp.WithDescription("Has an argument that clients mirror in the header Mcp-Param-Region."),
				mcp.WithString("region", mcp.Description("Any text."), mirroredIn("Region"))),
			Handler: func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return mcp.NewToolResultText("region: " + req.GetString("region", "")), nil
			},
		},
		{
			Tool:    mcp.NewTool("test_missing_capability", mcp.WithDescription("Needs a client that declares sampling.")),
			Handler: needSampling,
		},
		{
			Tool:    mcp.NewTool("test_trigger_tool_change", mcp.WithDescription("Adds a tool and takes it away again.")),
			Handler: changeTools(srv),
		},
		{
			Tool:    mcp.NewTool("test_trigger_prompt_change", mcp.WithDescription("Adds a prompt and takes it away again.")),
			Handler: changePrompts(srv),
		},
	}
}

// schema2020 uses the keywords that a server could lose on the way to tools/list: references, composition, conditions.
const schema2020 = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"$defs": {
		"address": {
			"$anchor": "addressDef",
			"type": "object",
			"properties": {"street": {"type": "string"}, "city": {"type": "string"}}
		}
	},
	"properties": {
		"name": {"type": "string"},
		"address": {"$ref": "#/$defs/address"},
		"contactMethod": {"type": "string", "enum": ["phone", "email"]},
		"phone": {"type": "string"},
		"email": {"type": "string"}
	},
	"allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
	"if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
	"then": {"required": ["phone"]},
	"else": {"required": ["email"]},
	"additionalProperties": false
}`

func fixed(name, description string, result *mcp.CallToolResult) server.ServerTool {
	return server.ServerTool{
		Tool: mcp.NewTool(name, mcp.WithDescription(description)),
		Handler: func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return result, nil
		},
	}
}

func text(s string) server.ToolHandlerFunc {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(s), nil
	}
}

func embedded(uri, mimeType, text string) mcp.EmbeddedResource {
	return mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: uri, MIMEType: mimeType, Text: text})
}

func mirroredIn(header string) mcp.PropertyOption {
	return func(schema map[string]any) { schema["x-mcp-header"] = header }
}

// logSteps sends each message at level info, whatever level was asked for: leaving out what the client does not want is
// the library's and the transport's part, and is what the suite looks at.
func logSteps(srv *server.MCPServer, messages ...string) server.ToolHandlerFunc {
	return func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i, message := range messages {
			if i > 0 {
				if err := pause(ctx, step); err != nil {
					return nil, err
				}
			}
			log := mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "conformance", message)
			if err := srv.SendLogMessageToClient(ctx, log); err != nil {
				return nil, fmt.Errorf("log %q: %w", message, err)
			}
		}
		return mcp.NewToolResultText("Logged."), nil
	}
}

func reportProgress(srv *server.MCPServer) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		var token mcp.ProgressToken
		if req.Params.Meta != nil {
			token = req.Params.Meta.ProgressToken
		}
		for progress := 0; progress <= 100; progress += 50 {
			if progress > 0 {
				if err := pause(ctx, step); err != nil {
					return nil, err
				}
			}
			if token == nil {
				continue
			}
			params := map[string]any{"progressToken": token, "progress": progress, "total": 100}
			if err := srv.SendNotificationToClient(ctx, string(mcp.MethodNotificationProgress), params); err != nil {
				return nil, fmt.Errorf("progress %d: %w", progress, err)
			}
		}
		return mcp.NewToolResultText("Done."), nil
	}
}

func closeConnection(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	closed := transport.CloseConnection(ctx, reconnectAfter)
	if err := pause(ctx, resultAfter); err != nil {
		return nil, err
	}
	if !closed {
		return mcp.NewToolResultText("The connection of this request cannot be resumed, so it stayed open."), nil
	}
	return mcp.NewToolResultText("The connection was closed, and you are back."), nil
}

func needSampling(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if declared(ctx).Sampling == nil {
		return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
	}
	return mcp.NewToolResultText("This client declares sampling."), nil
}

func changeTools(srv *server.MCPServer) server.ToolHandlerFunc {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		srv.AddTools(fixed("test_passing_tool", "Is gone in a moment.", mcp.NewToolResultText("")))
		srv.DeleteTools("test_passing_tool")
		return mcp.NewToolResultText("The list of tools has changed."), nil
	}
}

func changePrompts(srv *server.MCPServer) server.ToolHandlerFunc {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		srv.AddPrompts(fixedPrompt("test_passing_prompt", "Is gone in a moment.", mcp.NewTextContent("")))
		srv.DeletePrompts("test_passing_prompt")
		return mcp.NewToolResultText("The list of prompts has changed."), nil
	}
}

// declared returns what the client behind ctx can do: as of 2026-07-28 each request says so, before that the session did.
func declared(ctx context.Context) mcp.ClientCapabilities {
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.ClientCapabilities != nil {
		return *info.ClientCapabilities
	}
	if session, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo); ok {
		return session.GetClientCapabilities()
	}
	return mcp.ClientCapabilities{}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
