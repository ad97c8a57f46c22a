package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const streamed = `{"messages":[{"id":"e-1"},{"id":"e-2"}],"interrupted":false}`

// swallow reads the text that is sent, notes its parts and answers.
func swallow(parts *[]string, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				*parts = append(*parts, string(buf[:n]))
			}
			if errors.Is(err, io.EOF) {
				then(w, r)
				return
			}
			if err != nil {
				*parts = append(*parts, "broken off")
				return
			}
		}
	}
}

// slowly is a text whose parts come with a minute between them.
func slowly(ctx context.Context, parts ...string) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if len(parts) == 0 {
			return 0, io.EOF
		}
		if err := wait(ctx, time.Minute); err != nil {
			return 0, err
		}
		n := copy(p, parts[0])
		parts = parts[1:]
		return n, nil
	})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestStream: a text goes part by part, over whatever fails before its first.
func TestStream(t *testing.T) {
	var parts []string
	steps := []http.HandlerFunc{
		vanish, answer(503, `{}`), answer(401, `{}`), answer(429, `{}`, "Retry-After", "40"), swallow(&parts, answer(201, streamed)),
	}
	play(t, steps, func(t *testing.T, c *Client, s *script) {
		got, err := c.Stream(t.Context(), Target{Room: "a"}, slowly(t.Context(), "one ", "two ", "three"))
		if err != nil || len(got.Messages) != 2 || got.Messages[1].ID != "e-2" || got.Interrupted {
			t.Fatalf("%+v, %v", got, err)
		}
		if text := strings.Join(parts, "|"); text != "one |two |three" {
			t.Errorf("the server got %s", text)
		}
		for n, r := range s.requests() {
			if r.method != "POST" || r.path != "/api/rooms/a/stream" || r.header.Get("Expect") != "100-continue" || r.header.Get("Idempotency-Key") != "" {
				t.Errorf("request %d: %+v", n, r)
			}
		}
		if got := s.requests()[4].header.Get("Authorization"); got != "Bearer second" {
			t.Errorf("%s", got)
		}
	})
}

// TestStreamInterrupted: what fails once the text has begun is not tried again.
func TestStreamInterrupted(t *testing.T) {
	read := func(then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 100))
			then(w, r)
		}
	}
	unreadable := errors.New("the disk is broken")
	text := func() io.Reader { return slowly(context.Background(), "one ", "two ", "three ") }
	var parts []string
	for name, test := range map[string]struct {
		step        http.HandlerFunc
		text        io.Reader
		interrupted bool
		want        string
	}{
		"vanished":    {read(vanish), text(), true, " bytes: no answer from the server"},
		"unavailable": {read(answer(503, `{"detail":"draining"}`)), text(), true, "draining"},
		"revoked":     {read(answer(401, `{"detail":"revoked"}`)), text(), true, "another token"},
		"too long":    {read(answer(413, `{"detail":"64 MiB"}`)), text(), false, "64 MiB"},
		"blank":       {swallow(&parts, answer(400, `{"detail":"empty"}`)), strings.NewReader(" "), false, "empty"},
		"no answer":   {swallow(&parts, silent), strings.NewReader("x"), true, "no answer"},
		"no reading":  {read(silent), readFunc(func(p []byte) (int, error) { return len(p), nil }), true, "took too long"},
		"its source":  {swallow(&parts, vanish), io.MultiReader(strings.NewReader("x"), readFunc(func([]byte) (int, error) { return 0, unreadable })), true, unreadable.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, []http.HandlerFunc{test.step}, func(t *testing.T, c *Client, _ *script) {
				_, err := c.Stream(t.Context(), Target{}, test.text)
				if err == nil || errors.Is(err, ErrInterrupted) != test.interrupted || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// TestStreamGone: that the connection has broken is noticed while the text has
// nothing to read.
func TestStreamGone(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 100))
		vanish(w, r)
	}
	play(t, []http.HandlerFunc{read}, func(t *testing.T, c *Client, _ *script) {
		reader, writer := io.Pipe()
		time.AfterFunc(10*time.Minute, func() { _ = writer.Close() })
		go func() { _, _ = io.WriteString(writer, "one") }()
		began := time.Now()
		if _, err := c.Stream(t.Context(), Target{}, reader); !errors.Is(err, ErrInterrupted) || time.Since(began) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestStreamEnds: with its context, also while the text has nothing to read, and
// also with a transport that is not the client's own.
func TestStreamEnds(t *testing.T) {
	for _, own := range []bool{true, false} {
		var parts []string
		play(t, []http.HandlerFunc{swallow(&parts, vanish)}, func(t *testing.T, c *Client, s *script) {
			if !own {
				c.http.Transport = &http.Transport{DialContext: s.pipes.dial}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			began := time.Now()
			_, err := c.Stream(ctx, Target{}, slowly(t.Context(), "one ", "two "))
			if !errors.Is(err, ErrInterrupted) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took != 90*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
