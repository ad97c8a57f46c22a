package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// tracked is a connection that tells whether it was closed.
type tracked struct {
	net.Conn
	closed bool
}

func (c *tracked) Close() error {
	c.closed = true
	return nil
}

func TestConnections(t *testing.T) {
	n := newConnections(3)
	conns := map[string]*tracked{}
	for i, step := range []struct {
		conn   string
		state  http.ConnState
		closed string // all that are by now
	}{
		{"a", http.StateNew, ""},
		{"b", http.StateNew, ""},
		{"b", http.StateActive, ""},
		{"c", http.StateNew, ""},
		{"c", http.StateActive, ""},
		{"c", http.StateIdle, ""},
		{"a", http.StateActive, ""},
		{"a", http.StateIdle, ""},
		{"d", http.StateNew, "c"}, // idle longer than a
		{"c", http.StateActive, "c"},
		{"c", http.StateIdle, "c"},
		{"c", http.StateClosed, "c"},
		{"d", http.StateClosed, "c"}, // by itself
		{"e", http.StateNew, "c"},
		{"e", http.StateActive, "c"},
		{"f", http.StateNew, "ac"},
		{"f", http.StateActive, "ac"},
		{"g", http.StateNew, "acg"}, // all are in use
		{"g", http.StateClosed, "acg"},
		{"f", http.StateIdle, "acg"},
		{"h", http.StateNew, "acfg"},
	} {
		if conns[step.conn] == nil {
			conns[step.conn] = &tracked{}
		}
		n.note(conns[step.conn], step.state)
		closed := ""
		for name := range strings.SplitSeq("abcdefgh", "") {
			if c := conns[name]; c != nil && c.closed {
				closed += name
			}
		}
		if closed != step.closed {
			t.Fatalf("step %d: closed are %q, want %q", i, closed, step.closed)
		}
	}
	n.closeFresh()
	late := &tracked{}
	n.note(late, http.StateNew)
	if !conns["h"].closed || !late.closed || conns["b"].closed || conns["e"].closed {
		t.Errorf("on shutdown: fresh %t, late %t, in use %t and %t", conns["h"].closed, late.closed, conns["b"].closed, conns["e"].closed)
	}
	for _, name := range []string{"b", "e", "h"} {
		n.note(conns[name], http.StateClosed)
	}
	if len(n.open) != 0 || n.idle.Len() != 0 {
		t.Errorf("%d are open, %d idle at the end", len(n.open), n.idle.Len())
	}
}

// Connections on which nothing is asked give way to those on which something
// is, and never the other way round.
func TestConnectionsOfTheServer(t *testing.T) {
	p := start(t, withPassword, "--max-connections=3")
	dial := func() net.Conn {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		return conn
	}
	wantsClosed := func(conn net.Conn) {
		t.Helper()
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("the connection is not closed: %v", err)
		}
	}
	first := dial()
	for range 5 {
		dial()
	}
	wantsClosed(first)

	u := admit(t, p)
	for range 3 {
		opened(t, u.get(t, "/events"))
	}
	extra := dial()
	if _, err := fmt.Fprintf(extra, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
		if resp, err := http.ReadResponse(bufio.NewReader(extra), nil); err == nil {
			t.Errorf("a connection too many is answered with %d", resp.StatusCode)
		}
	}
}
