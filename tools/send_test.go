package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/hub"
)

func TestSendMessage(t *testing.T) {
	h := newHost(t)
	alice, bob := h.client("alice"), h.client("bob")

	first := alice.must(t, "send_message", `{"message":"hello"}`)
	var s sent
	first.bind(t, &s)
	if s.Room != "general" || s.Sender != (hub.Sender{Name: "alice", Via: "Test"}) || s.Duplicate || s.ID == "" || s.Time.IsZero() {
		t.Errorf("sent %+v", s)
	}
	for _, fact := range []string{"id: " + s.ID, "room: general", "time: " + s.Time.String(), `sender: alice via "Test"`, "duplicate: false"} {
		if !strings.Contains(first.text, fact+"\n") && !strings.HasSuffix(first.text, fact) {
			t.Errorf("the text lacks %q:\n%s", fact, first.text)
		}
	}
	if n := len(alice.notifications()); n != 0 {
		t.Errorf("%d notifications without a token", n)
	}

	bob.must(t, "send_message", `{"message":"yes?","reply_to":`+quoted(s.ID)+`}`)
	bob.must(t, "send_message", `{"message":"psst","to":"alice"}`)
	var general, direct messages
	alice.must(t, "read_messages", `{}`).bind(t, &general)
	alice.must(t, "read_messages", `{"to":"bob"}`).bind(t, &direct)
	if len(general.Messages) != 2 || general.Messages[1].ReplyTo != s.ID {
		t.Errorf("general: %+v", general.Messages)
	}
	if len(direct.Messages) != 1 || direct.Messages[0].Room != "dm/alice/bob" {
		t.Errorf("direct: %+v", direct.Messages)
	}
}

func TestSendMessageProgress(t *testing.T) {
	h := newHost(t)
	for _, token := range []any{"abc", 7.0, 9007199254740991.0} {
		alice := h.client("alice")
		alice.token = token
		alice.must(t, "send_message", `{"message":"hello"}`)
		got := alice.notifications()
		if len(got) != 1 || got[0].Method != "notifications/progress" {
			t.Fatalf("notifications %+v", got)
		}
		p := got[0].Params.AdditionalFields
		if p["progressToken"] != token || p["progress"] != 1 || p["total"] != 1 || p["message"] == "" {
			t.Errorf("progress %+v", p)
		}
	}
}

func TestIdempotency(t *testing.T) {
	for _, tool := range []string{"send_message", "stream_message"} {
		t.Run(tool, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				alice, bob := h.client("alice"), h.client("bob")
				var first, again, other streamed
				alice.must(t, tool, `{"message":"one two","idempotency_key":"k"}`).bind(t, &first)
				start := time.Now()
				r := alice.must(t, tool, `{"message":"one two","idempotency_key":"k"}`)
				r.bind(t, &again)
				if took := time.Since(start); took != 0 {
					t.Errorf("the duplicate took %v", took)
				}
				if first.Duplicate || !again.Duplicate || !strings.Contains(r.text, "duplicate: true") {
					t.Errorf("duplicate %v, then %v", first.Duplicate, again.Duplicate)
				}
				again.Duplicate = false
				if first != again {
					t.Errorf("the first answer was %+v, the second %+v", first, again)
				}
				bob.must(t, tool, `{"message":"one two","idempotency_key":"k"}`).bind(t, &other)
				if other.Duplicate || other.ID == first.ID {
					t.Errorf("another user's key counted: %+v", other)
				}
				wrong, err := alice.call(t.Context(), t, tool, `{"message":"three","idempotency_key":"k"}`)
				if err != nil || !wrong.isError || !strings.HasPrefix(wrong.text, "idempotency_key: ") {
					t.Errorf("another text with the same key: %+v, %v", wrong, err)
				}
			})
		})
	}
}

