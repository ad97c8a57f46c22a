package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"
)

type kind int

const (
	request kind = iota
	notification
	response
)

// message is one JSON-RPC message of a client.
type message struct {
	kind   kind
	id     json.RawMessage // exactly as sent; nil for a notification
	method string
	params json.RawMessage
	meta   meta            // params._meta
	state  json.RawMessage // params.requestState (2026-07-28); nil: none
	tool   toolCall        // of a tools/call with nothing unusual
	result json.RawMessage // of a response
	fault  json.RawMessage // the error of a response
}

// toolCall is what a tools/call asks for that has a name, arguments and _meta
// and no more.
type toolCall struct {
	name      string          // "": it is not of that kind
	arguments json.RawMessage // nil: none
}

const (
	maxIDBytes = 512
	maxBatch   = 100 // messages a batch of 2025-03-26 may hold
	// maxValues bounds the JSON values of a body: a text takes the memory of its
	// bytes, a list of small values fifty times that.
	maxValues = 20_000
)

// parseBody reads a body: one message, or a batch of them (batch is true even
// for a batch of one).
func parseBody(body []byte) (msgs []message, batch bool, err error) {
	if !utf8.Valid(body) {
		return nil, false, &fault{status: http.StatusBadRequest, code: mcp.PARSE_ERROR, msg: "the body is not valid UTF-8"}
	}
	if holdsMany(body) {
		return nil, false, &fault{
			status: http.StatusRequestEntityTooLarge, code: mcp.INVALID_REQUEST, reason: RefusedBody,
			msg: fmt.Sprintf("the body holds more than %d JSON values", maxValues),
		}
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '[' {
		m, err := parseMessage(body)
		return []message{m}, false, err
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(body, &raws); err != nil {
		return nil, true, notJSON(err)
	}
	if len(raws) == 0 || len(raws) > maxBatch {
		return nil, true, invalid(nil, fmt.Sprintf("a batch holds 1 to %d messages, this one has %d", maxBatch, len(raws)))
	}
	msgs = make([]message, len(raws))
	for i, raw := range raws {
		if msgs[i], err = parseMessage(raw); err != nil {
			return nil, true, err
		}
	}
	return msgs, true, nil
}

// holdsMany reports whether a body holds more than maxValues values. Each but the
// outermost comes first in an object or array, or after a comma.
func holdsMany(body []byte) bool {
	if len(body) <= maxValues {
		return false
	}
	values, text := 1, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case !text && (c == ',' || c == '[' || c == '{'):
			values++
		}
	}
	return values > maxValues
}

