package proxied

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wigwag/clients/servertest"
)

// clientAddr is where clients come from: it is this machine, but neither the
// server's address nor the proxy's.
const clientAddr = "127.0.0.9"

// client talks HTTP/2 with a proxy.
type client struct {
	http  *http.Client
	dials atomic.Int32 // connections it has opened
	token string
}

// newClient returns one that is signed in as admin.
func newClient(t *testing.T, f *front) *client {
	t.Helper()
	c := &client{}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddr)}}
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: f.roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			switch addr {
			case host + ":443":
				c.dials.Add(1)
				return dialer.DialContext(ctx, network, f.https)
			case host + ":80":
				return dialer.DialContext(ctx, network, f.http)
			}
			return nil, fmt.Errorf("%s is not of this test", addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var login struct{ Token string }
	c.json(t, http.MethodPost, "/api/login", credentials(false), &login)
	c.token = login.Token
	return c
}

// credentials are the body of a login.
func credentials(cookie bool) string {
	return fmt.Sprintf(`{"username":"admin","password":%q,"cookie":%t}`, servertest.Password, cookie)
}

func (c *client) request(ctx context.Context, t *testing.T, method, path string, header map[string]string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return req
}

// do sends a request, whose answer must come over HTTP/2.
func (c *client) do(ctx context.Context, t *testing.T, method, path string, header map[string]string, body io.Reader) *http.Response {
	t.Helper()
	res, err := c.http.Do(c.request(ctx, t, method, path, header, body))
	if err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 {
		t.Errorf("%s %s was answered over %s", method, path, res.Proto)
	}
	return res
}

// json sends JSON and reads an answer of it.
func (c *client) json(t *testing.T, method, path, body string, answer any) {
	t.Helper()
	res := c.do(bounded(t), t, method, path, map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}, strings.NewReader(body))
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v: %s", method, path, res.Status, err, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
}

// call is tools/call of MCP. It returns the structured result.
func (c *client) call(t *testing.T, tool, arguments string) json.RawMessage {
	t.Helper()
	var answer struct {
		Result struct {
			IsError           bool
			StructuredContent json.RawMessage
		}
	}
	c.json(t, http.MethodPost, "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments),
		&answer)
	if answer.Result.IsError || answer.Result.StructuredContent == nil {
		t.Fatalf("%s %s failed", tool, arguments)
	}
	return answer.Result.StructuredContent
}

// send sends a message to general.
func (c *client) send(t *testing.T, text string) {
	t.Helper()
	c.call(t, "send_message", fmt.Sprintf(`{"message":%q}`, text))
}

// modern is a request of MCP's newest revision, whose answer is a stream.
func (c *client) modern(t *testing.T, method, name, params string) *stream {
	t.Helper()
	header := map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method,
	}
	if name != "" {
		header["Mcp-Name"] = name
	}
	meta := `"_meta":{"progressToken":"parts","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	return c.open(t, http.MethodPost, "/mcp", header, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s,%s}}`, method, params, meta))
}

// listen opens a stream of /events.
func (c *client) listen(t *testing.T, query string, header map[string]string) *stream {
	t.Helper()
	header = maps.Clone(header)
	if header == nil {
		header = map[string]string{}
	}
	header["Accept"] = "text/event-stream"
	s := c.open(t, http.MethodGet, "/events?"+query, header, "")
	s.next(t, "system", "")
	return s
}

// event is one of a stream.
type event struct{ name, id, data string }

// stream is an open answer of events.
type stream struct {
	events chan event // closed at its end
	close  context.CancelFunc
}

// open sends a request and reads the events of the answer until the stream or
// the test ends.
func (c *client) open(t *testing.T, method, path string, header map[string]string, body string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	late := time.AfterFunc(patience, cancel)
	res := c.do(ctx, t, method, path, header, strings.NewReader(body))
	late.Stop() // the rest is bounded by what waits for it
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		text, _ := io.ReadAll(res.Body)
		cancel()
		t.Fatalf("%s %s: %s, %s: %s", method, path, res.Status, res.Header.Get("Content-Type"), text)
	}
	s := &stream{events: make(chan event), close: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(s.events)
		defer res.Body.Close()
		s.read(ctx, res.Body)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func (s *stream) read(ctx context.Context, body io.Reader) {
	var ev event
	for lines := bufio.NewScanner(body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			ev.name = value
		case "id":
			ev.id = value
		case "data":
			ev.data += value
		case "":
			if ev.data != "" {
				select {
				case s.events <- ev:
				case <-ctx.Done():
					return
				}
			}
			ev = event{}
		}
	}
}

// next waits for the next event of a name that has a text in it.
func (s *stream) next(t *testing.T, name, text string) event {
	t.Helper()
	late := bounded(t).Done()
	for {
		select {
		case ev, open := <-s.events:
			if !open {
				t.Fatalf("the stream ended before %s %q came", name, text)
			}
			if ev.name == name && strings.Contains(ev.data, text) {
				return ev
			}
		case <-late:
			t.Fatalf("%s %q did not come", name, text)
		}
	}
}

// end waits until the stream has ended.
func (s *stream) end(t *testing.T) {
	t.Helper()
	late := bounded(t).Done()
	for {
		select {
		case _, open := <-s.events:
			if !open {
				return
			}
		case <-late:
			t.Fatal("the stream did not end")
		}
	}
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
