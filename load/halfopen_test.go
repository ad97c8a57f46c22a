package load

import (
	"fmt"
	"net/http"
	"testing"

	"wigwag/clients/servertest"
)

// A client whose host vanishes without a word is not noticed: its connection
// stays half-open. It costs little and keeps nobody from being served; when the
// lifetime of its stream is over, so is its place among those a user may have.
func TestHalfOpenConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	const limit, most = 256 << 20, 40 // streams of the user
	p := startWigwag(t, "--memory-limit", fmt.Sprint(limit), "--stream-lifetime=4s", "--max-call=4s",
		"--max-streams-per-user", fmt.Sprint(most), "--max-sessions-per-user=1000", "--max-calls-per-user=1000")
	proxy := servertest.NewProxy(t, p.url, func(int) servertest.Fault { return servertest.Fault{} })
	through := &process{url: proxy.URL}
	hc := newHTTP(t, "HTTP/1.1")
	c := connect(t, hc, p, dialect{modern, false})
	sent, places := 0, 0
	for _, d := range []dialect{{oldest, true}, {"2025-11-25", true}, {modern, false}} {
		requests := requestsOf(t, hc, p, d, toolCall("wait_for_messages", object{"timeout_s": 50}),
			toolCall("stream_message", object{"message": words("half-open", 100), "interval_ms": 2000}))
		requests["GET /events"] = func(int) (*http.Request, error) {
			req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, p.url+"/events", http.NoBody)
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+p.token)
			}
			return req, err
		}
		for kind, request := range requests {
			for range 5 {
				sent++
				req, err := request(sent)
				if err != nil {
					t.Fatal(err)
				}
				conn := dialRaw(t, through)
				if err := req.Write(conn); err != nil {
					t.Fatal(err)
				}
				if kind == silentCall {
					continue
				}
				conn.response(t, req)
				if kind != "streaming call" {
					places++
				}
			}
		}
	}
	if places < most/2 {
		t.Errorf("only %d streams are there to vanish", places)
	}
	proxy.Vanish()
	for n := range 20 {
		if _, err := c.tool(bounded(t), fmt.Sprint(n), "send_message", object{"message": "is anybody there?"}); err != nil {
			t.Fatal(err)
		}
	}
	poll(t, "the places of those who vanished", func() bool { return c.listenAtOnce(t, most) },
		func() string { return "not all can be had at once" })
	p.withinLimit(t, limit)
}

// listenAtOnce reports whether the client can have so many listening streams.
func (c *client) listenAtOnce(t *testing.T, n int) bool {
	t.Helper()
	for range n {
		req, err := c.request(bounded(t), "listen", "subscriptions/listen", listenToLists())
		if err != nil {
			t.Fatal(err)
		}
		got, err := send(c.http, req)
		if err != nil {
			t.Fatal(err)
		}
		defer got.close()
		if got.status != http.StatusOK {
			return false
		}
	}
	return true
}
