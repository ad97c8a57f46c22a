package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const sent = `{"id":"e-7","type":"message","room":"general","sender":{"name":"bob"},"message":"hi","time":"2026-11-20T16:00:00.000Z"}`

// A message is tried with the same key until it is stored, and no sooner than
// the server asks.
func TestSendUntilStored(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }
	half := func(w http.ResponseWriter, _ *http.Request) { // the answer is lost on its way
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = fmt.Fprint(w, sent[:20])
	}
	stalled := func(w http.ResponseWriter, r *http.Request) { // an answer that does not go on
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, sent[:20])
		_ = http.NewResponseController(w).Flush()
		silent(w, r)
	}
	steps := []http.HandlerFunc{
		vanish, answer(503, `{"detail":"later"}`, "Retry-After", "7"), page, answer(429, `{}`, "Retry-After", "100"), half,
		answer(504, `{}`), silent, stalled, answer(201, sent),
	}
	play(t, steps, func(t *testing.T, c *Client, s *script) {
		told := 0
		c.retrying = func(err error) {
			if told++; err == nil {
				t.Error("tried again for no reason")
			}
		}
		m, err := c.Send(t.Context(), Target{Room: "general"}, Draft{Text: "hi", ReplyTo: "e-6"})
		if told != len(steps)-1 {
			t.Errorf("it was told %d times", told)
		}
		if err != nil || m.ID != "e-7" || m.Message != "hi" || m.Sender.Name != "bob" || m.Time.IsZero() {
			t.Errorf("%+v, %v", m, err)
		}
		seen := s.requests()
		for n, r := range seen {
			if r.method != "POST" || r.path != "/api/rooms/general/messages" || r.body != `{"message":"hi","reply_to":"e-6"}` ||
				r.header.Get("Authorization") != "Bearer first" || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("request %d is %+v", n, r)
			}
			if key := r.header.Get("Idempotency-Key"); len(key) < 20 || key != seen[0].header.Get("Idempotency-Key") {
				t.Errorf("request %d has the key %q", n, key)
			}
		}
		for n, w := range []struct{ least, most time.Duration }{
			{0, time.Second},
			{7 * time.Second, 7 * time.Second},
			{0, 4 * time.Second},
			{100 * time.Second, 100 * time.Second},
			{0, 16 * time.Second},
			{0, 30 * time.Second},
			{answerWithin, answerWithin + 30*time.Second},
			{answerWithin, answerWithin + 30*time.Second},
		} {
			if waited := seen[n+1].at - seen[n].at; waited < w.least || waited > w.most {
				t.Errorf("after answer %d it waited %v, not %v to %v", n, waited, w.least, w.most)
			}
		}
	})
}

// A key that is given is used.
func TestSendKey(t *testing.T) {
	play(t, []http.HandlerFunc{answer(201, sent)}, func(t *testing.T, c *Client, s *script) {
		if _, err := c.Send(t.Context(), Target{To: "bob"}, Draft{Text: "hi", Key: "mine"}); err != nil {
			t.Fatal(err)
		}
		if r := s.requests()[0]; r.header.Get("Idempotency-Key") != "mine" || r.path != "/api/people/bob/messages" || r.body != `{"message":"hi"}` {
			t.Errorf("%+v", r)
		}
	})
}

