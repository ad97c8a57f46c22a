package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/mux"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/web/pipetest"
)

// streamHost is a hub behind HTTP, for tests of streams.
type streamHost struct {
	hub     *hub.Hub
	api     *Server
	addr    string
	client  *http.Client
	revoked atomic.Bool
	paced   atomic.Int64 // how often it was asked for a turn
	wait    atomic.Int64 // what the next answer to that is, once; nanoseconds
}

type streamUsers []string

func (u streamUsers) Exists(name string) bool { return slices.Contains(u, name) }

func (u streamUsers) Names() []string { return u }

// streamTokens verifies a token that is its user's name, or name/lifetime.
type streamTokens struct{}

func (streamTokens) Verify(_ context.Context, token string) (auth.Identity, error) {
	name, lasts, expires := strings.Cut(token, "/")
	id := auth.Identity{Issuer: "test", Subject: name}
	if !expires {
		return id, nil
	}
	d, err := time.ParseDuration(lasts)
	id.Expires = time.Now().Add(d)
	return id, err
}

// routesDeadline is what every request is given, as in the program.
const routesDeadline = 30 * time.Second

// streamOver serves on a listener, by HTTP/1.1 or by HTTP/2 without TLS.
func streamOver(t *testing.T, log hub.Log, http2 bool, listener net.Listener, dial func(context.Context, string, string) (net.Conn, error)) *streamHost {
	t.Helper()
	f := &streamHost{addr: "http://" + listener.Addr().String()}
	logger := slog.New(slog.DiscardHandler)
	var err error
	if f.hub, err = hub.New(t.Context(), hub.Options{Log: log, Users: streamUsers{"alice", "bob"}, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	f.api = New(Options{
		Hub: f.hub, Logger: logger, Revoked: func(context.Context) bool { return f.revoked.Load() },
		Actor: func(ctx context.Context) hub.Actor {
			id, _ := auth.FromContext(ctx)
			return hub.Actor{Name: id.Subject}
		},
		Pace: func(context.Context, bool) time.Duration {
			f.paced.Add(1)
			return time.Duration(f.wait.Swap(0))
		},
	})
	router := mux.NewRouter()
	for path, h := range f.api.Handlers() {
		router.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			for name, value := range mux.Vars(r) {
				r.SetPathValue(name, value)
			}
			conn := http.NewResponseController(w)
			_ = conn.SetReadDeadline(time.Now().Add(routesDeadline)) // fails when the client is gone already
			_ = conn.SetWriteDeadline(time.Now().Add(routesDeadline))
			h.ServeHTTP(w, r)
		})
	}
	server := &http.Server{
		Handler:           auth.Bearer(auth.BearerOptions{Verifier: streamTokens{}, Logger: logger})(router),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	transport := &http.Transport{DialContext: dial, Protocols: new(http.Protocols), ExpectContinueTimeout: time.Minute}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	f.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		f.shutdown(t)
		f.hub.Close()
		transport.CloseIdleConnections()
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return f
}

// shutdown ends everything within a time that no stream needs.
func (f *streamHost) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := f.api.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// streamTCP serves over TCP.
func streamTCP(t *testing.T, http2 bool) *streamHost {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return streamOver(t, hub.NewMemoryLog(256<<20), http2, listener, (&net.Dialer{}).DialContext)
}

// byProtocol runs a test with HTTP/1.1 and with HTTP/2, over TCP.
func byProtocol(t *testing.T, test func(t *testing.T, f *streamHost)) {
	t.Helper()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) { test(t, streamTCP(t, http2)) })
	}
}

// inTime runs a test with both, over pipes and by the bubble's clock.
func inTime(t *testing.T, test func(t *testing.T, f *streamHost)) {
	t.Helper()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pipetest.Listen()
				test(t, streamOver(t, hub.NewMemoryLog(256<<20), http2, p, p.Dial))
			})
		})
	}
}

// sender is a request whose body a test writes step by step.
type sender struct {
	t      *testing.T
	body   *io.PipeWriter
	cancel context.CancelFunc
	answer chan answered
}

type answered struct {
	status int
	header http.Header
	text   string
	err    error
}

