package load

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const frameContinuation = 9

// headerFlood is a client that sends more header than anybody needs. It goes on
// until the server does not take any more.
type headerFlood struct {
	name  string
	begin func(t *testing.T, p *process) io.Writer
	more  func(n int) []byte
}

func headerFloods() []headerFlood {
	text := func(begin string) func(*testing.T, *process) io.Writer {
		return func(t *testing.T, p *process) io.Writer {
			t.Helper()
			conn := dialRaw(t, p)
			_, _ = io.WriteString(conn, begin) // an error is what is waited for
			return conn
		}
	}
	frames := func(block []byte) func(*testing.T, *process) io.Writer {
		return func(t *testing.T, p *process) io.Writer {
			t.Helper()
			conn := dialH2(t, p, 1<<20)
			conn.frame(frameHeaders, 0, 1, block) // no end of the headers
			return conn
		}
	}
	continuation := func(block []byte) []byte {
		n := len(block)
		return append([]byte{byte(n >> 16 & 0xff), byte(n >> 8 & 0xff), byte(n & 0xff), frameContinuation, 0, 0, 0, 0, 1}, block...)
	}
	start := field(field(field(field(nil, ":method", "GET"), ":scheme", "http"), ":path", "/events"), ":authority", "127.0.0.1")
	return []headerFlood{
		{"headers without end", text("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"), func(n int) []byte {
			return fmt.Appendf(nil, "X-%d: %s\r\n", n, strings.Repeat("x", 1000))
		}},
		{"a header without end", text("GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "), func(int) []byte {
			return bytes.Repeat([]byte("x"), 1000)
		}},
		{"a path without end", text("GET /"), func(int) []byte { return bytes.Repeat([]byte("x"), 1000) }},
		{"continuations without end", frames(start), func(n int) []byte {
			return continuation(field(nil, fmt.Sprint("x-", n), strings.Repeat("x", 1000)))
		}},
	}
}

// A header has a bound, whichever way it comes. Beyond it the connection is
// closed; others are served meanwhile, and nothing stays.
func TestHeaderFloodsAreEnded(t *testing.T) {
	t.Parallel()
	const limit = 256 << 20
	p := startWigwag(t, "--memory-limit", fmt.Sprint(limit))
	bound := socketBuffers(t)
	c := connect(t, newHTTP(t, "HTTP/1.1"), p, dialect{modern, false})
	var all sync.WaitGroup
	for _, flood := range headerFloods() {
		for range size(5, 100) {
			conn := flood.begin(t, p)
			all.Go(func() {
				sent := int64(0)
				for n := 0; ; n++ {
					written, err := conn.Write(flood.more(n))
					if sent += int64(written); err != nil {
						return
					}
					if sent > bound {
						t.Errorf("%s: %d MiB were taken, want at most %d", flood.name, sent>>20, bound>>20)
						return
					}
				}
			})
		}
	}
	c.isAlive(t)
	all.Wait()
	c.isAlive(t)
	p.withinLimit(t, limit)
	c.http.CloseIdleConnections()
	poll(t, "the descriptors to be closed", func() bool { return p.descriptors(t) <= p.base },
		func() string { return fmt.Sprintf("%d are open, %d were", p.descriptors(t), p.base) })
}

// Readers of /events that stop reading are cut off by the write deadline. What
// they hold is bounded, whoever reads gets everything, and whoever sends does
// not wait for them.
func TestStuckListenersAreCutOff(t *testing.T) {
	t.Parallel()
	const limit = 256 << 20
	p := startWigwag(t, "--memory-limit", fmt.Sprint(limit), "--max-streams-per-user=1000")
	hc := newHTTP(t, "HTTP/1.1")
	c := connect(t, hc, p, dialect{modern, false})
	request := func() *http.Request {
		req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, p.url+"/events?types=message", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+p.token)
		return req
	}
	n := size(20, 500)
	for range n {
		stop(t, c, p, "", request())
	}
	good, err := hc.Do(request())
	if err != nil {
		t.Fatal(err)
	}
	defer good.Body.Close()
	// So much that it does not fit between a reader that has stopped and the
	// server.
	const messages = 200
	text := strings.Repeat("x", 60_000)
	for i := range messages {
		if _, err := c.tool(bounded(t), fmt.Sprint(i), "send_message", object{"message": text}); err != nil {
			t.Fatal(err)
		}
	}
	heard := make(chan int, 1)
	go func() {
		n := 0
		buf, seen := make([]byte, 64<<10), []byte(nil)
		for n < messages {
			read, err := good.Body.Read(buf)
			seen = append(seen, buf[:read]...)
			n += bytes.Count(seen, []byte("event: message\n"))
			seen = seen[max(bytes.LastIndexByte(seen, '\n'), 0):]
			if err != nil {
				break
			}
		}
		heard <- n
	}()
	select {
	case n := <-heard:
		if n != messages {
			t.Errorf("who reads heard %d of %d messages", n, messages)
		}
	case <-time.After(patience):
		t.Error("who reads does not hear all messages")
	}
	p.withinLimit(t, limit)
	good.Body.Close()
	hc.CloseIdleConnections()
	poll(t, "the listeners to be cut off", func() bool { return p.descriptors(t) <= p.base },
		func() string { return fmt.Sprintf("%d are open, %d were", p.descriptors(t), p.base) })
}
