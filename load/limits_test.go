package load

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"wigwag/transport"
)

// refused checks that an answer is a refusal that a client can understand: the
// status, when to come back, and a JSON-RPC error to the request.
func refused(t *testing.T, a *answer, status int, id string) {
	t.Helper()
	defer a.close()
	e, err := a.next()
	if a.status != status || err != nil || e.Error == nil {
		t.Errorf("%s: status %d, %v, %v; want %d", id, a.status, e, err, status)
		return
	}
	if id != "" && string(e.ID) != strconv.Quote(id) {
		t.Errorf("%s: refused with the id %s", id, e.ID)
	}
	if status == http.StatusAccepted { // on the stream, which has no headers of its own
		return
	}
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 {
		t.Errorf("%s: Retry-After is %q", id, a.header.Get("Retry-After"))
	}
}

// One call more than a user may have running is refused, and when the others
// have ended there is room for exactly as many again, however often. Others
// are not concerned.
func TestCallsOfAUserAreLimited(t *testing.T) {
	const limit = 3
	p := startTestServer(t, transport.Limits{MaxCallsPerUser: limit})
	hc := newHTTP(t, "HTTP/1.1")
	bystander := connectAs(t, hc, p, bob, dialect{modern, false})
	for _, d := range dialects() {
		t.Run(d.String(), func(t *testing.T) {
			c := connect(t, hc, p, d)
			for round := range size(3, 30) {
				gate := object{"gate": fmt.Sprint(d, round)}
				running := make(map[string]*answer)
				for i := range limit {
					id := fmt.Sprintf("%d.%d", round, i)
					running[id], _ = c.begin(t, id, toolCall("hold", gate))
				}
				for i := range 5 {
					id := fmt.Sprintf("%d beyond %d", round, i)
					got, err := c.open(bounded(t), id, "tools/call", toolCall("fill", nil))
					if err != nil {
						t.Fatal(err)
					}
					status := http.StatusTooManyRequests
					if d.revision == oldest { // its clients would give up the session
						status = http.StatusAccepted
					}
					refused(t, got, status, id)
				}
				if _, err := bystander.tool(bounded(t), "release", "release", gate); err != nil {
					t.Fatal(err)
				}
				for id, run := range running {
					wantText(t, run, id, "released")
				}
			}
		})
	}
}

