package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"wigwag/transport"
)

// words is a text of n words that no other start gives.
func words(start string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%s.%d ", start, i)
	}
	return strings.TrimSpace(text.String())
}

// A user may have so many messages on their way in parts.
const streamsOfAUser = 32

// Concurrent calls of many sessions and of one session never mix: what a call
// says comes on its own stream, all of it, in order, before its result.
func TestConcurrentStreamsNeverMix(t *testing.T) {
	t.Parallel()
	p := startWigwag(t)
	sessions, calls, parts := size(1, 4), size(8, 16), size(20, 50)
	var clients []*client
	for _, protocol := range protocols() {
		hc := newHTTP(t, protocol)
		for _, d := range dialects() {
			for range sessions {
				clients = append(clients, connect(t, hc, p, d))
			}
		}
	}
	for group := range slices.Chunk(clients, streamsOfAUser/calls) {
		// The calls of a session overlap nearly always; that they did is checked.
		for attempt := 0; !allAtOnce(t, group, calls, parts) && !t.Failed(); attempt++ {
			if attempt == 10 {
				t.Fatal("the calls of some session never ran at once")
			}
		}
	}
}

// allAtOnce has every client make its calls and reports whether those of each
// ran at once.
func allAtOnce(t *testing.T, clients []*client, calls, parts int) bool {
	var (
		all      sync.WaitGroup
		together atomic.Bool
	)
	together.Store(true)
	for n, c := range clients {
		all.Go(func() {
			if !c.streamAtOnce(t, fmt.Sprintf("%s/%d", c.dialect, n), calls, parts) {
				together.Store(false)
			}
		})
	}
	all.Wait()
	return together.Load()
}

// streamAtOnce streams different texts at once and reports whether there was a
// moment when all had begun and none had ended.
func (c *client) streamAtOnce(t *testing.T, name string, calls, parts int) bool {
	var own sync.WaitGroup
	if c.dialect.session && c.revision != oldest {
		stop := c.mustStaySilent(t, name, &own)
		defer own.Wait()
		defer stop()
	}
	var (
		begun, running sync.WaitGroup
		ended          atomic.Bool
		together       atomic.Bool
	)
	begun.Add(calls)
	for i := range calls {
		running.Go(func() {
			id := fmt.Sprintf("%s/%d", name, i)
			begin := sync.OnceFunc(begun.Done)
			defer begin() // if it fails before it begins
			if err := c.streamMessage(bounded(t), id, words(id, parts), begin); err != nil {
				t.Error(err)
			}
			ended.Store(true)
		})
	}
	begun.Wait()
	together.Store(!ended.Load())
	running.Wait()
	if strays := c.unclaimed(); len(strays) > 0 {
		t.Errorf("%s: %d messages came for no request, first %v", name, len(strays), strays[0])
	}
	return together.Load()
}

// mustStaySilent opens the session's own stream, on which nothing of a call may
// appear.
func (c *client) mustStaySilent(t *testing.T, name string, own *sync.WaitGroup) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(t.Context())
	req, err := c.get(ctx, "")
	if err != nil {
		t.Error(err)
		return stop
	}
	got, err := send(c.http, req)
	if err != nil || got.status != http.StatusOK {
		t.Errorf("%s: GET: %+v, %v", name, got, err)
		return stop
	}
	own.Go(func() {
		defer got.close()
		for {
			e, err := got.next()
			if err != nil {
				return // stopped
			}
			if e.Method != "notifications/resources/list_changed" {
				t.Errorf("%s: on the session's own stream came %v", name, e)
			}
		}
	})
	return stop
}

