package load

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"wigwag/transport"
)

// victim is alice with all that another could want to touch.
type victim struct {
	*client // with a session
	own     *answer
	held    *answer // a running call of the session
	asking  *answer // one that waits for her answer
	older   *answer // a running call of an HTTP+SSE session
	newer   *answer // and one without a session
	handles handles
}

// handles are what an intruder would have to know.
type handles struct {
	session, event string
	question       json.RawMessage // ID of the server's request
	sse            string          // ID of the HTTP+SSE session
	call           string          // ID of the running calls
}

// invented are handles to nothing. (A question's ID is one that there is in the
// victim's session only.)
func invented(question json.RawMessage) handles {
	return handles{
		session: strings.Repeat("A", 26), event: strings.Repeat("a", 13) + "-1",
		question: question, sse: strings.Repeat("B", 26), call: "nobody's",
	}
}

func newVictim(t *testing.T, hc *http.Client, p *process, revision string) *victim {
	t.Helper()
	older := connectAs(t, hc, p, alice, dialect{oldest, true})
	v := &victim{
		client:  connectAs(t, hc, p, alice, dialect{revision, true}),
		handles: handles{sse: older.session, call: "running"},
	}
	v.handles.session = v.session
	hold := toolCall("hold", object{"gate": revision})
	var first envelope
	v.held, first = v.begin(t, v.handles.call, hold)
	v.handles.event = first.event
	v.asking, first = v.begin(t, "asking", toolCall("ask", nil))
	v.handles.question = first.ID
	v.older, _ = older.begin(t, v.handles.call, hold)
	v.newer, _ = connectAs(t, hc, p, alice, dialect{modern, false}).begin(t, v.handles.call, hold)
	req, err := v.get(bounded(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if v.own, err = send(hc, req); err != nil || v.own.status != http.StatusOK {
		t.Fatalf("GET: %+v, %v", v.own, err)
	}
	t.Cleanup(v.own.close)
	return v
}

// begin starts a call and reads the first message of its answer, which is not
// the response.
func (c *client) begin(t *testing.T, id string, call object) (*answer, envelope) {
	t.Helper()
	got, err := c.open(bounded(t), id, "tools/call", call)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(got.close)
	first, err := got.next()
	if err != nil || first.Method == "" {
		t.Fatalf("%s: %s begins with %v, %v", c.dialect, id, first, err)
	}
	return got, first
}

// attempt is a request that an intruder makes in order to touch what the
// handles name. c is the intruder's own client.
type attempt struct {
	name    string
	status  int
	request func(c *client, h handles) (*http.Request, error)
}

func attempts(t *testing.T) []attempt {
	ctx := bounded(t)
	in := func(c *client, session string) *client { // c, in another session
		other := *c
		other.session = session
		return &other
	}
	speaking := func(c *client, d dialect, session string) *client {
		other := in(c, session)
		other.dialect = d
		return other
	}
	sse, newer := dialect{oldest, true}, dialect{modern, false}
	cancel := func(c *client, h handles) (*http.Request, error) {
		return c.request(ctx, "", "notifications/cancelled", object{"requestId": h.call})
	}
	call := func(c *client) (*http.Request, error) {
		return c.request(ctx, "intruder", "tools/call", toolCall("fill", nil))
	}
	respond := func(c *client, h handles) (*http.Request, error) {
		return c.post(ctx, object{"jsonrpc": "2.0", "id": h.question, "result": said("evil")})
	}
	return []attempt{
		{"call in the session", 404, func(c *client, h handles) (*http.Request, error) { return call(in(c, h.session)) }},
		{"notify in the session", 404, func(c *client, h handles) (*http.Request, error) {
			return in(c, h.session).request(ctx, "", "notifications/initialized", nil)
		}},
		{"cancel in the session", 404, func(c *client, h handles) (*http.Request, error) { return cancel(in(c, h.session), h) }},
		{"cancel in one's own session", 202, cancel},
		{"cancel without a session", 202, func(c *client, h handles) (*http.Request, error) { return cancel(in(c, ""), h) }},
		{"cancel on 2026-07-28", 202, func(c *client, h handles) (*http.Request, error) { return cancel(speaking(c, newer, ""), h) }},
		{"answer in the session", 404, func(c *client, h handles) (*http.Request, error) { return respond(in(c, h.session), h) }},
		{"answer in one's own session", 400, respond},
		{"answer without a session", 400, func(c *client, h handles) (*http.Request, error) { return respond(in(c, ""), h) }},
		{"GET the session", 404, func(c *client, h handles) (*http.Request, error) { return in(c, h.session).get(ctx, "") }},
		{"resume in the session", 404, func(c *client, h handles) (*http.Request, error) { return in(c, h.session).get(ctx, h.event) }},
		{"resume in one's own session", 400, func(c *client, h handles) (*http.Request, error) { return c.get(ctx, h.event) }},
		{"DELETE the session", 404, func(c *client, h handles) (*http.Request, error) { return in(c, h.session).del(ctx) }},
		{"call on /messages", 404, func(c *client, h handles) (*http.Request, error) { return call(speaking(c, sse, h.sse)) }},
		{"cancel on /messages", 404, func(c *client, h handles) (*http.Request, error) { return cancel(speaking(c, sse, h.sse), h) }},
		{"answer on /messages", 404, func(c *client, h handles) (*http.Request, error) { return respond(speaking(c, sse, h.sse), h) }},
		{"session of /mcp on /messages", 404, func(c *client, h handles) (*http.Request, error) { return call(speaking(c, sse, h.session)) }},
		{"session of /messages on /mcp", 404, func(c *client, h handles) (*http.Request, error) { return call(in(c, h.sse)) }},
		{"DELETE the session of /messages", 404, func(c *client, h handles) (*http.Request, error) { return in(c, h.sse).del(ctx) }},
	}
}

// said is the answer to a question of the tool ask.
func said(word string) object {
	return object{"action": "accept", "content": object{"word": word}}
}

// Nobody can touch another's session, stream or call, by any method, not even
// the same user with another client. Trying tells nothing, either: what is
// another's answers as if it did not exist.
func TestUsersCannotTouchEachOther(t *testing.T) {
	p := startTestServer(t, transport.Limits{})
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25"} {
		t.Run(revision, func(t *testing.T) {
			hc := newHTTP(t, "HTTP/1.1")
			v := newVictim(t, hc, p, revision)
			for _, who := range []string{bob, aliceElsewhere} {
				c := connectAs(t, hc, p, who, dialect{revision, true})
				for _, a := range attempts(t) {
					status, body := a.make(t, c, v.handles)
					if status != a.status {
						t.Errorf("%s: %s: status %d %s, want %d", who, a.name, status, body, a.status)
					}
					if s, b := a.make(t, c, invented(v.handles.question)); s != status || b != body {
						t.Errorf("%s: %s: what is another's answers %d %q, what does not exist %d %q", who, a.name, status, body, s, b)
					}
				}
				c.endCallsOfTheSameID(t, v.handles.call)
			}
			v.isUntouched(t)
		})
	}
}

// make makes the attempt and returns the answer.
func (a attempt) make(t *testing.T, c *client, h handles) (status int, body string) {
	t.Helper()
	req, err := a.request(c, h)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		res.Body.Close()
		return res.StatusCode, "a stream"
	}
	return res.StatusCode, drain(res)
}

