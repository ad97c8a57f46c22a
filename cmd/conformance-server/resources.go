package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func resources() []server.ServerResource {
	return []server.ServerResource{
		textResource("test://static-text", "Static text", "This is the content of the static text resource."),
		textResource("test://watched-resource", "Watched resource", "A resource to subscribe to."),
		resource("test://static-binary", "Static image", "image/png",
			mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: redPixelPNG}),
	}
}

func textResource(uri, name, text string) server.ServerResource {
	return resource(uri, name, "text/plain", mcp.TextResourceContents{URI: uri, MIMEType: "text/plain", Text: text})
}

func resource(uri, name, mimeType string, contents mcp.ResourceContents) server.ServerResource {
	return server.ServerResource{
		Resource: mcp.NewResource(uri, name, mcp.WithMIMEType(mimeType)),
		Handler: func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{contents}, nil
		},
	}
}

func dataTemplate() mcp.ResourceTemplate {
	return mcp.NewResourceTemplate("test://template/{id}/data", "Data by ID",
		mcp.WithTemplateDescription("Says its own ID."), mcp.WithTemplateMIMEType("application/json"))
}

func readData(_ context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	id, err := templateVariable(req, "id")
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(map[string]any{"id": id, "templateTest": true, "data": "Data for ID: " + id})
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{
		URI: req.Params.URI, MIMEType: "application/json", Text: string(data),
	}}, nil
}

// templateVariable returns the one value of a variable that the URI was matched with.
func templateVariable(req mcp.ReadResourceRequest, name string) (string, error) {
	values, ok := req.Params.Arguments[name].([]string)
	if !ok || len(values) != 1 {
		return "", fmt.Errorf("%s: want one value for {%s}, have %v", req.Params.URI, name, req.Params.Arguments[name])
	}
	return values[0], nil
}
