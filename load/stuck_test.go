package load

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"wigwag/transport"
	"wigwag/transport/sse"
)

// What a stream holds at most, pending and for those who resume.
const streamMemory = 256<<10 + 1<<20

// stuckSize is the size of a message to a reader that stops. Some 40 of them
// fill what is between it and the server's stream.
const stuckSize = 16 << 10

// stuckReader is a connection whose answer nobody reads beyond its beginning.
type stuckReader struct {
	*client
	id     string
	events *sse.Reader
}

// stick makes a call whose answer nobody reads.
func stick(t *testing.T, hc *http.Client, p *process, d dialect, id string, call object) *stuckReader {
	t.Helper()
	if d.revision == oldest {
		return stickSSE(t, hc, p, id, call)
	}
	c := connect(t, hc, p, d)
	req, err := c.request(bounded(t), id, "tools/call", call)
	if err != nil {
		t.Fatal(err)
	}
	return stop(t, c, p, id, req)
}

// stop sends a request and reads no more of its answer than the header.
func stop(t *testing.T, c *client, p *process, id string, req *http.Request) *stuckReader {
	t.Helper()
	conn := dialRaw(t, p)
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	return &stuckReader{client: c, id: id, events: sse.NewReader(conn.response(t, req).Body, 1<<20)}
}