// endCallsOfTheSameID has calls of the intruder's own, by the ID of the
// victim's, and ends them in the way of each revision.
func (c *client) endCallsOfTheSameID(t *testing.T, id string) {
	t.Helper()
	gate := object{"gate": c.revision + c.token}
	c.begin(t, id, toolCall("hold", gate))
	if status, err := c.cancel(bounded(t), id); err != nil || status != http.StatusAccepted {
		t.Errorf("cancelling one's own call: %d, %v", status, err)
	}
	newer := &client{dialect: dialect{modern, false}, http: c.http, url: c.url, token: c.token}
	got, _ := newer.begin(t, id, toolCall("hold", gate))
	got.close()
	poll(t, "the end of one's own calls", func() bool {
		text, err := c.tool(bounded(t), "count", "held", gate)
		if err != nil {
			t.Fatal(err)
		}
		return text == "2 held, 2 cancelled"
	}, func() string { return "" })
}

// isUntouched checks that everything of the victim's goes on and ends well.
func (v *victim) isUntouched(t *testing.T) {
	t.Helper()
	gate := object{"gate": v.revision}
	if text, err := v.tool(bounded(t), "count", "held", gate); err != nil || text != "3 held, 0 cancelled" {
		t.Errorf("of the victim's calls are %q, %v", text, err)
	}
	// Her own handles are good: her answer is taken, her stream resumed.
	req, err := v.post(bounded(t), object{"jsonrpc": "2.0", "id": v.handles.question, "result": said("good")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := send(v.http, req); err != nil || got.status != http.StatusAccepted {
		t.Errorf("the victim's own answer: %+v, %v", got, err)
	}
	wantText(t, v.asking, "asking", `the state {"word":"good"}`)
	if req, err = v.get(bounded(t), v.handles.event); err != nil {
		t.Fatal(err)
	}
	resumed, err := send(v.http, req)
	if err != nil || resumed.status != http.StatusOK {
		t.Fatalf("the victim's own resuming: %+v, %v", resumed, err)
	}
	defer resumed.close()
	if _, err := v.tool(bounded(t), "release", "release", gate); err != nil {
		t.Error(err)
	}
	for _, run := range []*answer{resumed, v.older, v.newer} {
		wantText(t, run, v.handles.call, "released")
	}
	// On her own stream there was nothing, and it ends with her session.
	if req, err = v.del(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := send(v.http, req); err != nil || got.status != http.StatusNoContent {
		t.Errorf("the victim's own DELETE: %+v, %v", got, err)
	}
	if e, err := v.own.next(); !errors.Is(err, io.EOF) {
		t.Errorf("on the victim's own stream came %v, %v", e, err)
	}
}

// wantText reads an answer to its end, which must be a text.
func wantText(t *testing.T, a *answer, id, want string) {
	t.Helper()
	got, err := a.rest(id)
	if err != nil {
		t.Error(err)
		return
	}
	if text, ok := got.last.toolText(); !ok || text != want || len(got.notes) > 0 {
		t.Errorf("%s: result %q after %v, want %q", id, text, got.notes, want)
	}
}

// A request state is good for who got it, for the call it was given for, and
// for nothing else.
func TestRequestStateIsBound(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{})
	hc := newHTTP(t, "HTTP/1.1")
	c := connectAs(t, hc, p, alice, dialect{modern, false})
	asked, err := c.do(bounded(t), "asking", "tools/call", toolCall("ask", object{"about": "flags"}))
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		State string `json:"requestState"`
	}
	if err := json.Unmarshal(asked.last.Result, &result); err != nil || result.State == "" {
		t.Fatalf("no state in %v, %v", asked.last, err)
	}
	if strings.Contains(result.State, "the state") {
		t.Errorf("the state can be read: %q", result.State)
	}
	middle := len(result.State) / 2
	forged := result.State[:middle] + string(result.State[middle]^1) + result.State[middle+1:]
	for _, tt := range []struct {
		name, who, about, state string
		status                  int
	}{
		{"another user", bob, "flags", result.State, 400},
		{"another client", aliceElsewhere, "flags", result.State, 400},
		{"another argument", alice, "masts", result.State, 400},
		{"forged", alice, "flags", forged, 400},
		{"cut off", alice, "flags", result.State[:middle], 400},
		{"the own one", alice, "flags", result.State, 200},
	} {
		call := toolCall("ask", object{"about": tt.about})
		call["requestState"] = tt.state
		call["inputResponses"] = object{"word": said("good")}
		got, err := connectAs(t, hc, p, tt.who, dialect{modern, false}).do(bounded(t), tt.name, "tools/call", call)
		if err != nil {
			t.Error(err)
			continue
		}
		text, ok := got.last.toolText()
		if got.status != tt.status || ok != (tt.status == 200) || ok && text != `the state {"word":"good"}` {
			t.Errorf("%s: status %d, %s", tt.name, got.status, text)
		}
	}
}
