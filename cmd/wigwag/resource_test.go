package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wigwag/auth"
	"wigwag/transport/sse"
)

const listTools = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`

// The numbers are those of the lines that the access of clients is checked by.

// TestLine01Challenge: without a token every method of every route is answered
// with the way to one.
func TestLine01Challenge(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	for path, resource := range map[string]string{"/mcp": "/mcp", "/sse": "/sse", "/messages": "/sse", "/events": "/mcp", "/api/tokens": "/mcp"} {
		want := fmt.Sprintf(`Bearer scope="chat:read chat:write notify", resource_metadata="%s/.well-known/oauth-protected-resource%s"`, p.url, resource)
		for _, method := range []string{"GET", "POST", "DELETE", "PUT", "PATCH"} {
			resp := request(t, client, method, p.url+path, "")
			if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || got != want {
				t.Errorf("%s %s: %d, %s, want %s", method, path, resp.StatusCode, got, want)
			}
		}
	}
}

// TestLine02ResourceMetadata: the resource is the address that the client used.
func TestLine02ResourceMetadata(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	for _, base := range []string{p.url, strings.Replace(p.url, "127.0.0.1", "localhost", 1)} {
		for path, resource := range map[string]string{"": "/mcp", "/mcp": "/mcp", "/sse": "/sse"} {
			resp := request(t, client, "GET", p.url+"/.well-known/oauth-protected-resource"+path, "", "Host: "+strings.TrimPrefix(base, "http://"))
			var document struct {
				Resource string   `json:"resource"`
				Servers  []string `json:"authorization_servers"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&document); err != nil || document.Resource != base+resource || len(document.Servers) != 1 || document.Servers[0] != base {
				t.Errorf("%s%s: %d, %+v, %v", base, path, resp.StatusCode, document, err)
			}
		}
	}
	status(t, "another document", request(t, client, "GET", p.url+"/.well-known/oauth-protected-resource/other", ""), http.StatusNotFound)
	token := grantTo(t, p.url, p.url+"/sse", "admin", "chat:read")
	status(t, "a token for /sse at /sse", request(t, client, "GET", p.url+"/sse", "", token.header(), "Accept: text/event-stream"), http.StatusOK)
	status(t, "a token for /sse at /mcp", request(t, client, "POST", p.url+"/mcp", listTools, token.header()), http.StatusUnauthorized)
}

// TestLine03RefusedTokens: a token that is not ours, or not any more, is 401.
func TestLine03RefusedTokens(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	good := strings.TrimPrefix(login(t, client, p), "Authorization: Bearer ")
	parts := strings.Split(good, ".")
	jwks := body(t, request(t, client, "GET", p.url+"/oauth/jwks", ""))
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	none := encode(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + "."
	mac := hmac.New(sha256.New, []byte(jwks))
	signed := encode(`{"alg":"HS256","typ":"at+jwt"}`) + "." + parts[1]
	mac.Write([]byte(signed))
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"alg none":       none,
		"HS256":          signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"another claim":  parts[0] + "." + encode(strings.Replace(string(claims), `"admin"`, `"other"`, 1)) + "." + parts[2],
		"another header": encode(`{"alg":"ES256","typ":"JWT"}`) + "." + parts[1] + "." + parts[2],
		"garbage":        "garbage",
		"personal":       "pat_" + strings.Repeat("a", 52),
		"too long":       good + strings.Repeat("a", 8<<10),
	} {
		for _, path := range []string{"/mcp", "/events", "/api/session"} {
			resp := request(t, client, "GET", p.url+path, "", "Authorization: Bearer "+token)
			if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(got, `error="invalid_token"`) {
				t.Errorf("%s at %s: %d, %s", name, path, resp.StatusCode, got)
			}
		}
	}
}

// TestLine04NoTokensInQueries: only /events takes a ticket, once, and a token
// where that is switched on; none of them is in the log.
func TestLine04NoTokensInQueries(t *testing.T) {
	p := start(t, withPassword, "--log-level=debug")
	u := admit(t, p)
	token := strings.TrimPrefix(u.auth, "Authorization: Bearer ")
	for _, path := range []string{"/mcp", "/sse", "/messages", "/events"} {
		for _, name := range []string{"token", "access_token"} {
			resp := request(t, u.client, "GET", p.url+path+"?"+name+"="+token, "")
			status(t, path+" with "+name, resp, http.StatusUnauthorized)
		}
	}
	var got struct {
		Ticket    string
		ExpiresIn int `json:"expires_in"`
	}
	resp := u.post(t, "/api/stream-ticket", "")
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got.Ticket) < 43 || got.ExpiresIn != 30 {
		t.Fatalf("%d: %+v, %v", resp.StatusCode, got, err)
	}
	for _, path := range []string{"/mcp", "/sse", "/messages", "/api/session"} {
		status(t, path+" with a ticket", request(t, u.client, "GET", p.url+path+"?ticket="+got.Ticket, ""), http.StatusUnauthorized)
	}
	status(t, "the ticket", request(t, u.client, "GET", p.url+"/events?ticket="+got.Ticket+"&types=ping", ""), http.StatusOK)
	status(t, "the ticket again", request(t, u.client, "GET", p.url+"/events?ticket="+got.Ticket, ""), http.StatusUnauthorized)
	status(t, "two tickets", request(t, u.client, "GET", p.url+"/events?ticket=a&ticket=b", ""), http.StatusUnauthorized)
	for _, secret := range []string{token, got.Ticket} {
		if strings.Contains(p.logs(), secret) {
			t.Error("the log holds a secret")
		}
	}

	p = start(t, withPassword, "--query-token")
	u = admit(t, p)
	token = strings.TrimPrefix(u.auth, "Authorization: Bearer ")
	status(t, "a token where that is on", request(t, u.client, "GET", p.url+"/events?token="+token, ""), http.StatusOK)
	status(t, "a bad one", request(t, u.client, "GET", p.url+"/events?token=x"+token, ""), http.StatusUnauthorized)
	status(t, "elsewhere", request(t, u.client, "GET", p.url+"/mcp?token="+token, ""), http.StatusUnauthorized)
}

