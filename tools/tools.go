// Package tools is what a model can do in wigwag: MCP tools with typed
// arguments in and a result out. It holds no rules of its own about rooms and
// messages, those are the hub's.
//
// Every result says the same in its text and in its structured content,
// because clients show a model one or the other. What is read stays below
// 10,000 tokens unless the caller asks for more.
//
// Errors that the caller can mend are results too: they name the argument,
// what was wrong with it and what is allowed. Any other error is returned as a
// Go error and is the transport's to log and to hide.
package tools

import (
	"context"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/hub"
)

// New returns the tools over a hub. actor tells who is calling from the
// context of the call, where the verified token put it; no argument ever does.
func New(h *hub.Hub, actor func(context.Context) hub.Actor) []server.ServerTool {
	t := &toolset{hub: h, actor: actor}
	return []server.ServerTool{
		t.sendMessage(),
		t.streamMessage(),
		t.readMessages(),
		t.waitForMessages(),
		t.listRooms(),
		t.openRoom(),
		t.listPeople(),
		t.notify(),
		t.writeLog(),
	}
}

type toolset struct {
	hub   *hub.Hub
	actor func(context.Context) hub.Actor
}

// call is one call of a tool: who calls, with what, and how to tell it about
// progress.
type call struct {
	actor  hub.Actor
	args   *arguments
	caller *caller
}

// answer is what a tool has to say, in both forms.
type answer struct {
	text       string
	structured any
}

// tool joins a definition and the function that does the work. Errors of the
// hub and of the arguments become results that the model can act on.
func (t *toolset) tool(def mcp.Tool, do func(context.Context, call) (answer, error)) server.ServerTool {
	def.InputSchema.AdditionalProperties = false
	handler := func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		actor := t.actor(ctx)
		t.hub.Seen(actor)
		defer t.hub.Seen(actor) // a long call counts from its end, too
		args, err := parseArguments(req, def)
		if err == nil {
			var a answer
			a, err = do(ctx, call{actor: actor, args: args, caller: newCaller(ctx, req)})
			if err == nil {
				return mcp.NewToolResultStructured(a.structured, a.text), nil
			}
		}
		if mine, ok := errors.AsType[*hub.Error](err); ok {
			return mcp.NewToolResultError(visible(mine.Error())), nil
		}
		return nil, err
	}
	return server.ServerTool{Tool: def, Handler: handler}
}

// hints are what a tool says of itself.
type hints struct {
	readOnly   bool // changes nothing
	idempotent bool // the same call again changes nothing more
	openWorld  bool // exchanges texts with people and agents beyond the caller
}

func define(name, title, description string, h hints, options ...mcp.ToolOption) mcp.Tool {
	return mcp.NewTool(name, append([]mcp.ToolOption{
		mcp.WithToolTitle(title),
		mcp.WithDescription(description),
		mcp.WithToolAnnotation(mcp.ToolAnnotation{
			Title:           title,
			ReadOnlyHint:    &h.readOnly,
			DestructiveHint: new(false), // nothing here undoes or overwrites anything
			IdempotentHint:  &h.idempotent,
			OpenWorldHint:   &h.openWorld,
		}),
	}, options...)...)
}
