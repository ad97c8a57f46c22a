package attack_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	madeUp = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	ping   = `{"jsonrpc":"2.0","id":7,"method":"ping"}`
)

// Attack: mallory learned the ID of alice's MCP session, and uses it.
func TestForeignSession(t *testing.T) {
	l := start(t)
	session := l.alice.session()
	id := strings.TrimPrefix(session, "Mcp-Session-Id: ")
	made := id[:len(id)-1] + "A"
	if made == id {
		made = id[:len(id)-1] + "B"
	}
	for _, attack := range []struct{ name, method, body string }{
		{"speak", "POST", ping},
		{"call a tool", "POST", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"send_message","arguments":{"message":"as alice"}}}`},
		{"cancel what runs", "POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`},
		{"answer for alice", "POST", `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{"listen", "GET", ""},
		{"end it", "DELETE", ""},
	} {
		t.Run(attack.name, func(t *testing.T) {
			there := l.mallory.do(attack.method, "/mcp", attack.body, accept, session)
			absent := l.mallory.do(attack.method, "/mcp", attack.body, accept, "Mcp-Session-Id: "+made)
			there.want(t, http.StatusNotFound)
			same(t, there, absent, id, made)
		})
	}
	l.alice.do("POST", "/mcp", ping, accept, session).want(t, http.StatusOK) // it is still there
	l.traced("request", "mallory", "POST /mcp 404")
	l.traced("request", "mallory", "DELETE /mcp 404")
}

// Attack: mallory resumes alice's stream, by the ID of one of its events.
func TestForeignStream(t *testing.T) {
	l := start(t)
	session := l.alice.session()
	a := l.alice.do("POST", "/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"stream_message","arguments":{"message":"the safe opens with 4711","interval_ms":1},"_meta":{"progressToken":"p"}}}`, accept, session)
	var event string
	for line := range strings.Lines(a.body) {
		if id, ok := strings.CutPrefix(line, "id: "); ok && event == "" {
			event = strings.TrimSpace(id)
		}
	}
	if event == "" {
		t.Fatalf("no event with an ID: %d %s", a.status, a.body)
	}
	for name, mine := range map[string]string{"with alice's session": session, "with a session of mallory's": l.mallory.session()} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		resp, err := l.open(ctx, "GET", "/mcp", "", l.mallory.bearer(), "Accept: text/event-stream", mine, "Last-Event-ID: "+event)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusBadRequest {
			continue
		}
		// It is a stream of mallory's own, in which nothing of alice's comes.
		lines := bufio.NewScanner(resp.Body)
		said := l.mallory.do("POST", "/mcp", ping, accept, mine)
		for range 3 {
			if lines.Scan() && strings.Contains(lines.Text(), "4711") {
				t.Errorf("%s: %d %s", name, resp.StatusCode, lines.Text())
			}
		}
		said.want(t, http.StatusOK)
	}
	l.traced("request", "mallory", "GET /mcp 404")
}

// Attack: mallory posts to the older transport's session of alice.
func TestForeignMessages(t *testing.T) {
	l := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := l.open(ctx, "GET", "/sse", "", l.alice.bearer())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	address := ""
	for address == "" && lines.Scan() {
		if _, id, ok := strings.Cut(lines.Text(), "/messages?sessionId="); ok {
			address = strings.TrimSpace(id)
		}
	}
	made := strings.Repeat("A", len(address))
	there := l.mallory.do("POST", "/messages?sessionId="+address, ping)
	there.want(t, http.StatusNotFound)
	same(t, there, l.mallory.do("POST", "/messages?sessionId="+made, ping), address, made)
	l.alice.do("POST", "/messages?sessionId="+address, ping).want(t, http.StatusAccepted)
	l.traced("request", "mallory", "POST /messages 404")
}