// send begins a stream to the room general as a user, which the test writes.
// Headers are "Name: value".
func (f *streamHost) send(t *testing.T, method, token string, headers ...string) *sender {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.CloseWithError(context.Canceled) }) // of an answer that has not waited for it
	s := f.sendBody(t, method, generalStream, token, r, headers...)
	s.body = w
	return s
}

// sendBody is send for a body that is there, to anywhere.
func (f *streamHost) sendBody(t *testing.T, method, path, token string, body io.Reader, headers ...string) *sender {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, f.addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	s := &sender{t: t, cancel: cancel, answer: make(chan answered, 1)}
	go func() {
		var a answered
		resp, err := f.client.Do(req)
		if a.err = err; err == nil {
			var text []byte
			text, a.err = io.ReadAll(resp.Body)
			resp.Body.Close()
			a.status, a.header, a.text = resp.StatusCode, resp.Header, string(text)
		}
		s.answer <- a
	}()
	return s
}

// say sends a chunk.
func (s *sender) say(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.body, text); err != nil {
		s.t.Fatalf("%q is not sent: %v", text, err)
	}
}

// breakOff ends the connection, or with HTTP/2 the request.
func (s *sender) breakOff() {
	s.cancel()
	_ = s.body.CloseWithError(context.Canceled) // for which the client waits
}

// end ends the body.
func (s *sender) end() { _ = s.body.Close() }

// told is the answer, with a status.
func (s *sender) told(status int) answered {
	s.t.Helper()
	select {
	case a := <-s.answer:
		if a.err != nil || a.status != status {
			s.t.Fatalf("the answer is %d %s, %v; want %d", a.status, a.text, a.err, status)
		}
		return a
	case <-time.After(3 * time.Minute):
		s.t.Fatal("there is no answer")
	}
	panic("unreachable")
}

// stored is the answer when all was stored.
func (s *sender) stored() (messages []streamed, replayed bool) {
	s.t.Helper()
	a := s.told(http.StatusCreated)
	var got struct {
		Messages    []streamed `json:"messages"`
		Interrupted *bool      `json:"interrupted"`
	}
	if err := json.Unmarshal([]byte(a.text), &got); err != nil || got.Interrupted == nil || *got.Interrupted {
		s.t.Fatalf("the answer is %s, %v", a.text, err)
	}
	return got.Messages, a.header.Get("Idempotency-Replayed") == "true"
}

// watcher is bob, who listens.
type watcher struct {
	t    *testing.T
	from *hub.Listener
	had  []hub.Event
}

func (f *streamHost) watch(t *testing.T) *watcher {
	t.Helper()
	l, err := f.hub.Listen(t.Context(), hub.Actor{Name: "bob"}, hub.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return &watcher{t: t, from: l}
}

// until returns the first event for which match holds.
func (w *watcher) until(what string, match func(hub.Event) bool) hub.Event {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	for {
		for i, e := range w.had {
			if match(e) {
				w.had = w.had[i+1:]
				return e
			}
		}
		var err error
		if w.had, err = w.from.Next(ctx); err != nil {
			w.t.Fatalf("%s did not come: %v", what, err)
		}
	}
}

// shown waits until a text is on its way.
func (w *watcher) shown(text string) {
	w.t.Helper()
	w.until("the partial "+text, func(e hub.Event) bool { return e.Partial != nil && e.Partial.Message == text && !e.Partial.IsComplete })
}

// message waits for the next message.
func (w *watcher) message() hub.Message {
	w.t.Helper()
	return *w.until("a message", func(e hub.Event) bool { return e.Message != nil }).Message
}

// storedIn is what is stored in the room general.
func storedIn(t *testing.T, h *hub.Hub) (all []hub.Message) {
	t.Helper()
	epoch, _, _ := strings.Cut(h.Head(), "-")
	q := hub.HistoryQuery{After: epoch + "-0"}
	for {
		page, err := h.History(t.Context(), hub.Actor{Name: "alice"}, q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Messages...)
		if q.After = page.Next; !page.More {
			return all
		}
	}
}

const generalStream = "/api/rooms/general/stream"