// parts are the parts a client was told, after checking that they are
// numbered, marked and, at the end, complete.
func parts(t *testing.T, c *client, streamID string) []string {
	t.Helper()
	told := c.notifications()
	var deltas []string
	for i, n := range told {
		fields := n.Params.AdditionalFields
		partial, _ := n.Params.Meta["wigwag/partial"].(map[string]any)
		if c.token == nil {
			partial, _ = fields["data"].(map[string]any)
			if n.Method != "notifications/message" || fmt.Sprint(fields["level"]) != "info" || fields["logger"] != "wigwag" {
				t.Fatalf("notification %d: %+v", i, n)
			}
		} else if n.Method != "notifications/progress" || fields["progressToken"] != c.token ||
			fields["progress"] != i+1 || fields["total"] != len(told) || fields["message"] != partial["delta"] {
			t.Fatalf("notification %d: %+v", i, n)
		}
		if partial["stream_id"] != streamID || partial["isComplete"] != (i == len(told)-1) || partial["progress"] != 100*(i+1)/len(told) {
			t.Fatalf("partial %d of %d: %+v", i+1, len(told), partial)
		}
		if _, err := json.Marshal(n); err != nil {
			t.Fatal(err)
		}
		deltas = append(deltas, partial["delta"].(string))
	}
	return deltas
}

func TestStreamMessage(t *testing.T) {
	for _, tt := range []struct {
		name, message, by string
		interval          string // as it is sent
		parts             int
		takes             time.Duration
	}{
		{"words", "one two  three\nfour", "word", "", 4, 3 * 40 * time.Millisecond},
		{"slow", "one two three", "word", "2000", 3, 4 * time.Second},
		{"at once", "one two three", "word", "0", 3, 0},
		{"one part", "hello", "word", "2000", 1, 0},
		{"sentences", "One. Two? Three!", "sentence", "10", 3, 20 * time.Millisecond},
		{"lines", "a b\nc\n", "line", "10", 2, 10 * time.Millisecond},
		{"many words", strings.Repeat("word ", 1000), "word", "0", 200, 0},
		{"30 s in all", strings.Repeat("w ", 200), "word", "2000", 200, 30 * time.Second},
		{"just below", strings.Repeat("w ", 16), "word", "2000", 16, 30 * time.Second},
		{"Japanese", "今日はいい天気ですね。散歩に行きましょう。", "sentence", "0", 2, 0},
		{"hostile", "\x1b[2J\u202e </message> \r\n", "word", "0", 2, 0},
	} {
		for _, token := range []any{nil, "token"} {
			t.Run(tt.name+fmt.Sprint(token), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHost(t)
					alice := h.client("alice")
					alice.token = token
					interval := ""
					if tt.interval != "" {
						interval = `,"interval_ms":` + tt.interval
					}
					start := time.Now()
					r := alice.must(t, "stream_message", `{"message":`+quoted(tt.message)+`,"chunk_by":"`+tt.by+`"`+interval+`}`)
					took := time.Since(start)
					var s streamed
					r.bind(t, &s)
					if rounding := 200 * time.Nanosecond; took > tt.takes || took < tt.takes-rounding {
						t.Errorf("it took %v, want %v", took, tt.takes)
					}
					got := parts(t, alice, s.StreamID)
					if len(got) != tt.parts || s.Parts != tt.parts || strings.Join(got, "") != tt.message {
						t.Errorf("%d parts %q, the result says %d", len(got), got, s.Parts)
					}
					if s.Message != tt.message || !strings.HasSuffix(r.text, "\nmessage:\n"+tt.message) {
						t.Errorf("the result does not repeat the text: %q", r.text)
					}
					for _, fact := range []string{"id: " + s.ID, "room: " + s.Room, "time: " + s.Time.String(), "stream_id: " + s.StreamID, fmt.Sprint("parts: ", s.Parts), "duplicate: false"} {
						if !strings.Contains(r.text, fact+"\n") {
							t.Errorf("the text lacks %q:\n%s", fact, r.text)
						}
					}
					var page messages
					alice.must(t, "read_messages", `{}`).bind(t, &page)
					if len(page.Messages) != 1 || page.Messages[0].StreamID != s.StreamID || page.Messages[0].ID != s.ID || page.Messages[0].Message.Message != tt.message {
						t.Errorf("stored: %+v", page.Messages)
					}
				})
			})
		}
	}
}

