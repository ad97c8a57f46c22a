package main

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// object is a JSON object: a schema, or a part of one.
type object = map[string]any

func askingTools() []server.ServerTool {
	var (
		userName    = form("What is your name?", object{"name": object{"type": "string"}}, "name")
		confirm     = form("Please confirm", object{"ok": object{"type": "boolean"}}, "ok")
		color       = form("Step 2: What is your favorite color?", object{"color": object{"type": "string"}}, "color")
		clientRoots = mcp.NewRootsInputRequest()
	)
	questions := []question{
		{
			name: "test_sampling", description: "Has the client's model answer a prompt.", preface: "LLM response: ",
			arguments: []mcp.ToolOption{mcp.WithString("prompt", mcp.Required(), mcp.Description("The prompt to send to the model."))},
			rounds: []round{func(_ context.Context, arguments map[string]any) mcp.InputRequests {
				return mcp.InputRequests{"response": sampling(stringArgument(arguments, "prompt"), 100)}
			}},
		},
		{
			name: "test_elicitation", description: "Asks the user for a name and an address.", preface: "User response: ",
			arguments: []mcp.ToolOption{mcp.WithString("message", mcp.Required(), mcp.Description("The message to show the user."))},
			rounds: []round{func(_ context.Context, arguments map[string]any) mcp.InputRequests {
				return mcp.InputRequests{"response": form(stringArgument(arguments, "message"), object{
					"username": object{"type": "string", "description": "User's response"},
					"email":    object{"type": "string", "description": "User's email address"},
				}, "username", "email")}
			}},
		},
		{
			name: "test_elicitation_sep1034_defaults", description: "Asks with a default for every primitive type.", preface: "Elicitation completed: ",
			rounds: []round{always(mcp.InputRequests{"response": form("Please review the values", defaultsOfEveryType())})},
		},
		{
			name: "test_elicitation_sep1330_enums", description: "Asks with every kind of choice.", preface: "Elicitation completed: ",
			rounds: []round{always(mcp.InputRequests{"response": form("Please choose", everyKindOfChoice())})},
		},
		{
			name: "test_streaming_elicitation", description: "Asks the user, but never by a request on the response stream of 2026-07-28.",
			rounds: []round{always(mcp.InputRequests{"user_name": userName})},
		},
		{
			name: "test_input_required_result_elicitation", description: "Asks the user for a name.", preface: "Hello, ",
			rounds: []round{always(mcp.InputRequests{"user_name": userName})},
		},
		{
			name: "test_input_required_result_sampling", description: "Asks the client's model.",
			rounds: []round{always(mcp.InputRequests{"capital_question": sampling("What is the capital of France?", 100)})},
		},
		{
			name: "test_input_required_result_list_roots", description: "Asks the client for its roots.",
			rounds: []round{always(mcp.InputRequests{"client_roots": clientRoots})},
		},
		{
			name: "test_input_required_result_request_state", description: "Asks, and wants its state back.", preface: "state-ok: ",
			withState: true,
			rounds:    []round{always(mcp.InputRequests{"confirm": confirm})},
		},
		{
			name: "test_input_required_result_tampered_state", description: "Asks, with a state that nobody but the server can make.",
			withState: true,
			rounds:    []round{always(mcp.InputRequests{"confirm": confirm})},
		},
		{
			name: "test_input_required_result_multiple_inputs", description: "Asks the user, the model and for the roots at once.",
			withState: true,
			rounds: []round{always(mcp.InputRequests{
				"user_name":    userName,
				"greeting":     sampling("Generate a greeting", 50),
				"client_roots": clientRoots,
			})},
		},
		{
			name: "test_input_required_result_multi_round", description: "Asks twice, one after the other.",
			withState: true,
			rounds: []round{
				always(mcp.InputRequests{"step1": form("Step 1: What is your name?", object{"name": object{"type": "string"}}, "name")}),
				always(mcp.InputRequests{"step2": color}),
			},
		},
		{
			name: "test_input_required_result_capabilities", description: "Asks only for what the client declares that it can do.",
			rounds: []round{func(ctx context.Context, _ map[string]any) mcp.InputRequests {
				can, ask := declared(ctx), mcp.InputRequests{}
				if can.Elicitation != nil {
					ask["user_name"] = userName
				}
				if can.Sampling != nil {
					ask["capital_question"] = sampling("What is the capital of France?", 100)
				}
				if can.Roots != nil {
					ask["client_roots"] = clientRoots
				}
				return ask
			}},
		},
	}
	tools := make([]server.ServerTool, len(questions))
	for i, q := range questions {
		tools[i] = q.tool()
	}
	return tools
}

func askingPrompt() server.ServerPrompt {
	return question{
		name: "test_input_required_result_prompt", description: "Asks the user before it is complete.", preface: "Context: ",
		rounds: []round{always(mcp.InputRequests{
			"user_context": form("What context should the prompt use?", object{"context": object{"type": "string"}}, "context"),
		})},
	}.prompt()
}

func always(requests mcp.InputRequests) round {
	return func(context.Context, map[string]any) mcp.InputRequests { return requests }
}

func form(message string, properties object, required ...string) mcp.InputRequest {
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return mcp.NewElicitationInputRequest(mcp.ElicitationParams{Message: message, RequestedSchema: schema})
}

func sampling(prompt string, maxTokens int) mcp.InputRequest {
	return mcp.NewSamplingInputRequest(mcp.CreateMessageParams{
		Messages:  []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(prompt)}},
		MaxTokens: maxTokens,
	})
}

func stringArgument(arguments map[string]any, name string) string {
	s, _ := arguments[name].(string)
	return s
}

func defaultsOfEveryType() object {
	return object{
		"name":     object{"type": "string", "default": "John Doe"},
		"age":      object{"type": "integer", "default": 30},
		"score":    object{"type": "number", "default": 95.5},
		"status":   object{"type": "string", "enum": []string{"active", "inactive", "pending"}, "default": "active"},
		"verified": object{"type": "boolean", "default": true},
	}
}

// everyKindOfChoice has one or many to choose, with and without titles, and titles in the old way.
func everyKindOfChoice() object {
	var (
		plain  = []string{"option1", "option2", "option3"}
		titled = []object{
			{"const": "value1", "title": "First"},
			{"const": "value2", "title": "Second"},
			{"const": "value3", "title": "Third"},
		}
	)
	return object{
		"untitledSingle": object{"type": "string", "enum": plain},
		"titledSingle":   object{"type": "string", "oneOf": titled},
		"legacyEnum":     object{"type": "string", "enum": []string{"opt1", "opt2"}, "enumNames": []string{"Option One", "Option Two"}},
		"untitledMulti":  object{"type": "array", "items": object{"type": "string", "enum": plain}},
		"titledMulti":    object{"type": "array", "items": object{"anyOf": titled}},
	}
}
