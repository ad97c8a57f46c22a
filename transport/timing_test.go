package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/transport"
)

const heartbeat = ": keep-alive\n\n"

// open begins a session of a revision and returns the header that names it.
func (l *lab) open(version string) (header string) {
	l.t.Helper()
	a := l.post("User: alice", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+version+`","capabilities":{"sampling":{}}}}`).finish()
	id := a.header.Get("Mcp-Session-Id")
	if id == "" {
		l.t.Fatalf("no session: %d %s", a.status, a.body)
	}
	return "User: alice\nMcp-Session-Id: " + id
}

// callSlow begins a call of the tool slow and waits until it runs.
func (l *lab) callSlow(headers, as string) *exchange {
	l.t.Helper()
	x := l.post(headers, slowCall(as))
	l.starts(as)
	return x
}

func slowCall(as string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":"slow","arguments":{"as":%[1]q},"_meta":{"progressToken":"t"}}}`, as)
}

// modern is a request of 2026-07-28 with its headers.
func modern(method, name, params string) (headers, body string) {
	headers = "User: alice\nMCP-Protocol-Version: 2026-07-28\nMcp-Method: " + method
	if name != "" {
		headers += "\nMcp-Name: " + name
	}
	return headers, `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params +
		`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}}`
}

// bubble runs a test on a clock of its own, which stands still while anybody
// has something to do.
func bubble(t *testing.T, opts transport.Options, test func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newBubble(t, opts)) })
}

// after checks how long it took until now.
func after(t *testing.T, begin time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(begin); d != want {
		t.Errorf("it took %v, want %v", d, want)
	}
}

// between checks how long it took, where chance has a part.
func between(t *testing.T, begin time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(begin); d < least || d > most {
		t.Errorf("it took %v, want %v to %v", d, least, most)
	}
}

// testQuiet: an answer that stays silent for ten seconds becomes an SSE stream,
// if the client can read one.
func testQuiet(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		begin := time.Now()
		x := l.callSlow(l.open("2025-11-25"), "one")
		if h := x.head().Header.Get("Content-Type"); h != "text/event-stream" {
			t.Errorf("Content-Type %s", h)
		}
		after(t, begin, 10*time.Second)
		if prime, ok := x.event(); !ok || prime.ID == "" || len(prime.Data) > 0 {
			t.Errorf("first event %+v", prime)
		}
		if frame := x.frame(); frame != heartbeat {
			t.Errorf("got %q", frame)
		}
		after(t, begin, 25*time.Second)
		l.order("one", "returns done")
		if a := x.finish(); !strings.Contains(a.body, `"done"`) {
			t.Errorf("got %s", a.body)
		}

		begin = time.Now()
		x = l.callSlow("User: alice\nAccept: application/json", "two")
		time.AfterFunc(time.Minute, func() { l.order("two", "returns done") })
		if h := x.head().Header.Get("Content-Type"); h != "application/json" {
			t.Errorf("Content-Type %s", h)
		}
		after(t, begin, time.Minute)
	})
}

// testHeartbeats: a comment comes every 15 seconds on every kind of stream, and
// 15 seconds after whatever else came.
func testHeartbeats(t *testing.T) {
	listen := func(l *lab) *exchange {
		return l.post(modern("subscriptions/listen", "", `"notifications":{"resourcesListChanged":true}`))
	}
	for name, start := range map[string]func(l *lab) *exchange{
		"POST": func(l *lab) *exchange {
			x := l.callSlow(l.open("2025-06-18"), "one")
			l.order("one", "reports it")
			return x
		},
		"POST of 2026-07-28": func(l *lab) *exchange {
			headers, body := modern("tools/call", "slow", `"name":"slow","arguments":{"as":"one"}`)
			body = strings.Replace(body, `"_meta":{`, `"_meta":{"progressToken":1,`, 1)
			x := l.post(headers, body)
			l.starts("one")
			l.order("one", "reports it")
			return x
		},
		"GET":    func(l *lab) *exchange { return l.get(l.open("2025-11-25")) },
		"listen": listen,
		"sse":    func(l *lab) *exchange { return l.send(http.MethodGet, "/sse", "User: alice", "") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
				x := start(l)
				x.event() // each of them begins with one
				begin := time.Now()
				for i := range 3 {
					if frame := x.frame(); frame != heartbeat {
						t.Fatalf("got %q", frame)
					}
					after(t, begin, time.Duration(i+1)*15*time.Second)
				}
			})
		})
	}
}

// testDisconnect: a call goes on after the server has noticed that the client
// is gone.
func testDisconnect(t *testing.T) {
	for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25", ""} {
		for _, talks := range []bool{true, false} {
			t.Run(fmt.Sprintf("session %q, talks %t", version, talks), func(t *testing.T) {
				bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
					headers := "User: alice"
					if version != "" {
						headers = l.open(version)
					}
					x := l.callSlow(headers, "one")
					if talks {
						l.order("one", "reports it")
						x.event()
					}
					x.hangUp()
					synctest.Wait() // until nobody has anything to do any more
					if said := l.order("one", "reports more"); said != "" {
						t.Error(said)
					}
					l.order("one", "returns done")
				})
			})
		}
	}
}

// testGetLifetime: a GET stream is closed now and then, with word of when to
// come back, and goes on when the client is back.
func testGetLifetime(t *testing.T) {
	expires := time.Time{}
	owner := func(*http.Request) transport.Owner {
		return transport.Owner{User: "alice", Key: "alice", Expires: expires}
	}
	bubble(t, transport.Options{Owner: owner, Limits: transport.Limits{Heartbeat: time.Hour}}, func(t *testing.T, l *lab) {
		session := l.open("2025-11-25")
		begin := time.Now()
		x := l.get(session)
		prime, _ := x.event()
		wantRetry(t, x, time.Second)
		between(t, begin, 24*time.Minute, 36*time.Minute)

		l.srv.ResourcesListChanged(func(string) bool { return true }) // while the client is away
		expires = time.Now().Add(5 * time.Minute)
		begin = time.Now()
		x = l.get(session + "\nLast-Event-ID: " + prime.ID)
		if ev, ok := x.event(); !ok || !strings.Contains(string(ev.Data), "resources/list_changed") {
			t.Errorf("got %+v", ev)
		}
		wantRetry(t, x, time.Second)
		after(t, begin, 5*time.Minute) // never longer than the token
	})
}

// wantRetry checks that the stream ends after a retry of about so long.
func wantRetry(t *testing.T, x *exchange, about time.Duration) {
	t.Helper()
	ev, ok := x.event()
	if !ok || ev.Data != nil || ev.Retry < about*8/10 || ev.Retry > about*12/10 {
		t.Errorf("got %+v, want retry: about %v", ev, about)
	}
	if a := x.finish(); a.body != "" || a.broken {
		t.Errorf("after it: %+v", a)
	}
}

// testDrain: a GET stream ends at once when the server shuts down, even while a
// call of its session goes on.
func testDrain(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		session := l.open("2025-06-18")
		x := l.get(session)
		x.head()
		call := l.callSlow(session, "one")
		begin := time.Now()
		l.shutDown()
		wantRetry(t, x, 2*time.Second)
		after(t, begin, 0)
		l.order("one", "returns done")
		if a := call.finish(); !strings.Contains(a.body, `"done"`) {
			t.Errorf("got %s", a.body)
		}
		<-l.down
	})
}

// testListenLifetime: a subscription ends with its lifetime, as it does when
// the server shuts down.
func testListenLifetime(t *testing.T) {
	bubble(t, transport.Options{Limits: transport.Limits{Heartbeat: time.Hour, StreamLifetime: 10 * time.Minute}}, func(t *testing.T, l *lab) {
		begin := time.Now()
		x := l.post(modern("subscriptions/listen", "", `"notifications":{"toolsListChanged":true}`))
		for _, want := range []string{"notifications/subscriptions/acknowledged", "notifications/cancelled", `"resultType":"complete"`} {
			if ev, _ := x.event(); !strings.Contains(string(ev.Data), want) {
				t.Errorf("got %s, want %s", ev.Data, want)
			}
		}
		between(t, begin, 8*time.Minute, 12*time.Minute)
		if a := x.finish(); a.body != "" {
			t.Errorf("after it: %s", a.body)
		}
	})
}

// testIdleSession: a session ends a day after it was last used. A stream that
// is open, or a call that runs, is use.
func testIdleSession(t *testing.T) {
	opts := transport.Options{Limits: transport.Limits{
		SessionIdle: time.Hour, StreamLifetime: 10 * time.Hour, MaxCall: 10 * time.Hour, Heartbeat: 20 * time.Hour,
	}}
	bubble(t, opts, func(t *testing.T, l *lab) {
		alive := func(session string) bool {
			return l.post(session, `{"jsonrpc":"2.0","id":1,"method":"ping"}`).finish().status == http.StatusOK
		}
		idle, used, listening, calling := l.open("2025-06-18"), l.open("2025-06-18"), l.open("2025-06-18"), l.open("2025-06-18")
		own := l.get(listening)
		own.head()
		l.callSlow(calling, "one")
		for range 3 {
			<-time.After(50 * time.Minute)
			if !alive(used) {
				t.Error("a session ended that was used")
			}
		}
		for name, session := range map[string]string{"listening": listening, "calling": calling} {
			if !alive(session) {
				t.Errorf("the session ended that was %s", name)
			}
		}
		if alive(idle) {
			t.Error("the idle session did not end")
		}
		own.hangUp()
		<-time.After(62 * time.Minute) // what is idle is looked for every minute
		if alive(listening) {
			t.Error("a session did not end that was listening once")
		}
	})
}

// testStateExpiry: a requestState is good for an hour.
func testStateExpiry(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		first := l.post(modern("tools/call", "ask", `"name":"ask"`)).finish()
		state := regexp.MustCompile(`"requestState":"[^"]+"`).FindString(first.body)
		retry := func() answer {
			return l.post(modern("tools/call", "ask", `"name":"ask","inputResponses":{"name":{"action":"decline"}},`+state)).finish()
		}
		<-time.After(59 * time.Minute)
		if a := retry(); a.status != http.StatusOK || !strings.Contains(a.body, `"resultType":"complete"`) {
			t.Errorf("in time: %d %s", a.status, a.body)
		}
		<-time.After(2 * time.Minute)
		if a := retry(); a.status != http.StatusBadRequest || !strings.Contains(a.body, "-32602") {
			t.Errorf("too late: %d %s", a.status, a.body)
		}
	})
}

