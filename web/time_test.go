package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/hub"
	"wigwag/web/pipetest"
)

// TestHeartbeat: a stream on which nothing happens shows every 15 seconds that
// it is alive, also to a page that cannot see comments.
func TestHeartbeat(t *testing.T) {
	for query, wantPing := range map[string]bool{"": true, "?types=message": false, "?types=message,ping": true} {
		t.Run(query, func(t *testing.T) {
			inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
				began := time.Now()
				resp := f.ask(t, http.MethodGet, "alice", query)
				lines := bufio.NewScanner(resp.Body)
				beats := 0
				for beats < 3 && lines.Scan() {
					switch line := lines.Text(); {
					case line == ": keep-alive":
						beats++
						if since := time.Since(began); since != time.Duration(beats)*15*time.Second {
							t.Errorf("heartbeat %d after %v", beats, since)
						}
						if !wantPing {
							continue
						}
						var v struct{ Time time.Time }
						for _, prefix := range []string{"", "event: ping", "data: "} {
							if !lines.Scan() || !strings.HasPrefix(lines.Text(), prefix) {
								t.Fatalf("got %q, want %q", lines.Text(), prefix)
							}
						}
						if err := json.Unmarshal([]byte(lines.Text()[len("data: "):]), &v); err != nil || !v.Time.Equal(time.Now().Truncate(time.Millisecond)) {
							t.Errorf("ping at %v: %v", v.Time, err)
						}
					case strings.HasPrefix(line, "event: ping"):
						t.Errorf("a ping that was not asked for, or too many")
					}
				}
				resp.Body.Close()
			})
		})
	}
}

// TestHeartbeatOfBusyStream: a page can rely on pings whatever else happens.
func TestHeartbeatOfBusyStream(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		s := f.open(t, "bob", "")
		defer s.close()
		pings := 0
		for range 120 { // a minute
			f.send(t, alice, hub.General, "x")
			for {
				ev := s.next(t)
				if ev.Name == eventMessage {
					break
				}
				pings++
			}
			<-time.After(time.Second / 2)
		}
		if pings < 3 {
			t.Errorf("%d pings in a minute", pings)
		}
	})
}

// TestLifetime: a stream ends after 30 minutes, give or take 20 %, or with its
// token, and says when to come back.
func TestLifetime(t *testing.T) {
	tests := []struct {
		token    string
		min, max time.Duration
	}{
		{"alice", 24 * time.Minute, 36 * time.Minute},
		{"alice/45m", 24 * time.Minute, 36 * time.Minute},
		{"alice/10m", 10 * time.Minute, 10 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.token, func(t *testing.T) {
			inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
				began := time.Now()
				s := f.open(t, tt.token, "?types=message")
				last := s.next(t)
				if last.Data != nil || last.Retry < time.Second || last.Retry > 3*time.Second {
					t.Errorf("the last frame is %+v", last)
				}
				s.wantEnd(t)
				if lived := time.Since(began); lived < tt.min || lived > tt.max {
					t.Errorf("it lived for %v, want %v to %v", lived, tt.min, tt.max)
				}
				if f.opened() != 0 {
					t.Error("something of it is left")
				}
			})
		})
	}
}

// TestLifetimeOfBusyStream: a stream on which there is always something ends,
// too.
func TestLifetimeOfBusyStream(t *testing.T) {
	inBubble(t, Limits{StreamLifetime: time.Minute}, func(t *testing.T, f *fixture) {
		s := f.open(t, "bob", "?types=message")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				_, _, _ = f.hub.Send(ctx, alice, hub.Draft{Text: "x"})
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		}()
		began := time.Now()
		for {
			if _, err := s.read(); err != nil {
				break
			}
		}
		if lived := time.Since(began); lived < 48*time.Second || lived > 72*time.Second {
			t.Errorf("it lived for %v", lived)
		}
	})
}

// TestSlowReader: who does not read is cut off by the deadline of a write, and
// keeps nobody else waiting.
func TestSlowReader(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		slow, quick := f.open(t, "bob", ""), f.open(t, "carol", "")
		defer quick.close()
		began := time.Now()
		var got []string
		go func() {
			for ev, err := quick.read(); err == nil; ev, err = quick.read() {
				got = append(got, fmt.Sprint(ev.Name, " ", time.Since(began)))
			}
		}()
		for range 3 {
			f.send(t, alice, hub.General, strings.Repeat("x", 40_000))
		}
		synctest.Wait()
		if want := strings.Repeat("message 0s|", 3); strings.Join(got, "|")+"|" != want {
			t.Errorf("the one that reads got %q", got)
		}
		if n := f.opened(); n != 2 {
			t.Fatalf("%d streams are open, want 2", n)
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if n := f.opened(); n != 1 {
			t.Errorf("%d streams are open, want 1", n)
		}
		for _, err := slow.read(); err == nil; _, err = slow.read() {
		}
	})
}

