package load

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"wigwag/transport"
)

// A client can vanish at any moment and in any way. Nothing of its connection
// stays. Its call is cancelled on 2026-07-28 and goes on before that.
func TestVanishedClientsLeaveNothing(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{
		Heartbeat: time.Second, MaxCallsPerUser: -1, MaxSessionsPerUser: -1, MaxStreamsPerUser: -1,
	})
	goroutines, _ := p.goroutines(t)
	hc := newHTTP(t, "HTTP/1.1")
	gate := func(d dialect) object { return object{"gate": fmt.Sprint(d.revision == modern)} }
	vanishEverywhere(t, hc, p, waysToGo(), func(d dialect) (silent, streaming object) {
		silent, streaming = gate(d), gate(d)
		silent["n"] = 0
		return toolCall("hold", silent), toolCall("hold", streaming)
	})

	c := connect(t, hc, p, dialect{modern, false})
	var held, cancelled int
	count := func(d dialect) {
		text, err := c.tool(bounded(t), "count", "held", gate(d))
		if err == nil {
			_, err = fmt.Sscanf(text, "%d held, %d cancelled", &held, &cancelled)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	state := func() string { return fmt.Sprintf("%d of %d cancelled", cancelled, held) }
	poll(t, "the end of the calls of 2026-07-28", func() bool {
		count(dialect{modern, false})
		return held > 0 && cancelled == held
	}, state)
	older := dialect{"2025-11-25", true}
	if count(older); held == 0 || cancelled > 0 {
		t.Errorf("of the calls of earlier revisions there were %s", state())
	}
	if _, err := c.tool(bounded(t), "release", "release", gate(older)); err != nil {
		t.Fatal(err)
	}
	hc.CloseIdleConnections()
	p.becomesIdle(t, goroutines)
}

func TestVanishedClientsOfWigwagLeaveNothing(t *testing.T) {
	t.Parallel()
	p := startWigwag(t, "--max-calls-per-user=100000", "--max-sessions-per-user=100000", "--max-streams-per-user=100000")
	ways := waysToGo()
	if !*full {
		ways = slices.Delete(ways, hidden, hidden+1) // it is found out by a heartbeat, after 25 s
	}
	vanishEverywhere(t, newHTTP(t, "HTTP/1.1"), p, ways, func(dialect) (silent, streaming object) {
		return toolCall("wait_for_messages", object{"timeout_s": 50}),
			toolCall("stream_message", object{"message": "one two three four", "interval_ms": 500})
	})
}

// A call whose client has vanished, or does not want to hear, has nobody to wait
// for. It is told when its time is over, and ends.
func TestEndlessCallsEnd(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{MaxCall: time.Second})
	goroutines, _ := p.goroutines(t)
	hc := newHTTP(t, "HTTP/1.1")
	for _, d := range dialects() {
		if d.revision == oldest {
			continue // its session ends with the connection
		}
		c := connect(t, hc, p, d)
		for _, accept := range []string{"text/event-stream", "application/json"} {
			req, err := c.request(bounded(t), accept, "tools/call", toolCall("burst", object{"n": 1 << 30}))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", accept)
			conn := dialRaw(t, p)
			if err := req.Write(conn); err != nil {
				t.Fatal(err)
			}
			if accept != "application/json" {
				conn.response(t, req)
			}
			conn.Close()
		}
	}
	hc.CloseIdleConnections()
	p.becomesIdle(t, goroutines)
}

// vanishEverywhere has clients of all dialects vanish from silent and streaming
// calls, and waits until the server has no more descriptors than before.
func vanishEverywhere(t *testing.T, hc *http.Client, p *process, ways []func(*rawConn) error, calls func(dialect) (silent, streaming object)) {
	t.Helper()
	vanished := 0
	for range size(2, 50) {
		for _, d := range dialects() {
			silent, streaming := calls(d)
			vanished += vanish(t, p, ways, requestsOf(t, hc, p, d, silent, streaming))
		}
	}
	hc.CloseIdleConnections()
	poll(t, "the descriptors to be closed", func() bool { return p.descriptors(t) <= p.base },
		func() string {
			return fmt.Sprintf("%d are open after %d clients, %d were", p.descriptors(t), vanished, p.base)
		})
}

