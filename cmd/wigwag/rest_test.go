package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"wigwag/auth"
)

// readMessages are the texts of a room's messages, as REST has them.
func (u user) readMessages(t *testing.T, room string) []string {
	t.Helper()
	resp := u.get(t, "/api/rooms/"+room+"/messages")
	var page struct{ Messages []struct{ Message string } }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", room, resp.StatusCode, err)
	}
	texts := []string{}
	for _, m := range page.Messages {
		texts = append(texts, m.Message)
	}
	return texts
}

// What is said over REST is heard over MCP, and the other way round, by a token
// as by the cookie of a page; and what somebody may not do is refused and noted.
func TestREST(t *testing.T) {
	p := start(t, withPassword)
	admin := admit(t, p)
	alice := admin.member(t, "alice")
	resp := alice.post(t, "/api/rooms/general/messages", `{"message":"by REST"}`, "Idempotency-Key: 1")
	status(t, "send", resp, http.StatusCreated)
	if again := alice.post(t, "/api/rooms/general/messages", `{"message":"by REST"}`, "Idempotency-Key: 1"); again.StatusCode != http.StatusCreated || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %d %v", again.StatusCode, again.Header)
	}
	status(t, "by MCP", alice.post(t, "/mcp", call(1, "send_message", `{"message":"by MCP"}`)), http.StatusOK)
	if got := admin.readMessages(t, "general"); fmt.Sprint(got) != "[by REST by MCP]" {
		t.Errorf("general has %q", got)
	}
	if text := body(t, admin.post(t, "/mcp", call(1, "read_messages", `{}`))); !strings.Contains(text, "by REST") {
		t.Errorf("by MCP: %s", text)
	}
	status(t, "a direct room", alice.post(t, "/api/people/admin/messages", `{"message":"psst"}`), http.StatusCreated)
	for _, room := range []string{"dm/admin/alice", "dm%2Fadmin%2Falice"} {
		if got := admin.readMessages(t, room); fmt.Sprint(got) != "[psst]" {
			t.Errorf("%s has %q", room, got)
		}
	}

	tag := resp.Header.Get("ETag")
	if tag != "" {
		t.Errorf("what is stored has the ETag %s", tag)
	}
	rooms := alice.get(t, "/api/rooms")
	if tag = rooms.Header.Get("ETag"); rooms.Header.Get("Cache-Control") != "private, no-cache" || rooms.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", rooms.Header)
	}
	status(t, "the same again", alice.get(t, "/api/rooms", "If-None-Match: "+tag), http.StatusNotModified)
	if head := request(t, alice.client, "HEAD", p.url+"/api/rooms", "", alice.auth); head.StatusCode != http.StatusOK || head.Header.Get("ETag") != tag || body(t, head) != "" {
		t.Errorf("HEAD: %d %v", head.StatusCode, head.Header)
	}

	signedIn := request(t, newClient(t), "POST", p.url+"/api/login", fmt.Sprintf(`{"username":"alice","password":%q,"cookie":true}`, password))
	cookie := "Cookie: " + signedIn.Cookies()[0].Name + "=" + signedIn.Cookies()[0].Value
	page := func(method, path, text, site string) *http.Response {
		return request(t, alice.client, method, p.url+path, text, cookie, "Sec-Fetch-Site: "+site)
	}
	status(t, "a page", page("POST", "/api/rooms/general/messages", `{"message":"by a page"}`, "same-origin"), http.StatusCreated)
	status(t, "of another site", page("POST", "/api/rooms/general/messages", `{"message":"x"}`, "cross-site"), http.StatusForbidden)
	status(t, "of another site, reading", page("GET", "/api/rooms/general/messages", "", "cross-site"), http.StatusForbidden)

	header, _ := alice.personal(t, "chat:read")
	reader := user{p, alice.client, header}
	status(t, "a token that may", reader.get(t, "/api/search?q=rest"), http.StatusOK)
	refused := reader.post(t, "/api/rooms/general/messages", `{"message":"x"}`)
	status(t, "a token that may not", refused, http.StatusForbidden)
	if got := refused.Header.Get("WWW-Authenticate"); !strings.Contains(got, "insufficient_scope") || !strings.Contains(got, "chat:write") {
		t.Errorf("the challenge is %q", got)
	}
	status(t, "logs", reader.get(t, "/api/logs"), http.StatusForbidden)
	status(t, "a room that is not there", alice.get(t, "/api/rooms/nothing"), http.StatusNotFound)
	for _, target := range []string{"POST /api/rooms/general/messages", "GET /api/logs", "GET /api/rooms/nothing"} {
		admin.wantTrail(t, target, func(e auth.Event) bool { return e.Outcome == "refused" && e.Actor == "alice" && e.Target == target })
	}
}

// Without authentication everybody is anonymous, over REST too.
func TestRESTAnonymous(t *testing.T) {
	p := start(t, nil, "--auth=none")
	anybody := user{p, newClient(t), "X-Nothing: x"}
	var session struct{ Username, Scopes string }
	if err := json.NewDecoder(anybody.get(t, "/api/session").Body).Decode(&session); err != nil || session.Username != auth.AnonymousName || !strings.Contains(session.Scopes, "chat:write") {
		t.Errorf("the session: %+v, %v", session, err)
	}
	status(t, "send", anybody.post(t, "/api/rooms/general/messages", `{"message":"hi"}`), http.StatusCreated)
	status(t, "notify", anybody.post(t, "/api/notifications", `{"message":"hi"}`), http.StatusCreated)
	status(t, "log", anybody.post(t, "/api/logs", `{"message":"hi"}`), http.StatusCreated)
	if got := anybody.readMessages(t, "general"); fmt.Sprint(got) != "[hi]" {
		t.Errorf("general has %q", got)
	}
	if text := body(t, anybody.get(t, "/api/presence")); !strings.Contains(text, `{"name":"anonymous","online":true}`) {
		t.Errorf("who is here: %s", text)
	}
	status(t, "accounts", anybody.get(t, "/api/tokens"), http.StatusNotFound)
}

