package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// A question is a fixture that has no result before the client has answered. It is told in the way of 2026-07-28, as
// input_required results ([Multi Round-Trip Requests]); for clients of earlier revisions mcp-go turns the same requests into
// elicitation/create, sampling/createMessage and roots/list, so that each fixture serves every revision.
//
// [Multi Round-Trip Requests]: https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
type question struct {
	name, description string
	arguments         []mcp.ToolOption
	// rounds are asked one after the other.
	rounds []round
	// withState sends a requestState and wants it back: an answer without it counts as none, and more than one round needs it.
	// The transport signs it, so a state that arrives here is one that was sent.
	withState bool
	// preface begins the text of the result; the answers of the last round follow, as JSON.
	preface string
}

// A round returns what to ask the client for.
type round func(ctx context.Context, arguments map[string]any) mcp.InputRequests

// next returns what the client has to answer now, or, when all is answered, the text of the result.
func (q question) next(ctx context.Context, arguments map[string]any, from mcp.MultiRoundTripParams) (mcp.MultiRoundTripResult, string, error) {
	current, ok := q.answering(from.RequestState)
	if ok {
		answers, complete := answersTo(q.rounds[current](ctx, arguments), from.InputResponses)
		switch {
		case !complete: // ask this round again
		case current+1 < len(q.rounds):
			current++
		default:
			text, err := json.Marshal(answers)
			return mcp.MultiRoundTripResult{}, q.preface + string(text), err
		}
	}
	ask := mcp.MultiRoundTripResult{InputRequests: q.rounds[current](ctx, arguments)}
	if q.withState {
		ask.RequestState = strconv.Itoa(current)
	}
	return ask, "", nil
}

// answering returns the round that a request with this state answers; ok is false when it answers none.
func (q question) answering(state string) (current int, ok bool) {
	if !q.withState {
		return 0, true
	}
	current, err := strconv.Atoi(state)
	if err != nil || current < 0 || current >= len(q.rounds) {
		return 0, false
	}
	return current, true
}

// answersTo picks the answers to the requests, ignoring all others; complete is false when one is missing or malformed.
func answersTo(requests mcp.InputRequests, responses mcp.InputResponses) (answers mcp.InputResponses, complete bool) {
	answers = mcp.InputResponses{}
	for key, request := range requests {
		answer, ok := responses[key]
		if !ok || answer.DecodeFor(request.Method) != nil || !filled(answer) {
			return nil, false
		}
		answers[key] = answer
	}
	return answers, true
}

// filled reports whether an answer has the member that its kind cannot be without.
func filled(answer mcp.InputResponse) bool {
	switch {
	case answer.Elicitation != nil:
		return answer.Elicitation.Action != ""
	case answer.Sampling != nil:
		return answer.Sampling.Content != nil
	case answer.Roots != nil:
		return answer.Roots.Roots != nil
	default:
		return false
	}
}

func (q question) tool() server.ServerTool {
	return server.ServerTool{
		Tool: mcp.NewTool(q.name, append(q.arguments, mcp.WithDescription(q.description))...),
		Handler: func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			ask, text, err := q.next(ctx, req.GetArguments(), req.Params.MultiRoundTripParams)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.name, err)
			}
			if ask.InputRequests != nil {
				return &mcp.CallToolResult{Result: inputRequired(), MultiRoundTripResult: ask}, nil
			}
			return mcp.NewToolResultText(text), nil
		},
	}
}

func (q question) prompt() server.ServerPrompt {
	return server.ServerPrompt{
		Prompt: mcp.NewPrompt(q.name, mcp.WithPromptDescription(q.description)),
		Handler: func(ctx context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			ask, text, err := q.next(ctx, nil, req.Params.MultiRoundTripParams)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", q.name, err)
			}
			if ask.InputRequests != nil {
				return &mcp.GetPromptResult{Result: inputRequired(), MultiRoundTripResult: ask}, nil
			}
			return said(mcp.NewTextContent(text)), nil
		},
	}
}

func inputRequired() mcp.Result {
	return mcp.Result{ResultType: mcp.ResultTypeInputRequired}
}
