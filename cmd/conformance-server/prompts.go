package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func prompts() []server.ServerPrompt {
	return []server.ServerPrompt{
		fixedPrompt("test_simple_prompt", "Is one text.",
			mcp.NewTextContent("This is a simple prompt for testing.")),
		fixedPrompt("test_prompt_with_image", "Is an image and a text.",
			mcp.NewImageContent(redPixelPNG, "image/png"),
			mcp.NewTextContent("Please analyze the image above.")),
		{
			Prompt: mcp.NewPrompt("test_prompt_with_arguments", mcp.WithPromptDescription("Repeats its two arguments."),
				mcp.WithArgument("arg1", mcp.ArgumentDescription("First test argument."), mcp.RequiredArgument()),
				mcp.WithArgument("arg2", mcp.ArgumentDescription("Second test argument."), mcp.RequiredArgument())),
			Handler: func(_ context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				args := req.Params.Arguments
				return said(mcp.NewTextContent(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", args["arg1"], args["arg2"]))), nil
			},
		},
		{
			Prompt: mcp.NewPrompt("test_prompt_with_embedded_resource", mcp.WithPromptDescription("Embeds a resource under the given URI."),
				mcp.WithArgument("resourceUri", mcp.ArgumentDescription("URI of the resource to embed."), mcp.RequiredArgument())),
			Handler: func(_ context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				return said(
					embedded(req.Params.Arguments["resourceUri"], "text/plain", "Embedded resource content for testing."),
					mcp.NewTextContent("Please process the embedded resource above."),
				), nil
			},
		},
		askingPrompt(),
	}
}

func fixedPrompt(name, description string, contents ...mcp.Content) server.ServerPrompt {
	return server.ServerPrompt{
		Prompt: mcp.NewPrompt(name, mcp.WithPromptDescription(description)),
		Handler: func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return said(contents...), nil
		},
	}
}

// said returns one user message for each content.
func said(contents ...mcp.Content) *mcp.GetPromptResult {
	messages := make([]mcp.PromptMessage, len(contents))
	for i, content := range contents {
		messages[i] = mcp.NewPromptMessage(mcp.RoleUser, content)
	}
	return mcp.NewGetPromptResult("", messages)
}

// argumentValues completes the arguments of test_prompt_with_arguments.
type argumentValues struct{}

// CompletePromptArgument returns the known values that begin with what was typed so far.
func (argumentValues) CompletePromptArgument(
	_ context.Context, prompt string, argument mcp.CompleteArgument, _ mcp.CompleteContext,
) (*mcp.Completion, error) {
	matching := []string{}
	if prompt == "test_prompt_with_arguments" {
		for _, value := range []string{"paris", "park", "party", "test1", "test2"} {
			if strings.HasPrefix(value, argument.Value) {
				matching = append(matching, value)
			}
		}
	}
	return &mcp.Completion{Values: matching, Total: len(matching)}, nil
}
