package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"time"

	"wigwag/transport/sse"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

type object = map[string]any

// client speaks MCP to a server that may be gone at any moment. It is for one
// goroutine.
type client struct {
	run      *run
	name     string
	revision string
	session  string // its ID; "" on 2026-07-28
	http     *http.Client
	rand     *rand.Rand
	requests int // made so far
}

func (r *run) client(name, revision string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 2}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &client{run: r, name: name, revision: revision, http: &http.Client{Transport: transport}, rand: r.random(name)}
}

// reply is what a request came to.
type reply struct {
	outcome outcome
	detail  string
	result  json.RawMessage // of answered
	status  int             // of the HTTP answer; 0: there was none
}

// rpc makes a request and sees it through: an answer that breaks off is resumed
// where the revision has that. hangUp is after how many events of the answer the
// client itself closes the connection; 0: never.
func (c *client) rpc(ctx context.Context, method string, params object, hangUp int) reply {
	ctx, cancel := context.WithTimeout(ctx, c.run.quiet)
	defer cancel()
	a, got, over := c.ask(ctx, method, params, hangUp)
	if over || a.last == "" { // of 2026-07-28, or it broke off before the first event
		return got
	}
	return a.resume(ctx)
}

// ask makes a request and reads the answer as far as it comes.
func (c *client) ask(ctx context.Context, method string, params object, hangUp int) (a *answer, got reply, over bool) {
	c.requests++
	id := fmt.Sprint(c.name, " ", c.requests)
	a = &answer{client: c, id: id, hangUp: hangUp}
	req, err := c.request(ctx, http.MethodPost, object{"jsonrpc": "2.0", "id": id, "method": method, "params": c.params(id, params)})
	if err != nil {
		return a, reply{outcome: garbled, detail: err.Error()}, true
	}
	if c.revision == modern {
		req.Header.Set("Mcp-Method", method)
		if name, ok := params["name"].(string); ok {
			req.Header.Set("Mcp-Name", name)
		}
	}
	got, over = a.take(ctx, req)
	return a, got, over
}

// resume fetches the rest of an answer that broke off, in as many attempts as it
// takes.
func (a *answer) resume(ctx context.Context) reply {
	r := a.client.run
	for {
		r.count.resumed.Add(1)
		r.pause(ctx, a.client.rand)
		req, err := a.client.request(ctx, http.MethodGet, nil)
		if err != nil {
			return reply{outcome: garbled, detail: err.Error()}
		}
		req.Header.Set("Last-Event-ID", a.last)
		got, over := a.take(ctx, req)
		switch {
		case over && got.outcome == answered:
			r.count.fetched.Add(1)
			return got
		case over:
			return got
		case ctx.Err() != nil:
			return reply{outcome: silent, detail: fmt.Sprintf("for %v, the last time: %s", r.quiet, got.detail)}
		}
	}
}

// params adds what the revision asks for. The token makes a tool tell of its
// progress, so that its answer is a stream.
func (c *client) params(id string, params object) object {
	meta := object{"progressToken": id}
	if c.revision == modern {
		meta["io.modelcontextprotocol/protocolVersion"] = modern
		meta["io.modelcontextprotocol/clientCapabilities"] = object{}
	}
	all := object{"_meta": meta}
	maps.Copy(all, params)
	return all
}

// request makes a request to /mcp; a body that is nil is none.
func (c *client) request(ctx context.Context, method string, body any) (*http.Request, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.run.url+"/mcp", content)
	if err != nil {
		return nil, err
	}
	token, err := c.run.token(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("MCP-Protocol-Version", c.revision)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Header.Set("Accept", sse.ContentType)
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	return req, nil
}

// answer is what has come of one request, over as many connections as it took.
type answer struct {
	client *client
	id     string
	last   string // the ID of the last event; "": there was none
	events int
	hangUp int   // after so many events
	parts  []int // the progress that was told
}

// take sends a request, to begin the answer or to resume it, and reads what
// comes. over is false if it may be resumed: the connection ended before the
// response.
func (a *answer) take(ctx context.Context, req *http.Request) (got reply, over bool) {
	r := a.client.run
	hop, cancel := context.WithTimeout(ctx, r.hop)
	defer cancel()
	res, err := a.client.http.Do(req.WithContext(hop))
	if err != nil {
		return a.broken(hop, err)
	}
	defer res.Body.Close()
	if session := res.Header.Get("Mcp-Session-Id"); session != "" {
		a.client.session = session
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode == http.StatusOK && media == sse.ContentType {
		return a.follow(hop, res.Body)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return a.broken(hop, err)
	}
	got = reply{status: res.StatusCode, outcome: refused, detail: fmt.Sprintf("%s: %s", res.Status, bytes.TrimSpace(body))}
	if res.StatusCode == http.StatusOK {
		return a.response(body), true
	}
	var refusal struct{ Error struct{ Message string } }
	clear := json.Unmarshal(body, &refusal) == nil && refusal.Error.Message != ""
	switch res.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || seconds < 1 {
			r.complain("%s: %s without Retry-After", a.id, got.detail)
		}
		if clear = clear || r.faulty; clear && req.Method == http.MethodGet {
			return got, false // it can be fetched later
		}
	case http.StatusBadRequest:
		if req.Method == http.MethodPost {
			r.complain("%s: %s", a.id, got.detail)
		}
	case http.StatusNotFound:
		r.gone(a.client, got.detail)
	default:
		r.complain("%s: %s", a.id, got.detail)
	}
	if !clear {
		got.outcome = garbled
	}
	return got, true
}

