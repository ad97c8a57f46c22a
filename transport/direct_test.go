package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/transport"
)

// directServer has tools that show all a handler can see, and return all that
// one can return. ran counts calls of its handlers, short those that did not go
// through HandleMessage.
func directServer(ran, short *atomic.Int64, opts ...server.ServerOption) *server.MCPServer {
	m := server.NewMCPServer("direct", "1", append(opts,
		server.WithTitle("Direct <&>"), server.WithToolCapabilities(true), server.WithLogging())...)
	tool := func(name string, handle func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error), opts ...mcp.ToolOption) {
		m.AddTool(mcp.NewTool(name, opts...), func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			ran.Add(1)
			if !strings.Contains(string(debug.Stack()), "HandleMessage") {
				short.Add(1)
			}
			return handle(ctx, req)
		})
	}
	returns := func(result *mcp.CallToolResult, err error) func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if result == nil {
				return nil, err
			}
			own := *result
			if own.Meta != nil {
				own.Meta = mcp.NewMetaFromMap(map[string]any{"own": "<x>"})
			}
			return &own, err
		}
	}
	tool("see", see)
	tool("count", count(notify))
	tool("count_by_mcp_go", count(notifyByMCPGo))
	tool("log", logEveryLevel)
	tool("roots", roots)
	tool("ask", ask)
	tool("ask_nothing", askNothing)
	tool("need_sampling", needSampling)
	tool("weather", weather, mcp.WithString("region", mirrored("Region")), mcp.WithInteger("days", mirrored("Days")))
	tool("may_be_a_task", see, mcp.WithTaskSupport(mcp.TaskSupportOptional))
	tool("must_be_a_task", see, mcp.WithTaskSupport(mcp.TaskSupportRequired))
	tool("panic", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic("!") })

	tool("nothing", returns(nil, nil))
	tool("empty", returns(&mcp.CallToolResult{}, nil))
	tool("refuse", returns(mcp.NewToolResultError("not \"today\" <&>\u2028 é🙂\x00\x7f"), nil))
	tool("not_json", returns(&mcp.CallToolResult{StructuredContent: math.NaN()}, nil))
	tool("not_json_raw", returns(&mcp.CallToolResult{RawStructuredContent: json.RawMessage("{")}, nil))
	tool("not_utf8", returns(mcp.NewToolResultText("a\xffb"), nil))
	tool("own_meta", returns(&mcp.CallToolResult{Result: mcp.Result{Meta: &mcp.Meta{}}}, nil))
	tool("own_type", returns(&mcp.CallToolResult{Result: mcp.Result{ResultType: "other"}}, nil))
	tool("says_it", returns(mcp.NewToolResultText("input_required"), nil))
	tool("structured", returns(mcp.NewToolResultStructured(map[string]any{"n": int64(math.MaxInt64), "s": "<&>", "a": []int{}}, "text"), nil))
	tool("structured_raw", returns(&mcp.CallToolResult{RawStructuredContent: json.RawMessage(`{ "b" : 9007199254740993, "a" : "<" }`)}, nil))
	tool("contents", returns(&mcp.CallToolResult{Content: []mcp.Content{
		mcp.NewTextContent("plain"),
		mcp.TextContent{Type: "text", Text: "annotated", Annotated: mcp.Annotated{Annotations: &mcp.Annotations{Audience: []mcp.Role{mcp.RoleUser}}}},
		mcp.TextContent{Type: "text", Text: "with meta", Meta: mcp.NewMetaFromMap(map[string]any{"a": 1})},
		mcp.TextContent{Text: "no type"},
		mcp.NewImageContent("aGk=", "image/png"), mcp.NewResourceLink("test://x", "x", "", ""), nil,
	}}, nil))
	for name, err := range map[string]error{
		"fails":       errors.New("the password is 1234"),
		"not_found":   fmt.Errorf("it: %w", mcp.ErrResourceNotFound),
		"wrong":       fmt.Errorf("it: %w", mcp.ErrInvalidParams),
		"missing":     mcp.MissingRequiredClientCapabilityError{Capability: "sampling"},
		"go_to_a_url": mcp.URLElicitationRequiredError{Elicitations: []mcp.ElicitationParams{{Mode: "url", ElicitationID: "1", URL: "https://a.example"}}},
	} {
		tool(name, returns(mcp.NewToolResultText("ignored"), err))
	}
	return m
}

