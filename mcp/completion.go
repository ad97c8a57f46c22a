package mcp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/hub"
)

// CompletePromptArgument completes the names of rooms and people.
func (w *wigwag) CompletePromptArgument(ctx context.Context, prompt string, arg mcp.CompleteArgument, given mcp.CompleteContext) (*mcp.Completion, error) {
	switch {
	case arg.Name == "room" && (prompt == "catch_up" || prompt == "hand_off"):
		return w.complete(ctx, arg.Value, roomName)
	case arg.Name == "to" && prompt == "hand_off":
		room := given.Arguments["room"]
		return w.complete(ctx, arg.Value, func(r hub.Room) []string {
			if room != "" && r.Name != room && r.Kind != hub.Direct {
				return nil
			}
			return r.Members
		})
	}
	return nil, fmt.Errorf("%w: no argument %q of a prompt %q", mcp.ErrInvalidParams, arg.Name, prompt)
}

// CompleteResourceArgument completes the names of rooms, and of the parties of
// direct rooms.
func (w *wigwag) CompleteResourceArgument(ctx context.Context, template string, arg mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	switch {
	case arg.Name == "room" && template == roomURI:
		return w.complete(ctx, arg.Value, roomName)
	case template == directURI && (arg.Name == "first" || arg.Name == "second"):
		return w.complete(ctx, arg.Value, func(r hub.Room) []string {
			if r.Kind != hub.Direct {
				return nil
			}
			if arg.Name == "first" {
				return r.Members[:1]
			}
			return r.Members[1:]
		})
	}
	return nil, fmt.Errorf("%w: no argument %q of a template %q", mcp.ErrInvalidParams, arg.Name, template)
}

func roomName(r hub.Room) []string { return []string{r.Name} }

// complete collects names from the rooms the actor may see: those that begin
// with what was typed, sorted, at most 100.
func (w *wigwag) complete(ctx context.Context, typed string, names func(hub.Room) []string) (*mcp.Completion, error) {
	rooms, err := w.hub.Rooms(ctx, w.actor(ctx))
	if err != nil {
		return nil, err
	}
	values := []string{}
	for _, room := range rooms {
		for _, name := range names(room) {
			if strings.HasPrefix(name, strings.ToLower(typed)) {
				values = append(values, name)
			}
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	total := len(values)
	values = values[:min(total, listed)]
	return &mcp.Completion{Values: values, Total: total, HasMore: total > len(values)}, nil
}
