package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"wigwag/transport/sse"
)

// The oldest revision goes over HTTP+SSE; the newest has no sessions.
const (
	oldest = "2024-11-05"
	modern = "2026-07-28"
)

// dialect is a way to speak MCP over HTTP.
type dialect struct {
	revision string
	session  bool
}

func (d dialect) String() string {
	switch {
	case d.revision == oldest:
		return "sse"
	case d.revision == modern, d.session:
		return d.revision
	default:
		return d.revision + " sessionless"
	}
}

func dialects() []dialect {
	return []dialect{
		{oldest, true},
		{"2025-03-26", true},
		{"2025-03-26", false},
		{"2025-06-18", true},
		{"2025-06-18", false},
		{"2025-11-25", true},
		{"2025-11-25", false},
		{modern, false},
	}
}

// protocols are the versions of HTTP that a server without TLS speaks.
func protocols() []string { return []string{"HTTP/1.1", "h2c"} }

// newHTTP makes a client of its own connections, closed with the test.
func newHTTP(t *testing.T, protocol string) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 1000, Protocols: new(http.Protocols)}
	switch protocol {
	case "HTTP/1.1":
		transport.Protocols.SetHTTP1(true)
	case "h2c":
		transport.Protocols.SetUnencryptedHTTP2(true)
	default:
		t.Fatalf("protocol %q", protocol)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// client speaks a dialect to a server, in one session if the dialect has any.
type client struct {
	dialect
	http    *http.Client
	url     string
	token   string
	session string     // its ID
	stream  *sseStream // of HTTP+SSE
}

// connect makes a client and its session.
func connect(t *testing.T, hc *http.Client, p *process, d dialect) *client {
	t.Helper()
	return connectAs(t, hc, p, p.token, d)
}

func connectAs(t *testing.T, hc *http.Client, p *process, token string, d dialect) *client {
	t.Helper()
	c := &client{dialect: d, http: hc, url: p.url, token: token}
	if d.revision == oldest {
		c.openSSE(t)
	}
	if !d.session {
		return c
	}
	got, err := c.do(bounded(t), "init", "initialize", object{
		"protocolVersion": d.revision, "capabilities": object{"elicitation": object{}},
		"clientInfo": object{"name": "load", "version": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.revision != oldest {
		c.session = got.header.Get("Mcp-Session-Id")
	}
	if c.session == "" || got.last.Error != nil {
		t.Fatalf("initialize: status %d, session %q, %+v", got.status, c.session, got.last)
	}
	if status, err := c.notify(bounded(t), "notifications/initialized", nil); err != nil || status != http.StatusAccepted {
		t.Fatalf("initialized: status %d, %v", status, err)
	}
	return c
}

type object = map[string]any

// envelope is a message of the server.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Token    string  `json:"progressToken"`
		Progress float64 `json:"progress"`
		Total    float64 `json:"total"`
		Message  string  `json:"message"`
		URI      string  `json:"uri"`
		Meta     struct {
			Partial struct {
				StreamID string `json:"stream_id"`
			} `json:"wigwag/partial"`
		} `json:"_meta"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	event string // its ID
}

func (e envelope) String() string {
	if e.Error != nil {
		return fmt.Sprintf("id %s error %d %q", e.ID, e.Error.Code, e.Error.Message)
	}
	return fmt.Sprintf("id %s %s %+v %s", e.ID, e.Method, e.Params, e.Result)
}

// toolText is the text of a tool's result; ok is false for anything else.
func (e envelope) toolText() (text string, ok bool) {
	var result struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
		IsError bool `json:"isError"`
	}
	if e.Error != nil || json.Unmarshal(e.Result, &result) != nil || result.IsError || len(result.Content) != 1 {
		return e.String(), false
	}
	return result.Content[0].Text, true
}

// request makes the HTTP request for a JSON-RPC request, whose ID is also its
// progress token, or for a notification, if the ID is "".
func (c *client) request(ctx context.Context, id, method string, params object) (*http.Request, error) {
	meta := object{}
	if c.revision == modern {
		meta["io.modelcontextprotocol/protocolVersion"] = modern
		meta["io.modelcontextprotocol/clientCapabilities"] = object{"elicitation": object{}}
	}
	body := object{"jsonrpc": "2.0", "method": method}
	if id != "" {
		body["id"] = id
		meta["progressToken"] = id
	}
	all := object{"_meta": meta}
	maps.Copy(all, params)
	body["params"] = all
	req, err := c.post(ctx, body)
	if err == nil && c.revision == modern {
		req.Header.Set("Mcp-Method", method)
		if name, ok := params["name"].(string); ok {
			req.Header.Set("Mcp-Name", name)
		}
	}
	return req, err
}

// post makes a POST of any JSON in the client's name.
func (c *client) post(ctx context.Context, body any) (*http.Request, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/mcp", bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	if c.revision == oldest {
		req.URL.Path, req.URL.RawQuery = "/messages", "sessionId="+c.session
	}
	c.sign(req)
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// get makes the GET that opens the session's own stream, or resumes one.
func (c *client) get(ctx context.Context, lastEventID string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/mcp", http.NoBody)
	if err != nil {
		return nil, err
	}
	c.sign(req)
	req.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	return req, nil
}

// del makes the DELETE that ends the session.
func (c *client) del(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.url+"/mcp", http.NoBody)
	if err != nil {
		return nil, err
	}
	c.sign(req)
	return req, nil
}

func (c *client) sign(req *http.Request) {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.revision == oldest {
		return
	}
	req.Header.Set("MCP-Protocol-Version", c.revision)
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
}

func toolCall(tool string, args object) object { return object{"name": tool, "arguments": args} }

// listenToLists are the parameters of a subscription to nothing that happens.
func listenToLists() object {
	return object{"notifications": object{"resourcesListChanged": true}}
}

// answer is what comes of a request, message by message.
type answer struct {
	status int
	header http.Header
	next   func() (envelope, error) // io.EOF after the last
	close  func()
}

// open sends a request and returns as soon as the answer begins. The answer is
// to be closed.
func (c *client) open(ctx context.Context, id, method string, params object) (*answer, error) {
	req, err := c.request(ctx, id, method, params)
	if err != nil {
		return nil, err
	}
	if c.revision != oldest {
		return send(c.http, req)
	}
	messages := c.stream.await(id)
	got, err := send(c.http, req)
	if err != nil || got.status != http.StatusAccepted {
		c.stream.forget(id)
		return got, err
	}
	got.close()
	got.close = func() { c.stream.forget(id) }
	got.next = func() (envelope, error) {
		select {
		case e, ok := <-messages:
			if !ok {
				return e, io.EOF
			}
			return e, nil
		case <-c.stream.ended:
			return envelope{}, errors.New("the session's stream ended")
		case <-ctx.Done():
			return envelope{}, ctx.Err()
		}
	}
	return got, nil
}

// send sends a request to /mcp.
func send(hc *http.Client, req *http.Request) (*answer, error) {
	res, err := hc.Do(req)
	if err != nil {
		return nil, err
	}
	got := &answer{status: res.StatusCode, header: res.Header, close: func() { res.Body.Close() }}
	switch media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media {
	case sse.ContentType:
		events := sse.NewReader(res.Body, 64<<20)
		got.next = func() (envelope, error) { return nextMessage(events) }
	default:
		read := false
		got.next = func() (e envelope, err error) {
			if read {
				return e, io.EOF
			}
			read = true
			body, err := io.ReadAll(res.Body)
			if err != nil || len(body) == 0 {
				return e, errors.Join(err, io.EOF)
			}
			if err := json.Unmarshal(body, &e); err != nil {
				return e, fmt.Errorf("status %d, body %.200q: %w", res.StatusCode, body, err)
			}
			return e, nil
		}
	}
	return got, nil
}

// nextMessage skips events that hold none, such as the priming one.
func nextMessage(events *sse.Reader) (e envelope, err error) {
	for {
		ev, err := events.Next()
		if err != nil {
			return e, err
		}
		if len(ev.Data) == 0 {
			continue
		}
		if err := json.Unmarshal(ev.Data, &e); err != nil {
			return e, fmt.Errorf("event %.200q: %w", ev.Data, err)
		}
		e.event = ev.ID
		return e, nil
	}
}

// reply is the whole answer to a request.
type reply struct {
	status int
	header http.Header
	notes  []envelope // what came before the response
	last   envelope   // the response
}

// do sends a request and reads the answer to its end.
func (c *client) do(ctx context.Context, id, method string, params object) (reply, error) {
	got, err := c.open(ctx, id, method, params)
	if err != nil {
		return reply{}, err
	}
	defer got.close()
	return got.rest(id)
}

// rest reads an answer to its end, which the response must be.
func (a *answer) rest(id string) (reply, error) {
	got := reply{status: a.status, header: a.header}
	for answered := false; ; {
		e, err := a.next()
		switch {
		case errors.Is(err, io.EOF) && answered:
			return got, nil
		case err != nil:
			return got, fmt.Errorf("%s: after %d notifications, answered %t: %w", id, len(got.notes), answered, err)
		case answered:
			return got, fmt.Errorf("%s: after the response came %v", id, e)
		case e.Method != "":
			got.notes = append(got.notes, e)
		case a.status == http.StatusOK && string(e.ID) != strconv.Quote(id):
			return got, fmt.Errorf("%s: a response to %s came", id, e.ID)
		default:
			got.last, answered = e, true
		}
	}
}

// tool calls a tool that must succeed, and returns its text.
func (c *client) tool(ctx context.Context, id, tool string, args object) (string, error) {
	got, err := c.do(ctx, id, "tools/call", toolCall(tool, args))
	if err != nil {
		return "", err
	}
	text, ok := got.last.toolText()
	if !ok {
		return "", fmt.Errorf("%s: %s: status %d, %s", id, tool, got.status, text)
	}
	return text, nil
}

// notify sends a notification and returns the status.
func (c *client) notify(ctx context.Context, method string, params object) (int, error) {
	req, err := c.request(ctx, "", method, params)
	if err != nil {
		return 0, err
	}
	got, err := send(c.http, req)
	if err != nil {
		return 0, err
	}
	got.close()
	return got.status, nil
}

// cancel ends a request the way its revision does it: here by a notification.
func (c *client) cancel(ctx context.Context, id string) (int, error) {
	return c.notify(ctx, "notifications/cancelled", object{"requestId": id})
}

// drain reads what is left of a body and closes it, so that the connection can
// serve again.
func drain(res *http.Response) string {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(body))
}
