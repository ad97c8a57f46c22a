package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"wigwag/transport/sse"
)

var (
	seedPosts   = []string{"/send-message", "/stream-message", "/api/notify", "/upward"}
	seedStreams = []string{"/secure-events", "/notifications", "/stream", "/api/logs/stream", "/downward"}
)

const seedPage = "http://localhost:3000" // a seed's front end

// TestSeedRoutesOff: without the flag there is none of them, nor their cookie.
func TestSeedRoutesOff(t *testing.T) {
	p := start(t, withPassword, "--allowed-origin="+seedPage)
	client := newClient(t)
	auth := login(t, client, p)
	for _, path := range append(seedPosts, seedStreams...) {
		for _, method := range []string{"GET", "POST"} {
			status(t, method+" "+path, request(t, client, method, p.url+path, "", auth), http.StatusNotFound)
			status(t, method+" "+path, request(t, client, method, p.url+path, ""), http.StatusNotFound)
		}
	}
	resp := request(t, client, "POST", p.url+"/api/login", fmt.Sprintf(`{"username":"admin","password":%q}`, password), "Origin: "+seedPage)
	if text := body(t, resp); len(resp.Cookies()) != 0 || strings.Contains(text, "success") || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("login: %v: %s", resp.Header, text)
	}
	cookie := "Cookie: auth_token=" + strings.TrimPrefix(auth, "Authorization: Bearer ")
	for _, path := range []string{"/api/session", "/events", "/api/rooms"} {
		status(t, path, request(t, client, "GET", p.url+path, "", cookie), http.StatusUnauthorized)
	}
}

