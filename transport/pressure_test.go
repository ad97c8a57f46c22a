package transport_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wigwag/transport"
)

// progressOf reads the events of an answer to its end: the progress of each
// token in the order it came, and the responses.
func progressOf(t *testing.T, x *exchange) (progress map[string][]int, responses []string) {
	t.Helper()
	progress = make(map[string][]int)
	for {
		ev, ok := x.event()
		if !ok {
			return progress, responses
		}
		if len(ev.Data) == 0 {
			continue
		}
		var m struct {
			ID     json.RawMessage
			Params struct {
				ProgressToken string
				Progress      int
			}
		}
		if err := json.Unmarshal(ev.Data, &m); err != nil {
			t.Fatalf("%v in %s", err, ev.Data)
		}
		if m.ID != nil {
			responses = append(responses, string(ev.Data))
			continue
		}
		progress[m.Params.ProgressToken] = append(progress[m.Params.ProgressToken], m.Params.Progress)
	}
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

func countCall(tool, id string, to int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":%q,"arguments":{"to":%d},"_meta":{"progressToken":%[1]q}}}`, id, tool, to)
}

// TestNothingIsLost: notifications that come as fast as a tool can send them
// all arrive, in order, before the response.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	const n = 1000
	for _, tool := range []string{"count", "count_by_mcp_go"} {
		for name, start := range map[string]func(l *lab) *exchange{
			"2025-03-26": func(l *lab) *exchange { return l.post(l.open("2025-03-26"), countCall(tool, "a", n)) },
			"2025-11-25": func(l *lab) *exchange { return l.post(l.open("2025-11-25"), countCall(tool, "a", n)) },
			"no session": func(l *lab) *exchange { return l.post("User: alice", countCall(tool, "a", n)) },
			"2026-07-28": func(l *lab) *exchange {
				headers, body := modern("tools/call", tool, fmt.Sprintf(`"name":%q,"arguments":{"to":%d}`, tool, n))
				return l.post(headers, strings.Replace(body, `"_meta":{`, `"_meta":{"progressToken":"a",`, 1))
			},
		} {
			t.Run(tool+" "+name, func(t *testing.T) {
				t.Parallel()
				progress, responses := progressOf(t, start(newLab(t, transport.Options{})))
				if len(progress) != 1 || !slices.Equal(progress["a"], upTo(n)) {
					t.Errorf("%d of %d arrived, in order: %t", len(progress["a"]), n, slices.IsSorted(progress["a"]))
				}
				if len(responses) != 1 || !strings.Contains(responses[0], "counted to 1000") {
					t.Errorf("responses %q", responses)
				}
			})
		}
	}
}

// TestNothingIsLostOnSSE is TestNothingIsLost for HTTP+SSE, with several calls
// at once, as they share one stream.
func TestNothingIsLostOnSSE(t *testing.T) {
	const n, calls = 500, 4
	l := newLab(t, transport.Options{})
	x := l.send(http.MethodGet, "/sse", "User: alice", "")
	endpoint, _ := x.event()
	for i := range calls {
		a := l.send(http.MethodPost, string(endpoint.Data), "User: alice", countCall("count", fmt.Sprint(i), n))
		if status := a.finish().status; status != http.StatusAccepted {
			t.Fatalf("status %d", status)
		}
	}
	got := make(map[string]int)
	for range calls * (n + 1) {
		ev, ok := x.event()
		if !ok {
			t.Fatal("the stream ended")
		}
		var m struct {
			ID     string
			Params struct {
				ProgressToken string
				Progress      int
			}
		}
		if err := json.Unmarshal(ev.Data, &m); err != nil {
			t.Fatal(err)
		}
		switch token := m.Params.ProgressToken; {
		case m.ID != "" && got[m.ID] != n:
			t.Fatalf("the response of %s came after %d of %d", m.ID, got[m.ID], n)
		case m.ID == "" && m.Params.Progress != got[token]+1:
			t.Fatalf("progress %d of %s came after %d", m.Params.Progress, token, got[token])
		case m.ID == "":
			got[token]++
		}
	}
}

// testCallsDoNotMix: many calls at once on one session, each with a stream of
// its own.
func testCallsDoNotMix(t *testing.T) {
	const n, calls = 200, 8
	l := newLab(t, transport.Options{})
	session := l.open("2025-11-25")
	var all sync.WaitGroup
	for i := range calls {
		id := fmt.Sprint("call-", i)
		x := l.post(session, countCall("count", id, n))
		all.Go(func() {
			progress, responses := progressOf(t, x)
			if len(progress) != 1 || !slices.Equal(progress[id], upTo(n)) {
				t.Errorf("%s: got the progress of %d calls, %d of %d its own", id, len(progress), len(progress[id]), n)
			}
			if len(responses) != 1 || !strings.Contains(responses[0], `"id":"`+id+`"`) {
				t.Errorf("%s: responses %q", id, responses)
			}
		})
	}
	all.Wait()
}