// see returns what a handler sees of its request.
func see(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	session := server.ClientSessionFromContext(ctx).(interface {
		server.SessionWithClientInfo
		server.SessionWithLogging
		server.SessionWithProtocolVersion
	})
	return mcp.NewToolResultJSON(map[string]any{
		"request": fmt.Sprintf("%#v", req.Request),
		"header":  req.Header,
		"params":  req.Params, "raw": string(req.Params.RawArguments), "arguments": fmt.Sprintf("%#v", req.Params.Arguments),
		"meta": req.Params.Meta, "has meta": req.Params.Meta != nil,
		"protocol": server.RequestProtocolInfoFromContext(ctx), "modern": server.IsModernRequest(ctx),
		"version": server.RequestProtocolVersion(ctx), "served": server.SupportedProtocolVersionsFromContext(ctx),
		"server":      server.ServerFromContext(ctx) != nil,
		"client":      []any{session.GetClientInfo(), session.GetClientCapabilities(), session.GetLogLevel(), session.ProtocolVersion()},
		"initialized": session.Initialized(), "deadline": ctx.Err() != nil,
	})
}

// side is one of the two transports that are compared.
type side struct {
	*lab
	session    string
	ran, short atomic.Int64
}

func newSide(t *testing.T, direct bool, opts ...server.ServerOption) *side {
	s := &side{}
	s.lab = newLabOf(t, directServer(&s.ran, &s.short, opts...), transport.Options{DirectTools: direct})
	a := s.post("", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"c","version":"1"}}}`).finish()
	if s.session = a.header.Get("Mcp-Session-Id"); s.session == "" {
		t.Fatal(a)
	}
	return s
}

var randomIDs = regexp.MustCompile(`(?m)^id: [a-z0-9]+-|"requestState":"[^"]*"`)

// answer is what a client gets; SESSION in the headers stands for the session.
func (s *side) answer(headers, body string) string {
	a := s.post(strings.ReplaceAll(headers, "SESSION", s.session), body).finish()
	return fmt.Sprint(a.status, " ", a.header.Get("Content-Type"), "\n", randomIDs.ReplaceAllString(a.body, "…"))
}