// stickSSE reads of an HTTP+SSE stream no more than the address to POST to.
func stickSSE(t *testing.T, hc *http.Client, p *process, id string, call object) *stuckReader {
	t.Helper()
	c := &client{dialect: dialect{oldest, true}, http: hc, url: p.url, token: p.token}
	req, err := c.getSSE(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r := stop(t, c, p, id, req)
	c.readEndpoint(t, r.events)
	if req, err = c.request(bounded(t), id, "tools/call", call); err != nil {
		t.Fatal(err)
	}
	got, err := send(hc, req)
	if err != nil || got.status != http.StatusAccepted {
		t.Fatalf("POST /messages: %+v, %v", got, err)
	}
	got.close()
	return r
}

// Readers that stop reading make their calls wait, and nobody else: no other
// client and no other call of theirs. What they hold is bounded; and when they
// read on, all of it is still there.
func TestStuckReadersHoldLittleAndBlockNobody(t *testing.T) {
	p := startTestServer(t, transport.Limits{WriteTimeout: 2 * patience, MaxCallsPerUser: -1, MaxSessionsPerUser: -1, MaxStreamsPerUser: -1})
	hc := newHTTP(t, "HTTP/1.1")
	other := connect(t, hc, p, dialect{modern, false})
	readers, messages := size(2, 25), size(150, 1000)
	before := p.memory(t, "VmRSS")

	var stuck []*stuckReader
	for _, d := range dialects() {
		for n := range readers {
			stuck = append(stuck, stick(t, hc, p, d, fmt.Sprintf("%s/%d", d, n),
				toolCall("burst", object{"n": messages, "size": stuckSize})))
		}
	}
	sent := settled(t, func() int { return countSent(t, other) })
	if sent >= len(stuck)*messages {
		t.Errorf("nobody reads, but all %d notifications were taken", sent)
	}
	if used, bound := p.memory(t, "VmRSS")-before, resident(len(stuck)*streamMemory); used > bound {
		t.Errorf("%d stuck readers take %d MiB, want at most %d", len(stuck), used>>20, bound>>20)
	}

	forEveryWire(t, p, func(t *testing.T, c *client) {
		for _, tool := range burstTools() {
			if err := c.burst(bounded(t), tool, tool, 100); err != nil {
				t.Error(err)
			}
		}
	})
	for _, r := range stuck {
		if r.revision != oldest { // there, the session has only the one stream
			if _, err := r.tool(bounded(t), "other", "fill", nil); err != nil {
				t.Errorf("another call of the session: %v", err)
			}
		}
	}
	if now := countSent(t, other) - sent; now != len(protocols())*len(dialects())*len(burstTools())*100 {
		t.Errorf("meanwhile %d notifications were taken: the stuck readers are no longer stuck", now)
	}

	for i, r := range stuck {
		if i%readers == 0 {
			r.readOn(t, messages)
		}
	}
}

// readOn reads the whole answer at last.
func (r *stuckReader) readOn(t *testing.T, messages int) {
	t.Helper()
	for n := range messages {
		e, err := nextMessage(r.events)
		if err != nil || e.Params.Token != r.id || e.Params.Progress != float64(n+1) {
			t.Fatalf("%s: notification %d is %v of %q, %v", r.id, n+1, e.Params.Progress, e.Params.Token, err)
		}
	}
	e, err := nextMessage(r.events)
	if err != nil || string(e.ID) != strconv.Quote(r.id) {
		t.Errorf("%s: the response is %+v, %v", r.id, e, err)
	}
	if r.revision == oldest {
		return // the stream goes on
	}
	if e, err = nextMessage(r.events); !errors.Is(err, io.EOF) {
		t.Errorf("%s: after the response came %v, %v", r.id, e, err)
	}
}

func countSent(t *testing.T, c *client) int {
	t.Helper()
	text, err := c.tool(bounded(t), "count", "sent", nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// settled waits until a count has stayed the same for a while. (Were it not the
// end, the test would be weaker, not wrong.)
func settled(t *testing.T, count func() int) int {
	t.Helper()
	last, same := -1, 0
	poll(t, "a count that stays", func() bool {
		n := count()
		if n != last {
			last, same = n, 0
			return false
		}
		same++
		return same == 50
	}, func() string { return fmt.Sprint(last) })
	return last
}

// The connection of a reader that has stopped is cut by the write deadline, and
// its descriptor is gone, whatever it was that it did not read.
func TestStuckReadersAreCutOff(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{WriteTimeout: time.Second, MaxCall: 3 * time.Second, MaxCallsPerUser: -1})
	goroutines, _ := p.goroutines(t)
	hc := newHTTP(t, "h2c")
	other := connect(t, hc, p, dialect{modern, false}) // one connection
	for _, d := range dialects() {
		stick(t, hc, p, d, d.String(), toolCall("burst", object{"n": 200, "size": stuckSize}))
		if d.revision != oldest {
			stick(t, hc, p, d, d.String()+" JSON", toolCall("fill", object{"size": 8 << 20}))
		}
		if d.session && d.revision != oldest {
			stickGET(t, hc, p, d)
		}
	}
	stickListen(t, hc, p)
	touchUntilGone(t, p, other, p.base+1)
	hc.CloseIdleConnections()
	p.becomesIdle(t, goroutines)
}

// subscribed is how many resources a listener follows.
const subscribed = 32

// stickGET opens a session's own stream and follows resources, but reads none
// of what comes.
func stickGET(t *testing.T, hc *http.Client, p *process, d dialect) {
	t.Helper()
	c := connect(t, hc, p, d)
	for i := range subscribed {
		got, err := c.do(bounded(t), fmt.Sprint("subscribe ", i), "resources/subscribe", object{"uri": resourceURI(i)})
		if err != nil || got.last.Error != nil {
			t.Fatalf("subscribe: %v, %v", got.last, err)
		}
	}
	req, err := c.get(bounded(t), "")
	if err != nil {
		t.Fatal(err)
	}
	stop(t, c, p, "", req)
}

// stickListen does the same by subscriptions/listen.
func stickListen(t *testing.T, hc *http.Client, p *process) {
	t.Helper()
	c := connect(t, hc, p, dialect{modern, false})
	req, err := c.request(bounded(t), "listen", "subscriptions/listen", listenTo(subscribed))
	if err != nil {
		t.Fatal(err)
	}
	stop(t, c, p, "", req)
}

// listenTo are the parameters to follow the first n resources.
func listenTo(n int) object {
	uris := make([]string, n)
	for i := range uris {
		uris[i] = resourceURI(i)
	}
	return object{"notifications": object{"resourceSubscriptions": uris}}
}

// touchUntilGone changes the resources over and over, which never waits for a
// listener, until so many descriptors are left.
func touchUntilGone(t *testing.T, p *process, other *client, left int) {
	t.Helper()
	poll(t, "the connections to be cut", func() bool {
		if _, err := other.tool(bounded(t), "touch", "touch", object{"n": subscribed}); err != nil {
			t.Fatal(err)
		}
		return p.descriptors(t) <= left
	}, func() string { return fmt.Sprintf("%d descriptors, want %d", p.descriptors(t), left) })
}

// becomesIdle waits until a server has no descriptors but its own and no more
// goroutines than it had.
func (p *process) becomesIdle(t *testing.T, goroutines int) {
	t.Helper()
	poll(t, "the descriptors to be closed", func() bool { return p.descriptors(t) <= p.base },
		func() string { return fmt.Sprintf("%d are open, %d were", p.descriptors(t), p.base) })
	var profile string
	poll(t, "the goroutines to end", func() (ended bool) {
		var n int
		n, profile = p.goroutines(t)
		return n <= goroutines
	}, func() string { return fmt.Sprintf("%d were there before, now %s", goroutines, profile) })
}