// wireMessage is a message as it is written down.
type wireMessage struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  *string         `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
}

// scanWire reads a message whose keys are all known and there once.
func scanWire(raw []byte) (env wireMessage, ok bool) {
	o := newScanObject(raw)
	for o.next() {
		var field *json.RawMessage
		switch string(o.key) {
		case "jsonrpc":
			if env.JSONRPC != "" {
				return env, false
			}
			if string(o.value) != `"2.0"` {
				return env, false
			}
			env.JSONRPC = mcp.JSONRPC_VERSION
			continue
		case "method":
			method, ok := string(mcp.MethodToolsCall), true
			if string(o.value) != `"tools/call"` { // nearly all are
				method, ok = textOf(o.value)
			}
			if !ok || env.Method != nil {
				return env, false
			}
			env.Method = &method
			continue
		case "id":
			field = &env.ID
		case "params":
			field = &env.Params
		case "result":
			field = &env.Result
		case "error":
			field = &env.Error
		}
		if field == nil || *field != nil {
			return env, false
		}
		*field = o.value
	}
	return env, o.done
}

func parseMessage(raw json.RawMessage) (message, error) {
	env, ok := scanWire(raw)
	if !ok {
		env = wireMessage{}
		if err := json.Unmarshal(raw, &env); err != nil {
			wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
			switch {
			case !ok:
				return message{}, notJSON(err)
			case wrong.Field == "":
				return message{}, invalid(nil, "a JSON-RPC message is an object, not a "+wrong.Value)
			default:
				return message{}, invalid(nil, fmt.Sprintf("%q must be a string, not a %s", wrong.Field, wrong.Value))
			}
		}
	}
	m := message{id: env.ID, params: env.Params, result: env.Result, fault: env.Error}
	if env.ID != nil {
		if err := checkID(env.ID); err != nil {
			return message{}, err
		}
	}
	switch {
	case env.JSONRPC != mcp.JSONRPC_VERSION:
		return message{}, invalid(env.ID, `"jsonrpc" must be "2.0"`)
	case env.Method != nil && *env.Method == "":
		return message{}, invalid(env.ID, `"method" is empty`)
	case env.Method != nil && (env.Result != nil || env.Error != nil):
		return message{}, invalid(env.ID, `a message has a "method", or a "result" or "error", not both`)
	case env.Method != nil && env.ID != nil:
		m.kind, m.method = request, *env.Method
	case env.Method != nil:
		m.kind, m.method = notification, *env.Method
	case env.ID != nil && (env.Result != nil) != (env.Error != nil):
		m.kind = response
	default:
		return message{}, invalid(env.ID, `a message has a "method", or an "id" with either "result" or "error"`)
	}
	if m.kind != response && len(env.Params) > 0 && env.Params[0] != '{' && string(env.Params) != "null" {
		return message{}, invalid(env.ID, `"params" must be an object`)
	}
	m.readParams()
	return m, nil
}

// isID tells a JSON string or number from everything else.
func isID(raw json.RawMessage) bool {
	return raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
}

// readParams reads what the transport itself needs of the parameters. A shape
// that does not fit reads as absent: what is wrong with it is then said by
// whoever requires it.
func (m *message) readParams() {
	if m.kind != response && !m.scanParams() {
		m.decodeParams()
	}
}

func (m *message) decodeParams() {
	var p struct {
		Meta  meta            `json:"_meta"`
		State json.RawMessage `json:"requestState"`
	}
	m.meta, m.state = nil, nil
	if json.Unmarshal(m.params, &p) == nil {
		m.meta, m.state = p.Meta, p.State
	}
}

// scanParams is readParams for all but the unusual: a key that is there twice,
// or that encoding/json would take for one that is read here.
func (m *message) scanParams() bool {
	var tool toolCall
	plain := m.method == string(mcp.MethodToolsCall)
	o := newScanObject(m.params)
	for o.next() {
		switch key := string(o.key); key {
		case "_meta":
			ok := m.meta == nil
			if ok && string(o.value) != "null" {
				m.meta, ok = scanMeta(o.value)
			}
			if !ok {
				return false
			}
		case "requestState":
			if m.state != nil {
				return false
			}
			m.state, plain = o.value, false
		case "name":
			name, ok := textOf(o.value)
			plain = plain && ok && tool.name == ""
			tool.name = name
		case "arguments":
			plain = plain && tool.arguments == nil
			tool.arguments = o.value
		default:
			if strings.EqualFold(key, "_meta") || strings.EqualFold(key, "requestState") {
				return false
			}
			plain = false
		}
	}
	if o.done && plain {
		m.tool = tool
	}
	return o.done
}

// checkID allows strings and numbers, as MCP does; null, which JSON-RPC would
// allow, is refused (base protocol, "Requests").
func checkID(id json.RawMessage) error {
	switch {
	case len(id) > maxIDBytes:
		return invalid(nil, fmt.Sprintf(`"id" is longer than %d bytes`, maxIDBytes))
	case isID(id):
		return nil
	default:
		return invalid(nil, `"id" must be a string or a number`)
	}
}

// encode is the message as mcp-go gets it: only what was read here, so that
// keys sent twice or in another case cannot mean one thing here and another
// there. A stand-in takes the place of the ID, which mcp-go would read as a
// floating-point number; the transport answers with the one that was sent.
// mcp-go would cancel by it, but no cancellation ever reaches it.
func (m *message) encode(params json.RawMessage) json.RawMessage {
	buf := make([]byte, 0, len(params)+len(m.method)+64)
	buf = append(buf, `{"jsonrpc":"2.0","method":`...)
	method, err := json.Marshal(m.method)
	if err != nil {
		panic(err) // a string
	}
	buf = append(buf, method...)
	if m.id != nil {
		buf = append(buf, `,"id":1`...)
	}
	if params != nil {
		buf = append(append(buf, `,"params":`...), params...)
	}
	return append(buf, '}')
}

// meta is params._meta, whose keys are exact. Sent twice, the last one counts.
type meta map[string]json.RawMessage

// UnmarshalJSON takes the place of what encoding/json would do with an object
// that is there twice, which is to merge.
func (m *meta) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(data, &fields)
	*m = fields
	return err
}

// scanMeta is json.Unmarshal into a meta, of an object with every key once and
// without escapes.
func scanMeta(raw []byte) (meta, bool) {
	m := meta{}
	o := newScanObject(raw)
	for o.next() {
		if m[string(o.key)] != nil {
			return nil, false
		}
		m[string(o.key)] = o.value
	}
	return m, o.done
}

// text returns a string value; ok is false when there is none.
func (m meta) text(key string) (s string, ok bool) { return textOf(m[key]) }

// progressToken is a string or a number, exactly as sent; nil is none.
func (m meta) progressToken() json.RawMessage {
	if raw := m[progressToken]; len(raw) > 0 && isID(raw) {
		return raw
	}
	return nil
}
