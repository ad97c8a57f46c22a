package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"wigwag/transport/sse"
)

// user is one who asks a server, over connections of its own.
type user struct {
	program *program
	client  *http.Client
	auth    string
}

func admit(t *testing.T, p *program) user {
	t.Helper()
	client := newClient(t)
	return user{p, client, login(t, client, p)}
}

// another adds a user to the server on a data folder, and logs it in.
func another(t *testing.T, p *program, dir, name string) user {
	t.Helper()
	if out, code := command(t, "user", "add", name, "--data", dir); code != 0 {
		t.Fatal(out)
	}
	out, code := command(t, "user", "passwd", name, "--data", dir)
	if code != 0 {
		t.Fatal(out)
	}
	words := strings.Fields(out)
	client := newClient(t)
	resp := request(t, client, "POST", p.url+"/api/login", fmt.Sprintf(`{"username":%q,"password":%q}`, name, words[len(words)-1]))
	var answer struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("login of %s, of whom it was said %q: %d, %v", name, out, resp.StatusCode, err)
	}
	return user{p, client, "Authorization: Bearer " + answer.Token}
}

func (u user) get(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	return request(t, u.client, "GET", u.program.url+path, "", append(headers, u.auth, "Accept: text/event-stream")...)
}

func (u user) post(t *testing.T, path, text string, headers ...string) *http.Response {
	t.Helper()
	return request(t, u.client, "POST", u.program.url+path, text, append(headers, u.auth, both)...)
}

const initialize = `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`

// session begins a session and returns its header.
func (u user) session(t *testing.T) string {
	t.Helper()
	resp := u.post(t, "/mcp", initialize)
	id := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("initialize: %d, %s", resp.StatusCode, body(t, resp))
	}
	return "Mcp-Session-Id: " + id
}

