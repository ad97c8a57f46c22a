package transport

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"
)

// scannedTexts are what the scanner meets: what it takes, and what it must leave to
// encoding/json.
var scannedTexts = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,-0.5e+3,"x",true,false,null,{}]}}}`,
	` { "jsonrpc" : "2.0" , "id" : "a\"\u00e9" , "method" : "tools\/call" , "params" : null } `,
	`{"jsonrpc":"2.0","jsonrpc":"1.0","id":1,"method":"x"}`,
	`{"JSONRPC":"2.0","ID":1,"method":"x","Params":{}}`,
	`{"jsonrpc":"2.0","id":1,"id":2,"method":"x","extra":1}`,
	`{"jsonrpc":null,"method":null,"id":null}`,
	`{"_meta":{"progressToken":9007199254740993,"a":"b"},"name":"echo","arguments":{"n":9007199254740993}}`,
	`{"_meta":{"a":1},"_meta":{"b":2},"requestState":"x"}`,
	`{"_meta":{"a":1},"_META":{"b":2}}`,
	`{"_meta":null,"_meta":{"a":1,"a":2},"requeſtState":"x"}`,
	`{"_meta":[],"requestState":{}}`,
	`{"name":"a","name":"b","arguments":1,"arguments":2}`,
	`{"name":7,"task":{},"inputResponses":{}}`,
	`{"\u006eame":"a"}`, `"\ud800"`, `"\x"`, `"\u12g4"`, `"a`, "\"a\nb\"", `"é🙂"`,
	`01`, `-`, `1.`, `.5`, `1e`, `1e+`, `-0`, `1E9`, `1e400`, `0.1e-2`, `tru`, `nulll`,
	`[]`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{} {}`, ``, ` `,
	strings.Repeat("[", maxNesting) + strings.Repeat("]", maxNesting),
	strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1),
	strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
}

// checkScan compares what the scanner takes with what encoding/json reads.
func checkScan(t *testing.T, text []byte) {
	t.Helper()
	if !utf8.Valid(text) {
		return // is refused before
	}
	if env, ok := scanWire(text); ok {
		var want wireMessage
		if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(env, want) {
			t.Errorf("%s: message %+v; encoding/json: %+v, %v", text, env, want, err)
		}
	}
	if m, ok := scanMeta(text); ok {
		var want meta
		if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%s: meta %s; encoding/json: %s, %v", text, m, want, err)
		}
	}
	s := scanner{data: text}
	if value, ok := s.decode(0); ok && s.pos == len(text) {
		var want any
		if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(value, want) {
			t.Errorf("%s: %#v; encoding/json: %#v, %v", text, value, want, err)
		}
	}
	scanned := message{method: string(mcp.MethodToolsCall), params: text}
	if scanned.scanParams() {
		decoded := scanned
		decoded.decodeParams()
		if !reflect.DeepEqual(scanned, decoded) {
			t.Errorf("%s: parameters %+v; encoding/json: %+v", text, scanned, decoded)
		}
	}
	if scanned.tool.name != "" {
		var p mcp.CallToolParams
		err := json.Unmarshal(text, &p)
		if err != nil || p.Name != scanned.tool.name || string(p.RawArguments) != string(scanned.tool.arguments) ||
			p.Task != nil || p.InputResponses != nil || p.RequestState != "" {
			t.Errorf("%s: tool call %+v; mcp-go: %+v, %v", text, scanned.tool, p, err)
		}
	}
}

func TestScan(t *testing.T) {
	for _, text := range scannedTexts {
		checkScan(t, []byte(text))
	}
}

// The scanner takes what clients send: encoding/json is not asked.
func TestScanTakes(t *testing.T) {
	for _, tt := range []struct {
		text string
		ok   func([]byte) bool
	}{
		{scannedTexts[0], func(b []byte) bool { _, ok := scanWire(b); return ok }},
		{scannedTexts[1], func(b []byte) bool { _, ok := scanWire(b); return ok }},
		{scannedTexts[6], func(b []byte) bool {
			m := message{method: string(mcp.MethodToolsCall), params: b}
			return m.scanParams() && m.tool.name == "echo" && m.meta != nil
		}},
		{`{"a":[1,-0.5e+3,"x\n",true,false,null,{}]}`, func(b []byte) bool {
			s := scanner{data: b}
			_, ok := s.decode(0)
			return ok
		}},
	} {
		if !tt.ok([]byte(tt.text)) {
			t.Errorf("%s: it gave up", tt.text)
		}
	}
}

// FuzzScan: what the scanner takes, encoding/json reads the same.
func FuzzScan(f *testing.F) {
	for _, text := range scannedTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkScan(t, text) })
}