// Attack: tokens that are made up, another's, or sent where none is taken.
func TestTokens(t *testing.T) {
	l := start(t)
	l.alice, l.mallory = l.login("alice"), l.login("mallory")
	header, claims, _ := strings.Cut(l.alice.token, ".")
	claims, signature, _ := strings.Cut(claims, ".")
	const none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0" // {"alg":"none","typ":"at+jwt"}
	for name, token := range map[string]string{
		"made up":                 madeUp,
		"made up and personal":    "pat_" + strings.Repeat("a", 52),
		"without a signature":     header + "." + claims + ".",
		"alg none":                none + "." + claims + ".",
		"alg none with signature": none + "." + claims + "." + signature,
		"another signature":       header + "." + claims + "." + strings.Repeat("A", 86),
		"mallory's signature":     header + "." + claims + l.mallory.token[strings.LastIndex(l.mallory.token, "."):],
		"longer than 8 KiB":       strings.Repeat("a", 9<<10),
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/mcp", "/sse", "/messages", "/events", "/api/session", "/api/tokens", "/api/audit"} {
				a := l.do("POST", path, ping, "Authorization: Bearer "+token)
				a.want(t, http.StatusUnauthorized)
				if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
					t.Errorf("%s: WWW-Authenticate %q", path, a.header.Get("WWW-Authenticate"))
				}
			}
		})
	}
	for name, try := range map[string]struct{ path, header string }{
		"in the query of /mcp":         {"/mcp?token=" + l.alice.token, accept},
		"in the query of /events":      {"/events?token=" + l.alice.token, accept},
		"by its name in OAuth":         {"/events?access_token=" + l.alice.token, accept},
		"as a cookie of /mcp":          {"/mcp", "Cookie: wigwag_session=" + l.alice.token},
		"as a cookie of /api/session":  {"/api/session", "Cookie: wigwag_session=" + l.alice.token},
		"as Basic":                     {"/mcp", "Authorization: Basic " + l.alice.token},
		"an identity of a proxy's own": {"/api/session", "X-Forwarded-User: alice"},
	} {
		t.Run(name, func(t *testing.T) {
			l.do("GET", try.path, "", try.header).want(t, http.StatusUnauthorized)
		})
	}
	l.traced("request", "", "POST /mcp 401")
	l.untold(l.alice.token, l.mallory.token)
}

// Attack: mallory takes alice's place in the lists of tokens, and an
// administrator's in REST.
func TestREST(t *testing.T) {
	l := start(t)
	alices := l.alice.do("POST", "/api/tokens", `{"name":"alice's","scopes":"chat:read"}`)
	id, secret := alices.field(t, "id"), alices.field(t, "token")
	made := strings.Repeat("a", len(id))
	there := l.mallory.do("DELETE", "/api/tokens/"+id, "")
	there.want(t, http.StatusNotFound)
	same(t, there, l.mallory.do("DELETE", "/api/tokens/"+made, ""), id, made)
	if a := l.mallory.do("GET", "/api/tokens", ""); strings.Contains(a.body, id) {
		t.Errorf("alice's token is in mallory's list: %s", a.body)
	}
	for _, attack := range []struct{ name, method, path, body string }{
		{"list the users", "GET", "/api/users", ""},
		{"make an administrator", "POST", "/api/users", `{"username":"eve","role":"admin"}`},
		{"become one", "PATCH", "/api/users/mallory", `{"role":"admin"}`},
		{"get a link to sign in as alice", "PATCH", "/api/users/alice", `{"link":true}`},
		{"disable alice", "PATCH", "/api/users/alice", `{"disabled":true}`},
		{"the same of nobody", "PATCH", "/api/users/nobody", `{"disabled":true}`},
		{"read the audit", "GET", "/api/audit", ""},
		{"invite", "POST", "/api/invitations", `{"role":"admin"}`},
		{"list invitations", "GET", "/api/invitations", ""},
		{"withdraw an invitation", "DELETE", "/api/invitations/" + made, ""},
	} {
		t.Run(attack.name, func(t *testing.T) {
			l.mallory.do(attack.method, attack.path, attack.body).want(t, http.StatusForbidden)
			l.traced("request", "mallory", attack.method+" "+attack.path+" 403")
		})
	}
	// Signing up, where that is off; alice's password, by guessing.
	l.do("POST", "/api/register", `{"username":"eve","password":"long enough, that is"}`).want(t, http.StatusForbidden)
	l.traced("sign-up", "(unknown)", "not possible here")
	a := l.do("POST", "/api/login", `{"username":"alice","password":"guessed"}`)
	a.want(t, http.StatusUnauthorized)
	same(t, a, l.do("POST", "/api/login", `{"username":"nobody","password":"guessed"}`), "alice", "nobody")
	l.traced("sign-in", "alice", "wrong username or password")
	l.mallory.do("POST", "/api/password", `{"old_password":"guessed","new_password":"long enough, that is"}`).want(t, http.StatusForbidden)
	l.untold(secret, "guessed", "long enough, that is")
}

