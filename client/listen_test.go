package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listened is what a listener gave, each as a word, and when.
type listened struct {
	words  []string
	at     []time.Duration
	states []State
	err    error
}

func (l *listened) add(ev Event, at time.Duration) {
	l.words, l.at = append(l.words, word(ev)), append(l.at, at)
	if ev.State != nil {
		l.states = append(l.states, *ev.State)
	}
}

// word says what an event is.
func word(ev Event) string {
	switch {
	case ev.State != nil && ev.State.State == Reconnecting:
		s := fmt.Sprintf("reconnecting %d", ev.State.Attempt)
		if ev.State.Err != nil {
			s += " failed"
		}
		return s
	case ev.State != nil:
		return ev.State.State
	case ev.Message != nil:
		return ev.Message.ID
	case ev.Notification != nil:
		return "notification " + ev.Notification.ID
	case ev.Partial != nil:
		return "partial " + ev.Partial.Message
	case ev.Line != nil:
		return "line " + ev.Line.Message
	case ev.Presence != nil:
		return "presence " + ev.Presence.User
	case ev.Typing != nil:
		return "typing " + ev.Typing.User
	case ev.Reset != nil:
		return "reset " + ev.Reset.Oldest
	case ev.System != nil:
		return ev.System.Message
	}
	return "nothing"
}

// listen listens until the word comes, or the end.
func listen(t *testing.T, c *Client, o ListenOptions, until string) (l listened) {
	t.Helper()
	began := time.Now()
	for ev, err := range c.Listen(t.Context(), o) {
		if err != nil {
			l.err = err
			continue
		}
		l.add(ev, time.Since(began))
		if word(ev) == until {
			break
		}
	}
	return l
}

func (l *listened) want(t *testing.T, words ...string) {
	t.Helper()
	if !slices.Equal(l.words, words) {
		t.Errorf("got  %q\nwant %q", l.words, words)
	}
}

// TestListenAll: every kind of event is given as what it is.
func TestListenAll(t *testing.T) {
	steps := []http.HandlerFunc{stream(
		greeting(),
		event("", "message", `{"message":"without a place","id":"none"}`),
		message("e-1"),
		event("e-2", "notification", `{"id":"e-2","level":"info","message":"n","progress":7}`),
		event("", "partial-message", `{"stream_id":"s","message":"so far","progress":50,"isComplete":false}`),
		event("", "log", `{"id":"l-1","level":"info","message":"l","fields":{"a":1}}`),
		event("", "presence", `{"user":"bob","online":true}`),
		event("", "typing", `{"room":"general","user":"bob"}`),
		event("", "ping", `{"time":"2026-11-20T16:00:00.000Z"}`),
		event("", "invented later", `?`),
		frame{bytes: "retry: 2000\n\n: comment\n\n"},
		event("", "message", `{"message":"without a place","id":"none again"}`),
		message("e-3"), never,
	)}
	play(t, steps, func(t *testing.T, c *Client, s *script) {
		l := listen(t, c, ListenOptions{Rooms: []string{"a", "b"}, Types: []string{"message"}, LogLevel: "info"}, "e-3")
		l.want(t, Connecting, Connected, "connected", "none", "e-1", "notification e-2", "partial so far", "line l", "presence bob", "typing bob", "none again", "e-3")
		r := s.requests()[0]
		if got := r.query.Encode(); got != "log_level=info&rooms=a%2Cb&types=message%2Cping" || r.path != "/events" || r.header.Get("Accept") != "text/event-stream" ||
			r.header.Get("Last-Event-ID") != "" || r.header.Get("Authorization") != "Bearer first" {
			t.Errorf("%+v", r)
		}
	})
}

