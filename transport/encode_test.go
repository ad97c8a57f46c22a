package transport

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// said are values that mcp-go's types may hold.
func said() []any {
	var none map[string]any
	return []any{
		nil, true, false, 0, -1, int64(math.MaxInt64), uint8(7), 0.0, math.Copysign(0, -1), 1.5, -3.0, 1e20, 1e21, 1e-7, float64(1 << 53), float32(2.5),
		"", "plain", "quote \" and \\", "<&>", "\x00\n\x7f", "é🙂\u2028", "\xff", mcp.LoggingLevelInfo, mcp.LoggingLevel("<"),
		json.RawMessage(`1`), json.RawMessage(`9007199254740993`), json.RawMessage(`"a"`), json.RawMessage(`"<"`), json.RawMessage(`"a\u0041"`),
		json.RawMessage(` "a"`), json.RawMessage(`{ "b" : 1, "a" : "<" }`), json.RawMessage(`null`), json.RawMessage(nil),
		map[string]any{},
		none,
		map[string]any{"b": 1, "a": []any{"x", nil}, "<": "y", "": map[string]any{"z": 1.0, "deep": map[string]int{"q": 1}}},
		[]string{},
		[]int(nil),
		struct {
			B int `json:"b,omitempty"`
			A *string
		}{},
		mcp.NewTextContent("plain"), mcp.NewTextContent("<&>"),
		mcp.TextContent{},
		mcp.NewImageContent("aGk=", "image/png"),
		mcp.TextContent{Type: "text", Meta: mcp.NewMetaFromMap(map[string]any{"a": 1})},
		&mcp.Meta{ProgressToken: "<"},
	}
}

func TestAppendJSON(t *testing.T) {
	for _, v := range said() {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := appendJSON([]byte("x"), v, 0); err != nil || string(got) != "x"+string(want) {
			t.Errorf("%#v: %s, %v; want %s", v, got, err, want)
		}
	}
	itself := map[string]any{}
	itself["me"] = itself
	for _, v := range []any{math.NaN(), math.Inf(1), func() {}, json.RawMessage("{"), json.RawMessage("1 2"), map[string]any{"a": math.NaN()}, itself} {
		if got, err := appendJSON(nil, v, 0); err == nil {
			t.Errorf("%T: %s", v, got)
		}
	}
}

func TestEncodeNotification(t *testing.T) {
	fields := map[string]any{"progressToken": "old", "_meta": "not this", "progress": 1}
	for i, v := range said() {
		fields["value"] = v
		for _, params := range []mcp.NotificationParams{
			{},
			{AdditionalFields: map[string]any{}},
			{AdditionalFields: fields},
			{AdditionalFields: fields, Meta: map[string]any{"m": v}},
			{Meta: map[string]any{}},
		} {
			for _, token := range []json.RawMessage{nil, json.RawMessage(`7`), json.RawMessage(`"a<b"`)} {
				n := mcp.JSONRPCNotification{JSONRPC: "2.0", Notification: mcp.Notification{Method: "notifications/x", Params: params}}
				got, err := encodeNotification(&n, token)
				if err != nil {
					t.Fatal(err)
				}
				if token != nil {
					n.Params.AdditionalFields = withField(params.AdditionalFields, progressToken, token)
				}
				if want, err := encode(n); err != nil || string(got) != string(want) {
					t.Errorf("value %d: %s; want %s, %v", i, got, want, err)
				}
			}
		}
	}
}

func TestAppendToolResult(t *testing.T) {
	for _, v := range said() {
		for _, r := range []*mcp.CallToolResult{
			{},
			{StructuredContent: v},
			{IsError: true, Content: []mcp.Content{}},
			{Content: []mcp.Content{nil, mcp.NewTextContent("a"), mcp.NewTextContent("<")}},
			{Result: mcp.Result{Meta: mcp.NewMetaFromMap(map[string]any{"v": v}), ResultType: "<x>"}, StructuredContent: v, IsError: true},
			{RawStructuredContent: json.RawMessage(`{ "b" : "<", "a" : 1 }`), StructuredContent: v},
		} {
			want, err := encode(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := appendToolResult(nil, r, nil); err != nil || string(got) != string(want) {
				t.Errorf("%s, %v; want %s", got, err, want)
			}
		}
	}
}
