package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/transport/sse"
)

// request is one that a script has got.
type request struct {
	method, path string // path as it was escaped
	query        url.Values
	header       http.Header
	body         string
	at           time.Duration // since the beginning
}

// script is a server that answers its nth request by its nth step, within a
// bubble: time passes only where everybody waits.
type script struct {
	steps []http.HandlerFunc
	began time.Time
	pipes *pipes // to it

	mu   sync.Mutex
	seen []request // guarded by mu
}

// play runs a test against a script that it has to play to its end. The client's
// token is "first", then "second" and so on.
func play(t *testing.T, steps []http.HandlerFunc, test func(t *testing.T, c *Client, s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pipes := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		s := &script{steps: steps, began: time.Now(), pipes: pipes}
		server := &http.Server{Handler: s} //nolint:gosec // its clients are those of the test
		var served sync.WaitGroup
		served.Go(func() { _ = server.Serve(pipes) })
		transport := newTransport(pipes.dial)
		transport.Proxy = nil
		tokens := []string{"first", "second", "third", "fourth"}
		c := New(Options{
			Server: "http://wigwag.test", HTTP: &http.Client{Transport: transport},
			Token: func(context.Context) (string, error) {
				token := tokens[0]
				tokens = tokens[1:]
				return token, nil
			},
		})
		test(t, c, s)
		transport.CloseIdleConnections()
		_ = server.Close()
		served.Wait()
		<-time.After(time.Hour) // so that texts that are still being read come to their end
		if got := len(s.requests()); got != len(steps) {
			t.Errorf("%d requests, want %d", got, len(steps))
		}
	})
}

// requests are those that came so far.
func (s *script) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := request{
		method: r.Method, path: r.URL.EscapedPath(), query: r.URL.Query(), header: r.Header, at: time.Since(s.began),
	}
	if r.Header.Get("Expect") == "" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		seen.body = string(body)
	}
	s.mu.Lock()
	n := len(s.seen)
	s.seen = append(s.seen, seen)
	s.mu.Unlock()
	if n >= len(s.steps) {
		http.Error(w, "the script is over", http.StatusGone)
		return
	}
	s.steps[n](w, r)
}

// pipes is a network of two.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// answer answers with JSON.
func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// vanish ends the connection without an answer.
func vanish(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack() // to abort the handler would be to wait for the body
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

// silent answers nothing while the client is there; which a server that does not
// read the body does not see.
func silent(_ http.ResponseWriter, r *http.Request) { _ = wait(r.Context(), 30*time.Minute) }

// frame is a part of a stream: an event, a comment, or whatever it may be.
type frame struct {
	after time.Duration
	bytes string
}

func (f frame) later(d time.Duration) frame { return frame{f.after + d, f.bytes} }

func event(id, name, data string) frame {
	return frame{bytes: string(sse.Append(nil, sse.Event{ID: id, Name: name, Data: []byte(data)}))}
}

func message(id string) frame {
	return event(id, "message", `{"id":"`+id+`","type":"message","room":"general","sender":{"name":"bob"},"message":"`+id+`","time":"2026-11-20T16:00:00.000Z"}`)
}

func comment() frame { return frame{bytes: ": keep-alive\n\n"} }

// greeting is what every stream of the server begins with.
func greeting() frame {
	return frame{bytes: "event: system\nretry: 1500\ndata: {\"type\":\"info\",\"message\":\"connected\",\"time\":\"2026-11-20T16:00:00.000Z\"}\n\n"}
}

// Ends of streams.
var (
	properly = frame{bytes: "proper end"}
	abruptly = frame{bytes: "abrupt end"}
	never    = frame{bytes: "no end"}
)

// stream answers with a stream of frames, of which the last is how it ends.
func stream(frames ...frame) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sse.ContentType)
		flush := http.NewResponseController(w).Flush
		_ = flush()
		for _, f := range frames {
			if wait(r.Context(), f.after) != nil {
				return
			}
			switch f.bytes {
			case properly.bytes:
				return
			case abruptly.bytes:
				panic(http.ErrAbortHandler)
			case never.bytes:
				<-r.Context().Done()
			}
			_, _ = io.WriteString(w, f.bytes)
			_ = flush()
		}
	}
}

// roundTrip is a network of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// recorded is what a handler answers.
func recorded(r *http.Request, h http.HandlerFunc) *http.Response {
	w := httptest.NewRecorder()
	h(w, r)
	return w.Result()
}