// TestListenResumes: what was missed comes, what comes again is not given, and
// the states tell what happens.
func TestListenResumes(t *testing.T) {
	steps := []http.HandlerFunc{
		stream(greeting(), message("e-1"), message("e-2"), frame{bytes: "id: e-3\nevent: mess"}, abruptly),
		vanish,
		answer(503, `{"detail":"starting"}`, "Retry-After", "9"),
		stream(greeting(), message("e-2"), message("e-4"), message("e-3"), properly),
		stream(greeting(), event("e-5", "notification", `{"id":"e-5"}`), event("", "shutdown", `{"message":"later"}`), never),
		stream(greeting(), event("", "stream-error", `{"message":"oh"}`), never),
		stream(abruptly),
		stream(properly),
		stream(greeting(), message("e-6"), never),
	}
	play(t, steps, func(t *testing.T, c *Client, s *script) {
		l := listen(t, c, ListenOptions{After: "e-0"}, "e-6")
		l.want(t, Connecting,
			Connected, "connected", "e-1", "e-2", "reconnecting 1 failed", "reconnecting 2 failed", "reconnecting 3 failed",
			Connected, "connected", "e-4", "reconnecting 1",
			Connected, "connected", "notification e-5", "reconnecting 1 failed",
			Connected, "connected", "reconnecting 1 failed", "reconnecting 2 failed", "reconnecting 3 failed",
			Connected, "connected", "e-6",
		)
		seen := s.requests()
		for n, after := range []string{"e-0", "e-2", "e-2", "e-2", "e-4", "e-5", "e-5", "e-5", "e-5"} {
			if got := seen[n].header.Get("Last-Event-ID"); got != after || seen[n].query.Encode() != "" {
				t.Errorf("request %d is after %q, not %q: %v", n, got, after, seen[n].query)
			}
		}
		const retry = 1500 * time.Millisecond // of the greeting
		for n, w := range []struct{ least, most time.Duration }{
			{retry, retry},
			{retry, 2 * time.Second},
			{9 * time.Second, 9 * time.Second},
			{retry, retry},
			{retry, retry},
			{retry, retry},
			{retry, 2 * time.Second},
			{retry, 4 * time.Second},
		} {
			if waited := seen[n+1].at - seen[n].at; waited < w.least || waited > w.most {
				t.Errorf("after answer %d it waited %v, not %v to %v", n, waited, w.least, w.most)
			}
		}
		var told []string
		for _, st := range l.states {
			if st.State == Reconnecting {
				told = append(told, fmt.Sprint(st.Err))
			}
		}
		for n, want := range []string{"unexpected EOF", "EOF", "starting", "<nil>", "says: later", "says: oh", "unexpected EOF", "EOF"} {
			if !strings.Contains(told[n], want) {
				t.Errorf("reconnecting because of %s, want %s", told[n], want)
			}
		}
	})
}

// TestListenSilence: a server that says nothing for 37.5 s is gone; comments are
// something, and the time that the caller takes does not count.
func TestListenSilence(t *testing.T) {
	beat := comment().later(37 * time.Second)
	steps := []http.HandlerFunc{
		silent, // not even an answer
		stream(never),
		stream(greeting(), beat, beat, beat, message("e-1").later(37*time.Second), never),
		stream(greeting(), message("e-2"), beat, beat, beat, message("e-3").later(30*time.Second), never),
	}
	play(t, steps, func(t *testing.T, c *Client, s *script) {
		var l listened
		began := time.Now()
		for ev, err := range c.Listen(t.Context(), ListenOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			l.add(ev, time.Since(began))
			if word(ev) == "e-2" { // the server waits, as a real one does for a while
				if err := wait(t.Context(), 10*deadAfter); err != nil {
					t.Fatal(err)
				}
			}
			if word(ev) == "e-3" {
				break
			}
		}
		l.want(t, Connecting, "reconnecting 1 failed", "reconnecting 2 failed", Connected, "connected", "e-1", "reconnecting 1 failed", Connected, "connected", "e-2", "e-3")
		if at := l.at[1]; at != answerWithin { // the transport's bound on an answer comes first
			t.Errorf("no answer was noticed after %v", at)
		}
		if after := l.at[2] - s.requests()[1].at; after != deadAfter {
			t.Errorf("a stream of nothing was given up after %v", after)
		}
		if after := l.at[6] - l.at[5]; after != deadAfter {
			t.Errorf("silence was noticed after %v", after)
		}
		if got := l.states[len(l.states)-2].Err; !errors.Is(got, errSilent) {
			t.Errorf("%v", got)
		}
	})
}