// Who has got an answer has room for the next call.
func TestAnsweredCallsAreNotCounted(t *testing.T) {
	p := startTestServer(t, transport.Limits{MaxCallsPerUser: 1})
	forEveryWire(t, p, func(t *testing.T, c *client) {
		for i := range size(100, 2000) {
			if _, err := c.tool(bounded(t), fmt.Sprint(i), "fill", nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// listener opens one of the streams that count as listening.
type listener func(t *testing.T, hc *http.Client, p *process, token string) (*answer, string)

func listeners() map[string]listener {
	return map[string]listener{
		"GET /mcp": func(t *testing.T, hc *http.Client, p *process, token string) (*answer, string) {
			t.Helper()
			req, err := connectAs(t, hc, p, token, dialect{"2025-11-25", true}).get(bounded(t), "")
			return must(t, hc, req, err), ""
		},
		"GET /sse": func(t *testing.T, hc *http.Client, p *process, token string) (*answer, string) {
			t.Helper()
			c := &client{dialect: dialect{oldest, true}, url: p.url, token: token}
			req, err := c.getSSE(bounded(t))
			return must(t, hc, req, err), ""
		},
		"listen": func(t *testing.T, hc *http.Client, p *process, token string) (*answer, string) {
			t.Helper()
			c := connectAs(t, hc, p, token, dialect{modern, false})
			req, err := c.request(bounded(t), "listen", "subscriptions/listen", listenToLists())
			return must(t, hc, req, err), "listen"
		},
	}
}

// must sends a request.
func must(t *testing.T, hc *http.Client, req *http.Request, err error) *answer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got, err := send(hc, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(got.close)
	return got
}

// opened opens a listening stream as soon as there is room for it, which is
// when the server has noticed that another has ended.
func (l listener) opened(t *testing.T, hc *http.Client, p *process, token string) *answer {
	t.Helper()
	var got *answer
	poll(t, "room for a stream", func() bool {
		got, _ = l(t, hc, p, token)
		return got.status == http.StatusOK
	}, func() string { return fmt.Sprint(got.status) })
	return got
}

// A user may listen to so many streams, of whatever kind. One that ends makes
// room for one.
func TestListeningStreamsOfAUserAreLimited(t *testing.T) {
	p := startTestServer(t, transport.Limits{MaxStreamsPerUser: 2, MaxSessionsPerUser: -1})
	hc := newHTTP(t, "HTTP/1.1")
	for name, one := range listeners() {
		for other, another := range listeners() {
			t.Run(name+", "+other, func(t *testing.T) {
				first, second := one.opened(t, hc, p, alice), another.opened(t, hc, p, alice)
				for _, third := range listeners() {
					got, id := third(t, hc, p, alice)
					refused(t, got, http.StatusTooManyRequests, id)
				}
				got, _ := one(t, hc, p, bob)
				if got.status != http.StatusOK {
					t.Errorf("another user's stream: status %d", got.status)
				}
				for _, a := range []*answer{first, second, got} {
					a.close()
				}
			})
		}
	}
}

// There may be so many listening streams in all.
func TestListeningStreamsOfAllAreLimited(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{MaxStreams: 3})
	hc := newHTTP(t, "HTTP/1.1")
	listen := listeners()["listen"]
	first := listen.opened(t, hc, p, alice)
	listen.opened(t, hc, p, alice)
	listen.opened(t, hc, p, alice)
	for _, l := range listeners() {
		got, id := l(t, hc, p, bob)
		refused(t, got, http.StatusServiceUnavailable, id)
	}
	first.close()
	listen.opened(t, hc, p, bob)
}

// A user who begins one session more than allowed loses the one idle longest;
// those in use stay, and when all are, the new one is refused.
func TestSessionsOfAUserAreLimited(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{MaxSessionsPerUser: 3})
	hc := newHTTP(t, "HTTP/1.1")
	d := dialect{"2025-11-25", true}
	theirs := connectAs(t, hc, p, bob, d)
	first, second, third := connect(t, hc, p, d), connect(t, hc, p, d), connect(t, hc, p, d)
	for _, c := range []*client{first, third} { // so that the second is the one idle longest
		c.isAlive(t)
	}
	fourth := connect(t, hc, p, d)
	got, err := second.do(bounded(t), "evicted", "tools/list", nil)
	if err != nil || got.status != http.StatusNotFound {
		t.Errorf("the session idle longest answers %d, %v", got.status, err)
	}
	for _, c := range []*client{first, third, fourth} {
		c.isAlive(t)
		req, err := c.get(bounded(t), "")
		if got := must(t, hc, req, err); got.status != http.StatusOK {
			t.Fatalf("GET: status %d", got.status)
		}
	}
	c := &client{dialect: d, http: hc, url: p.url, token: p.token}
	fifth, err := c.open(bounded(t), "fifth", "initialize", object{
		"protocolVersion": d.revision, "capabilities": object{}, "clientInfo": object{"name": "load", "version": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, fifth, http.StatusTooManyRequests, "fifth")
	for _, c := range []*client{first, third, fourth, theirs} {
		c.isAlive(t)
	}
}

func (c *client) isAlive(t *testing.T) {
	t.Helper()
	got, err := c.do(bounded(t), "alive", "tools/list", nil)
	if err != nil || got.status != http.StatusOK && c.revision != oldest || got.last.Error != nil {
		t.Errorf("%s: tools/list answers %d %v, %v", c.dialect, got.status, got.last, err)
	}
}

// What is too large in number or length is refused, and nothing else is.
func TestEnvelopesAreLimited(t *testing.T) {
	t.Parallel()
	p := startWigwag(t, "--max-calls-per-user=200")
	hc := newHTTP(t, "HTTP/1.1")
	c := connect(t, hc, p, dialect{"2025-03-26", true})
	for n, want := range map[int]int{100: http.StatusOK, 101: http.StatusBadRequest} {
		batch := make([]object, n)
		for i := range batch {
			batch[i] = object{"jsonrpc": "2.0", "id": i, "method": "ping"}
		}
		req, err := c.post(bounded(t), batch)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		res, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answers []envelope
		body := drain(res)
		if res.StatusCode != want {
			t.Errorf("a batch of %d: %s %s", n, res.Status, body)
		}
		if err := json.Unmarshal([]byte(body), &answers); want == http.StatusOK && (err != nil || len(answers) != n) {
			t.Errorf("a batch of %d has %d answers, %v", n, len(answers), err)
		}
	}
	for _, d := range dialects() {
		c := connect(t, hc, p, d)
		for n, want := range map[int]int{512: http.StatusOK, 513: http.StatusBadRequest} {
			id := strings.Repeat("i", n-len(`""`))
			got, err := c.do(bounded(t), id, "tools/list", nil)
			if want == http.StatusOK && d.revision == oldest {
				want = http.StatusAccepted
			}
			if err != nil && want != http.StatusBadRequest || got.status != want {
				t.Errorf("%s: an id of %d bytes: %d %v, %v", d, n, got.status, got.last, err)
			}
		}
		if _, err := c.do(bounded(t), "after", "tools/list", nil); err != nil {
			t.Errorf("%s: afterwards: %v", d, err)
		}
	}
}