// testFinishedStream: an answer that broke off can be fetched for five minutes.
func testFinishedStream(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		session := l.open("2025-11-25")
		x := l.callSlow(session, "one")
		l.order("one", "reports it")
		prime, _ := x.event()
		x.hangUp()
		l.order("one", "returns done")
		fetch := func() answer { return l.get(session + "\nLast-Event-ID: " + prime.ID).finish() }
		<-time.After(5 * time.Minute)
		if a := fetch(); !strings.Contains(a.body, `"done"`) {
			t.Errorf("in time: %d %s", a.status, a.body)
		}
		<-time.After(2 * time.Minute)
		if a := fetch(); a.status != http.StatusBadRequest {
			t.Errorf("too late: %d %s", a.status, a.body)
		}
	})
}

// TestMaxCall: no call runs for ever.
func TestMaxCall(t *testing.T) {
	bubble(t, transport.Options{Limits: transport.Limits{MaxCall: time.Minute}}, func(t *testing.T, l *lab) {
		begin := time.Now()
		x := l.callSlow(l.open("2025-06-18"), "one")
		ev, _ := x.event()
		if want := `"the call took longer than 1m0s, which is the limit"`; !strings.Contains(string(ev.Data), want) {
			t.Errorf("got %s, want %s", ev.Data, want)
		}
		after(t, begin, time.Minute)
		if cause := l.stops("one"); cause != "the call took longer than the server allows" {
			t.Errorf("cause %q", cause)
		}
	})
}

// TestShutdownCutsOff: a call that does not end in time is cut off.
func TestShutdownCutsOff(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		begin := time.Now()
		x := l.callSlow(l.open("2025-06-18"), "one")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := l.srv.Shutdown(ctx); err == nil {
			t.Error("Shutdown says that nothing was cut off")
		}
		after(t, begin, 5*time.Second)
		if cause := l.stops("one"); !strings.Contains(cause, "session ended") && !strings.Contains(cause, "shutting down") {
			t.Errorf("cause %q", cause)
		}
		x.finish() // it ends
	})
}
