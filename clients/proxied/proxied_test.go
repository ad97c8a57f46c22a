package proxied

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Each event of /events arrives before the next message is sent: nothing holds
// it back until there is more.
func TestEventsArriveOneByOne(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		events := c.listen(t, "types=message", nil)
		for i := range 20 {
			text := fmt.Sprintf("message %d.", i)
			c.send(t, text)
			events.next(t, "message", text)
		}
	})
}

// The same for the answer to a POST of MCP.
func TestAnswersOfMCPArriveOneByOne(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		updates := c.modern(t, "subscriptions/listen", "", `"notifications":{"resourceSubscriptions":["wigwag://rooms/general"]}`)
		updates.next(t, "message", "notifications/subscriptions/acknowledged")
		for i := range 20 {
			c.send(t, fmt.Sprintf("message %d.", i))
			updates.next(t, "message", "notifications/resources/updated")
		}
	})
}

// Progress arrives while the call runs, and a client that goes away ends the
// call, which the proxy has to pass on. Otherwise it would take half a minute
// and store its message. The user may have one call running, so the next is let
// in only when it has ended.
func TestClosingEndsTheCall(t *testing.T) {
	through(t, []string{"--max-calls-per-user=1"}, func(t *testing.T, f *front) {
		c := newClient(t, f)
		call := c.modern(t, "tools/call", "stream_message",
			fmt.Sprintf(`"name":"stream_message","arguments":{"message":%q,"interval_ms":2000}`, strings.Repeat("word ", 200)))
		call.next(t, "message", `"progress":1`)
		call.next(t, "message", `"progress":2`)
		call.close()
		call.end(t)
		var stored struct{ Messages []any }
		for late := bounded(t); ; {
			status, result := c.tryRead(t)
			if status == http.StatusOK {
				if err := json.Unmarshal(result, &stored); err != nil || len(stored.Messages) != 0 {
					t.Errorf("stored is %s, %v", result, err)
				}
				return
			}
			if late.Err() != nil {
				t.Fatal("the call goes on although its client is gone")
			}
		}
	})
}

// More than the six connections that a browser opens for HTTP/1.1: all streams
// share one.
func TestManyStreamsShareOneConnection(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		var all []*stream
		for range 20 {
			all = append(all, c.listen(t, "types=message", nil))
		}
		c.send(t, "to all of you")
		for _, events := range all {
			events.next(t, "message", "to all of you")
		}
		if n := c.dials.Load(); n != 1 {
			t.Errorf("that took %d connections", n)
		}
	})
}

// Each piece of a body reaches the room before the next is written.
func TestBodyArrivesPieceByPiece(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		events := c.listen(t, "types=message,partial-message", nil)
		body, pieces := io.Pipe()
		req := c.request(bounded(t), t, http.MethodPost, "/api/rooms/general/stream", map[string]string{"Content-Type": "text/plain"}, body)
		answered := make(chan string, 1)
		go func() {
			res, err := c.http.Do(req)
			if err != nil {
				answered <- err.Error()
				return
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body) // it is only shown
			answered <- res.Status + ": " + string(text)
		}()
		var whole strings.Builder
		for i := range 10 {
			piece := fmt.Sprintf("piece %d. ", i)
			whole.WriteString(piece)
			if _, err := io.WriteString(pieces, piece); err != nil {
				t.Fatal(err)
			}
			events.next(t, "partial-message", strings.TrimSpace(piece))
		}
		pieces.Close()
		events.next(t, "message", strings.TrimSpace(whole.String()))
		if got := <-answered; !strings.HasPrefix(got, "201 ") {
			t.Errorf("the answer is %s", got)
		}
	})
}

// A client that comes back after the proxy was restarted gets what it missed,
// once and in order, and then goes on live.
func TestResumeAcrossARestartOfTheProxy(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		events := c.listen(t, "types=message", nil)
		c.send(t, "before")
		last := events.next(t, "message", "before").id

		f.proxy.kill()
		events.end(t)
		direct(t, f, c.token, "meanwhile 1")
		direct(t, f, c.token, "meanwhile 2")
		f.restartProxy(t)

		events = c.listen(t, "types=message", map[string]string{"Last-Event-ID": last})
		c.send(t, "after")
		for _, want := range []string{"meanwhile 1", "meanwhile 2", "after"} {
			if got := events.next(t, "message", ""); !strings.Contains(got.data, want) {
				t.Errorf("%s came, where %q should", got.data, want)
			}
		}
	})
}

