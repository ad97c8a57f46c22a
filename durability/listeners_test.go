//go:build linux

package durability_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestListeners has many listeners on one server, which is another process:
// every one gets every message once and in order, also one that comes in parts.
func TestListeners(t *testing.T) {
	n := 1000
	if *full {
		n = 10_000
	}
	most := strconv.Itoa(n + 10)
	s := start(t, "--data", t.TempDir(), "--max-streams", most, "--max-streams-per-user", most)
	fresh, err := s.Memory()
	if err != nil {
		t.Fatal(err)
	}
	user := s.as("admin", password)
	user.send(t, "general", "before anybody listens")
	alone, _ := s.Memory() // with what logging in took, most of which is garbage

	listeners := make([]*listener, n)
	connecting := make(chan struct{}, 32) // bounds the backlog of the server's socket
	var group sync.WaitGroup
	for i := range listeners {
		group.Go(func() {
			connecting <- struct{}{}
			defer func() { <-connecting }()
			listeners[i] = connect(t, user)
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	with, _ := s.Memory()

	for _, l := range listeners {
		group.Go(l.listen)
	}
	var ids []string
	for i := range 10 {
		ids = append(ids, user.send(t, "general", fmt.Sprintf("message %d", i)))
	}
	var sent message
	user.do(t, "stream_message", map[string]any{
		"room": "general", "interval_ms": 20, "message": strings.Repeat("This comes part by part. ", 8),
	}, &sent)
	ids = append(ids, sent.ID)
	for i := range 9 {
		ids = append(ids, user.send(t, "general", fmt.Sprintf("message %d", 10+i)))
	}
	ids = append(ids, user.send(t, "general", theEnd))
	group.Wait()
	after, _ := s.Memory()

	wrong, parts := 0, 0
	for i, l := range listeners {
		parts += l.parts
		if l.err == nil && slices.Equal(l.ids, ids) {
			continue
		}
		if wrong++; wrong <= 3 {
			t.Errorf("listener %d got %v, not %v (%v)", i, l.ids, ids, l.err)
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d listeners did not get every message once and in order", wrong, n)
	}
	t.Logf("%d listeners, %.1f parts each; the server holds %.1f MiB when it starts, %.1f after a login, %.1f with them (%.1f KiB each), %.1f after the messages (%.1f KiB each)",
		n, float64(parts)/float64(n), mib(fresh), mib(alone), mib(with), mib(with-fresh)*1024/float64(n), mib(after), mib(after-fresh)*1024/float64(n))
}

const theEnd = "the end"

func mib(bytes int) float64 { return float64(bytes) / (1 << 20) }

// listener is one connection to /events. It holds little: there are many.
type listener struct {
	conn  net.Conn
	lines *bufio.Reader
	ids   []string // of the messages that came
	parts int      // partial messages that came
	err   error
}

// connect begins to listen: it returns after the first event.
func connect(t *testing.T, c *client) *listener {
	address := strings.TrimPrefix(c.url, "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * patience)) // else reading says so
	// Of HTTP/1.0, so that the body is plain.
	_, err = fmt.Fprintf(conn, "GET /events?types=message,partial-message HTTP/1.0\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", address, c.token)
	if err != nil {
		t.Error(err)
		return nil
	}
	l := &listener{conn: conn, lines: bufio.NewReaderSize(conn, 1<<10)}
	head, err := l.lines.ReadSlice('\n')
	if err != nil || !bytes.Contains(head, []byte(strconv.Itoa(http.StatusOK))) {
		t.Errorf("/events: %q (%v)", head, err)
		return nil
	}
	for { // to the end of the event system
		line, err := l.lines.ReadSlice('\n')
		if err != nil {
			t.Errorf("/events: %v", err)
			return nil
		}
		if bytes.HasPrefix(line, []byte("data: ")) {
			return l
		}
	}
}

// listen takes events until the end of the messages.
func (l *listener) listen() {
	var ev event
	whole := "" // stream ID of a message whose last part has come
	text := 0   // length of the text so far
	for {
		line, err := l.lines.ReadSlice('\n')
		if err != nil {
			l.err = err
			return
		}
		name, value, _ := strings.Cut(string(bytes.TrimSuffix(line, []byte("\n"))), ": ")
		switch name {
		case "id":
			ev.id = value
		case "event":
			ev.kind = value
		case "data":
			ev.data = value
		}
		if len(line) > 1 {
			continue
		}
		var m struct {
			StreamID   string `json:"stream_id"`
			Message    string
			IsComplete bool `json:"isComplete"`
		}
		if ev.data != "" {
			if l.err = json.Unmarshal([]byte(ev.data), &m); l.err != nil {
				return
			}
		}
		switch ev.kind {
		case "message":
			l.ids = append(l.ids, ev.id)
			if m.StreamID != "" && l.parts > 0 && m.StreamID != whole {
				l.err = fmt.Errorf("%s came before the last part of %s", ev.id, m.StreamID)
				return
			}
			if m.Message == theEnd {
				return
			}
		case "partial-message":
			l.parts++
			if whole != "" || len(m.Message) < text {
				l.err = fmt.Errorf("after %d bytes of the text of %s (%q complete) comes %s", text, m.StreamID, whole, ev.data)
				return
			}
			text = len(m.Message)
			if m.IsComplete {
				whole = m.StreamID
			}
		case "reset", "stream-error", "shutdown":
			l.err = fmt.Errorf("%s: %s", ev.kind, ev.data)
			return
		}
		ev = event{}
	}
}