// directCalls are parameters of tools/call, with META where the _meta of 2026-07-28
// goes.
func directCalls() []string {
	calls := []string{
		`{"name":"see","arguments":{"n":9007199254740993,"f":1.50,"deep":{"a":[{},[],null,true,-0.0,1e3]},"s":"\ud83d\ude42 \u00e9\n<","s":"twice","\u0061":1}META}`,
		`{"name":"see"META}`, ` { "arguments" : { } , "name" : "see" META } `,
		`{"name":"see","arguments":nullMETA}`, `{"name":"see","arguments":[1,"a"]META}`, `{"name":"see","arguments":"x"META}`, `{"name":"see","arguments":7META}`,
		`{"name":"s\u0065e","arguments":{}META}`, `{"Name":"see","arguments":{}META}`, `{"name":"see","Arguments":{"a":1}META}`,
		`{"name":"see","name":"empty"META}`, `{"name":7,"name":"empty"META}`, `{"name":null,"name":"empty"META}`, `{"name":"see","arguments":{"a":1},"arguments":{"b":2}META}`,
		`{"name":"see","extra":{}META}`, `{"name":"see","task":{}META}`, `{"name":"see","task":{"ttl":1}META}`, `{"name":"see","task":7META}`,
		`{"name":"see","inputResponses":{"a":{"action":"decline"}}META}`, `{"name":"see","inputResponses":7META}`, `{"name":"see","requestState":"x"META}`,
		`{"name":"see","arguments":{"n":1e400}META}`, `{"name":"see","arguments":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `META}`,
		`{"name":"nobody"META}`, `{"name":""META}`, `{"name":7META}`, `{"name":nullMETA}`, `{"arguments":{}META}`,
		`{"name":"may_be_a_task"META}`, `{"name":"must_be_a_task"META}`,
		`{"name":"weather","arguments":{"region":"north","days":3}META}`, `{"name":"weather","arguments":{}META}`,
	}
	for _, name := range []string{
		"count", "count_by_mcp_go", "log", "roots", "ask", "ask_nothing", "need_sampling", "panic", "nothing", "empty", "refuse", "not_json",
		"not_json_raw", "not_utf8", "own_meta", "own_type", "says_it", "structured", "structured_raw", "contents",
		"fails", "not_found", "wrong", "missing", "go_to_a_url",
	} {
		calls = append(calls, `{"name":"`+name+`"META}`)
	}
	return calls
}

// TestDirectTools: whichever way a call goes, handlers see the same and clients
// get the same.
func TestDirectTools(t *testing.T) {
	t.Parallel()
	const version = `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`
	const caps = `"io.modelcontextprotocol/clientCapabilities":`
	legacy := []string{
		``, `,"_meta":null`, `,"_meta":{}`, `,"_meta":{"progressToken":9007199254740993,"a":{"b":[1]}}`, `,"_meta":{"progressToken":null}`,
		`,"_meta":{"progressToken":true,"a":1,"a":2}`, `,"_meta":{"a":1e400,"a":1}`, `,"_meta":{"progressToken":"t"},"_meta":{"a":1}`, `,"_meta":7`, `,"_META":{"progressToken":1}`,
		`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-06-18"}`, `,"_meta":{"io.modelcontextprotocol/protocolVersion":7}`,
	}
	modern := []string{
		`,"_meta":{` + version + `,` + caps + `{}}`,
		`,"_meta":{` + version + `,` + caps + `{"sampling":{},"elicitation":{"form":{}}},"progressToken":"t","io.modelcontextprotocol/logLevel":"info"}`,
		`,"_meta":{` + version + `,` + caps + `{},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}`,
		`,"_meta":{` + version + `,` + caps + `{},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1","title":"C","Title":"D","icons":[{"src":"x"}]}}`,
		`,"_meta":{` + version + `,` + caps + `{},"io.modelcontextprotocol/clientInfo":{"name":7}}`,
		`,"_meta":{` + version + `,` + caps + `{"roots":7}}`, `,"_meta":{` + version + `}`,
	}
	for _, tt := range []struct {
		name    string
		metas   []string
		headers string
		opts    []server.ServerOption
	}{
		{name: "with a session", metas: legacy, headers: "Mcp-Session-Id: SESSION"},
		{name: "without a session", metas: legacy, headers: "MCP-Protocol-Version: 2025-06-18"},
		{name: "2025-03-26", metas: legacy[:1]},
		{name: "JSON only", metas: legacy[:1], headers: "Mcp-Session-Id: SESSION\nAccept: application/json"},
		{name: "SSE only", metas: legacy[:1], headers: "Mcp-Session-Id: SESSION\nAccept: text/event-stream"},
		{name: "2026-07-28", metas: modern, headers: "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call"},
		{name: "WithRecovery", metas: legacy[:1], headers: "Mcp-Session-Id: SESSION", opts: []server.ServerOption{server.WithRecovery()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			long, short := newSide(t, false, tt.opts...), newSide(t, true, tt.opts...)
			for _, params := range directCalls() {
				for i, meta := range tt.metas {
					if i > 1 && nameIn(params) != "see" {
						break // what is in _meta only "see" tells apart
					}
					headers := "Mcp-Name: " + nameIn(params) + "\n" + tt.headers
					if strings.Contains(params, "north") {
						headers = "Mcp-Param-Region: north\nMcp-Param-Days: " + strconv.Itoa(3-i%2) + "\n" + headers
					}
					id := []string{"1", `"a"`, "9007199254740993", "1.50", `"\u00e9<"`}[i%5]
					body := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":` + strings.ReplaceAll(params, "META", meta) + `}`
					want, got := long.answer(headers, body), short.answer(headers, body)
					if got != want {
						t.Errorf("%s\ndirect: %s\nelse:   %s", body, got, want)
					}
				}
			}
			if long.ran.Load() != short.ran.Load() || long.short.Load() != 0 || short.short.Load() < long.ran.Load()/3 {
				t.Errorf("%d handlers ran, %d directly; else %d, %d", short.ran.Load(), short.short.Load(), long.ran.Load(), long.short.Load())
			}
		})
	}
}