// The audit has the client's address, and neither the proxy's nor what the
// client says of itself.
func TestClientAddress(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		res := c.do(bounded(t), t, http.MethodPost, "/api/login",
			map[string]string{"Content-Type": "application/json", "X-Forwarded-For": "203.0.113.7"}, strings.NewReader(credentials(false)))
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("login: %s", res.Status)
		}
		var audit struct {
			Events []struct{ Action, Remote string }
		}
		c.json(t, http.MethodGet, "/api/audit", "", &audit)
		signIns := 0
		for _, e := range audit.Events {
			if e.Action != "sign-in" {
				continue
			}
			signIns++
			if e.Remote != clientAddr {
				t.Errorf("a sign-in is from %q, want %s", e.Remote, clientAddr)
			}
		}
		if signIns != 2 {
			t.Errorf("the audit has %d sign-ins, want 2: %v", signIns, audit.Events)
		}
	})
}

// Behind TLS the cookie is one that travels by TLS alone, and it opens streams.
func TestCookieIsSecure(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		c.token = ""
		res := c.do(bounded(t), t, http.MethodPost, "/api/login", map[string]string{"Content-Type": "application/json"}, strings.NewReader(credentials(true)))
		res.Body.Close()
		cookies := res.Cookies()
		if len(cookies) != 1 || !strings.HasPrefix(cookies[0].Name, "__Host-") || !cookies[0].Secure || !cookies[0].HttpOnly {
			t.Fatalf("%s, cookies %v", res.Status, cookies)
		}
		if res.Header.Get("Strict-Transport-Security") == "" {
			t.Error("there is no Strict-Transport-Security")
		}
		c.listen(t, "types=message", map[string]string{"Cookie": cookies[0].Name + "=" + cookies[0].Value})
	})
}

// A body that the proxy's own limit would refuse arrives, and one that is too
// much is refused by the server, in its words.
func TestBodySize(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		call := func(size int) string {
			return `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"padding":"` + strings.Repeat("x", size) + `"}}}`
		}
		var answer struct{ Result *struct{} }
		c.json(t, http.MethodPost, "/mcp", call(3<<20), &answer)
		if answer.Result == nil {
			t.Error("a body of 3 MiB has no result")
		}
		res := c.do(bounded(t), t, http.MethodPost, "/mcp",
			map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}, strings.NewReader(call(5<<20)))
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusRequestEntityTooLarge || !json.Valid(text) {
			t.Errorf("a body of 5 MiB is answered by %s: %s", res.Status, text)
		}
	})
}

// Who comes by http is sent to https.
func TestPlainHTTPIsRedirected(t *testing.T) {
	through(t, nil, func(t *testing.T, f *front) {
		c := newClient(t, f)
		req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, "http://"+host+"/signin", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode/100 != 3 || !strings.HasPrefix(res.Header.Get("Location"), "https://"+host) {
			t.Errorf("%s, to %q", res.Status, res.Header.Get("Location"))
		}
	})
}

// tryRead reads the room general, if the user may make a call now.
func (c *client) tryRead(t *testing.T) (status int, result json.RawMessage) {
	t.Helper()
	res := c.do(bounded(t), t, http.MethodPost, "/mcp",
		map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream"},
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_messages","arguments":{"after":"0"}}}`))
	defer res.Body.Close()
	var answer struct {
		Result struct{ StructuredContent json.RawMessage }
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer.Result.StructuredContent
}

// direct sends a message past the proxy, from the server's own machine, as the
// page says that one may.
func direct(t *testing.T, f *front, token, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), http.MethodPost, "http://"+f.server+"/mcp",
		strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send_message","arguments":{"message":%q}}}`, text)))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"room":"general"`) {
		t.Fatalf("%s, %v: %s", res.Status, err, body)
	}
}