// TestLine05InsufficientScope: what a token is not good for is refused before
// anything of it begins, and the challenge says what would do.
func TestLine05InsufficientScope(t *testing.T) {
	p := start(t, withPassword)
	admin := admit(t, p)
	send := call(1, "send_message", `{"message":"must not be sent"}`)
	forbidden := func(what string, resp *http.Response, scope string) {
		t.Helper()
		got := resp.Header.Get("WWW-Authenticate")
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(got, `error="insufficient_scope"`) || !strings.Contains(got, `scope="`+scope+`"`) || !strings.Contains(got, "resource_metadata=") {
			t.Errorf("%s: %d, %s, want the scopes %q", what, resp.StatusCode, got, scope)
		}
	}
	reading := grantTo(t, p.url, p.url+"/mcp", "admin", "chat:read")
	reader := user{p, newClient(t), reading.header()}
	forbidden("send", reader.post(t, "/mcp", send), "chat:read chat:write")
	forbidden("in a batch", reader.post(t, "/mcp", "["+listTools+","+send+"]", "MCP-Protocol-Version: 2025-03-26"), "chat:read chat:write")
	forbidden("notify", reader.post(t, "/mcp", call(1, "notify", `{"message":"x"}`)), "chat:read notify")
	forbidden("log lines", reader.get(t, "/events?types=log"), "chat:read logs:read")
	forbidden("its owner's tokens", reader.get(t, "/api/tokens"), "chat:read chat:write notify logs:read logs:write admin")
	status(t, "reading", reader.post(t, "/mcp", call(1, "read_messages", `{}`)), http.StatusOK)
	status(t, "events", reader.get(t, "/events"), http.StatusOK)

	writing, _ := admin.personal(t, "logs:write")
	writer := user{p, newClient(t), writing}
	status(t, "a line", writer.post(t, "/mcp", call(1, "write_log", `{"message":"x"}`)), http.StatusOK)
	for what, text := range map[string]string{
		"read": `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"wigwag://rooms/general"}}`, "list": listTools,
		"subscribe": `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"wigwag://rooms/general"}}`,
		"prompt":    `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"catch_up"}}`,
	} {
		forbidden(what, writer.post(t, "/mcp", text), "chat:read logs:write")
	}
	if got := body(t, admin.post(t, "/mcp", call(1, "read_messages", `{}`))); strings.Contains(got, "must not be sent") {
		t.Errorf("it was sent: %s", got)
	}
	admin.wantTrail(t, "the refusal", func(e auth.Event) bool {
		return e.Action == "request" && e.Outcome == "refused" && e.Actor == "admin" && e.Client == reading.client && e.Target == "POST /mcp"
	})

	plain := start(t, withPassword, "--auth=token")
	token, _ := admit(t, plain).personal(t, "logs:write")
	resp := request(t, newClient(t), "POST", plain.url+"/mcp", listTools, token)
	if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusForbidden || !strings.HasPrefix(got, `Bearer error="insufficient_scope"`) || strings.Contains(got, "resource_metadata") {
		t.Errorf("without OAuth: %d, %s", resp.StatusCode, got)
	}
}

// TestLine06NoCookies: a web session is good at /events and /api, and nowhere
// where MCP is spoken.
func TestLine06NoCookies(t *testing.T) {
	p := start(t, withPassword)
	client := newBrowser(t)
	status(t, "login", request(t, client, "POST", p.url+"/api/login", fmt.Sprintf(`{"username":"admin","password":%q,"cookie":true}`, password)), http.StatusOK)
	at, err := url.Parse(p.url)
	if err != nil || len(client.Jar.Cookies(at)) != 1 {
		t.Fatal("there is no cookie")
	}
	for _, path := range []string{"/mcp", "/sse", "/messages"} {
		status(t, path, request(t, client, "GET", p.url+path, ""), http.StatusUnauthorized)
	}
	for _, path := range []string{"/events", "/api/session"} {
		status(t, path, request(t, client, "GET", p.url+path, ""), http.StatusOK)
	}
}

