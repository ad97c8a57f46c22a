package transport_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wigwag/transport"
)

// process is a server over the store.
func (f *fakeStore) process(t *testing.T) *lab {
	t.Helper()
	return newLab(t, transport.Options{Sessions: f, Streams: f, Secret: []byte("a secret of thirty-two bytes....")})
}

const (
	setWarning = `{"jsonrpc":"2.0","id":"level","method":"logging/setLevel","params":{"level":"warning"}}`
	subscribe  = `{"jsonrpc":"2.0","id":"sub","method":"resources/subscribe","params":{"uri":"` + watchedURI + `"}}`
	callLog    = `{"jsonrpc":"2.0","id":"log","method":"tools/call","params":{"name":"log"}}`
)

func ok(t *testing.T, a answer) answer {
	t.Helper()
	if a.status != http.StatusOK || strings.Contains(a.body, `"error":`) {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	return a
}

// testOutlive: after a restart the old ID works, with all that was negotiated
// and set, for its owner.
func testOutlive(t *testing.T) {
	for name, end := range map[string]func(*lab, *fakeStore) *fakeStore{
		"stopped": func(l *lab, f *fakeStore) *fakeStore { l.cutOff(); return f },
		"killed":  func(_ *lab, f *fakeStore) *fakeStore { return f.crash() },
	} {
		t.Run(name, func(t *testing.T) {
			store := newFakeStore()
			first := store.process(t)
			session := first.open("2025-11-25")
			ok(t, first.post(session, setWarning).finish())
			ok(t, first.post(session, subscribe).finish())

			store = end(first, store)
			second := store.process(t)
			ok(t, second.post(session, ping).finish())
			if a := second.post(session, "["+ping+"]").finish(); a.status != http.StatusBadRequest {
				t.Errorf("a batch, which 2025-11-25 has not, is answered with %d", a.status)
			}
			if a := ok(t, second.post(session, callLog).finish()); strings.Contains(a.body, `"info"`) || !strings.Contains(a.body, `"warning"`) {
				t.Errorf("the level is not kept: %s", a.body)
			}
			if a := second.post(strings.Replace(session, "alice", "bob", 1), ping).finish(); a.status != http.StatusNotFound {
				t.Errorf("another user is answered with %d", a.status)
			}
			listening := second.get(session)
			var told []string
			for len(told) < 2 { // what may have changed meanwhile
				ev, _ := listening.event()
				if len(ev.Data) > 0 {
					told = append(told, method(t, ev.Data))
				}
			}
			slices.Sort(told)
			if want := []string{"notifications/resources/list_changed", "notifications/resources/updated"}; !slices.Equal(told, want) {
				t.Errorf("told of %q", told)
			}
			second.srv.ResourceUpdated(watchedURI, func(string) bool { return true })
			if ev, _ := listening.event(); !strings.Contains(string(ev.Data), watchedURI) {
				t.Errorf("the subscription is not kept: %s", ev.Data)
			}
			if a := second.send(http.MethodDelete, "/mcp", session, "").finish(); a.status != http.StatusNoContent {
				t.Errorf("DELETE: %d", a.status)
			}
			if a := store.process(t).post(session, ping).finish(); a.status != http.StatusNotFound {
				t.Errorf("after DELETE, the third process answers %d", a.status)
			}
		})
	}
}

func method(t *testing.T, data []byte) string {
	t.Helper()
	var m struct{ Method string }
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m.Method
}

// TestStreamsOutliveTheProcess: after a restart a client gets the rest of its
// answer, also what no connection had taken.
func TestStreamsOutliveTheProcess(t *testing.T) {
	store := newFakeStore()
	first := store.process(t)
	session := first.open("2025-11-25")
	x := first.callSlow(session, "a")
	first.order("a", "reports one")
	prime, _ := x.event()
	one, _ := x.event()
	x.hangUp()
	first.order("a", "reports two")
	first.order("a", "returns the result")
	first.shutDown()
	<-first.down

	second := store.process(t)
	for from, want := range map[string][]string{
		prime.ID: {"one", "two", "result"},
		one.ID:   {"two", "result"},
	} {
		got := second.get(session + "\nLast-Event-ID: " + from).finish()
		rest := got.body
		for _, w := range want {
			_, after, found := strings.Cut(rest, w)
			if !found {
				t.Errorf("after %s no %q in %s", from, w, got.body)
			}
			rest = after
		}
	}
	if a := second.get(strings.Replace(session, "alice", "bob", 1) + "\nLast-Event-ID: " + prime.ID).finish(); a.status != http.StatusNotFound {
		t.Errorf("another user is answered with %d", a.status)
	}
	other := second.open("2025-11-25")
	if a := second.get(other + "\nLast-Event-ID: " + prime.ID).finish(); a.status != http.StatusBadRequest {
		t.Errorf("another session of the user is answered with %d %s", a.status, a.body)
	}
}

// TestFinishedStreamsAreKeptAtTheEnd: what was written to its client whole is
// not in the log while the process lives, and is there for the next one.
func TestFinishedStreamsAreKeptAtTheEnd(t *testing.T) {
	store := newFakeStore()
	opts := transport.Options{Sessions: store, Streams: store}
	bubble(t, opts, func(t *testing.T, l *lab) {
		session := l.open("2025-11-25")
		x := l.post(session, `{"jsonrpc":"2.0","id":"n","method":"tools/call","params":{"name":"count","arguments":{"to":3},"_meta":{"progressToken":"t"}}}`)
		prime, _ := x.event()
		whole := x.finish().body
		<-time.After(time.Minute)
		if n := len(store.crash().log); n != 0 {
			t.Errorf("%d records of a stream that its client has", n)
		}
		l.shutDown()
		<-l.down
		next := newBubble(t, opts)
		if got := next.get(session + "\nLast-Event-ID: " + prime.ID).finish(); got.body != whole {
			t.Errorf("replayed\n%s\nwant\n%s", got.body, whole)
		}
	})
}

// TestCallsOfADeadProcessAreAnswered: with an error, not with silence.
func TestCallsOfADeadProcessAreAnswered(t *testing.T) {
	store := newFakeStore()
	first := store.process(t)
	session := first.open("2025-11-25")
	x := first.callSlow(session, "a")
	first.order("a", "reports one")
	prime, _ := x.event()
	x.event()

	first.until("the stream is in the log", func() bool { return len(store.crash().log) > 0 })
	known, unknown := store.crash(), store.crash()
	unknown.log = nil // a moment earlier
	first.order("a", "reports two")
	two, _ := x.event() // after what known has
	for name, end := range map[string]struct {
		store *fakeStore
		last  string
	}{"in the log": {known, prime.ID}, "partly in the log": {known.crash(), two.ID}, "not in the log": {unknown, prime.ID}} {
		second := end.store.process(t)
		got := second.get(session + "\nLast-Event-ID: " + end.last).finish()
		if !strings.Contains(got.body, `"id":"a","error"`) || !strings.Contains(got.body, "restarted") {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
		ok(t, second.post(session, ping).finish())
		forged := prime.ID[:12] + "-0.1"
		if got := second.get(session + "\nLast-Event-ID: " + forged).finish(); got.status != http.StatusBadRequest {
			t.Errorf("%s: an ID that names no request is answered with %d %s", name, got.status, got.body)
		}
	}
}

// TestOwnStreamOutlivesTheProcess: what was to be told to a session is told by
// the next process, after an orderly end.
func TestOwnStreamOutlivesTheProcess(t *testing.T) {
	store := newFakeStore()
	first := store.process(t)
	session := first.open("2025-11-25")
	ok(t, first.post(session, subscribe).finish())
	listening := first.get(session)
	prime, _ := listening.event()
	first.srv.ResourceUpdated(watchedURI, func(string) bool { return true })
	listening.event()
	first.cutOff()

	second := store.process(t)
	again := second.get(session + "\nLast-Event-ID: " + prime.ID)
	ev, _ := again.event()
	if stream, _, _ := strings.Cut(prime.ID, "-"); ev.ID != stream+"-1" || !strings.Contains(string(ev.Data), watchedURI) {
		t.Errorf("replayed %+v", ev)
	}
	if ev, _ := again.event(); strings.HasPrefix(ev.ID, strings.Split(prime.ID, "-")[0]) || ev.ID == "" {
		t.Errorf("live events have the old stream's IDs: %+v", ev)
	}
}

// TestSessionsAreForgotten: one that has ended stays ended.
func TestSessionsAreForgotten(t *testing.T) {
	store := newFakeStore()
	l := newLab(t, transport.Options{Sessions: store, Streams: store, Limits: transport.Limits{MaxSessionsPerUser: 1}})
	evicted := l.open("2025-11-25")
	l.open("2025-11-25")
	if n := len(store.crash().values); n != 1 {
		t.Errorf("%d sessions are kept, of a user that may have one", n)
	}
	l.srv.EndUser("alice")
	if n := len(store.crash().values); n != 0 {
		t.Errorf("%d sessions are kept of a user that was ended", n)
	}
	if a := l.post(evicted, ping).finish(); a.status != http.StatusNotFound {
		t.Errorf("answered %d", a.status)
	}
}

// TestIdleSessionsEndOnTheNextProcess: when a session was used last outlives the
// process too.
func TestIdleSessionsEndOnTheNextProcess(t *testing.T) {
	store := newFakeStore()
	opts := transport.Options{Sessions: store, Limits: transport.Limits{SessionIdle: time.Hour, StreamLifetime: 10 * time.Hour, Heartbeat: 20 * time.Hour}}
	bubble(t, opts, func(t *testing.T, l *lab) {
		alive := func(l *lab, session string) bool { return l.post(session, ping).finish().status == http.StatusOK }
		idle, used, listening := l.open("2025-06-18"), l.open("2025-06-18"), l.open("2025-06-18")
		own := l.get(listening)
		own.head()
		<-time.After(50 * time.Minute)
		if !alive(l, used) {
			t.Fatal("the session ended early")
		}
		<-time.After(8 * time.Minute) // a look at what is to be saved is taken every minute
		opts.Sessions = store.crash()
		next := newBubble(t, opts)
		<-time.After(5 * time.Minute)
		if !alive(next, used) {
			t.Error("the session that was used is gone")
		}
		if !alive(next, listening) {
			t.Error("the session that was listening is gone")
		}
		if alive(next, idle) {
			t.Error("the idle session is still there")
		}
		own.hangUp()
	})
}

// TestNodesShareSessions: what one of two servers over a store begins, changes
// and ends, holds for the other.
func TestNodesShareSessions(t *testing.T) {
	store := newFakeStore()
	a, b := store.process(t), store.process(t)
	session := a.open("2025-11-25")
	ok(t, b.post(session, setWarning).finish())
	if got := ok(t, a.post(session, callLog).finish()); strings.Contains(got.body, `"info"`) {
		t.Errorf("the level set on one node does not hold on the other: %s", got.body)
	}
	if got := b.send(http.MethodDelete, "/mcp", session, "").finish(); got.status != http.StatusNoContent {
		t.Errorf("DELETE: %d", got.status)
	}
	if got := a.post(session, ping).finish(); got.status != http.StatusNotFound {
		t.Errorf("ended on one node, answered %d on the other", got.status)
	}
}

type fullError struct{ error }

func (fullError) Full() bool { return true }

// TestSessionsThatCannotBeKept: with no room they end with the process; when
// the store does not answer there are none.
func TestSessionsThatCannotBeKept(t *testing.T) {
	store := newFakeStore()
	l := store.process(t)
	store.fail = fullError{errors.New("no room")}
	session := l.open("2025-11-25")
	ok(t, l.post(session, setWarning).finish())
	store.fail = errors.New("no answer")
	a := l.post("User: alice", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`).finish()
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Mcp-Session-Id") != "" {
		t.Errorf("answered %d %v", a.status, a.header)
	}
	ok(t, l.post(session, ping).finish())
}

// TestRequestStateOutlivesTheProcess: a client may answer what an earlier
// process asked.
func TestRequestStateOutlivesTheProcess(t *testing.T) {
	store := newFakeStore()
	headers, body := modern("tools/call", "ask", `"name":"ask","arguments":{"topic":"colour"}`)
	asked := ok(t, store.process(t).post(headers, body).finish())
	var first struct {
		Result struct {
			RequestState  string
			InputRequests map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(asked.body), &first); err != nil || first.Result.RequestState == "" {
		t.Fatalf("%v in %s", err, asked.body)
	}
	var answers []string
	for key := range first.Result.InputRequests {
		answers = append(answers, `"`+key+`":{"action":"accept","content":{"name":"Ada"}}`)
	}
	state, _ := json.Marshal(first.Result.RequestState)
	headers, body = modern("tools/call", "ask", `"name":"ask","arguments":{"topic":"colour"},"requestState":`+string(state)+
		`,"inputResponses":{`+strings.Join(answers, ",")+`}`)
	ok(t, store.process(t).post(headers, body).finish())
}
