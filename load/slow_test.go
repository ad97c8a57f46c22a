package load

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// slowClient is a connection and what its client sends at once; after that come
// single bytes, if any.
type slowClient struct {
	name    string
	request func(t *testing.T, c *client) string
	trickle string // over and over
}

// whole is a request as it goes over the connection.
func whole(t *testing.T, req *http.Request, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// withoutBody is the header of a request, after which nothing comes.
func withoutBody(method, path, token, contentType string) func(*testing.T, *client) string {
	return func(t *testing.T, c *client) string {
		t.Helper()
		body := strings.NewReader(strings.Repeat(" ", 1000))
		req, err := http.NewRequestWithContext(bounded(t), method, c.url+path, body)
		if err == nil {
			req.Header.Set("Content-Type", contentType)
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return strings.TrimRight(whole(t, req, err), " ")
	}
}

// Clients that take their time with the header, or with taking an answer, are
// ended after ten seconds. Others are served meanwhile.
func TestSlowClientsAreEnded(t *testing.T) {
	t.Parallel()
	p := startWigwag(t)
	endSlowClients(t, p, []slowClient{
		{"sends nothing", func(*testing.T, *client) string { return "" }, ""},
		{"sends its header byte by byte", func(*testing.T, *client) string { return "POST /mcp HTTP/1.1\r\nHost: " }, "a"},
		{"begins HTTP/2 and stops", func(*testing.T, *client) string { return "PRI * HTTP/2.0\r\n" }, ""},
		{"asks over and over and reads nothing", func(t *testing.T, c *client) string {
			t.Helper()
			req, err := c.request(bounded(t), "list", "tools/list", nil)
			return strings.Repeat(whole(t, req, err), 2000)
		}, ""},
	})
}

// An HTTP/2 connection whose client reads nothing at all is closed as well,
// though each of its streams has all the window it could want.
func TestStuckConnectionIsClosed(t *testing.T) {
	t.Parallel()
	p := startWigwag(t, "--max-calls-per-user=1000")
	hc := newHTTP(t, "h2c")
	c := connect(t, hc, p, dialect{"2025-03-26", false})
	for i := range 20 {
		if _, err := c.tool(bounded(t), fmt.Sprint(i), "send_message", object{"message": strings.Repeat("x", 1500)}); err != nil {
			t.Fatal(err)
		}
	}
	hc.CloseIdleConnections()
	// Each answer is of some 20 KB, all together more than buffers hold.
	batch := make([]object, 50)
	for i := range batch {
		batch[i] = object{"jsonrpc": "2.0", "id": i, "method": "tools/call", "params": toolCall("read_messages", nil)}
	}
	conn := dialH2(t, p, 1<<30)
	for range 10 {
		req, err := c.post(bounded(t), batch)
		if err != nil {
			t.Fatal(err)
		}
		conn.request(req)
	}
	if conn.err != nil {
		t.Fatal(conn.err)
	}
	conn.waitForAnswer(t)
	poll(t, "the connection to be closed", func() bool { return p.descriptors(t) <= p.base },
		func() string { return fmt.Sprintf("%d are open, %d were", p.descriptors(t), p.base) })
}

// So are clients that take their time with the body, after half a minute, even
// if nobody wants to read it.
func TestSlowBodiesAreEnded(t *testing.T) {
	t.Parallel()
	p := startWigwag(t, "--max-calls-per-user=10000")
	const json = "application/json"
	endSlowClients(t, p, []slowClient{
		{"sends its body byte by byte", withoutBody("POST", "/mcp", p.token, json), " "},
		{"sends no body", withoutBody("POST", "/mcp", p.token, json), ""},
		{"sends no body of a type that is refused", withoutBody("POST", "/mcp", p.token, "text/plain"), ""},
		{"sends no body by a method that is refused", withoutBody("PUT", "/mcp", p.token, json), ""},
		{"sends no body to a session that is not", withoutBody("POST", "/messages?sessionId=x", p.token, json), ""},
		{"sends no body and a bad token", withoutBody("POST", "/mcp", "bad", json), ""},
		{"sends a body byte by byte and a bad token", withoutBody("POST", "/mcp", "bad", json), " "},
		{"sends no body to where nothing is", withoutBody("POST", "/nothing-here", "", json), ""},
		{"sends no body to the health check", withoutBody("POST", "/healthz", "", json), ""},
		{"sends no password", withoutBody("POST", "/api/login", "", json), ""},
		{"sends its password byte by byte", withoutBody("POST", "/api/login", "", json), " "},
	})
}

// endSlowClients connects many of each and waits until the server has ended
// them all.
func endSlowClients(t *testing.T, p *process, slow []slowClient) {
	t.Helper()
	hc := newHTTP(t, "HTTP/1.1")
	other := connect(t, hc, p, dialect{modern, false})
	conns := make(map[*rawConn]slowClient)
	for _, s := range slow {
		for range size(5, 100) {
			conn := dialRaw(t, p)
			if _, err := io.WriteString(conn, s.request(t, other)); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			conns[conn] = s
		}
	}
	for _, d := range dialects() {
		if d.revision != oldest { // whose stream would stay, and count
			connect(t, hc, p, d).isAlive(t)
		}
	}
	if open := p.descriptors(t) - p.base; open < len(conns) {
		t.Errorf("of %d slow clients at most %d were there when others were served", len(conns), open)
	}
	hc.CloseIdleConnections()

	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	poll(t, "the slow clients' end", func() bool {
		select {
		case <-tick.C:
			for conn, s := range conns {
				_, _ = io.WriteString(conn, s.trickle) // an error is what is waited for
			}
		default:
		}
		return p.descriptors(t) <= p.base
	}, func() string {
		// A connection that the server has closed fails at the second write.
		left := make(map[string]int)
		for range 2 {
			clear(left)
			for conn, s := range conns {
				if _, err := io.WriteString(conn, "x"); err == nil {
					left[s.name]++
				}
			}
		}
		return fmt.Sprintf("%d descriptors are open, %d were; probably of who %v", p.descriptors(t), p.base, left)
	})
}