// Attack: a token for little is used for more: in a batch, in a session, for
// another token.
func TestScopes(t *testing.T) {
	l := start(t)
	little := user{l, "mallory", l.mallory.do("POST", "/api/tokens", `{"name":"reader","scopes":"chat:read"}`).field(t, "token")}
	send := `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"send_message","arguments":{"message":"written"}}}`
	read := `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"read_messages","arguments":{}}}`
	session := little.session()
	for _, attack := range []struct{ name, method, path, body, header string }{
		{"send", "POST", "/mcp", fmt.Sprintf(send, 1), ""},
		{"send in a session", "POST", "/mcp", fmt.Sprintf(send, 1), session},
		{"send in a batch behind what is allowed", "POST", "/mcp", "[" + fmt.Sprintf(read, 1) + "," + fmt.Sprintf(send, 2) + "]", "MCP-Protocol-Version: 2025-03-26"},
		{"notify", "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"notify","arguments":{"level":"info","message":"written"}}}`, ""},
		{"write to the log", "POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_log","arguments":{"level":"info","message":"written"}}}`, ""},
		{"make a token for more", "POST", "/api/tokens", `{"name":"more","scopes":"chat:write"}`, ""},
		{"list the tokens", "GET", "/api/tokens", "", ""},
		{"change the password", "POST", "/api/password", `{"old_password":"the password of mallory","new_password":"another password"}`, ""},
		{"listen to the log", "GET", "/events?types=log", "", ""},
	} {
		t.Run(attack.name, func(t *testing.T) {
			headers := []string{accept}
			if attack.header != "" {
				headers = append(headers, attack.header)
			}
			a := little.do(attack.method, attack.path, attack.body, headers...)
			a.want(t, http.StatusForbidden)
			if c := a.header.Get("WWW-Authenticate"); !strings.Contains(c, `error="insufficient_scope"`) || !strings.Contains(c, "scope=") {
				t.Errorf("WWW-Authenticate %q", c)
			}
			path, _, _ := strings.Cut(attack.path, "?")
			l.traced("request", "mallory", attack.method+" "+path+" 403")
		})
	}
	if a := l.alice.call("read_messages", `{}`); strings.Contains(a.body, "written") {
		t.Errorf("it was done all the same: %s", a.body)
	}
}

// Attack: a ticket for a stream is used again, elsewhere, or made up; a session
// cookie is used by a page of another site.
func TestTicketsAndCookies(t *testing.T) {
	l := start(t)
	ticket := l.alice.do("POST", "/api/stream-ticket", "").field(t, "ticket")
	l.do("POST", "/mcp?ticket="+ticket, ping).want(t, http.StatusUnauthorized)
	l.do("GET", "/sse?ticket="+ticket, "").want(t, http.StatusUnauthorized)
	l.do("GET", "/api/session?ticket="+ticket, "").want(t, http.StatusUnauthorized)
	l.do("GET", "/api/session", "", "Authorization: Bearer "+ticket).want(t, http.StatusUnauthorized)
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := l.open(ctx, "GET", "/events?ticket="+ticket, "")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the ticket is not good once: %v, %v", resp, err)
	}
	cancel()
	_ = resp.Body.Close()
	used := l.do("GET", "/events?ticket="+ticket, "")
	used.want(t, http.StatusUnauthorized)
	made := strings.Repeat("a", len(ticket))
	same(t, used, l.do("GET", "/events?ticket="+made, ""), ticket, made)
	l.do("GET", "/events?ticket="+made+"&ticket="+made, "").want(t, http.StatusUnauthorized)
	l.traced("request", "", "GET /events 401")
	l.untold(ticket)

	a := l.do("POST", "/api/login", `{"username":"alice","password":"the password of alice","cookie":true}`)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if cookie == "" || !strings.Contains(a.header.Get("Set-Cookie"), "HttpOnly") || !strings.Contains(a.header.Get("Set-Cookie"), "SameSite=Lax") {
		t.Fatalf("Set-Cookie %q", a.header.Get("Set-Cookie"))
	}
	cookie = "Cookie: " + cookie
	l.do("GET", "/api/session", "", cookie).want(t, http.StatusOK)
	for _, site := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
		l.do("POST", "/api/tokens", `{"name":"x","scopes":"chat:read"}`, cookie, site).want(t, http.StatusForbidden)
		l.do("GET", "/api/tokens", "", cookie, site).want(t, http.StatusForbidden)
		l.do("POST", "/api/logout", "", cookie, site).want(t, http.StatusForbidden)
		l.do("GET", "/events", "", cookie, site).want(t, http.StatusForbidden)
	}
	for _, origin := range []string{"Origin: https://evil.example", "Origin: null"} {
		l.do("POST", "/api/tokens", `{"name":"x","scopes":"chat:read"}`, cookie, origin).want(t, http.StatusForbidden)
	}
	for _, path := range []string{"/mcp", "/sse", "/messages"} { // cookies are never taken there
		l.do("POST", path, ping, cookie).want(t, http.StatusUnauthorized)
	}
	l.do("GET", "/api/session", "", cookie).want(t, http.StatusOK) // nobody was signed out
	l.traced("request", "", "POST /api/tokens 403")
}
