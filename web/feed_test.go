package web

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// script is a source that gives what it is made of.
type script struct {
	next   chan any // []string or error
	closed chan struct{}
}

func newScript() *script { return &script{make(chan any), make(chan struct{})} }

func (s *script) Next(ctx context.Context) (iter.Seq[[]byte], error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case v := <-s.next:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return func(yield func([]byte) bool) {
			for _, text := range v.([]string) {
				if !yield(sse.Append(nil, sse.Event{Name: "update", Data: []byte(text)})) {
					return
				}
			}
		}, nil
	}
}

func (s *script) Close() { close(s.closed) }

// serveFeed makes the server of a fixture serve a feed.
func (f *fixture) serveFeed(feed Feed) {
	f.handle = func(w http.ResponseWriter, r *http.Request) { f.web.ServeFeed(w, r, feed) }
}

// openQuiet opens a stream that greets with nothing: even so, it shows at once
// that it has begun.
func (f *fixture) openQuiet(t *testing.T) *feed {
	t.Helper()
	began := time.Now()
	resp := f.ask(t, http.MethodGet, "alice", "")
	s := &feed{resp: resp, reader: sse.NewReader(resp.Body, 1<<20)}
	if first := s.next(t); first.Data != nil || first.Retry == 0 || time.Since(began) != 0 {
		t.Errorf("the first is %+v, after %v", first, time.Since(began))
	}
	return s
}

func closed(s *script) bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// TestFeed: whatever the source, a stream greets, beats, tells of a drain, and
// is counted; and its source is closed.
func TestFeed(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		source := newScript()
		f.serveFeed(Feed{
			Greet: []sse.Event{{Name: "welcome", Data: []byte("{}")}, {Data: []byte("second")}},
			Pings: true,
			Open:  func(context.Context, hub.Actor, string) (Source, error) { return source, nil },
		})
		resp := f.ask(t, http.MethodGet, "alice", "")
		s := &feed{resp: resp, reader: sse.NewReader(resp.Body, 1<<20)}
		if first := s.next(t); first.Name != "welcome" || first.Retry == 0 {
			t.Errorf("the first is %+v", first)
		}
		s.want(t, ` "second"`)
		source.next <- []string{"1", "2"}
		s.want(t, `update "1"`, `update "2"`)
		began := time.Now()
		s.want(t, "ping")
		if since := time.Since(began); since != 15*time.Second {
			t.Errorf("a ping after %v", since)
		}
		if n := f.web.Streams(); n != 1 {
			t.Errorf("%d streams are open", n)
		}
		go func() { _ = f.web.Shutdown(t.Context()) }()
		if last := s.next(t); last.Name != eventShutdown {
			t.Errorf("the last is %s", show(last))
		}
		s.wantEnd(t)
		synctest.Wait()
		if !closed(source) || f.opened() != 0 {
			t.Error("something of it is left")
		}
	})
}

// TestFeedFails: a source that fails ends the stream with the feed's own event,
// which says no more than the client may know.
func TestFeedFails(t *testing.T) {
	for want, err := range map[string]error{
		"error something went wrong in the server; reconnect in a moment": errors.New("secret"),
		"error closing": &hub.Error{Code: hub.Unavailable, Msg: "closing"},
	} {
		inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
			source := newScript()
			f.serveFeed(Feed{
				Open:   func(context.Context, hub.Actor, string) (Source, error) { return source, nil },
				Failed: func(message string) sse.Event { return sse.Event{Name: "error", Data: marshal(note{Message: message})} },
			})
			s := f.openQuiet(t)
			source.next <- err
			last := s.next(t)
			if show(last) != want || last.Retry == 0 {
				t.Errorf("got %s, retry %v; want %s", show(last), last.Retry, want)
			}
			s.wantEnd(t)
			synctest.Wait()
			if !closed(source) {
				t.Error("the source is open")
			}
		})
	}
}

// TestFeedReset: a cursor that leads nowhere, at first or later, is told, and
// the stream goes on from now.
func TestFeedReset(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		lost := &hub.Error{Code: hub.Reset, Msg: "gone", Oldest: "e-1", Reason: "expired"}
		sources := []*script{newScript(), newScript()}
		var cursors []string
		f.serveFeed(Feed{After: "e-0", Open: func(_ context.Context, _ hub.Actor, after string) (Source, error) {
			if cursors = append(cursors, after); after != "" {
				return nil, lost
			}
			return sources[len(cursors)-2], nil
		}})
		s := f.openQuiet(t)
		s.want(t, "reset expired")
		sources[0].next <- lost
		s.want(t, "reset expired")
		if !closed(sources[0]) {
			t.Error("the source that was lost is open")
		}
		sources[1].next <- []string{"goes on"}
		s.want(t, `update "goes on"`)
		s.close()
		synctest.Wait()
		if want := []string{"e-0", "", ""}; !slices.Equal(cursors, want) {
			t.Errorf("opened at %q, want %q", cursors, want)
		}
	})
}

// TestFeedRefused: what cannot be opened is a problem, as elsewhere.
func TestFeedRefused(t *testing.T) {
	f := start(t, Limits{})
	for status, err := range map[int]error{
		http.StatusNotFound:            &hub.Error{Code: hub.NotFound, Msg: "nothing"},
		http.StatusBadRequest:          &hub.Error{Code: hub.Invalid, Msg: "wrong"},
		http.StatusInternalServerError: errors.New("secret"),
	} {
		f.serveFeed(Feed{Open: func(context.Context, hub.Actor, string) (Source, error) { return nil, err }})
		if resp := f.ask(t, http.MethodGet, "alice", ""); resp.StatusCode != status {
			t.Errorf("got %s, want %d", resp.Status, status)
		}
	}
	if !strings.Contains(f.logged.String(), "secret") {
		t.Error("what is internal was not logged")
	}
	if resp := f.ask(t, http.MethodPost, "alice", ""); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
}
