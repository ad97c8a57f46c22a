package transport_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/transport"
)

const (
	watchedURI = "test://watched"
	hiddenURI  = "test://hidden" // only alice may subscribe to it
)

// newMCPServer is the server behind the transport under test: one tool for
// each thing that a call can do to its client.
func newMCPServer(l *lab) *server.MCPServer {
	m := server.NewMCPServer("lab", "1",
		server.WithToolCapabilities(true), server.WithPromptCapabilities(true), server.WithResourceCapabilities(true, true),
		server.WithLogging(), server.WithCompletions(), server.WithInstructions("For tests."))
	tool := func(name string, handle server.ToolHandlerFunc, opts ...mcp.ToolOption) {
		m.AddTool(mcp.NewTool(name, opts...), handle)
	}
	tool("echo", echo, mcp.WithString("text"))
	tool("count", count(notify), mcp.WithNumber("to"))
	tool("count_by_mcp_go", count(notifyByMCPGo), mcp.WithNumber("to"))
	tool("log", logEveryLevel)
	tool("slow", l.slow, mcp.WithString("as"))
	tool("sample", sample)
	tool("elicit", elicit)
	tool("roots", roots)
	tool("ask", ask, mcp.WithString("topic"))
	tool("ask_all", askAll)
	tool("ask_again_later", askAgainLater)
	tool("ask_nothing", askNothing)
	tool("weather", weather, mcp.WithString("region", mirrored("Region")), mcp.WithInteger("days", mirrored("Days")))
	tool("need_sampling", needSampling)
	tool("fail", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, errors.New("the password is 1234")
	})
	tool("refuse", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultError("not today"), nil
	})
	tool("panic", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic("the password is 1234")
	})
	tool("not_json", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{}, StructuredContent: math.NaN()}, nil
	})
	read := func(_ context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, MIMEType: "text/plain", Text: "A text."}}, nil
	}
	m.AddResource(mcp.NewResource(watchedURI, "watched"), read)
	m.AddResource(mcp.NewResource(hiddenURI, "hidden"), read)
	m.AddResourceTemplate(mcp.NewResourceTemplate("test://numbered/{n}", "numbered"), read)
	m.AddPrompt(mcp.NewPrompt("greet"), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return mcp.NewGetPromptResult("", []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent("Hello."))}), nil
	})
	return m
}

func mirrored(header string) mcp.PropertyOption {
	return func(schema map[string]any) { schema["x-mcp-header"] = header }
}

func echo(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText(req.GetString("text", "")), nil
}

// notifier is what the transport's session has beyond mcp-go's interfaces.
type notifier interface {
	Notify(ctx context.Context, n mcp.JSONRPCNotification) error
}

// A notifyFunc tells the client of the call something.
type notifyFunc func(ctx context.Context, method mcp.MCPMethod, params map[string]any) error

func notify(ctx context.Context, method mcp.MCPMethod, params map[string]any) error {
	return server.ClientSessionFromContext(ctx).(notifier).Notify(ctx, mcp.JSONRPCNotification{
		JSONRPC: mcp.JSONRPC_VERSION,
		Notification: mcp.Notification{
			Method: string(method),
			Params: mcp.NotificationParams{AdditionalFields: params},
		},
	})
}

func notifyByMCPGo(ctx context.Context, method mcp.MCPMethod, params map[string]any) error {
	return server.ServerFromContext(ctx).SendNotificationToClient(ctx, string(method), params)
}

func count(tell notifyFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		to := req.GetInt("to", 2)
		var token mcp.ProgressToken
		if req.Params.Meta != nil {
			token = req.Params.Meta.ProgressToken
		}
		for i := 1; i <= to; i++ {
			params := map[string]any{"progressToken": token, "progress": i, "total": to}
			if err := tell(ctx, mcp.MethodNotificationProgress, params); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText(fmt.Sprint("counted to ", to)), nil
	}
}

// logEveryLevel logs at every level, first in the transport's way and then in
// mcp-go's.
func logEveryLevel(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	levels := []mcp.LoggingLevel{
		mcp.LoggingLevelDebug, mcp.LoggingLevelInfo, mcp.LoggingLevelNotice, mcp.LoggingLevelWarning,
		mcp.LoggingLevelError, mcp.LoggingLevelCritical, mcp.LoggingLevelAlert, mcp.LoggingLevelEmergency,
	}
	for _, level := range levels {
		params := map[string]any{"level": level, "logger": "notify", "data": "x"}
		if err := notify(ctx, mcp.MethodNotificationMessage, params); err != nil {
			return nil, err
		}
	}
	for _, level := range levels {
		n := mcp.NewLoggingMessageNotification(level, "mcp-go", "x")
		if err := server.ServerFromContext(ctx).SendLogMessageToClient(ctx, n); err != nil {
			return nil, err
		}
	}
	return mcp.NewToolResultText("logged"), nil
}

func sampling() mcp.CreateMessageParams {
	return mcp.CreateMessageParams{
		Messages:  []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent("Capital of France?")}},
		MaxTokens: 9,
	}
}

func elicitation(message string) mcp.ElicitationParams {
	return mcp.ElicitationParams{Message: message, RequestedSchema: map[string]any{
		"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}},
	}}
}

func sample(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	res, err := server.ServerFromContext(ctx).RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: sampling()})
	if err != nil {
		return nil, err
	}
	return mcp.NewToolResultText("the model said " + mcp.GetTextFromContent(res.Content)), nil
}