// TestStoppedReader: a client that stops reading loses its connection after the
// write deadline. Its call waits for it, and goes on without it after a while;
// when it comes back at last, it is told that something is missing.
func TestStoppedReader(t *testing.T) {
	const n = 2000
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		begin := time.Now()
		session := l.open("2025-11-25")
		x := l.post(session, countCall("count", "a", n))
		prime, _ := x.event() // and no more

		// Others are not kept waiting.
		other := l.post(session, `{"jsonrpc":"2.0","id":"other","method":"ping"}`)
		if other.finish().status != http.StatusOK {
			t.Error("another request of the session was not answered")
		}
		after(t, begin, 0)

		<-time.After(3 * time.Minute)
		progress, responses := progressOf(t, l.get(session+"\nLast-Event-ID: "+prime.ID))
		if len(responses) != 1 || !strings.Contains(responses[0], "counted to 2000") {
			t.Errorf("responses %q", responses)
		}
		late := progress["a"]
		if len(late) == n || len(late) == 0 || !slices.IsSorted(late) || late[len(late)-1] != n {
			t.Errorf("%d of %d came in the end", len(late), n)
		}
		if missing := len(progress[""]); missing != 1 {
			t.Errorf("it was told %d times that something is missing", missing)
		}
		if a := x.finish(); !a.broken {
			t.Error("its first connection ended as if all had been written")
		}
	})
}

// TestLongReplay: a stream that was longer than what is held of it is replayed
// from where it is held, and says so.
func TestLongReplay(t *testing.T) {
	const n, held = 2000, 1024
	l := newLab(t, transport.Options{})
	session := l.open("2025-11-25")
	x := l.post(session, countCall("count", "a", n))
	prime, _ := x.event()
	progressOf(t, x)
	for from, missing := range map[string]int{prime.ID: 1, strings.TrimSuffix(prime.ID, "-0.1") + "-999": 0} {
		progress, responses := progressOf(t, l.get(session+"\nLast-Event-ID: "+from))
		late := progress["a"]
		if len(late) == 0 || len(late) >= held || !slices.Equal(late, upTo(n)[n-len(late):]) || len(responses) != 1 {
			t.Errorf("after %s: %d of %d came, and %d responses", from, len(late), n, len(responses))
		}
		if len(progress[""]) != missing {
			t.Errorf("after %s: it was told %d times that something is missing, want %d", from, len(progress[""]), missing)
		}
	}
}

// TestListenBegins: however much is going on, a subscription begins with its
// acknowledgement.
func TestListenBegins(t *testing.T) {
	l := newLab(t, transport.Options{})
	stop := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		everybody := func(string) bool { return true }
		for {
			select {
			case <-stop:
				return
			default:
				l.srv.ResourceUpdated(watchedURI, everybody)
				l.srv.ResourcesListChanged(everybody)
			}
		}
	})
	for range 100 {
		x := l.post(modern("subscriptions/listen", "", `"notifications":{"resourcesListChanged":true,"resourceSubscriptions":["`+watchedURI+`"]}`))
		first, _ := x.event()
		second, ok := x.event()
		if !strings.Contains(string(first.Data), "notifications/subscriptions/acknowledged") || !ok {
			t.Errorf("it began with %s, %s", first.Data, second.Data)
		}
		x.hangUp()
	}
	close(stop)
	busy.Wait()
}

// TestStoppedReaderModern: on 2026-07-28 such a client loses its call.
func TestStoppedReaderModern(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		headers, body := modern("tools/call", "slow", `"name":"slow","arguments":{"as":"one"}`)
		x := l.post(headers, strings.Replace(body, `"_meta":{`, `"_meta":{"progressToken":1,`, 1))
		l.starts("one")
		l.order("one", "reports it")
		x.event()
		begin := time.Now()
		l.order("one", "reports "+strings.Repeat("x", 200<<10)) // more than a connection holds
		if cause := l.stops("one"); cause != "the client closed the connection" {
			t.Errorf("cause %q", cause)
		}
		after(t, begin, 10*time.Second)
	})
}

// testManyGets: of many GETs at once one is left, and it works.
func testManyGets(t *testing.T) {
	const n = 16
	l := newLab(t, transport.Options{})
	session := l.open("2025-06-18")
	ended := make(chan int, n)
	gets := make([]*exchange, n)
	for i := range gets {
		gets[i] = l.get(session)
		go func() {
			gets[i].event() // the last gets one, the others their end
			ended <- i
		}()
	}
	left := n * (n - 1) / 2
	for range n - 1 {
		left -= <-ended
	}
	l.srv.ResourcesListChanged(func(string) bool { return true })
	if i := <-ended; i != left {
		t.Errorf("stream %d is left, want %d", i, left)
	}
	gets[left].hangUp()
}
