package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"wigwag/hub"
)

// TestHeader: the header of a stream, over HTTP/1.1 and HTTP/2.
func TestHeader(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			f := start(t, Limits{})
			if version == 2 {
				f.useHTTP2(t)
			}
			s := f.open(t, "bob", "")
			defer s.close()
			if s.resp.ProtoMajor != version {
				t.Fatalf("it is %s", s.resp.Proto)
			}
			for name, want := range map[string]string{
				"Content-Type":      "text/event-stream",
				"Cache-Control":     "no-cache, no-transform",
				"X-Accel-Buffering": "no",
			} {
				if got := s.resp.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			f.send(t, alice, hub.General, "hello")
			s.want(t, "message hello")
			s.close()
			eventually(t, "the stream is gone when its client is", func() bool { return f.opened() == 0 })
		})
	}
}

// useHTTP2 makes the client speak HTTP/2 without TLS.
func (f *fixture) useHTTP2(t *testing.T) {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	f.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
}

// TestHTTP2Deadline: on HTTP/2, too, who does not read is cut off, and who has
// nothing to read is not.
func TestHTTP2Deadline(t *testing.T) {
	f := start(t, Limits{WriteTimeout: time.Second})
	f.useHTTP2(t)
	idle, stuck := f.open(t, "bob", "?rooms=dm/alice/bob"), f.open(t, "bob", "")
	defer idle.close()
	defer stuck.close()
	f.send(t, alice, "dm/alice/bob", "first")
	idle.want(t, "message first")
	for range 200 { // more than a stream's window
		f.send(t, alice, hub.General, strings.Repeat(".", 60_000))
	}
	eventually(t, "the one that is stuck is cut off", func() bool { return f.opened() == 1 })
	f.send(t, alice, "dm/alice/bob", "second")
	idle.want(t, "message second")
}

func TestRefused(t *testing.T) {
	f := start(t, Limits{})
	f.openRoom(t, alice, hub.RoomSpec{Name: "den", Private: true})
	tests := []struct {
		method, query, header string
		status                int
		detail                string // what it has to name
	}{
		{"POST", "", "", 405, "GET"},
		{"HEAD", "", "", 405, ""},
		{"GET", "", "Accept: application/json", 406, "text/event-stream"},
		{"GET", "", "Accept: text/event-stream;q=0, */*", 406, "text/event-stream"},
		{"GET", "?room=general", "", 400, `"room"; allowed are rooms, types, partials, log_level, last_event_id`},
		{"GET", "?types=messages", "", 400, `"messages"; allowed are message, partial-message, notification, log, presence, typing, ping, system`},
		{"GET", "?types=message,", "", 400, `""; allowed are message`},
		{"GET", "?types=shutdown", "", 400, "allowed are message"},
		{"GET", "?types=", "", 400, "types is empty"},
		{"GET", "?rooms=", "", 400, "rooms is empty"},
		{"GET", "?rooms=general&rooms=den", "", 400, "rooms is given 2 times"},
		{"GET", "?rooms=general,,", "", 400, "rooms"},
		{"GET", "?rooms=No+Room", "", 400, "rooms"},
		{"GET", "?rooms=general,nowhere", "", 404, `rooms: there is no room "nowhere" that you may see`},
		{"GET", "?rooms=den", "", 404, `rooms: there is no room "den" that you may see`},
		{"GET", "?rooms=dm/alice/carol", "", 404, `rooms: there is no room "dm/alice/carol" that you may see`},
		{"GET", "?rooms=dm/bob/nobody", "", 404, `rooms: there is no room "dm/bob/nobody" that you may see`},
		{"GET", "?partials=none", "", 400, `"none"; allowed are full, delta`},
		{"GET", "?log_level=warning", "", 400, `"warning"; allowed are debug, info, warn, error`},
		{"GET", "?last_event_id=7", "", 400, `last_event_id: "7" is not a cursor`},
		{"GET", "", "Last-Event-ID: nonsense", 400, `last_event_id: "nonsense" is not a cursor`},
		{"GET", "?rooms=%zz", "", 400, "well-formed"},
		{"GET", "?rooms=general;types=message", "", 400, "well-formed"},
		{"GET", "?" + strings.Repeat("x", 5000) + "=1", "", 400, "allowed are rooms"},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.query+tt.header, func(t *testing.T) {
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			resp := f.ask(t, tt.method, "bob", tt.query, headers...)
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || len(body) > 1000 {
				t.Fatalf("got %s, %v: %s", resp.Status, err, body)
			}
			if tt.status == 405 && resp.Header.Get("Allow") != "GET" {
				t.Errorf("Allow: %q", resp.Header.Get("Allow"))
			}
			if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type: %q", got)
			}
			if tt.method == "HEAD" {
				return
			}
			var problem struct {
				Title, Detail string
				Status        int
			}
			if err := json.Unmarshal(body, &problem); err != nil || problem.Status != tt.status || !strings.Contains(problem.Detail, tt.detail) {
				t.Errorf("%v: %s, want %q", err, body, tt.detail)
			}
		})
	}
	if f.opened() != 0 {
		t.Error("what was refused is counted")
	}
	if resp := f.ask(t, http.MethodGet, "", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", resp.Status)
	}
}

func TestAccept(t *testing.T) {
	f := start(t, Limits{})
	for _, accept := range []string{"text/event-stream", "*/*", "text/*", "application/json, text/event-stream;q=0.1", "application/json;q=x, */*;q=0.1", "*/*;q=0, text/event-stream"} {
		f.open(t, "bob", "", "Accept: "+accept).close()
	}
}

// TestUnauthenticated: a route that forgets authentication serves nothing.
func TestUnauthenticated(t *testing.T) {
	f := start(t, Limits{})
	w := &recorder{header: http.Header{}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	f.web.ServeEvents(w, r)
	if w.status != http.StatusInternalServerError || !strings.Contains(f.logged.String(), "not authenticated") {
		t.Errorf("got %d, logged %s", w.status, f.logged)
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }

func TestCaps(t *testing.T) {
	f := start(t, Limits{MaxStreams: 3, MaxStreamsPerUser: 2})
	refused := func(token string, status int) {
		t.Helper()
		resp := f.ask(t, http.MethodGet, token, "")
		if resp.StatusCode != status || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s, Retry-After %q; want %d", token, resp.Status, resp.Header.Get("Retry-After"), status)
		}
	}
	first := f.open(t, "alice", "")
	defer f.open(t, "alice", "").close()
	refused("alice", http.StatusTooManyRequests)
	defer f.open(t, "bob", "").close()
	refused("bob", http.StatusServiceUnavailable)
	first.close()
	eventually(t, "the stream is gone", func() bool { return f.opened() == 2 })
	defer f.open(t, "bob", "").close()
	refused("bob", http.StatusServiceUnavailable)
	f.ask(t, http.MethodGet, "bob", "?types=nothing") // wrong, and so not counted
	if n := f.web.Streams(); n != 3 {
		t.Errorf("%d streams are open, want 3", n)
	}
	f.wantRefusals(t, map[string]int{RefusedStreams: 3})

	f = start(t, Limits{MaxStreamsPerUser: -1})
	for range 100 {
		f.open(t, "alice", "")
	}
}
