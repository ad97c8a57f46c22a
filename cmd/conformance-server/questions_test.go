package main

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

func TestNext(t *testing.T) {
	name := mcp.InputRequests{"name": form("Name?", object{"name": object{"type": "string"}}, "name")}
	mixed := mcp.InputRequests{
		"name":  name["name"],
		"model": sampling("Hello", 10),
		"roots": mcp.NewRootsInputRequest(),
	}
	color := mcp.InputRequests{"color": form("Color?", object{"color": object{"type": "string"}}, "color")}
	var (
		plain    = question{rounds: []round{always(name)}, preface: "Hello, "}
		all      = question{rounds: []round{always(mixed)}}
		stateful = question{rounds: []round{always(name), always(color)}, withState: true}
	)

	const accepted = `{"action":"accept","content":{"name":"Ann"}}`
	tests := []struct {
		title     string
		q         question
		state     string
		responses string
		asked     []string // keys; nil when the answer is complete
		sent      string   // requestState
		text      string
	}{
		{title: "nothing yet", q: plain, asked: []string{"name"}},
		{title: "answered", q: plain, responses: `{"name":` + accepted + `}`, text: `Hello, {"name":` + accepted + `}`},
		{title: "declined is an answer", q: plain, responses: `{"name":{"action":"decline"}}`, text: `Hello, {"name":{"action":"decline"}}`},
		{title: "extra answers are ignored", q: plain, responses: `{"name":` + accepted + `,"other":7}`, text: `Hello, {"name":` + accepted + `}`},
		{title: "another key", q: plain, responses: `{"other":` + accepted + `}`, asked: []string{"name"}},
		{title: "a number for an answer", q: plain, responses: `{"name":12345}`, asked: []string{"name"}},
		{title: "null for an answer", q: plain, responses: `{"name":null}`, asked: []string{"name"}},
		{title: "no action", q: plain, responses: `{"name":{}}`, asked: []string{"name"}},
		{title: "null for all answers", q: plain, responses: `null`, asked: []string{"name"}},

		{title: "one of three", q: all, responses: `{"name":` + accepted + `}`, asked: []string{"model", "name", "roots"}},
		{title: "no roots", q: all, responses: `{"name":` + accepted + `,"model":{"role":"assistant","content":{"type":"text","text":"Hi"},"model":"m"},"roots":{}}`, asked: []string{"model", "name", "roots"}},
		{title: "three of three", q: all, responses: `{"name":` + accepted + `,"model":{"role":"assistant","content":{"type":"text","text":"Hi"},"model":"m"},"roots":{"roots":[]}}`, text: `{"model":{"role":"assistant","content":{"text":"Hi","type":"text"},"model":"m"},"name":` + accepted + `,"roots":{"roots":[]}}`},

		{title: "first round", q: stateful, asked: []string{"name"}, sent: "0"},
		{title: "an answer without the state", q: stateful, responses: `{"name":` + accepted + `}`, asked: []string{"name"}, sent: "0"},
		{title: "second round", q: stateful, state: "0", responses: `{"name":` + accepted + `}`, asked: []string{"color"}, sent: "1"},
		{title: "first round again", q: stateful, state: "0", responses: `{}`, asked: []string{"name"}, sent: "0"},
		{title: "second round again", q: stateful, state: "1", responses: `{"name":` + accepted + `}`, asked: []string{"color"}, sent: "1"},
		{title: "both rounds", q: stateful, state: "1", responses: `{"color":{"action":"accept","content":{"color":"red"}}}`, text: `{"color":{"action":"accept","content":{"color":"red"}}}`},
		{title: "no such round", q: stateful, state: "2", responses: `{"name":` + accepted + `}`, asked: []string{"name"}, sent: "0"},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			from := mcp.MultiRoundTripParams{RequestState: tt.state}
			if tt.responses != "" {
				if err := json.Unmarshal([]byte(tt.responses), &from.InputResponses); err != nil {
					t.Fatal(err)
				}
			}
			ask, text, err := tt.q.next(t.Context(), nil, from)
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for key := range ask.InputRequests {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			if !slices.Equal(keys, tt.asked) {
				t.Errorf("asked %q, want %q", keys, tt.asked)
			}
			if ask.RequestState != tt.sent {
				t.Errorf("sent state %q, want %q", ask.RequestState, tt.sent)
			}
			if text != tt.text {
				t.Errorf("text\n%s, want\n%s", text, tt.text)
			}
		})
	}
}

// A client that declares sampling and nothing else is asked for sampling and nothing else.
func TestAsksOnlyForWhatIsDeclared(t *testing.T) {
	srv := newMCPServer()
	tests := []struct {
		capabilities string
		want         []string
	}{
		{`{"sampling":{}}`, []string{"capital_question"}},
		{`{"elicitation":{},"roots":{}}`, []string{"client_roots", "user_name"}},
		{`{}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.capabilities, func(t *testing.T) {
			answer := handle[mcp.MultiRoundTripResult](t, srv.HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{
				"name":"test_input_required_result_capabilities","_meta":{
					"io.modelcontextprotocol/protocolVersion":"2026-07-28",
					"io.modelcontextprotocol/clientCapabilities":`+tt.capabilities+`}}}`)
			var asked []string
			for key := range answer.InputRequests {
				asked = append(asked, key)
			}
			slices.Sort(asked)
			if !slices.Equal(asked, tt.want) {
				t.Errorf("asked for %q, want %q", asked, tt.want)
			}
		})
	}
}

// handle returns the result of a JSON-RPC request.
func handle[T any](t *testing.T, server func(context.Context, json.RawMessage) mcp.JSONRPCMessage, request string) T {
	t.Helper()
	answer, err := json.Marshal(server(t.Context(), json.RawMessage(request)))
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Result *T               `json:"result"`
		Error  *json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(answer, &parsed); err != nil {
		t.Fatal(err)
	}
	if parsed.Result == nil {
		t.Fatalf("%s\nis answered by\n%s", request, answer)
	}
	return *parsed.Result
}