// TestListenNoPlaceYet: who was cut off before anything had happened goes on from
// where listening began.
func TestListenNoPlaceYet(t *testing.T) {
	t.Run("by the greeting's ID", func(t *testing.T) {
		play(t, []http.HandlerFunc{
			stream(event("e-7", "system", `{"message":"connected"}`), abruptly),
			stream(event("e-9", "system", `{"message":"connected"}`), message("e-8"), never),
		}, func(t *testing.T, c *Client, s *script) {
			listen(t, c, ListenOptions{Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, "e-8")
			if r := s.requests()[0]; r.query.Encode() != "since=2026-01-01T00%3A00%3A00Z" {
				t.Errorf("%+v", r)
			}
			if r := s.requests()[1]; r.header.Get("Last-Event-ID") != "e-7" || len(r.query) != 0 {
				t.Errorf("%+v", r)
			}
		})
	})
	t.Run("before the greeting", func(t *testing.T) {
		play(t, []http.HandlerFunc{vanish, stream(greeting(), message("e-1"), never)}, func(t *testing.T, c *Client, s *script) {
			listen(t, c, ListenOptions{Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, "e-1")
			for _, r := range s.requests() {
				if got := r.query.Encode(); got != "since=2026-01-01T00%3A00%3A00Z" {
					t.Error(got)
				}
			}
		})
	})
	t.Run("of what has no place", func(t *testing.T) {
		play(t, []http.HandlerFunc{
			stream(greeting(), abruptly),
			stream(greeting(), event("", "typing", `{"user":"bob"}`), never),
		}, func(t *testing.T, c *Client, s *script) {
			listen(t, c, ListenOptions{Types: []string{"typing", "ping"}}, "typing bob")
			if got := s.requests()[1].query.Encode(); got != "types=typing%2Cping" {
				t.Error(got)
			}
		})
	})
}

// TestListenReset: the caller is told of what may be missing, and listening goes
// on from there, in whatever order the new log has.
func TestListenReset(t *testing.T) {
	reset := event("f-0", "reset", `{"oldest":"f-0","reason":"the cursor is of another log"}`)
	play(t, []http.HandlerFunc{
		stream(greeting(), message("e-5"), abruptly),
		stream(greeting(), reset, abruptly),
		stream(greeting(), message("f-1"), reset, abruptly),
		stream(greeting(), message("e-5"), event("f-9", "reset", `{"oldest":"f-8"}`), abruptly),
		stream(greeting(), message("f-3"), never),
	}, func(t *testing.T, c *Client, s *script) {
		l := listen(t, c, ListenOptions{After: "e-4"}, "f-3")
		l.want(t, Connecting,
			Connected, "connected", "e-5", "reconnecting 1 failed",
			Connected, "connected", "reset f-0", "reconnecting 1 failed",
			Connected, "connected", "f-1", "reset f-0", "reconnecting 1 failed",
			Connected, "connected", "e-5", "reset f-8", "reconnecting 1 failed",
			Connected, "connected", "f-3",
		)
		for n, want := range []string{"e-4", "e-5", "f-0", "f-0", "f-9"} {
			if after := s.requests()[n].header.Get("Last-Event-ID"); after != want {
				t.Errorf("request %d: after %q", n, after)
			}
		}
	})
}

// TestListenAhead: a cursor that there cannot have been hides nothing.
func TestListenAhead(t *testing.T) {
	play(t, []http.HandlerFunc{
		stream(greeting(), event("", "reset", `{"oldest":"e-1","reason":"it is ahead"}`), message("e-10"), never),
	}, func(t *testing.T, c *Client, _ *script) {
		l := listen(t, c, ListenOptions{After: "e-99"}, "e-10")
		l.want(t, Connecting, Connected, "connected", "reset e-1", "e-10")
	})
}

// TestListenFinal: what cannot be mended ends it, with a state and an error.
func TestListenFinal(t *testing.T) {
	no := answer(401, `{"detail":"expired"}`)
	for name, test := range map[string]struct {
		steps  []http.HandlerFunc
		words  []string
		detail string
	}{
		"signed out":      {[]http.HandlerFunc{no, no}, []string{Connecting, Disconnected}, "expired"},
		"signed out then": {[]http.HandlerFunc{no, stream(greeting(), abruptly), no, no}, []string{Connecting, Connected, "connected", "reconnecting 1 failed", Disconnected}, "expired"},
		"forbidden":       {[]http.HandlerFunc{answer(403, `{"detail":"no scope"}`)}, []string{Connecting, Disconnected}, "no scope"},
		"wrong":           {[]http.HandlerFunc{vanish, answer(400, `{"detail":"no such type"}`)}, []string{Connecting, "reconnecting 1 failed", Disconnected}, "no such type"},
		"no stream":       {[]http.HandlerFunc{answer(200, `{}`)}, []string{Connecting, Disconnected}, `"application/json"`},
		"unreadable":      {[]http.HandlerFunc{stream(greeting(), event("e-1", "message", "{"), never)}, []string{Connecting, Connected, "connected", Disconnected}, "cannot be read"},
		"null":            {[]http.HandlerFunc{stream(greeting(), event("", "shutdown", "null"), never)}, []string{Connecting, Connected, "connected", Disconnected}, "null"},
		"too large":       {[]http.HandlerFunc{stream(greeting(), message(strings.Repeat("x", maxEvent)), never)}, []string{Connecting, Connected, "connected", Disconnected}, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, test.steps, func(t *testing.T, c *Client, _ *script) {
				l := listen(t, c, ListenOptions{}, "")
				l.want(t, test.words...)
				if l.err == nil || !strings.Contains(l.err.Error(), test.detail) || !errors.Is(l.states[len(l.states)-1].Err, l.err) {
					t.Errorf("%v, state %+v", l.err, l.states[len(l.states)-1])
				}
			})
		})
	}
}