// follow reads a stream until an event with the name, whose data it returns.
func follow(t *testing.T, resp *http.Response, name string) map[string]any {
	t.Helper()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, body(t, resp))
	}
	for reader := sse.NewReader(resp.Body, 1<<20); ; {
		ev, err := reader.Next()
		if err != nil {
			t.Fatalf("no %q: %v", name, err)
		}
		var data map[string]any
		if ev.Name == name && ev.Data != nil {
			if err := json.Unmarshal(ev.Data, &data); err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
}

// TestSeedRoutes: a seed's front end signs in, and by its cookie alone listens
// and sends; then it signs out.
func TestSeedRoutes(t *testing.T) {
	p := start(t, withPassword, "--seed-routes", "--allowed-origin="+seedPage, "--public-url=http://127.0.0.1:1", "--public-url=https://chat.example.com")
	at, client := p.listens(t), newClient(t)
	in := fmt.Sprintf(`{"username":"admin","password":%q}`, password)
	for host, secure := range map[string]bool{"127.0.0.1:1": false, "chat.example.com": true} {
		t.Run(host, func(t *testing.T) {
			page := []string{"Host: " + host, "Origin: " + seedPage, "Sec-Fetch-Site: same-site"}
			resp := request(t, client, "POST", at+"/api/login", in, page...)
			var answer struct {
				Success bool
				Token   string
				User    struct{ Username string }
				Expires int `json:"expires_in"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || !answer.Success || answer.Token == "" || answer.User.Username != "admin" || answer.Expires != 3600 {
				t.Errorf("login: %v, %+v", err, answer)
			}
			if got := resp.Header; got.Get("Access-Control-Allow-Origin") != seedPage || got.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("login: %v", got)
			}
			cookies := resp.Cookies()
			if len(cookies) != 1 {
				t.Fatalf("%d cookies", len(cookies))
			}
			c := cookies[0]
			if c.Name != "auth_token" || c.Value != answer.Token || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != 3600 || c.Domain != "" {
				t.Errorf("%+v", c)
			}
			page = append(page, "Cookie: auth_token="+c.Value)
			ask := func(method, path, body string, headers ...string) *http.Response {
				t.Helper()
				return request(t, client, method, at+path, body, append(page, headers...)...)
			}
			for _, path := range append(seedStreams, "/events", "/api/session", "/api/rooms") {
				resp := ask("GET", path, "")
				status(t, path, resp, http.StatusOK)
				if resp.Header.Get("Access-Control-Allow-Origin") != seedPage || resp.Header.Get("Access-Control-Allow-Credentials") != "true" {
					t.Errorf("%s: %v", path, resp.Header)
				}
				resp.Body.Close()
			}
			events, logs := ask("GET", "/secure-events", ""), ask("GET", "/api/logs/stream", "")
			status(t, "/send-message", ask("POST", "/send-message", `{"message":"by a cookie"}`), http.StatusOK)
			if data := follow(t, events, "message"); data["message"] != "by a cookie" {
				t.Errorf("got %v", data)
			}
			status(t, "/api/logs", ask("POST", "/api/logs", `{"level":"warn","message":"a line"}`), http.StatusCreated)
			if data := follow(t, logs, "warn"); data["message"] != "a line" {
				t.Errorf("got %v", data)
			}
			down := ask("GET", "/downward", "")
			session := fmt.Sprint("X-Session-ID: ", follow(t, down, "welcome")["sessionId"])
			status(t, "/upward", ask("POST", "/upward", `{"text":"hello"}`, session), http.StatusCreated)
			if text := follow(t, down, "")["text"]; !strings.Contains(fmt.Sprint(text), "hello") {
				t.Errorf("got %v", text)
			}

			status(t, "MCP", ask("POST", "/mcp", listTools), http.StatusUnauthorized)
			status(t, "two cookies", ask("GET", "/api/session", "", "Cookie: auth_token="+c.Value+"; auth_token=x"), http.StatusUnauthorized)
			resp = ask("POST", "/api/logout", "")
			if text := body(t, resp); resp.StatusCode != http.StatusOK || !strings.Contains(text, `"success":true`) || len(resp.Cookies()) != 1 || resp.Cookies()[0].MaxAge >= 0 || resp.Cookies()[0].Value != "" {
				t.Errorf("logout: %s, %v: %s", resp.Status, resp.Cookies(), text)
			}
			status(t, "after it", ask("GET", "/events", ""), http.StatusUnauthorized)
			if resp := ask("POST", "/api/logout", ""); resp.StatusCode != http.StatusUnauthorized || len(resp.Cookies()) != 1 {
				t.Errorf("logout again: %s, %v", resp.Status, resp.Cookies())
			}
		})
	}
	resp := request(t, client, "POST", at+"/api/login", `{"username":"admin","password":"wrong"}`, "Host: 127.0.0.1:1")
	if text := body(t, resp); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(text, `"success":false`) || !strings.Contains(text, `"error":"Wrong`) || len(resp.Cookies()) != 0 {
		t.Errorf("a wrong password: %s: %s", resp.Status, text)
	}
}

// TestSeedRoutesWantAToken: on each, before anything else; and a token in the
// query is taken only where that is allowed.
func TestSeedRoutesWantAToken(t *testing.T) {
	for _, inQuery := range []bool{false, true} {
		p := start(t, withPassword, "--seed-routes", "--public-read", fmt.Sprint("--query-token=", inQuery))
		client := newClient(t)
		token := strings.TrimPrefix(login(t, client, p), "Authorization: Bearer ")
		for _, path := range append(seedPosts, seedStreams...) {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				status(t, method+" "+path, request(t, client, method, p.url+path, ""), http.StatusUnauthorized)
				status(t, method+" "+path, request(t, client, method, p.url+path, "", "Cookie: auth_token=x"), http.StatusUnauthorized)
			}
		}
		want := http.StatusUnauthorized
		if inQuery {
			want = http.StatusOK
		}
		for _, path := range append(seedStreams, "/events") {
			resp := request(t, client, "GET", p.url+path+"?token="+token, "")
			status(t, path, resp, want)
			resp.Body.Close()
		}
	}
}

// TestSeedRoutesAnonymous: where there are no accounts, everybody is one user.
func TestSeedRoutesAnonymous(t *testing.T) {
	p := start(t, nil, "--seed-routes", "--auth=none")
	client := newClient(t)
	events := request(t, client, "GET", p.url+"/notifications?userId=anonymous", "", "Cookie: auth_token=x")
	status(t, "/api/notify", request(t, client, "POST", p.url+"/api/notify", `{"userId":"anonymous","message":"m","type":"like"}`, "Cookie: auth_token=x"), http.StatusCreated)
	if data := follow(t, events, "notification"); data["type"] != "like" || data["userId"] != "anonymous" {
		t.Errorf("got %v", data)
	}
	status(t, "/api/login", request(t, client, "POST", p.url+"/api/login", `{}`), http.StatusNotFound)
}

// TestSeedStreamSurvivesDrain: a text that arrives word by word when the server
// is told to stop is stored in whole.
func TestSeedStreamSurvivesDrain(t *testing.T) {
	dir := t.TempDir()
	p := start(t, withPassword, "--seed-routes", "--data", dir)
	client := newClient(t)
	auth := login(t, client, p)
	text := strings.Repeat("word ", 100) + "end"
	events := request(t, client, "GET", p.url+"/events", "", auth)
	status(t, "/stream-message", request(t, client, "POST", p.url+"/stream-message", fmt.Sprintf(`{"message":%q}`, text), auth), http.StatusOK)
	follow(t, events, "partial-message")
	if code := p.stop(); code != 0 {
		t.Fatalf("ended with %d", code)
	}
	p = start(t, nil, "--data", dir)
	events = request(t, client, "GET", p.url+"/events?last_event_id=0", "", login(t, client, p))
	if data := follow(t, events, "message"); data["message"] != text {
		t.Errorf("stored %v", data)
	}
}

// TestPublicRead: with the flag /events shows public rooms to who has nothing to
// show; who shows something that is no good is refused, as without the flag.
func TestPublicRead(t *testing.T) {
	p := start(t, withPassword, "--public-read")
	client := newClient(t)
	auth := login(t, client, p)
	guest := request(t, client, "GET", p.url+"/events?rooms=general", "")
	status(t, "a message", request(t, client, "POST", p.url+"/api/rooms/general/messages", `{"message":"to everybody"}`, auth), http.StatusCreated)
	if data := follow(t, guest, "message"); data["message"] != "to everybody" {
		t.Errorf("got %v", data)
	}
	for _, bad := range []struct{ query, header string }{
		{"", "Authorization: Bearer x"},
		{"", "Authorization: Basic x"},
		{"", "Cookie: wigwag_session=x"},
		{"?ticket=x", "X: x"},
		{"?token=x", "X: x"},
		{"?token=", "X: x"},
		{"?ticket=", "X: x"},
	} {
		status(t, bad.query+bad.header, request(t, client, "GET", p.url+"/events"+bad.query, "", bad.header), http.StatusUnauthorized)
	}
	for path, want := range map[string]int{
		"/events?types=notification": http.StatusForbidden,
		"/events?log_level=info":     http.StatusForbidden,
		"/events?rooms=nowhere":      http.StatusNotFound,
		"/events?rooms=dm/admin/bob": http.StatusNotFound,
		"/api/session":               http.StatusUnauthorized,
		"/api/rooms":                 http.StatusUnauthorized,
	} {
		resp := request(t, client, "GET", p.url+path, "")
		status(t, path, resp, want)
		resp.Body.Close()
	}
	for range 63 { // with the one above
		status(t, "a guest's stream", request(t, client, "GET", p.url+"/events", ""), http.StatusOK)
	}
	resp := request(t, client, "GET", p.url+"/events", "")
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "your address") {
		t.Errorf("one more: %s: %s", resp.Status, text)
	}

	p = start(t, withPassword)
	status(t, "without the flag", request(t, client, "GET", p.url+"/events", ""), http.StatusUnauthorized)
}