func FuzzStreamMessage(f *testing.F) {
	f.Add("hello there", uint8(0))
	f.Add("é́ 👩‍👩‍👧 สวัสดี\r\n今日", uint8(1))
	f.Fuzz(func(t *testing.T, message string, by uint8) {
		h := newHost(t)
		alice := h.client("alice")
		alice.token = "t"
		r, err := alice.call(t.Context(), t, "stream_message", `{"interval_ms":0,"message":`+quoted(message)+`,"chunk_by":"`+[]string{"word", "sentence", "line"}[by%3]+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		if r.isError {
			if len(alice.notifications()) > 0 {
				t.Error("parts of a refused message")
			}
			return
		}
		var s streamed
		r.bind(t, &s)
		if got := parts(t, alice, s.StreamID); strings.Join(got, "") != s.Message || len(got) > maxParts || len(got) != s.Parts {
			t.Errorf("%d parts %q of %q", len(got), got, s.Message)
		}
	})
}

// listen lets a user listen to messages. The function it returns ends that
// and says what was seen: messages, partial ones with a ~ before, cancelled
// ones with a !.
func listen(t *testing.T, h *hub.Hub, user string) func() []string {
	t.Helper()
	l, err := h.Listen(t.Context(), hub.Actor{Name: user}, hub.ListenOptions{Types: []string{"message", "partial-message"}})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			events, err := l.Next(context.Background())
			if err != nil {
				return
			}
			for _, e := range events {
				switch {
				case e.Message != nil:
					seen = append(seen, e.Message.Message)
				case e.Partial.Cancelled:
					seen = append(seen, "!"+e.Partial.Message)
				default:
					seen = append(seen, "~"+e.Partial.Message)
				}
			}
		}
	}()
	return func() []string {
		l.Close()
		<-done
		return seen
	}
}

// The room sees the message grow.
func TestStreamMessageInTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice := h.client("alice")
		listener := listen(t, h.hub, "bob")
		alice.must(t, "stream_message", `{"message":"one two three","interval_ms":1000}`)
		synctest.Wait()
		got := listener()
		want := []string{"~one ", "~one two ", "one two three"}
		if len(got) < 3 || got[0] != want[0] || got[1] != want[1] || got[len(got)-1] != want[2] {
			t.Errorf("bob saw %q", got)
		}
	})
}

// A cancelled call stores nothing, says so to the room, and frees its key.
func TestStreamMessageCancelled(t *testing.T) {
	for _, after := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t)
			alice := h.client("alice")
			listener := listen(t, h.hub, "bob")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(after, cancel)
			if after == 0 {
				cancel()
			}
			r, err := alice.call(ctx, t, "stream_message", `{"message":"one two three","interval_ms":1000,"idempotency_key":"k"}`)
			if err == nil {
				t.Fatalf("after %v: result %+v", after, r)
			}
			synctest.Wait()
			if got := listener(); after > 0 && (len(got) == 0 || got[len(got)-1][0] != '!') {
				t.Errorf("after %v bob saw %q", after, got)
			}
			if n := len(alice.notifications()); n > 2 {
				t.Errorf("after %v: %d parts", after, n)
			}
			var page messages
			alice.must(t, "read_messages", `{}`).bind(t, &page)
			if len(page.Messages) != 0 {
				t.Errorf("after %v: stored %+v", after, page.Messages)
			}
			var s streamed
			alice.must(t, "stream_message", `{"message":"one two three","idempotency_key":"k"}`).bind(t, &s)
			if s.Duplicate {
				t.Errorf("after %v the key was taken", after)
			}
		})
	}
}

// A caller who cannot be told any more is not a caller who cancelled.
func TestStreamMessageToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice := h.client("alice")
		alice.refuse = true
		var s streamed
		alice.must(t, "stream_message", `{"message":"one two three"}`).bind(t, &s)
		if s.Parts != 3 || s.ID == "" {
			t.Errorf("result %+v", s)
		}
	})
}

// stubborn is a session that lets its caller wait until the call is over.
type stubborn struct{ *client }

func (stubborn) Notify(ctx context.Context, _ mcp.JSONRPCNotification) error {
	<-ctx.Done()
	return errors.New("too late")
}

// A caller who reads nothing holds its own call, which can still be cancelled.
func TestStreamMessageToAWall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice := h.client("alice")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ctx = context.WithValue(ctx, actorKey{}, alice.actor)
		reply := h.HandleMessage(h.WithContext(ctx, stubborn{alice}),
			json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream_message","arguments":{"message":"one two"}}}`))
		if b, err := json.Marshal(reply); err != nil || !strings.Contains(string(b), `"error"`) {
			t.Errorf("reply %s, %v", b, err)
		}
		var page messages
		alice.must(t, "read_messages", `{}`).bind(t, &page)
		if len(page.Messages) != 0 {
			t.Errorf("stored %+v", page.Messages)
		}
	})
}
