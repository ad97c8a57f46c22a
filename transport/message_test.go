package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

func TestParseBody(t *testing.T) {
	tests := []struct {
		name string
		body string
		code int // of the fault; 0: none
		kind kind
	}{
		{"request", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 0, request},
		{"string id", `{"jsonrpc":"2.0","id":"a","method":"ping","params":{}}`, 0, request},
		{"null params", `{"jsonrpc":"2.0","id":1,"method":"ping","params":null}`, 0, request},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 0, notification},
		{"result", `{"jsonrpc":"2.0","id":1,"result":{}}`, 0, response},
		{"error", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, 0, response},
		{"empty", ``, mcp.PARSE_ERROR, 0},
		{"cut off", `{"jsonrpc":"2.0","id":1,`, mcp.PARSE_ERROR, 0},
		{"two values", `{"jsonrpc":"2.0","id":1,"method":"ping"} {}`, mcp.PARSE_ERROR, 0},
		{"not UTF-8", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", mcp.PARSE_ERROR, 0},
		{"a string", `"hello"`, mcp.INVALID_REQUEST, 0},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, mcp.INVALID_REQUEST, 0},
		{"object id", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, mcp.INVALID_REQUEST, 0},
		{"boolean id", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, mcp.INVALID_REQUEST, 0},
		{"long id", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", maxIDBytes) + `","method":"ping"}`, mcp.INVALID_REQUEST, 0},
		{"other version", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, mcp.INVALID_REQUEST, 0},
		{"empty method", `{"jsonrpc":"2.0","id":1,"method":""}`, mcp.INVALID_REQUEST, 0},
		{"params a list", `{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}`, mcp.INVALID_REQUEST, 0},
		{"neither", `{"jsonrpc":"2.0","id":1}`, mcp.INVALID_REQUEST, 0},
		{"both", `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, mcp.INVALID_REQUEST, 0},
		{"empty batch", `[]`, mcp.INVALID_REQUEST, 0},
		{"batch too long", `[` + strings.Repeat(`{"jsonrpc":"2.0","method":"x"},`, maxBatch) + `{"jsonrpc":"2.0","method":"x"}]`, mcp.INVALID_REQUEST, 0},
		{"batch with a bad one", `[{"jsonrpc":"2.0","id":1,"method":"ping"},1]`, mcp.INVALID_REQUEST, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			msgs, _, err := parseBody([]byte(tt.body))
			var f *fault
			switch {
			case tt.code == 0 && err != nil:
				t.Fatalf("refused: %v", err)
			case tt.code == 0 && msgs[0].kind != tt.kind:
				t.Fatalf("kind %d, want %d", msgs[0].kind, tt.kind)
			case tt.code != 0 && (!errors.As(err, &f) || f.code != tt.code || f.status != 400):
				t.Fatalf("err = %v, want a fault with code %d", err, tt.code)
			}
		})
	}
}

// TestManyValues: what would take far more memory than its text is refused
// before it is taken apart.
func TestManyValues(t *testing.T) {
	call := func(arguments string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":` + arguments + `}}}`
	}
	for name, tt := range map[string]struct {
		body    string
		refused bool
	}{
		"as many as may be":    {call("[" + strings.Repeat("0,", maxValues-10) + "0]"), false},
		"one batch of numbers": {"[" + strings.Repeat("1,", maxValues) + "1]", true},
		"in a list":            {call("[" + strings.Repeat("0,", maxValues) + "0]"), true},
		"lists in lists":       {call("[" + strings.Repeat("[[]],", maxValues/2) + "0]"), true},
		"members":              {call("{" + strings.Repeat(`"a":{},`, maxValues) + `"a":1}`), true},
		"after a quote":        {call(`["\\\"",` + strings.Repeat("0,", maxValues) + "0]"), true},
		"only a text":          {call(`"` + strings.Repeat(`[{,\",\\`, maxValues) + `"`), false},
		"cut off":              {call(`"` + strings.Repeat("0,", maxValues) + `\`), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := parseBody([]byte(tt.body))
			f, _ := errors.AsType[*fault](err)
			if refused := f != nil && f.status == http.StatusRequestEntityTooLarge; refused != tt.refused {
				t.Errorf("refused: %v (%v)", refused, err)
			}
		})
	}
}

// FuzzParseBody: any body is refused with a fault or read into messages that
// encode to valid JSON and are answered with the ID untouched.
func FuzzParseBody(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"x"}}`))
	f.Add([]byte(`[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":"b","result":1}]`))
	f.Add([]byte(`{"JSONRPC":"2.0","ID":1,"Id":"2","method":"x","Params":{"_meta":{"progressToken":1e400}}}`))
	f.Add([]byte("\ufeff{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		msgs, _, err := parseBody(body)
		if err != nil {
			var fa *fault
			if !errors.As(err, &fa) {
				t.Fatalf("not a fault: %v", err)
			}
			if !json.Valid(fa.rpcError()) {
				t.Fatalf("the refusal is not JSON: %s", fa.rpcError())
			}
			return
		}
		for _, m := range msgs {
			if m.kind == response {
				continue
			}
			out := m.encode(m.params)
			var back struct {
				ID     json.RawMessage `json:"id"`
				Method string          `json:"method"`
			}
			if err := json.Unmarshal(out, &back); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			if (back.ID != nil) != (m.id != nil) || back.Method != m.method {
				t.Fatalf("%s became %s", body, out)
			}
			if answer := (&fault{}).withID(m.id).rpcError(); m.id != nil && !bytes.Contains(answer, m.id) {
				t.Fatalf("the ID of %s is not in %s", body, answer)
			}
		}
	})
}

// FuzzLastEventID: whatever a client sends, it finds only its own session's
// streams.
func FuzzLastEventID(f *testing.F) {
	srv := &Server{}
	sess := newSession(srv, "s", Owner{}, false)
	st := newStream(1, true)
	sess.streams[st.id()] = &resumable{stream: st}
	st.prime()
	f.Add(st.id() + "-1")
	f.Add(sess.out.id() + "-0")
	f.Add("-1")
	f.Add(st.id() + "--1")
	f.Add(st.id() + "-18446744073709551616")
	f.Fuzz(func(t *testing.T, id string) {
		res, err := srv.wanted(t.Context(), sess, id)
		got, after, resumes := res.stream, res.after, res.from != nil
		switch {
		case err != nil && got != nil, err == nil && got != st && got != sess.out:
			t.Fatalf("wanted(%q) = %v, %v", id, got, err)
		case err == nil && resumes && !got.gave(after):
			t.Fatalf("wanted(%q) resumes after an event that never was", id)
		case err == nil && got == st && (!resumes || !strings.HasPrefix(id, st.id()+"-")):
			t.Fatalf("wanted(%q) found a stream it does not name", id)
		}
	})
}