// streamMessage streams a text with stream_message and checks all that comes.
func (c *client) streamMessage(ctx context.Context, id, text string, begun func()) error {
	got, err := c.open(ctx, id, "tools/call", toolCall("stream_message", object{"message": text, "interval_ms": 20}))
	if err != nil {
		return err
	}
	defer got.close()
	first, err := got.next()
	if err != nil {
		return fmt.Errorf("%s: the first part: %w", id, err)
	}
	if first.Method == "" {
		return fmt.Errorf("%s: instead of the first part came %v", id, first)
	}
	begun()
	rest, err := got.rest(id)
	if err != nil {
		return err
	}
	var result struct {
		Structured struct {
			StreamID string `json:"stream_id"`
			Parts    int    `json:"parts"`
			Message  string `json:"message"`
		} `json:"structuredContent"`
	}
	if err := json.Unmarshal(rest.last.Result, &result); err != nil {
		return fmt.Errorf("%s: result %+v: %w", id, rest.last, err)
	}
	notes := append([]envelope{first}, rest.notes...)
	var joined strings.Builder
	for i, n := range notes {
		joined.WriteString(n.Params.Message)
		if n.Params.Meta.Partial.StreamID != result.Structured.StreamID {
			return fmt.Errorf("%s: part %d of another stream: %+v", id, i+1, n)
		}
	}
	if joined.String() != text || result.Structured.Message != text || result.Structured.Parts != len(notes) {
		return fmt.Errorf("%s: %d parts are together %q; the result says %+v; want %q", id, len(notes), joined.String(), result.Structured, text)
	}
	return countedUp(id, notes, len(notes))
}

// countedUp checks that the notes are the progress of a request from 1 to n,
// and nothing else.
func countedUp(id string, notes []envelope, n int) error {
	for i, e := range notes {
		if p := e.Params; e.Method != "notifications/progress" || p.Token != id || p.Progress != float64(i+1) || p.Total != float64(n) {
			return fmt.Errorf("%s: notification %d of %d is %s %v/%v of %q", id, i+1, n, e.Method, p.Progress, p.Total, p.Token)
		}
	}
	if len(notes) != n {
		return fmt.Errorf("%s: %d notifications, want %d", id, len(notes), n)
	}
	return nil
}

// burst has n notifications sent as fast as possible and checks that they are
// all there, in order, before the result.
func (c *client) burst(ctx context.Context, id, tool string, n int) error {
	got, err := c.do(ctx, id, "tools/call", toolCall(tool, object{"n": n}))
	if err != nil {
		return err
	}
	if text, ok := got.last.toolText(); !ok || text != fmt.Sprint(n) {
		return fmt.Errorf("%s: result %s", id, text)
	}
	return countedUp(id, got.notes, n)
}

// burstTools send through the transport's own Notify and through mcp-go.
func burstTools() []string { return []string{"burst", "burst_by_mcp_go"} }

// forEveryWire runs a test with every dialect over every protocol.
func forEveryWire(t *testing.T, p *process, test func(t *testing.T, c *client)) {
	t.Helper()
	for _, protocol := range protocols() {
		for _, d := range dialects() {
			t.Run(protocol+"/"+d.String(), func(t *testing.T) {
				c := connect(t, newHTTP(t, protocol), p, d)
				test(t, c)
				if strays := c.unclaimed(); len(strays) > 0 {
					t.Errorf("%d messages came for no request, first %v", len(strays), strays[0])
				}
			})
		}
	}
}

// Of many notifications sent as fast as possible none is lost, whoever sends
// them. More are sent than a stream holds at a time, or remembers.
func TestBurstsArriveWhole(t *testing.T) {
	p := startTestServer(t, transport.Limits{})
	n := size(1100, 10_000)
	forEveryWire(t, p, func(t *testing.T, c *client) {
		var both sync.WaitGroup
		for _, tool := range burstTools() {
			both.Go(func() {
				if err := c.burst(bounded(t), tool, tool, n); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
	})
}

// A single notification right before the result is never lost.
func TestSingleNotificationIsNeverLost(t *testing.T) {
	p := startTestServer(t, transport.Limits{MaxCallsPerUser: 1000})
	calls := size(40, 1000)
	forEveryWire(t, p, func(t *testing.T, c *client) {
		var both sync.WaitGroup
		for _, tool := range burstTools() {
			both.Go(func() {
				for i := range calls {
					if err := c.burst(bounded(t), fmt.Sprint(tool, i), tool, 1); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		both.Wait()
	})
}