// requestsOf makes the requests of every kind that a dialect has, each with the
// number as its ID.
func requestsOf(t *testing.T, hc *http.Client, p *process, d dialect, silent, streaming object) map[string]func(n int) (*http.Request, error) {
	t.Helper()
	c := &client{dialect: d, http: hc, url: p.url, token: p.token}
	if d.revision == oldest {
		return map[string]func(int) (*http.Request, error){
			"GET /sse": func(int) (*http.Request, error) { return c.getSSE(bounded(t)) },
		}
	}
	c = connect(t, hc, p, d)
	requests := map[string]func(int) (*http.Request, error){
		silentCall: func(n int) (*http.Request, error) {
			return c.request(bounded(t), fmt.Sprint(n), "tools/call", silent)
		},
		"streaming call": func(n int) (*http.Request, error) {
			return c.request(bounded(t), fmt.Sprint(n), "tools/call", streaming)
		},
	}
	if d.session {
		requests["GET"] = func(int) (*http.Request, error) { return c.get(bounded(t), "") }
	}
	if d.revision == modern {
		requests["listen"] = func(n int) (*http.Request, error) {
			return c.request(bounded(t), fmt.Sprint(n), "subscriptions/listen", listenToLists())
		}
	}
	return requests
}

// silentCall is the one kind of request that is not answered at once.
const silentCall = "silent call"

// A moment to vanish is when so much has been sent, of a request whose header
// and whose whole have these lengths; or when the answer has begun.
type moment struct {
	sent     func(header, whole int) int
	answered bool
}

func moments() []moment {
	return []moment{
		{func(int, int) int { return 0 }, false},
		{func(header, _ int) int { return header / 2 }, false},
		{func(header, _ int) int { return header }, false},
		{func(header, whole int) int { return (header + whole) / 2 }, false},
		{func(_, whole int) int { return whole }, false},
		{func(_, whole int) int { return whole }, true},
	}
}

// vanish sends requests of every kind, each on a connection of its own, and
// vanishes at every moment in every way.
func vanish(t *testing.T, p *process, ways []func(*rawConn) error, requests map[string]func(n int) (*http.Request, error)) (vanished int) {
	t.Helper()
	for kind, request := range requests {
		for _, at := range moments() {
			if at.answered && kind == silentCall {
				continue
			}
			for _, leave := range ways {
				vanished++
				req, err := request(vanished)
				if err != nil {
					t.Fatal(err)
				}
				var whole bytes.Buffer
				if err := req.Write(&whole); err != nil {
					t.Fatal(err)
				}
				header := bytes.Index(whole.Bytes(), []byte("\r\n\r\n")) + 4
				conn := dialRaw(t, p)
				if _, err := conn.Write(whole.Bytes()[:at.sent(header, whole.Len())]); err != nil {
					t.Fatal(err)
				}
				if at.answered {
					conn.response(t, req)
				}
				if err := leave(conn); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return vanished
}

// hidden is the last of waysToGo.
const hidden = 3

// waysToGo are a proper end, a reset, an end of one direction only, and an end
// that a byte sent too early hides from the server.
func waysToGo() []func(*rawConn) error {
	return []func(*rawConn) error{
		func(c *rawConn) error { return c.Close() },
		func(c *rawConn) error {
			if err := c.SetLinger(0); err != nil {
				return err
			}
			return c.Close()
		},
		func(c *rawConn) error { return c.CloseWrite() },
		func(c *rawConn) error {
			if _, err := c.Write([]byte("G")); err != nil {
				return err
			}
			return c.Close()
		},
	}
}