// TestLifetimeOfSlowReader: nor does a reader gain time by reading slowly.
func TestLifetimeOfSlowReader(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		for range 50 {
			f.send(t, alice, hub.General, strings.Repeat("x", 60_000))
		}
		began := time.Now()
		resp := f.ask(t, http.MethodGet, "bob/1m", "?last_event_id=0")
		var got strings.Builder
		for {
			n, err := io.CopyN(&got, resp.Body, 64<<10)
			if n == 0 || err != nil {
				break
			}
			<-time.After(9 * time.Second)
		}
		if lived := time.Since(began); lived < time.Minute || lived > time.Minute+30*time.Second {
			t.Errorf("it lived for %v", lived)
		}
		if tail := got.String()[got.Len()-20:]; !strings.Contains(tail, "\n\nretry: ") {
			t.Errorf("it ends in %q", tail)
		}
	})
}

// stuckLog does not say where it stands.
type stuckLog struct {
	hub.Log
	stuck atomic.Bool
}

func (l *stuckLog) State(ctx context.Context) (hub.State, error) {
	if l.stuck.Load() {
		<-ctx.Done()
	}
	return l.Log.State(ctx)
}

// TestManyResume: when more resume than the log can answer they are told to
// come again; who listens from now on does not wait with them.
func TestManyResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, p := &stuckLog{Log: newLog()}, pipetest.Listen()
		f := serve(t, log, Limits{}, p, p.Dial)
		f.within = time.Hour
		from := f.hub.Head()
		log.stuck.Store(true)
		began := time.Now()
		var resuming sync.WaitGroup
		for range 50 {
			resuming.Go(func() {
				resp := f.ask(t, http.MethodGet, "bob", "?last_event_id="+from)
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
					t.Errorf("got %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
				}
			})
		}
		synctest.Wait()
		f.open(t, "bob", "").close()
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a stream from now on waited for %v", waited)
		}
		resuming.Wait()
		f.wantRefusals(t, map[string]int{RefusedStorage: 50})
		if waited := time.Since(began); waited > listenWithin {
			t.Errorf("they were told after %v, want at most %v", waited, listenWithin)
		}
		log.stuck.Store(false)
		f.open(t, "bob", "?last_event_id="+from).close()
	})
}

// TestDrain: on a drain every stream is told, new ones are refused, and a
// reader that has stopped does not hold it up beyond its context.
func TestDrain(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		var feeds []*feed
		for range 10 {
			feeds = append(feeds, f.open(t, "alice", ""))
		}
		ended := make(chan error, 1)
		go func() { ended <- f.web.Shutdown(t.Context()) }()
		for _, s := range feeds {
			last := s.next(t)
			if last.Name != eventShutdown || last.Retry == 0 {
				t.Errorf("got %s, retry %v", show(last), last.Retry)
			}
			var v struct {
				Message string
				Time    time.Time
			}
			if err := json.Unmarshal(last.Data, &v); err != nil || v.Message == "" || v.Time.IsZero() {
				t.Errorf("%s: %v", last.Data, err)
			}
			s.wantEnd(t)
		}
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		resp := f.ask(t, http.MethodGet, "alice", "")
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("got %s", resp.Status)
		}
		if err := f.web.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown again: %v", err)
		}
	})
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		s := f.open(t, "bob", "")
		f.send(t, alice, hub.General, "not read")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.web.Shutdown(ctx); err == nil {
			t.Error("Shutdown did not say that a stream was left")
		}
		_, _ = io.Copy(io.Discard, s.resp.Body)
	})
}

// TestHubCloses: a hub that closes before its streams have ended ends them.
func TestHubCloses(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		s := f.open(t, "bob", "")
		f.hub.Close()
		if last := s.next(t); last.Name != eventError || !strings.Contains(show(last), "shutting down") {
			t.Errorf("got %s", show(last))
		}
		s.wantEnd(t)
		resp := f.ask(t, http.MethodGet, "bob", "")
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("got %s", resp.Status)
		}
	})
}
