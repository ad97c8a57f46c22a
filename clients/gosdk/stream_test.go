package gosdk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"wigwag/clients/servertest"
)

// stream streams a message and checks its progress: every part once, in order,
// and together the message. The client handles notifications beside the
// response, so the last may be noted after it; but it stops reading a stream at
// the response, so one that was sent later would never come.
func (c *conn) stream(t *testing.T, token string, args map[string]any) {
	t.Helper()
	result, text := c.call(t, "stream_message", token, args)
	poll(t, fmt.Sprintf("%s: progress of all %d parts", token, result.Parts), func() bool {
		return len(c.noted(token)) >= result.Parts
	})
	parts := c.noted(token)
	if len(parts) == 0 || len(parts) != result.Parts {
		t.Errorf("%s: progress of %d parts came, the result tells of %d", token, len(parts), result.Parts)
	}
	var joined strings.Builder
	for i, p := range parts {
		joined.WriteString(p.Message)
		if p.Progress != float64(i+1) || p.Total != float64(len(parts)) {
			t.Errorf("%s: part %d of %d says %v of %v", token, i+1, len(parts), p.Progress, p.Total)
		}
		partial, _ := p.Meta["wigwag/partial"].(map[string]any)
		if partial["stream_id"] != result.StreamID || partial["delta"] != p.Message ||
			partial["isComplete"] != (i == len(parts)-1) {
			t.Errorf("%s: part %d of %d has wigwag/partial %v", token, i+1, len(parts), partial)
		}
	}
	message, _ := args["message"].(string)
	if joined.String() != message {
		t.Errorf("%s: the parts are together %q, want %q", token, joined.String(), message)
	}
	if !strings.Contains(text, message) {
		t.Errorf("%s: the result does not repeat the message: %q", token, text)
	}
}

func TestStreamedPartsAreTheMessage(t *testing.T) {
	server := servertest.Start(t)
	texts := []string{
		words("fast", 200),
		"one",
		"Two  spaces,\na line, and 👩‍👩‍👧‍👦 e\u0301\n",
		strings.Repeat("信号旗で話す。", 20),
	}
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, server.URL, server.Token, revision)
			room := "stream-" + revision
			c.call(t, "open_room", "", map[string]any{"room": room})
			for i, text := range texts {
				c.stream(t, fmt.Sprint("token-", i), map[string]any{"room": room, "message": text, "interval_ms": 0})
			}
			if got := c.texts(t, room); !slices.Equal(got, texts) {
				t.Errorf("stored are %q, want %q", got, texts)
			}
		})
	}
}

func TestTwoStreamsOfOneSessionNeverMix(t *testing.T) {
	server := servertest.Start(t)
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, server.URL, server.Token, revision)
			// They overlap nearly always at once; that they did is checked, not assumed.
			for attempt := range 10 {
				left, right := fmt.Sprint("left-", attempt), fmt.Sprint("right-", attempt)
				var both sync.WaitGroup
				for _, token := range []string{left, right} {
					both.Go(func() {
						c.stream(t, token, map[string]any{"message": words(token+"-", 40), "interval_ms": 10})
					})
				}
				both.Wait()
				if t.Failed() || c.interleaved(left, right) {
					return
				}
			}
			t.Error("two streams never ran at once")
		})
	}
}

// A cancelled call ends and stores nothing. The server allows the user one call
// at a time, so that the next one is let in only after it has ended; uncancelled
// it would take half a minute and store its message.
func TestCancelledStreamStoresNothing(t *testing.T) {
	server := servertest.Start(t, "--max-calls-per-user=1")
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, server.URL, server.Token, revision)
			room := "cancel-" + revision
			c.call(t, "open_room", "", map[string]any{"room": room})

			ctx, cancel := context.WithCancel(bounded(t))
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := c.CallTool(ctx, toolCall("stream_message", "token", map[string]any{
					"room": room, "message": words("late", 200), "interval_ms": 2000,
				}))
				ended <- err
			}()
			poll(t, "progress", func() bool { return len(c.noted("token")) > 0 })
			cancel()
			if err := <-ended; err == nil {
				t.Error("the cancelled call succeeded")
			}

			read := toolCall("read_messages", "", map[string]any{"room": room, "after": "0"})
			poll(t, "the end of the cancelled call", func() bool {
				answer, err := c.CallTool(bounded(t), read)
				return err == nil && !answer.IsError
			})
			if n := len(c.noted("token")); n >= 200 {
				t.Errorf("all %d parts came in spite of the cancellation", n)
			}
			if got := c.texts(t, room); len(got) != 0 {
				t.Errorf("stored are %q, want nothing", got)
			}
		})
	}
}

// The client takes up both a stream that breaks off and one that the server
// ends before the response.
func TestResume(t *testing.T) {
	cuts := map[string]servertest.Cut{"broken": servertest.Break, "ended": servertest.End}
	server := servertest.Start(t)
	for _, revision := range revisionsWithResume() {
		for name, how := range cuts {
			t.Run(revision+"/"+name, func(t *testing.T) {
				cutter := server.Cut(t, 5, how)
				c := connect(t, cutter.URL, server.Token, revision)
				c.stream(t, "token", map[string]any{"message": words("resumed", 100), "interval_ms": 10})
				if !cutter.Done() || cutter.Resumed.Load() == 0 {
					t.Errorf("stream cut: %t, requests to resume it: %d", cutter.Done(), cutter.Resumed.Load())
				}
			})
		}
	}
}