// When the context ends, the error says that, and what was wrong.
func TestGivenUp(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		play(t, []http.HandlerFunc{answer(503, `{"detail":"the disk is full"}`, "Retry-After", "60")}, func(t *testing.T, c *Client, _ *script) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			began := time.Now()
			_, err := c.Send(ctx, Target{}, Draft{Text: "hi"})
			e, ok := errors.AsType[*Error](err)
			if !errors.Is(err, context.DeadlineExceeded) || !ok || e.Status != 503 || !strings.Contains(err.Error(), "the disk is full") {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("at once", func(t *testing.T) {
		play(t, []http.HandlerFunc{silent}, func(t *testing.T, c *Client, _ *script) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := c.Rooms(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	})
}

// What trying again cannot mend is an error at once.
func TestFinalErrors(t *testing.T) {
	problem := `{"title":"x","status":400,"detail":"room: there is none","code":"reset","argument":"room","oldest":"e-1","reason":"old"}`
	typed := func(status int, typ, body string, header ...string) http.HandlerFunc {
		return answer(status, body, append([]string{"Content-Type", typ}, header...)...)
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   Error // with a part of the detail
	}{
		"problem": {
			typed(400, "application/problem+json", problem),
			Error{Status: 400, Code: "reset", Argument: "room", Detail: "there is none", Oldest: "e-1", Reason: "old"},
		},
		"forbidden":   {typed(403, "application/problem+json", `{"detail":"no"}`), Error{Status: 403, Detail: "no"}},
		"not found":   {answer(404, `{}`), Error{Status: 404}},
		"conflict":    {answer(409, `{"code":"conflict"}`), Error{Status: 409, Code: "conflict"}},
		"gone":        {answer(410, `{}`), Error{Status: 410}},
		"internal":    {answer(500, `{}`), Error{Status: 500}},
		"page":        {typed(500, "text/html", "<html>"), Error{Status: 500, Detail: `"text/html"`}},
		"success":     {typed(200, "text/html; charset=utf-8", "<html>"), Error{Status: 200, Detail: `"text/html"`}},
		"no JSON":     {answer(200, "<html>"), Error{Status: 200, Detail: "invalid character"}},
		"no type":     {typed(200, "", "{}"), Error{Status: 200, Detail: `""`}},
		"other JSON":  {answer(200, `{"rooms": 3}`), Error{Status: 200, Detail: "number"}},
		"too large":   {answer(200, strings.Repeat(" ", maxAnswer+1)), Error{Status: 200, Detail: "16777216 bytes"}},
		"redirection": {answer(302, `{}`, "Location", "http://elsewhere.test/"), Error{Status: 302, Detail: `"http://elsewhere.test/"`}},
		"long type":   {typed(500, strings.Repeat("x", 1000)+"/y", ""), Error{Status: 500, Detail: "x…"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, []http.HandlerFunc{test.answer}, func(t *testing.T, c *Client, _ *script) {
				_, err := c.Rooms(t.Context())
				e, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("%v", err)
				}
				if !strings.Contains(e.Detail, test.want.Detail) || !strings.HasPrefix(err.Error(), fmt.Sprint(test.want.Status)) {
					t.Errorf("%v", err)
				}
				if test.want.Detail = e.Detail; *e != test.want {
					t.Errorf("%+v, want %+v", *e, test.want)
				}
			})
		})
	}
}

// A token that is refused is fetched anew, once.
func TestToken(t *testing.T) {
	tokensOf := func(s *script) (tokens []string) {
		for _, r := range s.requests() {
			tokens = append(tokens, strings.TrimPrefix(r.header.Get("Authorization"), "Bearer "))
		}
		return tokens
	}
	no, yes := answer(401, `{"detail":"expired"}`), answer(200, `{"username":"bob","scopes":"chat:read"}`)
	t.Run("renewed", func(t *testing.T) {
		play(t, []http.HandlerFunc{no, yes, yes, no, vanish, yes}, func(t *testing.T, c *Client, s *script) {
			for range 3 {
				if got, err := c.Session(t.Context()); err != nil || got != (Session{Username: "bob", Scopes: "chat:read"}) {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if got, want := tokensOf(s), []string{"first", "second", "second", "second", "third", "third"}; !reflect.DeepEqual(got, want) {
				t.Errorf("tokens %q, want %q", got, want)
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		play(t, []http.HandlerFunc{no, no}, func(t *testing.T, c *Client, s *script) {
			_, err := c.Session(t.Context())
			if e, ok := errors.AsType[*Error](err); !ok || e.Status != 401 || e.Detail != "expired" {
				t.Errorf("%v", err)
			}
			if got, want := tokensOf(s), []string{"first", "second"}; !reflect.DeepEqual(got, want) {
				t.Errorf("tokens %q, want %q", got, want)
			}
		})
	})
	t.Run("fetched once for all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fetched := 0
			b := &bearer{fetch: func(context.Context) (string, error) {
				fetched++
				<-time.After(time.Second)
				return fmt.Sprint(fetched), nil
			}, turn: make(chan struct{}, 1)}
			for _, refused := range []string{"", "1"} {
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						if _, err := b.get(t.Context(), refused); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			}
			if fetched != 2 {
				t.Errorf("fetched %d times", fetched)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			b.turn <- struct{}{}
			if _, err := b.get(ctx, "2"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a turn that does not come: %v", err)
			}
		})
	})
	t.Run("its errors", func(t *testing.T) {
		for name, test := range map[string]struct {
			err     error
			passing bool
		}{
			"signed out":  {errors.New("sign in first"), false},
			"refused":     {&Error{Status: 400}, false},
			"unavailable": {&Error{Status: 503}, true},
			"network":     {&timeout{}, true},
		} {
			c := New(Options{Server: "http://wigwag.test", Token: func(context.Context) (string, error) { return "", test.err }})
			err := c.attempt(t.Context(), call{method: "GET", path: "/"}, nil)
			if !errors.Is(err, test.err) || passing(err) != test.passing {
				t.Errorf("%s: %v, passing %v", name, err, passing(err))
			}
		}
	})
}

// timeout is a net.Error.
type timeout struct{}

func (*timeout) Error() string   { return "no route" }
func (*timeout) Timeout() bool   { return true }
func (*timeout) Temporary() bool { return true }

// Lists are read to their end, which must come.
func TestLists(t *testing.T) {
	t.Run("rooms", func(t *testing.T) {
		play(t, []http.HandlerFunc{
			answer(200, `{"rooms":[{"name":"a","kind":"public"},{"name":"b","kind":"private","members":["x"]}],"next":"b"}`),
			answer(200, `{"rooms":[{"name":"c","kind":"direct","topic":"t","last":"e-1"}]}`),
		}, func(t *testing.T, c *Client, s *script) {
			rooms, err := c.Rooms(t.Context())
			want := []Room{
				{Name: "a", Kind: "public"},
				{Name: "b", Kind: "private", Members: []string{"x"}},
				{Name: "c", Kind: "direct", Topic: "t", Last: "e-1"},
			}
			if err != nil || !reflect.DeepEqual(rooms, want) {
				t.Errorf("%+v, %v", rooms, err)
			}
			if r := s.requests()[1]; r.path != "/api/rooms" || r.query.Encode() != "after=b" {
				t.Errorf("%+v", r)
			}
		})
	})
	for room, want := range map[string]string{"": "/api/presence", "dm/a/b": "/api/rooms/dm%2Fa%2Fb/members"} {
		t.Run("people of "+room, func(t *testing.T) {
			name := "members"
			if room == "" {
				name = "people"
			}
			play(t, []http.HandlerFunc{answer(200, `{"`+name+`":[{"name":"bob","online":true,"via":"x"}]}`)}, func(t *testing.T, c *Client, s *script) {
				people, err := c.People(t.Context(), room)
				if err != nil || !reflect.DeepEqual(people, []Person{{"bob", true, "x"}}) || s.requests()[0].path != want {
					t.Errorf("%s: %+v, %v", s.requests()[0].path, people, err)
				}
			})
		})
	}
	t.Run("without an end", func(t *testing.T) {
		steps := make([]http.HandlerFunc, maxPages)
		for i := range steps {
			steps[i] = answer(200, `{"rooms":[],"next":"b"}`)
		}
		play(t, steps, func(t *testing.T, c *Client, _ *script) {
			if _, err := c.Rooms(t.Context()); err == nil || !strings.Contains(err.Error(), "1000 pages") {
				t.Errorf("%v", err)
			}
		})
	})
}

// The other calls ask what they are to ask.
func TestCalls(t *testing.T) {
	when := time.Date(2026, 11, 20, 17, 0, 0, 5e6, time.FixedZone("", 3600))
	for name, test := range map[string]struct {
		call   func(ctx context.Context, c *Client) (any, error)
		answer string
		want   string // method, path, query, body
		got    string // the answer, as JSON
		key    bool
	}{
		"history": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.History(ctx, Target{}, HistoryQuery{Since: when, Limit: 5})
			},
			`{"messages":[],"next":"e-1","more":true}`, "GET /api/rooms/general/messages limit=5&since=2026-11-20T16%3A00%3A00.005Z ", `{"messages":[],"next":"e-1","more":true}`, false,
		},
		"history of before": {
			func(ctx context.Context, c *Client) (any, error) {
				return c.History(ctx, Target{To: "bob"}, HistoryQuery{Before: "e-9", After: "e-1"})
			},
			`{"messages":[]}`, "GET /api/people/bob/messages after=e-1&before=e-9 ", `{"messages":[],"next":"","more":false}`, false,
		},
		"notify": {
			func(ctx context.Context, c *Client) (any, error) {
				n, err := c.Notify(ctx, Notice{To: "bob", Level: "error", Title: "t", Message: "m", Progress: new(int), Key: "k"})
				return n.ID, err
			},
			`{"id":"e-3"}`, `POST /api/notifications  {"to":"bob","level":"error","title":"t","message":"m","progress":0,"key":"k"}`, `"e-3"`, true,
		},
		"log": {
			func(ctx context.Context, c *Client) (any, error) {
				l, err := c.WriteLog(ctx, Line{Logger: "l", Message: "m", Fields: map[string]any{"a": 1}})
				return l.Fields, err
			},
			`{"fields":{"a":1}}`, `POST /api/logs  {"logger":"l","message":"m","fields":{"a":1}}`, `{"a":1}`, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, []http.HandlerFunc{vanish, answer(201, test.answer)}, func(t *testing.T, c *Client, s *script) {
				got, err := test.call(t.Context(), c)
				if shown, _ := json.Marshal(got); err != nil || string(shown) != test.got {
					t.Errorf("%s, %v", shown, err)
				}
				for _, r := range s.requests() {
					if asked := strings.Join([]string{r.method, r.path, r.query.Encode(), r.body}, " "); asked != test.want {
						t.Errorf("asked %s\nwant  %s", asked, test.want)
					}
					if key := r.header.Get("Idempotency-Key"); (key != "") != test.key || key != s.requests()[0].header.Get("Idempotency-Key") {
						t.Errorf("key %q", key)
					}
				}
			})
		})
	}
	t.Run("typing", func(t *testing.T) {
		play(t, []http.HandlerFunc{answer(204, ""), vanish}, func(t *testing.T, c *Client, s *script) {
			if err := c.Typing(t.Context(), Target{Room: "a"}); err != nil || s.requests()[0].path != "/api/rooms/a/typing" {
				t.Errorf("%v, %+v", err, s.requests()[0])
			}
			if err := c.Typing(t.Context(), Target{Room: "a"}); err == nil {
				t.Error("it was tried again")
			}
		})
	})
}

// What is wrong before anything is asked.
func TestNotAsked(t *testing.T) {
	c := New(Options{Server: "http://wigwag.test"})
	for _, target := range []Target{{Room: "a", To: "b"}, {Room: ".."}, {To: "a/../b"}} {
		if _, err := c.Send(t.Context(), target, Draft{Text: "x"}); err == nil || passing(err) {
			t.Errorf("%+v: %v", target, err)
		}
	}
	for _, server := range []string{"", "wigwag.test", "ftp://wigwag.test", "http://wigwag.test/chat", "http://u:p@wigwag.test", "http://wigwag.test?x", "http://\x7f"} {
		if _, err := New(Options{Server: server}).Rooms(t.Context()); err == nil || !strings.Contains(err.Error(), "https://host") {
			t.Errorf("%q: %v", server, err)
		}
	}
}

func TestBackOff(t *testing.T) {
	for n, seconds := range []int{1, 2, 4, 8, 16, 30, 30, 30} {
		most := time.Duration(seconds) * time.Second
		var longest time.Duration
		for range 1000 {
			d := backOff(n, 0)
			if longest = max(longest, d); d < 0 || d > most {
				t.Errorf("%d: %v", n, d)
			}
			if d := backOff(n, time.Minute); d != time.Minute {
				t.Errorf("%d: %v with at least a minute", n, d)
			}
		}
		if longest < most*9/10 { // by chance once in 10^45
			t.Errorf("%d: %v at most", n, longest)
		}
	}
	if d := backOff(1000, 0); d > longestWait {
		t.Errorf("%v", d)
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "99999": maxRetryAfter, "99999999999999999999": 0,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute,
			"Thu, 01 Jan 1970 00:00:00 GMT":                           0,
		} {
			if got := retryAfter(value); got != want {
				t.Errorf("%q: %v, want %v", value, got, want)
			}
		}
	})
}