func elicit(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	res, err := server.ServerFromContext(ctx).RequestElicitation(ctx, mcp.ElicitationRequest{Params: elicitation("Your name?")})
	if err != nil {
		return nil, err
	}
	return mcp.NewToolResultText(fmt.Sprint("the user said ", res.Action, res.Content)), nil
}

func roots(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	res, err := server.ServerFromContext(ctx).RequestRoots(ctx, mcp.ListRootsRequest{})
	if err != nil {
		return nil, err
	}
	return mcp.NewToolResultText(fmt.Sprint(len(res.Roots), " roots")), nil
}

// ask needs a name, and its own state back with it.
func ask(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	topic := req.GetString("topic", "")
	answer := server.ElicitationResponse(req.Params.InputResponses, "name")
	if req.Params.RequestState == "asked about "+topic && answer != nil {
		return mcp.NewToolResultText(fmt.Sprintf("%v on %s", answer.Content, topic)), nil
	}
	return server.NewInputRequestBuilder("asked about "+topic).Elicit("name", elicitation("Your name?")).ToolResult(), nil
}

// askAll asks for everything at once, without a state.
func askAll(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	answers := req.Params.InputResponses
	name := server.ElicitationResponse(answers, "name")
	capital := server.SamplingResponse(answers, "capital")
	folders := server.RootsResponse(answers, "folders")
	if name != nil && capital != nil && folders != nil {
		return mcp.NewToolResultText(fmt.Sprint("all answered, by ", capital.Model)), nil
	}
	return server.NewInputRequestBuilder("").
		Elicit("name", elicitation("Your name?")).Sample("capital", sampling()).Roots("folders").ToolResult(), nil
}

// askAgainLater gives a state without a question, as a server does that sheds
// load.
func askAgainLater(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if req.Params.RequestState == "you waited" {
		return mcp.NewToolResultText("thank you"), nil
	}
	return server.NewInputRequestBuilder("you waited").ToolResult(), nil
}

// askNothing is a mistake: neither a question nor a state.
func askNothing(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return server.NewInputRequestBuilder("").ToolResult(), nil
}

func weather(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText(fmt.Sprintf("region %q, days %d", req.GetString("region", ""), req.GetInt("days", 0))), nil
}

func needSampling(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	session := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
	if session.GetClientCapabilities().Sampling == nil {
		return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
	}
	return mcp.NewToolResultText("you can sample"), nil
}

// puppet is a call of the tool slow, which does what the test says until it is
// told to return or is stopped.
type puppet struct {
	started chan struct{} // closed when the call runs
	orders  chan order
	stopped chan string // the cause, when its context ended
}

// An order does one thing within the call. A result ends the call.
type order func(ctx context.Context) *mcp.CallToolResult

func (l *lab) puppet(name string) *puppet {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.puppets[name]
	if p == nil {
		p = &puppet{started: make(chan struct{}), orders: make(chan order), stopped: make(chan string, 1)}
		l.puppets[name] = p
	}
	return p
}

func (l *lab) slow(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	p := l.puppet(req.GetString("as", ""))
	close(p.started)
	for {
		select {
		case do := <-p.orders:
			if result := do(ctx); result != nil {
				return result, nil
			}
		case <-ctx.Done():
			p.stopped <- context.Cause(ctx).Error()
			return nil, ctx.Err()
		}
	}
}

// order has a puppet do what the words say, and returns what came of it.
func (l *lab) order(name, words string) string {
	l.t.Helper()
	said := make(chan string, 1)
	do := func(ctx context.Context) *mcp.CallToolResult {
		result, err := obey(ctx, words)
		if err != nil {
			said <- err.Error()
		}
		close(said)
		return result
	}
	select {
	case l.puppet(name).orders <- do:
		return <-said
	case cause := <-l.puppet(name).stopped:
		l.t.Fatalf("the call %s was stopped: %s", name, cause)
		return ""
	case <-l.ctx.Done():
		l.t.Fatalf("the call %s is not there to be ordered", name)
		return ""
	}
}

func obey(ctx context.Context, words string) (*mcp.CallToolResult, error) {
	verb, rest, _ := strings.Cut(words, " ")
	switch verb {
	case "returns":
		return mcp.NewToolResultText(rest), nil
	case "reports":
		return nil, notify(ctx, mcp.MethodNotificationProgress, map[string]any{"progress": 1, "message": rest})
	case "logs":
		level, data, _ := strings.Cut(rest, " ")
		return nil, notify(ctx, mcp.MethodNotificationMessage, map[string]any{"level": level, "data": data})
	case "closes": // the connection
		if transport.CloseConnection(ctx, 50*time.Millisecond) {
			return nil, nil
		}
		return nil, errors.New("the connection cannot be closed")
	default:
		return nil, errors.New("no such order: " + words)
	}
}

// starts waits until the call runs.
func (l *lab) starts(name string) {
	l.t.Helper()
	select {
	case <-l.puppet(name).started:
	case <-l.ctx.Done():
		l.t.Fatalf("the call %s never started", name)
	}
}

// stops waits until the call's context has ended, and returns the cause.
func (l *lab) stops(name string) string {
	l.t.Helper()
	select {
	case cause := <-l.puppet(name).stopped:
		return cause
	case <-l.ctx.Done():
		l.t.Fatalf("the call %s was never stopped", name)
		return ""
	}
}
