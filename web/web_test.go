package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web/pipetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type userSet []string

func (u userSet) Exists(name string) bool { return slices.Contains(u, name) }

func (u userSet) Names() []string { return u }

var people = userSet{"alice", "bob", "carol"}

// Those who write in most tests.
var (
	alice = hub.Actor{Name: "alice", Via: "Claude Code"}
	bob   = hub.Actor{Name: "bob"}
)

// guest is the token of who has none.
const guest = "guest"

// tokens verifies a token that is its user's name, or name@expiry.
type tokens struct{}

func (tokens) Verify(_ context.Context, token string) (auth.Identity, error) {
	name, expiry, expires := strings.Cut(token, "/")
	id := auth.Identity{Issuer: "test", Subject: name}
	if !expires {
		return id, nil
	}
	lasts, err := time.ParseDuration(expiry)
	id.Expires = time.Now().Add(lasts)
	return id, err
}

// fixture is a hub behind a server of its own.
type fixture struct {
	hub    *hub.Hub
	web    *Server
	addr   string
	client *http.Client
	logged *safeBuffer
	within time.Duration    // what a test waits for comes, or it fails
	handle http.HandlerFunc // ServeEvents, where a test says nothing else

	mu      sync.Mutex
	reasons map[string]int // of refusals; guarded by mu
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// noteRefusal is told by the server.
func (f *fixture) noteRefusal(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reasons == nil {
		f.reasons = map[string]int{}
	}
	f.reasons[reason]++
}

// wantRefusals checks why how many were refused.
func (f *fixture) wantRefusals(t *testing.T, want map[string]int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !maps.Equal(f.reasons, want) {
		t.Errorf("told of refusals %v, want %v", f.reasons, want)
	}
}

// serve starts a server on a listener. dial is how its client gets there.
func serve(t *testing.T, log hub.Log, limits Limits, listener net.Listener, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *fixture {
	t.Helper()
	f := &fixture{addr: "http://" + listener.Addr().String(), logged: &safeBuffer{}}
	logger := slog.New(slog.NewTextHandler(f.logged, nil))
	var err error
	f.hub, err = hub.New(t.Context(), hub.Options{Log: log, Users: people, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	f.web = New(Options{Hub: f.hub, Logger: logger, Limits: limits, Refused: f.noteRefusal, Actor: func(ctx context.Context) hub.Actor {
		id, _ := auth.FromContext(ctx)
		if id.Subject == guest {
			return hub.Actor{Guest: true}
		}
		return hub.Actor{Name: id.Subject}
	}})
	f.handle = f.web.ServeEvents
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.handle(w, r) })
	server := &http.Server{
		Handler:           auth.Bearer(auth.BearerOptions{Verifier: tokens{}, Logger: logger})(handler),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, 0),
		Protocols:         new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	transport := &http.Transport{DialContext: dial, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(true)
	f.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		f.close()
		transport.CloseIdleConnections()
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return f
}

// close ends every stream, and the hub.
func (f *fixture) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = f.web.Shutdown(ctx) // a reader that has stopped is cut off by the server's end
	f.hub.Close()
}

func newLog() *hub.MemoryLog { return hub.NewMemoryLog(256 << 20) }

// start serves over TCP.
func start(t *testing.T, limits Limits) *fixture {
	t.Helper()
	return startOver(t, newLog(), limits)
}

func startOver(t *testing.T, log hub.Log, limits Limits) *fixture {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, log, limits, listener, (&net.Dialer{}).DialContext)
	f.within = 3 * time.Minute
	return f
}

// inBubble runs a test against a server whose connections are pipes and whose
// clock is the bubble's.
func inBubble(t *testing.T, limits Limits, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := pipetest.Listen()
		f := serve(t, newLog(), limits, p, p.Dial)
		f.within = time.Hour // beyond every lifetime
		test(t, f)
	})
}

// ask makes a request as a user. Headers are "Name: value".
func (f *fixture) ask(t *testing.T, method, token, query string, headers ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), f.within)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, f.addr+"/events"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	resp, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// feed is an open stream, read by a test.
type feed struct {
	resp   *http.Response
	reader *sse.Reader
}

// open opens a stream and reads its first frame.
func (f *fixture) open(t *testing.T, token, query string, headers ...string) *feed {
	t.Helper()
	resp := f.ask(t, http.MethodGet, token, query, headers...)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("GET /events%s: %s: %s", query, resp.Status, body)
	}
	s := &feed{resp: resp, reader: sse.NewReader(resp.Body, 8<<20)}
	if first := s.next(t); first.Name != eventSystem || first.Retry == 0 {
		t.Fatalf("the first frame is %s", show(first))
	}
	return s
}

func (s *feed) close() { s.resp.Body.Close() }

// next is the next event, comings and goings of people aside. It fails when
// there is none within a bound.
func (s *feed) next(t *testing.T) sse.Event {
	t.Helper()
	for {
		ev, err := s.read()
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		if ev.Name != eventPresence {
			return ev
		}
	}
}

func (s *feed) read() (sse.Event, error) {
	return s.reader.Next() // bounded by its request's context
}

// want checks the next events by their short forms.
func (s *feed) want(t *testing.T, want ...string) {
	t.Helper()
	for i, w := range want {
		if got := show(s.next(t)); got != w {
			t.Fatalf("event %d is %q, want %q", i, got, w)
		}
	}
}

// wantEnd checks that the stream has ended.
func (s *feed) wantEnd(t *testing.T) {
	t.Helper()
	if ev, err := s.read(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %s, %v; want the end", show(ev), err)
	}
}

// show is a short form of an event: its name, and what it says.
func show(ev sse.Event) string {
	var v struct {
		Message   string
		Offset    *int
		Delta     string
		Complete  bool `json:"isComplete"`
		Cancelled bool
		Reason    string
		Oldest    string
	}
	if err := json.Unmarshal(ev.Data, &v); err != nil {
		return fmt.Sprintf("%s %q", ev.Name, ev.Data)
	}
	out := ev.Name + " " + v.Message + v.Reason
	if v.Offset != nil {
		out += fmt.Sprintf("@%d+%s", *v.Offset, v.Delta)
	}
	switch {
	case v.Cancelled:
		out += " ×"
	case v.Complete:
		out += " ."
	}
	return strings.TrimSpace(out)
}

func (f *fixture) send(t *testing.T, a hub.Actor, room, text string) hub.Message {
	t.Helper()
	m, _, err := f.hub.Send(t.Context(), a, hub.Draft{Target: hub.Target{Room: room}, Text: text})
	if err != nil {
		t.Fatalf("send to %s: %v", room, err)
	}
	return m
}

func (f *fixture) begin(t *testing.T, a hub.Actor, room string) *hub.Streaming {
	t.Helper()
	s, _, err := f.hub.Stream(t.Context(), a, hub.Draft{Target: hub.Target{Room: room}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Cancel)
	return s
}

func (f *fixture) openRoom(t *testing.T, a hub.Actor, spec hub.RoomSpec) {
	t.Helper()
	if _, _, err := f.hub.OpenRoom(t.Context(), a, spec); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// pass lets a second go by in a bubble, and what it sets off happen.
func pass() {
	<-time.After(time.Second)
	synctest.Wait()
}

// opened is how many streams are open.
func (f *fixture) opened() int { return f.web.Streams() }
