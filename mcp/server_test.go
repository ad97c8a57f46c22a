package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"wigwag/hub"
	"wigwag/mcp"
	"wigwag/tools"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everybody exists, except nobody.
type everybody struct{}

func (everybody) Exists(name string) bool { return name != "nobody" }

func (everybody) Names() []string { return []string{"alice", "bob", "carol"} }

type actorKey struct{}

func actorOf(ctx context.Context) hub.Actor {
	a, _ := ctx.Value(actorKey{}).(hub.Actor)
	return a
}

// host is a server as the command assembles it.
type host struct {
	*server.MCPServer
	hub *hub.Hub
}

func newHost(t *testing.T) *host {
	t.Helper()
	h, err := hub.New(t.Context(), hub.Options{Log: hub.NewMemoryLog(64 << 20), Users: everybody{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	s := mcp.NewServer(mcp.Options{Version: "1.2.3", Hub: h, Actor: actorOf, Tools: tools.New(h, actorOf), Transcript: tools.Transcript})
	return &host{s, h}
}

func (h *host) open(t *testing.T, user string, spec hub.RoomSpec) {
	t.Helper()
	if _, _, err := h.hub.OpenRoom(t.Context(), hub.Actor{Name: user}, spec); err != nil {
		t.Fatal(err)
	}
}

func (h *host) send(t *testing.T, user string, target hub.Target, text string) {
	t.Helper()
	if _, _, err := h.hub.Send(t.Context(), hub.Actor{Name: user}, hub.Draft{Target: target, Text: text}); err != nil {
		t.Fatal(err)
	}
}

// errorBox holds what a handler failed with, as the transport does it.
type errorBox struct{ err error }

type boxKey struct{}

// ask sends a request as a user and returns its result, or the error that the
// handler returned. params are JSON.
func (h *host) ask(t *testing.T, user, method, params string) (json.RawMessage, error) {
	t.Helper()
	box := &errorBox{}
	ctx := context.WithValue(t.Context(), actorKey{}, hub.Actor{Name: user})
	ctx = context.WithValue(ctx, boxKey{}, box)
	h.GetHooks().OnError = []server.OnErrorHookFunc{func(ctx context.Context, _ any, _ mcpgo.MCPMethod, _ any, err error) {
		ctx.Value(boxKey{}).(*errorBox).err = err
	}}
	reply := h.HandleMessage(ctx, []byte(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)))
	switch reply := reply.(type) {
	case mcpgo.JSONRPCResponse:
		result, err := json.Marshal(reply.Result)
		if err != nil {
			t.Fatal(err)
		}
		return result, nil
	case mcpgo.JSONRPCError:
		if box.err == nil {
			t.Fatalf("%s: an error that no hook was told: %+v", method, reply.Error)
		}
		return nil, box.err
	}
	t.Fatalf("%s: reply %#v", method, reply)
	return nil, nil
}

// must asks and reads the result into v.
func (h *host) must(t *testing.T, user, method, params string, v any) {
	t.Helper()
	result, err := h.ask(t, user, method, params)
	if err != nil {
		t.Fatalf("%s %s: %v", method, params, err)
	}
	if err := json.Unmarshal(result, v); err != nil {
		t.Fatalf("%s: %s: %v", method, result, err)
	}
}

func TestInitialize(t *testing.T) {
	h := newHost(t)
	var r struct {
		ServerInfo   struct{ Name, Version, Title string }
		Capabilities map[string]map[string]bool
		Instructions string
	}
	h.must(t, "alice", "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"0"}}`, &r)
	if r.ServerInfo.Name != "wigwag" || r.ServerInfo.Version != "1.2.3" || r.ServerInfo.Title == "" {
		t.Errorf("server %+v", r.ServerInfo)
	}
	for _, capability := range []string{"tools", "resources", "prompts", "completions", "logging"} {
		if r.Capabilities[capability] == nil {
			t.Errorf("no capability %s in %v", capability, r.Capabilities)
		}
	}
	if !r.Capabilities["resources"]["subscribe"] || !r.Capabilities["resources"]["listChanged"] {
		t.Errorf("resources %v", r.Capabilities["resources"])
	}
	if len(r.Instructions) > 2000 {
		t.Errorf("the instructions have %d bytes", len(r.Instructions))
	}
	var list struct{ Tools []struct{ Name string } }
	h.must(t, "alice", "tools/list", `{}`, &list)
	if len(list.Tools) == 0 {
		t.Error("no tools")
	}
	for _, tool := range list.Tools {
		if !strings.Contains(r.Instructions, tool.Name) {
			t.Errorf("the instructions do not name %s", tool.Name)
		}
	}
}

// What depends on who asks is nobody else's to keep.
func TestCacheHints(t *testing.T) {
	h := newHost(t)
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	for _, tt := range []struct {
		method, params, scope string
		fresh                 bool
	}{
		{"server/discover", `{` + meta + `}`, "public", true},
		{"tools/list", `{` + meta + `}`, "public", true},
		{"prompts/list", `{` + meta + `}`, "public", true},
		{"resources/templates/list", `{` + meta + `}`, "public", true},
		{"resources/list", `{` + meta + `}`, "private", false},
		{"resources/read", `{"uri":"wigwag://rooms",` + meta + `}`, "private", false},
		{"resources/read", `{"uri":"wigwag://rooms/general",` + meta + `}`, "private", false},
	} {
		var r struct {
			TTLMs      *int
			CacheScope string
			ResultType string
		}
		h.must(t, "alice", tt.method, tt.params, &r)
		if r.TTLMs == nil || (*r.TTLMs > 0) != tt.fresh || r.CacheScope != tt.scope || r.ResultType != "complete" {
			t.Errorf("%s: %+v", tt.method, r)
		}
	}
}

// A tool that panics fails alone.
func TestPanic(t *testing.T) {
	h := newHost(t)
	h.AddTool(mcpgo.NewTool("broken"), func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) { panic("oops") })
	if r, err := h.ask(t, "alice", "tools/call", `{"name":"broken"}`); err == nil {
		t.Errorf("result %s", r)
	}
}