// listen sends a subscriptions/listen.
func (u user) listen(t *testing.T) *http.Response {
	t.Helper()
	return u.post(t, "/mcp",
		`{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"resourcesListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen")
}

// opened wants a stream, and its first event.
func opened(t *testing.T, resp *http.Response) (*sse.Reader, sse.Event) {
	t.Helper()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d, %s", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, body(t, resp))
	}
	events := sse.NewReader(resp.Body, 1<<20)
	first, err := events.Next()
	if err != nil {
		t.Fatalf("%s: %v", resp.Request.URL.Path, err)
	}
	return events, first
}

// refused wants an answer with a status, a Retry-After, and a reason in the form
// of its route: JSON-RPC for MCP, else a problem.
func refused(t *testing.T, name string, resp *http.Response, status int) {
	t.Helper()
	text := body(t, resp)
	if resp.StatusCode != status {
		t.Errorf("%s: %d, want %d: %s", name, resp.StatusCode, status, text)
		return
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("%s: Retry-After is %q", name, resp.Header.Get("Retry-After"))
	}
	switch resp.Request.URL.Path {
	case "/mcp", "/sse", "/messages":
		var answer struct {
			Version string `json:"jsonrpc"`
			ID      *int
			Error   struct {
				Code    int
				Message string
			}
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Version != "2.0" || answer.Error.Code != -32000 || answer.Error.Message == "" {
			t.Errorf("%s: %s, %v", name, text, err)
		}
		if isPost := resp.Request.Method == http.MethodPost; isPost && (answer.ID == nil || *answer.ID != 7) {
			t.Errorf("%s: the answer is not that of request 7: %s", name, text)
		}
	default:
		var answer struct {
			Status int
			Detail string
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Status != status || answer.Detail == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s, %s, %v", name, resp.Header.Get("Content-Type"), text, err)
		}
	}
}

// holdAll takes one of everything: a session with its stream, a stream of
// /events, and a call that waits in an HTTP+SSE session. It returns the address
// of that session and its events.
func holdAll(t *testing.T, u user) (messages string, events *sse.Reader) {
	t.Helper()
	events, endpoint := opened(t, u.get(t, "/sse"))
	opened(t, u.get(t, "/events"))
	if resp := u.post(t, string(endpoint.Data), call(1, "wait_for_messages", `{"timeout_s":50,"mentions_only":true}`)); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("the waiting call: %d, %s", resp.StatusCode, body(t, resp))
	}
	return string(endpoint.Data), events
}

// What is beyond a user's own limit is answered with 429, what is beyond the
// server's with 503, both with a Retry-After, on every route; and others are
// served meanwhile, or the same user again.
func TestLimitsOfAUser(t *testing.T) {
	dir := t.TempDir()
	p := start(t, withPassword, "--data", dir, "--max-streams-per-user=1", "--max-calls-per-user=1", "--max-sessions-per-user=1")
	u := admit(t, p)
	messages, events := holdAll(t, u)

	const status = http.StatusTooManyRequests
	refused(t, "/sse", u.get(t, "/sse"), status)
	refused(t, "/events", u.get(t, "/events"), status)
	refused(t, "listen", u.listen(t), status)
	refused(t, "call", u.post(t, "/mcp", call(7, "list_rooms", `{}`)), status)
	refused(t, "initialize", u.post(t, "/mcp", initialize), status)
	if resp := u.post(t, messages, call(8, "list_rooms", `{}`)); resp.StatusCode != http.StatusAccepted {
		t.Errorf("a call too many on HTTP+SSE: %d", resp.StatusCode)
	}
	if ev, err := events.Next(); err != nil || !strings.Contains(string(ev.Data), `"id":8`) || !strings.Contains(string(ev.Data), `"code":-32000`) {
		t.Errorf("on its stream: %s, %v", ev.Data, err)
	}

	holdAll(t, another(t, p, dir, "alice"))
}

func TestLimitsOfTheServer(t *testing.T) {
	dir := t.TempDir()
	p := start(t, withPassword, "--data", dir, "--max-streams=1")
	holdAll(t, admit(t, p))
	u := another(t, p, dir, "alice")

	const status = http.StatusServiceUnavailable
	refused(t, "/sse", u.get(t, "/sse"), status)
	refused(t, "/events", u.get(t, "/events"), status)
	refused(t, "listen", u.listen(t), status)
	refused(t, "call", u.post(t, "/mcp", call(7, "list_rooms", `{}`)), status)
	refused(t, "initialize", u.post(t, "/mcp", initialize), status)
}

// With --auth=none no limit of one user is one of all.
func TestLimitsWithoutUsers(t *testing.T) {
	p := start(t, nil, "--auth=none", "--drain-timeout=1s", "--max-streams-per-user=1", "--max-calls-per-user=1", "--max-sessions-per-user=1")
	u := user{p, newClient(t), "X-Nothing: x"}
	for range 3 {
		holdAll(t, u)
		u.session(t)
		if _, err := sse.NewReader(u.post(t, "/mcp", call(1, "stream_message", `{"message":"a b c d e f","interval_ms":2000}`)).Body, 1<<20).Next(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLimitsOfRequests(t *testing.T) {
	p := start(t, withPassword, "--max-body=1KiB", "--max-call=1s", "--max-calls-per-user=2")
	u := admit(t, p)
	if resp := u.post(t, "/mcp", call(7, "send_message", fmt.Sprintf(`{"message":%q}`, strings.Repeat("x", 1024)))); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body too large: %d", resp.StatusCode)
	}
	if got := body(t, u.post(t, "/mcp", call(7, "stream_message", `{"message":"a b c d e f","interval_ms":2000}`))); !strings.Contains(got, "longer than 1s") {
		t.Errorf("a call too long: %s", got)
	}
	batch := "[" + strings.Join([]string{call(1, "list_rooms", `{}`), call(2, "list_rooms", `{}`), call(3, "list_rooms", `{}`)}, ",") + "]"
	if resp := u.post(t, "/mcp", batch); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a batch too large: %d, %s", resp.StatusCode, body(t, resp))
	}
	if resp := request(t, u.client, "GET", p.url+"/healthz", "", "X-Long: "+strings.Repeat("x", 40<<10)); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers too large: %d", resp.StatusCode)
	}
}

// Guessing passwords is slowed down.
func TestLimitsOfLogin(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	for n := 1; ; n++ {
		resp := request(t, client, "POST", p.url+"/api/login", `{"username":"admin","password":"wrong wrong"}`)
		if resp.StatusCode != http.StatusUnauthorized {
			refused(t, "login", resp, http.StatusTooManyRequests)
			return
		}
		if n == 20 {
			t.Fatal("twenty wrong passwords are answered as one is")
		}
	}
}

// A store that is full refuses what is sent and says so; all else goes on.
func TestFullStore(t *testing.T) {
	p := start(t, withPassword, "--max-store=64KiB")
	u := admit(t, p)
	events, _ := opened(t, u.get(t, "/events?types=message"))
	sent := 0
	var answer string
	for ; sent < 100; sent++ {
		answer = body(t, u.post(t, "/mcp", call(7, "send_message", fmt.Sprintf(`{"message":%q}`, strings.Repeat("x", 2000)))))
		if strings.Contains(answer, `"isError":true`) {
			break
		}
	}
	if sent == 0 || sent == 100 || !strings.Contains(answer, "nothing was stored") || !strings.Contains(answer, "try again later") {
		t.Fatalf("after %d messages: %s", sent, answer)
	}
	for range sent {
		if ev, err := events.Next(); err != nil || ev.Name != "message" {
			t.Fatalf("a listener gets %s, %v", ev.Name, err)
		}
	}
	for name, arguments := range map[string]string{
		"stream_message": `{"message":"` + strings.Repeat("x", 2000) + `"}`, "notify": `{"message":"` + strings.Repeat("x", 2000) + `","level":"info"}`,
	} {
		if got := body(t, u.post(t, "/mcp", call(7, name, arguments))); !strings.Contains(got, "nothing was stored") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := body(t, u.post(t, "/mcp", call(7, "read_messages", `{"limit":1}`))); !strings.Contains(got, "xxx") {
		t.Errorf("reading: %s", got)
	}
	again := admit(t, p) // logs in
	opened(t, again.get(t, "/events"))
	again.session(t)
	if resp := again.get(t, "/readyz"); resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %d, %s", resp.StatusCode, body(t, resp))
	}
}