var named = regexp.MustCompile(`^\s*\{.*"name"\s*:\s*"([^"]*)"`)

func nameIn(params string) string {
	if found := named.FindStringSubmatch(params); found != nil && found[1] != "" {
		return found[1]
	}
	return "see"
}

// What is not a request calls nothing, and a batch is answered as one.
func TestDirectToolsInBatches(t *testing.T) {
	long, short := newSide(t, false), newSide(t, true)
	for _, body := range []string{
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"empty"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"empty"}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"empty"}},{"jsonrpc":"2.0","method":"tools/call","params":{"name":"empty"}}]`,
	} {
		if want, got := long.answer("", body), short.answer("", body); got != want {
			t.Errorf("%s\ndirect: %s\nelse:   %s", body, got, want)
		}
	}
	if long.ran.Load() != 1 || short.ran.Load() != 1 || short.short.Load() != 1 {
		t.Errorf("ran %d and %d, %d directly", long.ran.Load(), short.ran.Load(), short.short.Load())
	}
}

// Hooks that see calls see every one.
func TestDirectToolsKeepHooks(t *testing.T) {
	for name, add := range map[string]func(*server.Hooks, func()){
		"before any": func(h *server.Hooks, seen func()) {
			h.AddBeforeAny(func(context.Context, any, mcp.MCPMethod, any) { seen() })
		},
		"on success": func(h *server.Hooks, seen func()) {
			h.AddOnSuccess(func(context.Context, any, mcp.MCPMethod, any, any) { seen() })
		},
		"initialization": func(h *server.Hooks, seen func()) {
			h.AddOnRequestInitialization(func(context.Context, any, any) error { seen(); return nil })
		},
		"before a call": func(h *server.Hooks, seen func()) {
			h.AddBeforeCallTool(func(context.Context, any, *mcp.CallToolRequest) { seen() })
		},
		"after a call": func(h *server.Hooks, seen func()) {
			h.AddAfterCallTool(func(context.Context, any, *mcp.CallToolRequest, any) { seen() })
		},
		"on error": func(h *server.Hooks, seen func()) {
			h.AddOnError(func(context.Context, any, mcp.MCPMethod, any, error) { seen() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			hooks := &server.Hooks{}
			add(hooks, func() { seen.Add(1) })
			s := newSide(t, true, server.WithHooks(hooks))
			before, tool := seen.Load(), "empty"
			if name == "on error" {
				tool = "fails"
			}
			s.answer("Mcp-Session-Id: SESSION", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"}}`)
			if seen.Load() != before+1 || s.ran.Load() != 1 {
				t.Errorf("seen %d times, ran %d", seen.Load()-before, s.ran.Load())
			}
		})
	}
}

// BenchmarkCall is a small call without a network, either way.
func BenchmarkCall(b *testing.B) {
	var ran, short atomic.Int64
	for _, direct := range []bool{true, false} {
		m := directServer(&ran, &short)
		m.AddTool(mcp.NewTool("echo", mcp.WithString("text")), echo)
		srv := transport.New(m, transport.Options{DirectTools: direct})
		b.Cleanup(func() { _ = srv.Shutdown(context.Background()) })
		for _, tt := range []struct{ version, meta string }{
			{"2025-11-25", ``},
			{"2026-07-28", `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`},
		} {
			b.Run(fmt.Sprintf("%s/direct=%t", tt.version, direct), func(b *testing.B) {
				body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"Hello."}` + tt.meta + `}}`
				b.ReportAllocs()
				for b.Loop() {
					r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/mcp", strings.NewReader(body))
					r.Header = http.Header{
						"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {tt.version}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"echo"},
					}
					w := httptest.NewRecorder()
					if srv.ServeMCP(w, r); w.Code != http.StatusOK {
						b.Fatal(w.Code, w.Body)
					}
				}
			})
		}
	}
}
