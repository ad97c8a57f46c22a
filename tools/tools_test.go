package tools

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"wigwag/hub"
)

var update = flag.Bool("update", false, "rewrite the schemas in testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everybody exists, except nobody.
type everybody struct{}

func (everybody) Exists(name string) bool { return name != "nobody" }

func (everybody) Names() []string { return []string{"alice", "bob", "carol"} }

func newHub(t *testing.T) *hub.Hub {
	t.Helper()
	h, err := hub.New(t.Context(), hub.Options{Log: hub.NewMemoryLog(64 << 20), Users: everybody{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

type actorKey struct{}

func actorOf(ctx context.Context) hub.Actor {
	a, _ := ctx.Value(actorKey{}).(hub.Actor)
	return a
}

// host serves the tools as the real server does, and lets no result through
// that is not as its schema says.
type host struct {
	*server.MCPServer
	hub *hub.Hub
}

func newHost(t *testing.T) *host {
	h := newHub(t)
	s := server.NewMCPServer("test", "0", server.WithOutputSchemaValidation())
	s.AddTools(New(h, actorOf)...)
	return &host{s, h}
}

// client is a session of one user that keeps what it is told.
type client struct {
	host  *host
	actor hub.Actor
	token any // a progress token for every call, if not nil

	refuse bool // nobody is there to be told

	mu   sync.Mutex
	told []mcp.JSONRPCNotification // guarded by mu
}

func (h *host) client(user string) *client {
	return &client{host: h, actor: hub.Actor{Name: user, Via: "Test"}}
}

func (c *client) Initialize()                                         {}
func (c *client) Initialized() bool                                   { return true }
func (c *client) NotificationChannel() chan<- mcp.JSONRPCNotification { return nil }
func (c *client) SessionID() string                                   { return c.actor.Name }

func (c *client) Notify(_ context.Context, n mcp.JSONRPCNotification) error {
	if c.refuse {
		return errors.New("nobody listens")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, n)
	return nil
}

func (c *client) notifications() []mcp.JSONRPCNotification {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.told)
}

// result is what a client gets to see of a call.
type result struct {
	text       string
	structured map[string]any
	isError    bool
	bytes      int // of the whole result on the wire
}

// call calls a tool over JSON-RPC. arguments are JSON.
func (c *client) call(ctx context.Context, t *testing.T, tool, arguments string) (result, error) {
	t.Helper()
	params := map[string]any{"name": tool, "arguments": json.RawMessage(arguments)}
	if c.token != nil {
		params["_meta"] = map[string]any{"progressToken": c.token}
	}
	request, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
	if err != nil {
		t.Fatalf("arguments %s: %v", arguments, err)
	}
	ctx = context.WithValue(ctx, actorKey{}, c.actor)
	reply := c.host.HandleMessage(c.host.WithContext(ctx, c), request)
	switch reply := reply.(type) {
	case mcp.JSONRPCError:
		return result{}, errors.New(reply.Error.Message)
	case mcp.JSONRPCResponse:
		wire, err := json.Marshal(reply.Result)
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			Content []struct {
				Type, Text string
			}
			StructuredContent map[string]any
			IsError           bool
		}
		if err := json.Unmarshal(wire, &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Content) != 1 || r.Content[0].Type != "text" {
			t.Fatalf("%s: content is not one text: %s", tool, wire)
		}
		return result{r.Content[0].Text, r.StructuredContent, r.IsError, len(wire)}, nil
	}
	t.Fatalf("%s: reply %#v", tool, reply)
	return result{}, nil
}

// must calls a tool and wants it to succeed.
func (c *client) must(t *testing.T, tool, arguments string) result {
	t.Helper()
	r, err := c.call(t.Context(), t, tool, arguments)
	if err != nil || r.isError {
		t.Fatalf("%s %.200s: error %v, result %s", tool, arguments, err, r.text)
	}
	return r
}

// bind reads the structured content into v.
func (r result) bind(t *testing.T, v any) {
	t.Helper()
	b, err := json.Marshal(r.structured)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Every tool has what a client may ask of it, and no more than a model should
// have to read.
func TestEveryTool(t *testing.T) {
	all := New(nil, actorOf)
	if len(all) > 12 {
		t.Errorf("%d tools", len(all))
	}
	for _, tool := range all {
		def := tool.Tool
		t.Run(def.Name, func(t *testing.T) {
			if n := len(def.Name); n > 24 {
				t.Errorf("the name has %d characters", n)
			}
			if def.Title == "" || def.Annotations.Title != def.Title {
				t.Errorf("titles %q and %q", def.Title, def.Annotations.Title)
			}
			if n := len(def.Description); n == 0 || n > 400 {
				t.Errorf("the description has %d bytes", n)
			}
			a := def.Annotations
			if a.ReadOnlyHint == nil || a.DestructiveHint == nil || a.IdempotentHint == nil || a.OpenWorldHint == nil {
				t.Fatal("a hint is missing")
			}
			if *a.ReadOnlyHint && (*a.DestructiveHint || !*a.IdempotentHint) {
				t.Error("what changes nothing destroys nothing and can be repeated")
			}
			if def.InputSchema.AdditionalProperties != false {
				t.Error("unknown arguments are allowed")
			}
			for name, p := range def.InputSchema.Properties {
				checkProperty(t, name, p.(map[string]any))
			}
			if def.OutputSchema.Type != "object" || len(def.OutputSchema.Required) == 0 {
				t.Error("no output schema")
			}
			snapshot(t, def)
		})
	}
}

func checkProperty(t *testing.T, name string, p map[string]any) {
	t.Helper()
	if d, _ := p["description"].(string); d == "" || len(d) > 250 {
		t.Errorf("%s: description %q", name, d)
	}
	switch p["type"] {
	case "string", "boolean", "object":
	case "integer":
		if p["minimum"] == nil || p["maximum"] == nil {
			t.Errorf("%s has no bounds", name)
		}
	case "array":
		if p["items"] == nil || p["maxItems"] == nil {
			t.Errorf("%s has no items or no bound", name)
		}
	default:
		t.Errorf("%s has the type %v", name, p["type"])
	}
}

// snapshot keeps the public face from changing unnoticed; go test -update
// accepts a change.
func snapshot(t *testing.T, def mcp.Tool) {
	t.Helper()
	got, err := json.MarshalIndent(def, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	name := def.Name + ".json"
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := fs.ReadFile(os.DirFS("testdata"), name)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got) {
		t.Errorf("testdata/%s differs from what the tool says now; if that is meant, go test -update:\n%s", name, got)
	}
}

// The schemas of results are enforced in these tests; make sure they are.
func TestSchemasHold(t *testing.T) {
	h := newHost(t)
	tool := New(h.hub, actorOf)[0]
	tool.Handler = func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultStructured(map[string]any{"id": 1}, ""), nil
	}
	h.AddTools(tool)
	r, err := h.client("alice").call(t.Context(), t, tool.Tool.Name, `{}`)
	if err != nil || !r.isError {
		t.Errorf("a result against its schema got through: %+v, %v", r, err)
	}
}

// A session of one of mcp-go's own transports is told what it can be told.
type plain struct {
	server.ClientSession
	told chan mcp.JSONRPCNotification
}

func (p plain) NotificationChannel() chan<- mcp.JSONRPCNotification { return p.told }

func TestForeignSession(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	session := plain{alice, make(chan mcp.JSONRPCNotification, 1)}
	ctx := h.WithContext(context.WithValue(t.Context(), actorKey{}, alice.actor), session)
	for range 2 { // the second time nobody takes it
		reply := h.HandleMessage(ctx, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send_message","arguments":{"message":"hi"},"_meta":{"progressToken":"p"}}}`))
		if r, ok := reply.(mcp.JSONRPCResponse); !ok {
			t.Fatalf("reply %+v", r)
		}
	}
	if n := <-session.told; n.Params.AdditionalFields["progressToken"] != "p" {
		t.Errorf("told %+v", n)
	}
}

// What the schema of an argument forbids is refused, by name.
func TestSchemaIsEnforced(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	fine := map[string]string{"room": "fine", "message": "fine", "level": "info"}
	for _, tool := range New(h.hub, actorOf) {
		def := tool.Tool
		for name, property := range def.InputSchema.Properties {
			p := property.(map[string]any)
			bad := []string{`{"x":1}`}
			switch p["type"] {
			case "object":
				bad = []string{`7`, `true`, `[{}]`, `"x"`, `""`, `"null"`, `"{} {}"`, `"{}}"`, `"{"`}
			case "string":
				bad = append(bad, `7`, `true`, `["a"]`)
				if slices.Contains(def.InputSchema.Required, name) {
					bad = append(bad, `null`, `""`)
				}
				if p["enum"] != nil || p["pattern"] != nil {
					bad = append(bad, `"No Such Thing"`)
				}
				if most, ok := p["maxLength"].(int); ok {
					bad = append(bad, quoted(strings.Repeat("a", most+1)))
				}
			case "integer":
				bad = append(bad, `"many"`, `1.5`, `[]`, `true`, `-1`, `1e99`, `"1e99"`, `"NaN"`,
					quotedNumber(p["maximum"], 1), quotedNumber(p["minimum"], -1))
			case "boolean":
				bad = append(bad, `1`, `"maybe"`, `[true]`)
			case "array":
				bad = append(bad, `[1]`, `[null]`, `7`, `["No Such Thing"]`)
				if most, ok := p["maxItems"].(int); ok {
					bad = append(bad, `["`+strings.Repeat(`general","`, most)+`general"]`)
				}
			}
			for _, value := range bad {
				args := map[string]json.RawMessage{name: json.RawMessage(value)}
				for _, required := range def.InputSchema.Required {
					if args[required] == nil {
						args[required] = json.RawMessage(quoted(fine[required]))
					}
				}
				if name == "invite" {
					args["private"] = json.RawMessage(`true`)
				}
				encoded, err := json.Marshal(args)
				if err != nil {
					t.Fatal(err)
				}
				r, err := alice.call(t.Context(), t, def.Name, string(encoded))
				if err != nil {
					t.Errorf("%s %.100s: %v", def.Name, encoded, err)
				} else if !r.isError || !strings.HasPrefix(r.text, name+": ") {
					t.Errorf("%s %.100s: %s", def.Name, encoded, r.text)
				}
			}
		}
	}
}

func quotedNumber(bound any, plus float64) string {
	var n float64
	switch b := bound.(type) {
	case float64:
		n = b
	case int:
		n = float64(b)
	}
	b, err := json.Marshal(n + plus)
	if err != nil {
		panic(err)
	}
	return string(b)
}
