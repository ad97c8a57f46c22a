package main

import (
	"context"
	"slices"
	"testing"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/tools"
)

// Every tool says what a token has to be good for, and nothing else does.
func TestEveryToolHasAScope(t *testing.T) {
	scopes := toolScopes()
	var names []string
	for _, tool := range tools.New(nil, func(context.Context) hub.Actor { return hub.Actor{} }) {
		names = append(names, tool.Tool.Name)
		if scopes[tool.Tool.Name] == 0 {
			t.Errorf("%s has no scope", tool.Tool.Name)
		}
		if readOnly := tool.Tool.Annotations.ReadOnlyHint; readOnly != nil && *readOnly != (scopes[tool.Tool.Name] == auth.ScopeChatRead) {
			t.Errorf("%s only reads: %t, and needs %s", tool.Tool.Name, *readOnly, scopes[tool.Tool.Name])
		}
	}
	for name := range scopes {
		if !slices.Contains(names, name) {
			t.Errorf("there is no tool %s", name)
		}
	}
}

func TestNeededScopes(t *testing.T) {
	p := &permission{methods: methodScopes(), tools: toolScopes()}
	for _, c := range []struct {
		method, on string
		want       auth.Scopes
	}{
		{"initialize", "", 0},
		{"ping", "", 0},
		{"tools/call", "send_message", auth.ScopeChatWrite},
		{"tools/call", "write_log", auth.ScopeLogsWrite},
		{"tools/call", "ping", auth.ScopeChatRead},
		{"tools/call", "", auth.ScopeChatRead},
		{"ping/pong", "send_message", auth.ScopeChatRead},
		{"resources/read", "wigwag://rooms/x", auth.ScopeChatRead},
		{"subscriptions/listen", "", auth.ScopeChatRead},
	} {
		if got := p.needed(c.method, c.on); got != c.want {
			t.Errorf("%s %s needs %q, want %q", c.method, c.on, got, c.want)
		}
	}
}