// TestLine07HostAndOrigin: see also TestForeignHostAndOrigin. The documents
// are for pages of every origin, the rest for those that are listed.
func TestLine07HostAndOrigin(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	for path, want := range map[string]string{
		"/.well-known/oauth-protected-resource": "*", "/.well-known/oauth-authorization-server": "*", "/oauth/jwks": "*",
		"/mcp": "", "/api/session": "", "/events": "",
	} {
		resp := request(t, client, "GET", p.url+path, "", "Origin: https://page.example")
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || (want == "") != (resp.StatusCode == http.StatusForbidden) || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d, allowed origin %q", path, resp.StatusCode, got)
		}
	}
	for _, path := range []string{"/oauth/token", "/oauth/register", "/oauth/revoke"} {
		resp := request(t, client, "OPTIONS", p.url+path, "", "Origin: https://page.example", "Access-Control-Request-Method: POST")
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: %d, allowed origin %q", path, resp.StatusCode, got)
		}
	}
	own := request(t, client, "POST", p.url+"/mcp", listTools, login(t, client, p), "Origin: "+p.url)
	if got := own.Header.Get("Access-Control-Expose-Headers"); own.StatusCode != http.StatusOK || !strings.Contains(got, "Www-Authenticate") && !strings.Contains(got, "WWW-Authenticate") {
		t.Errorf("%d, exposed are %q", own.StatusCode, got)
	}
	status(t, "null", request(t, client, "POST", p.url+"/mcp", listTools, "Origin: null"), http.StatusForbidden)
}

// TestLine08ForeignSession: a session is its owner's, by whatever token of the
// same person and client; to others it does not exist.
func TestLine08ForeignSession(t *testing.T) {
	p := start(t, withPassword)
	alice := admit(t, p).member(t, "alice")
	g := grantTo(t, p.url, p.url+"/mcp", "alice", "chat:read", "chat:write")
	agent := user{p, newClient(t), g.header()}
	session := agent.session(t)
	refreshed := exchange(t, newClient(t), p.url, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh}, "client_id": {g.client}})
	status(t, "after a refresh", user{p, agent.client, refreshed.header()}.post(t, "/mcp", listTools, session), http.StatusOK)
	unknown := body(t, admit(t, p).post(t, "/mcp", listTools, "Mcp-Session-Id: "+strings.Repeat("a", 32)))
	for name, other := range map[string]user{"another person": admit(t, p), "the person without the client": alice} {
		resp := other.post(t, "/mcp", listTools, session)
		if got := body(t, resp); resp.StatusCode != http.StatusNotFound || got != unknown {
			t.Errorf("%s: %d %s, want %s", name, resp.StatusCode, got, unknown)
		}
	}
}

// TestLine09RevocationEndsStreams: what was opened with a token ends with it,
// and nothing else does.
func TestLine09RevocationEndsStreams(t *testing.T) {
	p := start(t, withPassword)
	admin := admit(t, p)
	header, id := admin.personal(t, "chat:read chat:write")
	script := user{p, newClient(t), header}
	open := map[string]*http.Response{
		"/mcp": script.get(t, "/mcp", script.session(t)), "/sse": script.get(t, "/sse"), "/events": script.get(t, "/events"),
		"a call": script.post(t, "/mcp", call(1, "wait_for_messages", `{"timeout_s":50}`), "Accept: text/event-stream"),
	}
	kept := admin.get(t, "/events?types=message,system")
	events := sse.NewReader(kept.Body, 1<<20)
	if _, err := events.Next(); err != nil {
		t.Fatal(err)
	}
	status(t, "revocation", request(t, admin.client, "DELETE", p.url+"/api/tokens/"+id, "", admin.auth), http.StatusNoContent)
	for _, resp := range open {
		body(t, resp) // ends, or the test does by its time
	}
	status(t, "afterwards", script.post(t, "/mcp", listTools), http.StatusUnauthorized)
	status(t, "another token", admin.post(t, "/mcp", call(1, "send_message", `{"message":"still here"}`)), http.StatusOK)
	if ev, err := events.Next(); err != nil || !strings.Contains(string(ev.Data), "still here") {
		t.Errorf("the stream of another token: %s, %v", ev.Data, err)
	}

	g := grantTo(t, p.url, p.url+"/mcp", "admin", "chat:read")
	agent := user{p, newClient(t), g.header()}
	listening := agent.get(t, "/sse")
	_ = listening.Body.Close()
	listening = agent.get(t, "/events")
	status(t, "by the client", request(t, newClient(t), "POST", p.url+"/oauth/revoke", url.Values{"token": {g.Refresh}, "client_id": {g.client}}.Encode(),
		"Content-Type: application/x-www-form-urlencoded"), http.StatusOK)
	body(t, listening)
	status(t, "after that", agent.post(t, "/mcp", listTools), http.StatusUnauthorized)
}
