package seeds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web"
	"wigwag/web/endpoint"
	"wigwag/web/pipetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type userSet []string

func (u userSet) Exists(name string) bool { return slices.Contains(u, name) }

func (u userSet) Names() []string { return u }

// tokens are their users' names, or name/scope with a dot for the colon.
type tokens struct{}

func (tokens) Verify(_ context.Context, token string) (auth.Identity, error) {
	name, scope, limited := strings.Cut(token, "/")
	id := auth.Identity{Subject: name, Role: auth.RoleMember, Scopes: auth.RoleMember.Scopes()}
	if limited {
		id.Scopes, _ = auth.ParseScopes(strings.ReplaceAll(scope, ".", ":"))
	}
	if !slices.Contains(people, name) {
		return id, auth.TokenError("there is no such user")
	}
	return id, nil
}

var people = userSet{"alice", "bob", "mallory"}

// lab is a server of its own, whose connections are pipes and whose clock is
// that of a bubble.
type lab struct {
	hub     *hub.Hub
	events  *web.Server
	seeds   *Server
	client  *http.Client
	revoked atomic.Bool
}

func actorOf(ctx context.Context) hub.Actor {
	id, _ := auth.FromContext(ctx)
	return hub.Actor{Name: id.Subject}
}

func permit(ctx context.Context, needed auth.Scopes) (string, bool) {
	id, _ := auth.FromContext(ctx)
	return "Bearer", id.Missing(needed) == 0
}

// allowed is what package api does for real.
func allowed(needed auth.Scopes, do endpoint.Func, _ ...string) endpoint.Func {
	return func(w http.ResponseWriter, r *http.Request) error {
		if challenge, ok := permit(r.Context(), needed); !ok {
			return &endpoint.Problem{Status: http.StatusForbidden, Challenge: challenge, Detail: "this needs " + needed.String()}
		}
		return do(w, r)
	}
}

// inBubble runs a test against a server in a bubble.
func inBubble(t *testing.T, test func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		logger := slog.New(slog.DiscardHandler)
		l := &lab{}
		var err error
		l.hub, err = hub.New(t.Context(), hub.Options{Log: hub.NewMemoryLog(64 << 20), Users: people, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		revoked := func(context.Context) bool { return l.revoked.Load() }
		l.events = web.New(web.Options{Hub: l.hub, Actor: actorOf, Permit: permit, Revoked: revoked, Logger: logger})
		l.seeds, err = New(Options{Hub: l.hub, Events: l.events, Actor: actorOf, Call: allowed, Revoked: revoked, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/events", l.events.ServeEvents)
		for _, handlers := range []map[string]http.Handler{l.seeds.Calls(), l.seeds.Streams()} {
			for path, h := range handlers {
				mux.Handle(path, h)
			}
		}
		p := pipetest.Listen()
		server := &http.Server{
			Handler:           auth.Bearer(auth.BearerOptions{Verifier: tokens{}, Logger: logger})(mux),
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, 0),
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(p) }()
		transport := &http.Transport{DialContext: p.Dial}
		l.client = &http.Client{Transport: transport}
		t.Cleanup(func() {
			l.drain(t)
			l.hub.Close()
			transport.CloseIdleConnections()
			_ = server.Close()
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
			<-time.After(time.Second) // net/http waits a little for who was refused
		})
		test(t, l)
	})
}

// drain ends what the server does.
func (l *lab) drain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := l.seeds.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	_ = l.events.Shutdown(ctx) // a reader that has stopped is cut off by the server's end
}

// ask makes a request as a user. Headers are "Name: value".
func (l *lab) ask(t *testing.T, method, token, path, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// post sends JSON and returns the answer.
func (l *lab) post(t *testing.T, status int, token, path, body string, headers ...string) map[string]any {
	t.Helper()
	resp := l.ask(t, http.MethodPost, token, path, body, headers...)
	text, err := io.ReadAll(resp.Body)
	var fields map[string]any
	if err != nil || json.Unmarshal(text, &fields) != nil || resp.StatusCode != status {
		t.Fatalf("POST %s %s: %s, %v: %s; want %d", path, body, resp.Status, err, text, status)
	}
	if status >= 400 {
		if fields["error"] == "" || fields["error"] != fields["detail"] || fields["success"] != false || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("POST %s %s: %s", path, body, text)
		}
	}
	return fields
}

// wantError checks an answer that is an error.
func wantError(t *testing.T, fields map[string]any, text string) {
	t.Helper()
	if got := fmt.Sprint(fields["error"]); !strings.Contains(got, text) {
		t.Errorf("got %q, want %q", got, text)
	}
}

// stream is an open stream, read by a test.
type stream struct {
	resp   *http.Response
	reader *sse.Reader
}

func (l *lab) open(t *testing.T, token, path string, headers ...string) *stream {
	t.Helper()
	resp := l.ask(t, http.MethodGet, token, path, "", headers...)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("GET %s: %s: %s", path, resp.Status, body)
	}
	return &stream{resp, sse.NewReader(resp.Body, 1<<20)}
}

func (s *stream) close() { s.resp.Body.Close() }

// next is the next event that has data, and the data.
func (s *stream) next(t *testing.T) (sse.Event, map[string]any) {
	t.Helper()
	for {
		ev, err := s.reader.Next()
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		if ev.Name == "presence" || ev.Data == nil {
			continue
		}
		var data map[string]any
		if err := json.NewDecoder(bytes.NewReader(ev.Data)).Decode(&data); err != nil {
			t.Fatalf("%s: %q: %v", ev.Name, ev.Data, err)
		}
		return ev, data
	}
}

// want checks the name of the next event, and members of its data.
func (s *stream) want(t *testing.T, name string, members map[string]any) (sse.Event, map[string]any) {
	t.Helper()
	ev, data := s.next(t)
	if ev.Name != name {
		t.Fatalf("got %s %s, want %s", ev.Name, ev.Data, name)
	}
	for key, want := range members {
		if fmt.Sprint(data[key]) != fmt.Sprint(want) {
			t.Errorf("%s of %s is %v, want %v", key, ev.Data, data[key], want)
		}
	}
	return ev, data
}

// wantTime checks that a member is the time now.
func wantTime(t *testing.T, data map[string]any, name string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, fmt.Sprint(data[name]))
	if err != nil || !at.Equal(time.Now().Truncate(time.Millisecond)) {
		t.Errorf("%s is %v (%v), want now", name, data[name], err)
	}
}
