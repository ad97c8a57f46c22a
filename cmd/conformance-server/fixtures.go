package main

import (
	"github.com/mark3labs/mcp-go/server"
)

// A 1x1 red PNG and half a millisecond of silence as WAV, in base64.
const (
	redPixelPNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQMAAAAl21bKAAAAA1BMVEX/AAAZ4gk3AAAADklEQVR4nGJgAAQAAP//AAIAAUu7KZ8AAAAASUVORK5CYII="
	silenceWAV  = "UklGRigAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQQAAACAgICA"
)

// newMCPServer returns a server with every capability the suite looks for and every fixture it asks for.
func newMCPServer() *server.MCPServer {
	srv := server.NewMCPServer("wigwag-conformance", "1.0.0",
		server.WithToolCapabilities(true),
		server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true),
		server.WithLogging(),
		server.WithCompletions(),
		server.WithPromptCompletionProvider(argumentValues{}),
	)
	srv.AddTools(contentTools()...)
	srv.AddTools(notifyingTools(srv)...)
	srv.AddTools(protocolTools(srv)...)
	srv.AddTools(askingTools()...)
	srv.AddPrompts(prompts()...)
	srv.AddResources(resources()...)
	srv.AddResourceTemplate(dataTemplate(), readData)
	return srv
}
