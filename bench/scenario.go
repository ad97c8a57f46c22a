package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	legacy = "2025-11-25" // with sessions
	modern = "2026-07-28" // without
)

// notifications is how many the tool burst sends before its result.
const notifications = 200

// idMark stands in a request where its ID goes: as JSON-RPC ID, as progress
// token, and in the text. IDs have as many digits, so lengths do not change.
const idMark = "########"

const (
	firstID = 10_000_000
	lastID  = 99_999_999
)

// scenario is one kind of request, sent again and again.
type scenario struct {
	name     string
	title    string
	unit     string // what is counted per CPU-second
	revision string
	tool     string
	params   string // params of tools/call, in JSON, but for the _meta of the revision
	// check looks at the answer to the request with the ID, and says how many
	// units have arrived and how many are lost. An answer that is wrong, rather
	// than incomplete, is an error.
	check func(res *response, id []byte) (arrived, lost int, err error)
}

func scenarios() []scenario {
	echo := `"name":"echo","arguments":{"text":"` + echoText(idMark) + `"}`
	return []scenario{
		{
			name: "plain", title: "tools/call, " + legacy + ", a session per connection", unit: "requests",
			revision: legacy, tool: "echo", params: echo, check: checkEcho,
		},
		{
			name: "modern", title: "tools/call, " + modern, unit: "requests",
			revision: modern, tool: "echo", params: echo, check: checkEcho,
		},
		{
			name: "burst", title: fmt.Sprintf("%d notifications of progress and the result, %s", notifications, legacy), unit: "notifications",
			revision: legacy, tool: "burst", params: `"name":"burst","arguments":{}`, check: checkBurst,
		},
		{
			name: "send", title: "wigwag's send_message by one user, " + legacy, unit: "messages",
			revision: legacy, tool: "send_message", params: `"name":"send_message","arguments":{"message":"` + echoText(idMark) + `"}`, check: checkSent,
		},
	}
}

// echoText is what the tool echo is asked to say.
func echoText(id string) string {
	return "the quick brown fox jumps over the lazy dog " + id
}

// request is the HTTP request, with idMark where its ID goes. Session and token
// may be empty.
func (s *scenario) request(target *started, session string) []byte {
	meta := ""
	if s.revision == modern {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	}
	if s.tool == "burst" {
		meta = `,"_meta":{"progressToken":"` + idMark + `"}`
	}
	headers := []string{"MCP-Protocol-Version: " + s.revision}
	if s.revision == modern {
		headers = append(headers, "Mcp-Method: tools/call", "Mcp-Name: "+s.tool)
	}
	if session != "" {
		headers = append(headers, "Mcp-Session-Id: "+session)
	}
	return target.post(headers, `{"jsonrpc":"2.0","id":`+idMark+`,"method":"tools/call","params":{`+s.params+meta+`}}`)
}

// post is a request to the target with the headers beside the usual ones.
func (t *started) post(headers []string, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n", t.path, t.addr)
	if t.token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", t.token)
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.Bytes()
}

// checkEcho wants one message, the response of this ID with the text of this
// request.
func checkEcho(res *response, id []byte) (arrived, lost int, err error) {
	var last []byte
	for m := range res.messages() {
		last = m
	}
	if err := checkResult(last, id); err != nil {
		return 0, 0, err
	}
	if !bytes.Contains(last, []byte(echoText(string(id)))) {
		return 0, 0, fmt.Errorf("not the text of request %s: %s", id, last)
	}
	return 1, 0, nil
}

// checkSent wants the response of this ID; what it says is new every time.
func checkSent(res *response, id []byte) (arrived, lost int, err error) {
	var last []byte
	for m := range res.messages() {
		last = m
	}
	if err := checkResult(last, id); err != nil {
		return 0, 0, err
	}
	return 1, 0, nil
}

// checkBurst wants the notifications of this request, in order, and then the
// response. Those that are missing are lost.
func checkBurst(res *response, id []byte) (arrived, lost int, err error) {
	var last []byte
	before := 0
	for m := range res.messages() {
		if last != nil {
			return 0, 0, fmt.Errorf("after the response: %s", m)
		}
		if !bytes.Contains(m, []byte(`"notifications/progress"`)) {
			last = m
			continue
		}
		if token := after(m, `"progressToken":"`); !bytes.HasPrefix(token, id) {
			return 0, 0, fmt.Errorf("a notification of another request than %s: %s", id, m)
		}
		n := leadingNumber(after(m, `"progress":`))
		if n <= before || n > notifications {
			return 0, 0, fmt.Errorf("a notification out of turn, after %d: %s", before, m)
		}
		before = n
		arrived++
	}
	if err := checkResult(last, id); err != nil {
		return 0, 0, err
	}
	return arrived, notifications - arrived, nil
}

// checkResult wants the result of the request with the ID.
func checkResult(m, id []byte) error {
	switch rest := after(m, `"id":`); {
	case m == nil:
		return errors.New("no response")
	case !bytes.HasPrefix(rest, id) || len(rest) == len(id) || rest[len(id)] != ',' && rest[len(id)] != '}':
		return fmt.Errorf("not the response to %s: %s", id, m)
	case !bytes.Contains(m, []byte(`"result":`)) || bytes.Contains(m, []byte(`"isError":true`)):
		return fmt.Errorf("request %s failed: %s", id, m)
	default:
		return nil
	}
}

// after returns what follows the first occurrence of key, nil without one.
func after(m []byte, key string) []byte {
	i := bytes.Index(m, []byte(key))
	if i < 0 {
		return nil
	}
	return m[i+len(key):]
}

// leadingNumber is 0 if there is none.
func leadingNumber(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > notifications {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// initialize opens a session of the revision.
func (t *started) initialize(revision string) []byte {
	return t.post(nil, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+revision+
		`","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
}

// initialized is what a client has to say after it.
func (t *started) initialized(revision, session string) []byte {
	headers := []string{"MCP-Protocol-Version: " + revision}
	if session != "" {
		headers = append(headers, "Mcp-Session-Id: "+session)
	}
	return t.post(headers, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// marks are the offsets of idMark.
func marks(request []byte) []int {
	var at []int
	for from := 0; ; {
		i := strings.Index(string(request[from:]), idMark)
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + len(idMark)
	}
}

func appendID(b []byte, id int) []byte { return strconv.AppendInt(b, int64(id), 10) }