// follow reads a stream up to the response.
func (a *answer) follow(hop context.Context, body io.Reader) (got reply, over bool) {
	events := sse.NewReader(body, 1<<20)
	for {
		ev, err := events.Next()
		if err != nil {
			return a.broken(hop, err)
		}
		if ev.ID != "" && a.client.revision == legacy {
			a.last = ev.ID
		}
		var m struct {
			Method string
			Params struct{ Progress int }
		}
		if len(ev.Data) > 0 {
			if err := json.Unmarshal(ev.Data, &m); err != nil {
				return reply{outcome: garbled, detail: string(ev.Data)}, true
			}
			if m.Method == "" {
				return a.response(ev.Data), true
			}
			if p := m.Params.Progress; p > 0 {
				if n := len(a.parts); n > 0 && p <= a.parts[n-1] {
					a.client.run.complain("%s: after part %d came %d", a.id, a.parts[n-1], p)
				}
				a.parts = append(a.parts, p)
			}
		}
		if a.events++; a.events == a.hangUp {
			return reply{outcome: lost, detail: "the client hung up"}, false
		}
	}
}

// broken tells what it means that a connection ended: that it stayed silent is
// the server's fault only if nothing stood between.
func (a *answer) broken(hop context.Context, err error) (reply, bool) {
	if errors.Is(hop.Err(), context.DeadlineExceeded) && !a.client.run.faulty {
		return reply{outcome: silent, detail: fmt.Sprintf("nothing for %v: %v", a.client.run.hop, err)}, true
	}
	return reply{outcome: lost, detail: err.Error()}, false
}

// response reads a JSON-RPC response.
func (a *answer) response(body []byte) reply {
	var m struct {
		ID     json.RawMessage
		Result json.RawMessage
		Error  *struct {
			Code    int
			Message string
		}
	}
	var tool struct {
		IsError bool
		Content []struct{ Text string }
	}
	switch err := json.Unmarshal(body, &m); {
	case err != nil, string(m.ID) != strconv.Quote(a.id):
		return reply{outcome: garbled, detail: fmt.Sprintf("to %q came %s", a.id, body)}
	case m.Error != nil && m.Error.Message != "":
		return reply{outcome: refused, detail: m.Error.Message, status: http.StatusOK}
	case json.Unmarshal(m.Result, &tool) != nil:
		return reply{outcome: garbled, detail: string(body)}
	case tool.IsError && len(tool.Content) > 0 && tool.Content[0].Text != "":
		return reply{outcome: refused, detail: tool.Content[0].Text, status: http.StatusOK}
	case tool.IsError:
		return reply{outcome: garbled, detail: string(body)}
	}
	return reply{outcome: answered, result: m.Result, status: http.StatusOK}
}

// tool calls a tool and reads its structured result into out.
func (c *client) tool(ctx context.Context, tool string, arguments object, hangUp int, out any) reply {
	got := c.rpc(ctx, "tools/call", object{"name": tool, "arguments": arguments}, hangUp)
	if got.outcome != answered {
		return got
	}
	var result struct{ StructuredContent json.RawMessage }
	if err := json.Unmarshal(got.result, &result); err != nil {
		return reply{outcome: garbled, detail: err.Error()}
	}
	if err := json.Unmarshal(result.StructuredContent, out); err != nil {
		return reply{outcome: garbled, detail: fmt.Sprintf("%v in %s", err, got.result)}
	}
	return got
}

// insist makes a request until it is answered.
func (c *client) insist(ctx context.Context, method string, params object) error {
	for {
		got := c.rpc(ctx, method, params, 0)
		switch {
		case got.outcome == answered:
			return nil
		case ctx.Err() != nil, got.outcome == garbled, got.outcome == silent,
			got.status/100 == 4 && got.status != http.StatusTooManyRequests:
			return fmt.Errorf("%s: %s: %s", method, got.outcome, got.detail)
		}
		c.run.pause(ctx, c.rand)
	}
}

// openRoom makes the second room.
func (c *client) openRoom(ctx context.Context) {
	c.run.t.Helper()
	err := c.insist(ctx, "tools/call", object{"name": "open_room", "arguments": object{"room": rooms[1]}})
	if err != nil {
		c.run.t.Fatal(err)
	}
}

// open begins a session that is told when a room changes.
func (c *client) open(ctx context.Context) error {
	c.session = ""
	err := c.insist(ctx, "initialize", object{
		"protocolVersion": c.revision, "capabilities": object{}, "clientInfo": object{"name": "chaos", "version": "1"},
	})
	if err != nil {
		return err
	}
	if c.session == "" {
		return errors.New("initialize gave no session")
	}
	if err := c.initialized(ctx); err != nil {
		return err
	}
	return c.insist(ctx, "resources/subscribe", object{"uri": "wigwag://rooms/" + rooms[0]})
}

// initialized tells the server, until it has taken it, that the session may begin.
func (c *client) initialized(ctx context.Context) error {
	for ctx.Err() == nil {
		hop, cancel := context.WithTimeout(ctx, c.run.hop)
		req, err := c.request(hop, http.MethodPost, object{"jsonrpc": "2.0", "method": "notifications/initialized"})
		if err == nil {
			var res *http.Response
			if res, err = c.http.Do(req); err == nil {
				res.Body.Close()
			}
			if err == nil && res.StatusCode == http.StatusAccepted {
				cancel()
				return nil
			}
		}
		cancel()
		c.run.pause(ctx, c.rand)
	}
	return ctx.Err()
}

// pause waits a moment before something is tried again.
func (r *run) pause(ctx context.Context, random *rand.Rand) {
	wait(ctx, time.Duration(5+random.IntN(45))*time.Millisecond)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