// The document is for everybody, and all that it describes is there: with it a
// token is wanted, but where it says that none is.
func TestOpenAPIOfTheProgram(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.NewDecoder(request(t, client, "GET", p.url+"/api/openapi.json", "").Body).Decode(&doc); err != nil || len(doc.Paths) < 20 {
		t.Fatalf("%d paths, %v", len(doc.Paths), err)
	}
	fill := strings.NewReplacer("{room}", "general", "{user}", "admin", "{name}", "admin", "{id}", "x")
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			if method == "parameters" {
				continue
			}
			method = strings.ToUpper(method)
			resp := request(t, client, method, p.url+fill.Replace(path), "")
			switch open := strings.Contains(string(operation), `"security":[]`) || strings.Contains(string(operation), `"security": []`); {
			case open && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed):
				t.Errorf("%s %s, for everybody: %d", method, path, resp.StatusCode)
			case !open && (resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == ""):
				t.Errorf("%s %s without a token: %d", method, path, resp.StatusCode)
			}
		}
	}
}

// A page of an allowed origin may do all that REST has, and see what it needs.
func TestRESTOfAnotherOrigin(t *testing.T) {
	const origin = "http://tool.example:6274"
	p := start(t, withPassword, "--allowed-origin="+origin)
	admin := admit(t, p)
	for _, method := range []string{"PUT", "DELETE", "POST"} {
		resp := request(t, admin.client, "OPTIONS", p.url+"/api/rooms/x/members/y", "", "Origin: "+origin,
			"Access-Control-Request-Method: "+method, "Access-Control-Request-Headers: authorization,content-type,idempotency-key,if-none-match")
		if h := resp.Header; h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Methods") != method || !strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), "idempotency-key") {
			t.Errorf("%s: %d %v", method, resp.StatusCode, h)
		}
	}
	exposed := strings.ToLower(admin.get(t, "/api/rooms", "Origin: "+origin).Header.Get("Access-Control-Expose-Headers"))
	for _, name := range []string{"etag", "idempotency-replayed", "retry-after"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %s", name, exposed)
		}
	}
	status(t, "a foreign one", admin.get(t, "/api/rooms", "Origin: http://evil.example"), http.StatusForbidden)
}

// What a user asks over REST counts with what is asked over MCP.
func TestRESTRates(t *testing.T) {
	const callRate, sendRate = 10, 1
	p := start(t, withPassword, fmt.Sprint("--call-rate=", callRate), fmt.Sprint("--send-rate=", sendRate))
	u := admit(t, p)
	// untilRefused asks until that was too often, and returns how often it was not.
	untilRefused := func(what string, ask func() *http.Response) int {
		t.Helper()
		for n := range 1000 {
			if resp := ask(); resp.StatusCode == http.StatusTooManyRequests {
				if resp.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %v", what, resp.Header)
				}
				return n
			}
		}
		t.Fatalf("%s are never too many", what)
		return 0
	}
	// What is used up by one is used up for the other, but for what time gives.
	together := func(what string, rate int, one, other func() *http.Response) {
		t.Helper()
		untilRefused(what, one)
		began := time.Now()
		if n := untilRefused(what, other); float64(n) > 1+float64(rate)*time.Since(began).Seconds() {
			t.Errorf("%s: %d more at once", what, n)
		}
	}
	together("sends", sendRate,
		func() *http.Response { return u.post(t, "/mcp", call(1, "send_message", `{"message":"x"}`)) },
		func() *http.Response { return u.post(t, "/api/rooms/general/messages", `{"message":"x"}`) })
	together("calls", callRate,
		func() *http.Response { return u.get(t, "/api/rooms") },
		func() *http.Response { return u.post(t, "/mcp", listTools) })
}

// A request that is being served when the server has to stop is answered.
func TestDrainOfREST(t *testing.T) {
	p := start(t, withPassword)
	admin := admit(t, p)
	u := admin.member(t, "alice")
	text, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/rooms/general/messages", text)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", strings.TrimPrefix(u.auth, "Authorization: "))
	type result struct {
		status int
		err    error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := u.client.Do(req)
		if err != nil {
			done <- result{0, err}
			return
		}
		resp.Body.Close()
		done <- result{resp.StatusCode, nil}
	}()
	if _, err := io.WriteString(send, `{"message":`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is being served", func() bool {
		return strings.Contains(body(t, admin.get(t, "/api/presence")), `{"name":"alice","online":true}`)
	})
	p.cancel()
	p.waitFor(t, `"msg":"(draining)`)
	if _, err := io.WriteString(send, `"the last"}`); err != nil {
		t.Fatal(err)
	}
	_ = send.Close()
	if got := <-done; got.err != nil || got.status != http.StatusCreated {
		t.Errorf("what was asked: %d, %v", got.status, got.err)
	}
	if code := p.stop(); code != 0 || strings.Contains(p.logs(), "cut off") {
		t.Errorf("exit code %d: %s", code, p.logs())
	}
}