// TestListenEnds: with its context, wherever it is, without an error; and with
// its caller.
func TestListenEnds(t *testing.T) {
	for name, test := range map[string]struct {
		steps []http.HandlerFunc
		words []string
	}{
		"connecting":   {[]http.HandlerFunc{silent}, []string{Connecting}},
		"connected":    {[]http.HandlerFunc{stream(greeting(), never)}, []string{Connecting, Connected, "connected"}},
		"reconnecting": {[]http.HandlerFunc{answer(503, `{}`, "Retry-After", "60")}, []string{Connecting, "reconnecting 1 failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, test.steps, func(t *testing.T, c *Client, _ *script) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				began := time.Now()
				var l listened
				for ev, err := range c.Listen(ctx, ListenOptions{}) {
					if err != nil {
						t.Error(err)
					}
					l.add(ev, 0)
				}
				l.want(t, test.words...)
				if took := time.Since(began); took != 20*time.Second {
					t.Errorf("it ended after %v", took)
				}
			})
		})
	}
	for _, until := range []string{Connecting, Connected, "connected", "e-1", "reconnecting 1 failed", "reconnecting 2 failed", Disconnected} {
		t.Run("break at "+until, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				transport := roundTrip(func(r *http.Request) (*http.Response, error) {
					n++
					switch n {
					case 1:
						return recorded(r, stream(greeting(), message("e-1"), event("", "shutdown", `{}`), properly)), nil
					case 2:
						return recorded(r, answer(503, "")), nil
					}
					return recorded(r, answer(404, "")), nil
				})
				c := New(Options{Server: "http://wigwag.test", HTTP: &http.Client{Transport: transport}})
				if l := listen(t, c, ListenOptions{}, until); l.words[len(l.words)-1] != until || l.err != nil {
					t.Errorf("%q, %v", l.words, l.err)
				}
			})
		})
	}
}

func TestPlace(t *testing.T) {
	for cursor, want := range map[string]place{
		"e-1": {"e", 1}, "k3f9-18446744073709551615": {"k3f9", 1<<64 - 1}, "0": {}, "": {}, "-1": {"", 1}, "e": {}, "e-": {}, "e-x": {}, "e--1": {}, "e-1-2": {},
		"e-18446744073709551616": {},
	} {
		if got := placeOf(cursor); got != want {
			t.Errorf("%q: %v, want %v", cursor, got, want)
		}
	}
	for _, pair := range []struct {
		p, other string
		want     bool
	}{
		{"e-2", "e-1", true}, {"e-2", "e-2", true}, {"e-2", "e-3", false}, {"e-2", "f-1", false}, {"", "", false}, {"", "e-1", false}, {"e-1", "", false}, {"-2", "-1", false},
	} {
		if got := placeOf(pair.p).reaches(placeOf(pair.other)); got != pair.want {
			t.Errorf("%q and %q: %v", pair.p, pair.other, got)
		}
	}
}
