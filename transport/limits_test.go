package transport_test

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"wigwag/transport"
)

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// testSessionIDs: a session ID is visible ASCII, and long and random enough not
// to be guessed.
func testSessionIDs(t *testing.T) {
	const n = 200
	l := newLab(t, transport.Options{Limits: transport.Limits{MaxSessionsPerUser: -1}})
	seen := make(map[string]bool)
	letters := make(map[rune]bool)
	for range n {
		_, id, _ := strings.Cut(l.open("2025-06-18"), "Mcp-Session-Id: ")
		for _, c := range id {
			letters[c] = true
			if c < 0x21 || c > 0x7e {
				t.Fatalf("%q has %q", id, c)
			}
		}
		// 26 letters out of 32 are 130 bits.
		if len(id) < 26 || seen[id] {
			t.Fatalf("%q is too short, or came before", id)
		}
		seen[id] = true
	}
	if len(letters) < 32 {
		t.Errorf("%d IDs have %d different letters", n, len(letters))
	}
}

// testUnknownToTheByte: nothing tells an ended, an unknown and a foreign
// session apart.
func testUnknownToTheByte(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) { // where Date is always the same
		foreign, ended := l.open("2025-06-18"), l.open("2025-06-18")
		l.send(http.MethodDelete, "/mcp", ended, "").finish()
		unknown := "User: bob\nMcp-Session-Id: " + strings.Repeat("A", 26)
		foreign = strings.Replace(foreign, "alice", "bob", 1)
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			body := ""
			if method == http.MethodPost {
				body = ping
			}
			want := l.send(method, "/mcp", unknown, body).finish()
			if want.status != http.StatusNotFound {
				t.Errorf("%s: status %d", method, want.status)
			}
			for name, header := range map[string]string{"ended": ended, "foreign": foreign} {
				got := l.send(method, "/mcp", header, body).finish()
				if got.status != want.status || got.body != want.body || !maps.EqualFunc(got.header, want.header, equalValues) {
					t.Errorf("%s: %s is answered\n%+v, and unknown\n%+v", method, name, got, want)
				}
			}
		}
	})
}

func equalValues(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }

// refused checks that a limit was told: the status, and when to come back.
func refused(t *testing.T, x *exchange, status int) {
	t.Helper()
	a := x.finish()
	if a.status != status || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"code":-32000`) {
		t.Errorf("%d, Retry-After %q, %s; want %d", a.status, a.header.Get("Retry-After"), a.body, status)
	}
}

func TestCallLimit(t *testing.T) {
	l := newLab(t, transport.Options{Limits: transport.Limits{MaxCallsPerUser: 1, MaxStreams: 2}})
	one := l.callSlow("User: alice", "one")
	refused(t, l.post("User: alice", ping), http.StatusTooManyRequests)
	refused(t, l.post(modern("tools/list", "", `"x":1`)), http.StatusTooManyRequests)
	two := l.callSlow("User: bob", "two")
	refused(t, l.post("User: carol", ping), http.StatusServiceUnavailable)
	l.order("one", "returns done")
	one.finish()
	l.until("the place is free", func() bool { return l.post("User: carol", ping).finish().status == http.StatusOK })
	l.order("two", "returns done")
	two.finish()
}

func TestStreamLimit(t *testing.T) {
	listen := func(l *lab) *exchange {
		return l.post(modern("subscriptions/listen", "", `"notifications":{"toolsListChanged":true}`))
	}
	l := newLab(t, transport.Options{Limits: transport.Limits{MaxStreamsPerUser: 2, MaxStreams: 3}})
	session := l.open("2025-06-18")
	own := l.get(session)
	own.head()
	sub := listen(l)
	sub.event()
	refused(t, l.get(l.open("2025-06-18")), http.StatusTooManyRequests)
	refused(t, l.send(http.MethodGet, "/sse", "User: alice", ""), http.StatusTooManyRequests)
	refused(t, listen(l), http.StatusTooManyRequests)
	l.send(http.MethodGet, "/sse", "User: bob", "").head()
	refused(t, l.send(http.MethodGet, "/sse", "User: carol", ""), http.StatusServiceUnavailable)
	sub.hangUp()
	l.until("the place is free", func() bool {
		x := l.get(l.open("2025-06-18"))
		defer x.hangUp()
		return x.head().StatusCode == http.StatusOK
	})
}

// TestSessionLimit: a user with as many sessions as there may be loses the one
// that was idle longest, unless all are in use.
func TestSessionLimit(t *testing.T) {
	bubble(t, transport.Options{Limits: transport.Limits{MaxSessionsPerUser: 2}}, func(t *testing.T, l *lab) {
		status := func(session string) int { return l.post(session, ping).finish().status }
		first := l.open("2025-06-18")
		<-time.After(time.Second)
		second := l.open("2025-06-18")
		<-time.After(time.Second)
		if got := status(first); got != http.StatusOK {
			t.Fatalf("status %d", got)
		}
		third := l.open("2025-06-18")
		if got := []int{status(first), status(second), status(third)}; got[0] != 200 || got[1] != 404 || got[2] != 200 {
			t.Errorf("statuses %v, want the second alone to be gone", got)
		}
		l.get(first).head()
		l.get(third).head()
		refused(t, l.post("User: alice", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`), http.StatusTooManyRequests)
		if x := l.post("User: bob", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`); x.finish().status != http.StatusOK {
			t.Error("another user is kept out")
		}
	})
}

// unread fails the test when more is read of it than a client's buffers hold.
type unread struct {
	t    *testing.T
	left int
}

func (u *unread) Read(p []byte) (int, error) {
	if u.left -= len(p); u.left < 0 {
		u.t.Error("the body was read")
		return 0, io.EOF
	}
	return len(p), nil
}

// TestLargeBody: a body that is too large is refused, unread if it says so.
func TestLargeBody(t *testing.T) {
	l := newLab(t, transport.Options{Limits: transport.Limits{MaxBody: 1000}})
	fits := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 1000-58) + `"}}`
	if len(fits) != 1000 {
		t.Fatalf("%d bytes", len(fits))
	}
	for body, status := range map[string]int{fits: http.StatusOK, fits + " ": http.StatusRequestEntityTooLarge} {
		if got := l.post("User: alice", body).finish().status; got != status {
			t.Errorf("%d bytes: %d, want %d", len(body), got, status)
		}
	}
	for name, length := range map[string]int64{"declared": 300 << 20, "not declared": -1} {
		ctx, cancel := context.WithTimeout(l.ctx, patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/mcp", &unread{t, 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		req.Header.Set("Content-Type", "application/json")
		res, err := l.web.Do(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
		res.Body.Close()
	}
}

// TestSlowBody: a body that does not come is not waited for.
func TestSlowBody(t *testing.T) {
	bubble(t, transport.Options{}, func(t *testing.T, l *lab) {
		conn, err := l.web.Transport.(*http.Transport).DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		begin := time.Now()
		if _, err := io.WriteString(conn, "POST /mcp HTTP/1.1\r\nHost: lab\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		status, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(status, "400") {
			t.Errorf("%q, %v", status, err)
		}
		after(t, begin, 30*time.Second)
	})
}

// TestKeys: what belongs to a user is found only with the key it was made with.
func TestKeys(t *testing.T) {
	owner := func(r *http.Request) transport.Owner {
		return transport.Owner{User: "alice", Key: r.Header.Get("Key")}
	}
	l := newLab(t, transport.Options{Owner: owner})
	session := l.open("2025-06-18") + "\nKey: "
	headers, body := modern("tools/call", "ask_again_later", `"name":"ask_again_later"`)
	state := regexp.MustCompile(`"requestState":"[^"]+"`).FindString(l.post(headers+"\nKey: ", body).finish().body)
	_, body = modern("tools/call", "ask_again_later", `"name":"ask_again_later",`+state)
	for key, want := range map[string][2]int{"": {http.StatusOK, http.StatusOK}, "other": {http.StatusNotFound, http.StatusBadRequest}} {
		got := [2]int{l.post(session+key, ping).finish().status, l.post(headers+"\nKey: "+key, body).finish().status}
		if got != want {
			t.Errorf("key %q: %v, want %v", key, got, want)
		}
	}
}
