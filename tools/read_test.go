package tools

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/hub"
)

// fill lets bob send texts to a room, one after the other.
func (h *host) fill(t *testing.T, target hub.Target, texts ...string) (ids []string) {
	t.Helper()
	for _, text := range texts {
		m, _, err := h.hub.Send(t.Context(), hub.Actor{Name: "bob"}, hub.Draft{Target: target, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

// read calls read_messages and checks what holds for every page.
func (c *client) read(t *testing.T, tool, arguments string) messages {
	t.Helper()
	r := c.must(t, tool, arguments)
	var page messages
	r.bind(t, &page)
	sameFacts(t, r.text, page)
	return page
}

// sameFacts checks that the text says what the structured content says.
func sameFacts(t *testing.T, text string, page messages) {
	t.Helper()
	head := fmt.Sprintf("messages: %d, oldest first\nnext: %s\nmore: %t\n", len(page.Messages), page.Next, page.More)
	if !strings.HasPrefix(text, head) {
		t.Errorf("the text begins %q, want %q", text[:min(len(text), 120)], head)
	}
	attributes, texts := unfence(t, text)
	if len(texts) != len(page.Messages) {
		t.Fatalf("%d texts, %d messages", len(texts), len(page.Messages))
	}
	for i, m := range page.Messages {
		want := fmt.Sprintf(` id=%q room=%q sender=%q`, m.ID, m.Room, m.Sender.Name)
		if m.Sender.Via != "" {
			want += fmt.Sprintf(` via=%q`, m.Sender.Via)
		}
		want += fmt.Sprintf(` time=%q`, m.Time)
		if m.ReplyTo != "" {
			want += fmt.Sprintf(` reply_to=%q`, m.ReplyTo)
		}
		if m.StreamID != "" {
			want += fmt.Sprintf(` stream_id=%q`, m.StreamID)
		}
		if m.Truncated {
			want += fmt.Sprintf(` truncated="true" total_chars="%d"`, m.TotalChars)
		}
		if attributes[i] != want {
			t.Errorf("attributes %q, want %q", attributes[i], want)
		}
		if texts[i] != visible(m.Message.Message) {
			t.Errorf("text %q, want %q", texts[i], m.Message.Message)
		}
	}
}

func textsOf(page messages) (texts []string) {
	for _, m := range page.Messages {
		texts = append(texts, m.Message.Message)
	}
	return texts
}

func TestReadMessages(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	if page := alice.read(t, "read_messages", `{}`); len(page.Messages) != 0 || page.Next == "" || page.More {
		t.Errorf("an empty room: %+v", page)
	}
	ids := h.fill(t, hub.Target{}, "a", "b", "c", "d", "e")
	h.fill(t, hub.Target{To: "alice"}, "between us")
	for _, tt := range []struct {
		args string
		want string
		next string
		more bool
	}{
		{`{}`, "abcde", ids[4], false},
		{`{"limit":2}`, "de", ids[4], false},
		{`{"after":"0"}`, "abcde", ids[4], false},
		{`{"after":"0","limit":2}`, "ab", ids[1], true},
		{`{"after":"` + ids[1] + `","limit":2}`, "cd", ids[3], true},
		{`{"after":"` + ids[3] + `"}`, "e", ids[4], false},
		{`{"before":"` + ids[4] + `","limit":2}`, "cd", ids[2], true},
		{`{"before":"` + ids[2] + `","limit":2}`, "ab", ids[0], false},
		{`{"after":"0","max_chars":3}`, "abc", ids[2], true},
		{`{"before":"` + ids[4] + `","max_chars":3}`, "bcd", ids[1], true},
		{`{"max_chars":3}`, "cde", ids[4], false},
		{`{"to":"bob"}`, "between us", "", false},
		{`{"room":"dm/alice/bob"}`, "between us", "", false},
	} {
		page := alice.read(t, "read_messages", tt.args)
		if got := strings.Join(textsOf(page), ""); got != tt.want || page.More != tt.more || tt.next != "" && page.Next != tt.next {
			t.Errorf("%s: %q, next %s, more %t; want %+v", tt.args, got, page.Next, page.More, tt)
		}
	}
}

// However long the texts are: every page stays small, and reading on gives
// all of them, once, in both directions.
func TestReadingOnSkipsNothing(t *testing.T) {
	for _, letter := range []string{"x", "字", "\x01", "👩‍👩‍👧"} {
		h := newHost(t)
		alice := h.client("alice")
		var sent []string
		for i := range 40 {
			text := fmt.Sprintf("%02d ", i)
			n := []int{1, 10, 300, 2000, 9000}[i%5] / len(letter)
			sent = append(sent, text+strings.Repeat(letter, max(n, 1)))
		}
		sent[30] = "30 " + strings.Repeat(letter, 60_000/len(letter))
		h.fill(t, hub.Target{}, sent...)

		check := func(direction string, got []string, cut int) {
			t.Helper()
			if len(got) != len(sent) {
				t.Fatalf("%s with %q: %d of %d messages", direction, letter, len(got), len(sent))
			}
			for i, text := range got {
				if !strings.HasPrefix(sent[i], text) || text == "" {
					t.Errorf("%s with %q: message %d is %.20q", direction, letter, i, text)
				}
			}
			if cut == 0 || len(sent[30]) == len(got[30]) {
				t.Errorf("%s with %q: nothing was cut", direction, letter)
			}
		}
		read := func(args string) (messages, int) {
			r := alice.must(t, "read_messages", args)
			var page messages
			r.bind(t, &page)
			sameFacts(t, r.text, page)
			structured := r.bytes - len(quoted(r.text))
			if both := structured + len(r.text); both > 30_000 {
				t.Errorf("%s with %q: %d bytes", args, letter, both)
			}
			cut := 0
			for _, m := range page.Messages {
				if m.Truncated {
					cut++
				}
			}
			return page, cut
		}

		page, cuts := read(`{"after":"0","limit":20}`)
		forwards := textsOf(page)
		for page.More {
			var cut int
			page, cut = read(`{"limit":20,"after":"` + page.Next + `"}`)
			forwards = append(forwards, textsOf(page)...)
			cuts += cut
		}
		check("forwards", forwards, cuts)

		page, cuts = read(`{"limit":1}`)
		backwards := textsOf(page)
		for page.Next, page.More = page.Messages[0].ID, true; page.More; {
			var cut int
			page, cut = read(`{"limit":20,"before":"` + page.Next + `"}`)
			backwards = slices.Concat(textsOf(page), backwards)
			cuts += cut
		}
		check("backwards", backwards, cuts)
	}
}

// A message too long for the bound comes whole to whoever asks for it.
func TestLongMessage(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	long := strings.Repeat("longer ", 9000)
	h.fill(t, hub.Target{}, long, "short")
	page := alice.read(t, "read_messages", `{"after":"0"}`)
	if len(page.Messages) != 1 || !page.Messages[0].Truncated || page.Messages[0].TotalChars != len(long) || !page.More {
		t.Fatalf("%d messages, more %t", len(page.Messages), page.More)
	}
	page = alice.read(t, "read_messages", `{"after":"0","max_chars":20000}`)
	if m := page.Messages[0]; !m.Truncated || len(m.Message.Message) != 20_000 {
		t.Errorf("%d characters, truncated %t", len(m.Message.Message), m.Truncated)
	}
	page = alice.read(t, "read_messages", `{"after":"0","max_chars":100000}`)
	if len(page.Messages) != 2 || page.Messages[0].Message.Message != long || page.Messages[0].Truncated || page.More {
		t.Errorf("%d messages", len(page.Messages))
	}
}

func TestWaitForMessages(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	ids := h.fill(t, hub.Target{}, "one", "@alice two")
	h.fill(t, hub.Target{To: "alice"}, "three")
	h.fill(t, hub.Target{To: "carol"}, "not for alice")
	for _, tt := range []struct{ args, want string }{
		{`{"after":"0"}`, "one, @alice two, three"},
		{`{"after":"` + ids[0] + `"}`, "@alice two, three"},
		{`{"after":"0","rooms":["general"]}`, "one, @alice two"},
		{`{"after":"0","mentions_only":true}`, "@alice two, three"},
		{`{"timeout_s":0}`, ""},
	} {
		page := alice.read(t, "wait_for_messages", tt.args)
		if got := strings.Join(textsOf(page), ", "); got != tt.want || page.Next == "" {
			t.Errorf("%s: %q, next %q", tt.args, got, page.Next)
		}
	}
}

func TestWaitForMessagesTimes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  string
		sent  time.Duration // when bob writes, never if 0
		takes time.Duration
		beats int
	}{
		{"default", `{}`, 0, 25 * time.Second, 2},
		{"longest", `{"timeout_s":50}`, 0, 50 * time.Second, 4},
		{"no wait", `{"timeout_s":0}`, 0, 0, 0},
		{"one beat's time", `{"timeout_s":10}`, 0, 10 * time.Second, 0},
		{"early", `{"timeout_s":50}`, 3 * time.Second, 3 * time.Second, 0},
		{"late", `{"timeout_s":50}`, 43 * time.Second, 43 * time.Second, 4},
	} {
		for _, token := range []any{nil, "token"} {
			t.Run(fmt.Sprint(tt.name, token), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHost(t)
					alice := h.client("alice")
					alice.token = token
					if tt.sent > 0 {
						time.AfterFunc(tt.sent, func() {
							if _, _, err := h.hub.Send(t.Context(), hub.Actor{Name: "bob"}, hub.Draft{Text: "hello"}); err != nil {
								t.Error(err)
							}
						})
					}
					start := time.Now()
					page := alice.read(t, "wait_for_messages", tt.args)
					if took := time.Since(start); took != tt.takes {
						t.Errorf("it took %v, want %v", took, tt.takes)
					}
					if got := len(page.Messages) == 1; got != (tt.sent > 0) || page.Next == "" || page.More {
						t.Errorf("page %+v", page)
					}
					beats := alice.notifications()
					want := tt.beats
					if token == nil {
						want = 0
					}
					if len(beats) != want {
						t.Errorf("%d beats, want %d", len(beats), want)
					}
					for i, n := range beats {
						if p := n.Params.AdditionalFields; p["progress"] != 10*(i+1) || n.Method != "notifications/progress" {
							t.Errorf("beat %d: %+v", i, n)
						}
					}
				})
			})
		}
	}
}

// Waiting with the cursor of the last result misses nothing and repeats
// nothing, whatever comes between and however the waits end.
func TestWaitingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice := h.client("alice")
		sent := make([]string, 100)
		for i := range sent {
			sent[i] = fmt.Sprint(i)
			if i%10 == 0 {
				sent[i] += strings.Repeat(" long", 1500)
			}
		}
		go func() {
			for i, text := range sent {
				<-time.After(time.Duration(i%7) * time.Second)
				if _, _, err := h.hub.Send(t.Context(), hub.Actor{Name: "bob"}, hub.Draft{Text: text}); err != nil {
					t.Error(err)
				}
			}
		}()
		var got []string
		for next := "0"; len(got) < len(sent); {
			page := alice.read(t, "wait_for_messages", `{"timeout_s":2,"after":"`+next+`"}`)
			got = append(got, textsOf(page)...)
			next = page.Next
			<-time.After(2 * time.Second)
		}
		if !slices.Equal(got, sent) {
			t.Errorf("got %.20q", got)
		}
	})
}

func TestWaitForMessagesCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice := h.client("alice")
		ctx, cancel := context.WithTimeout(t.Context(), 17*time.Second)
		defer cancel()
		start := time.Now()
		if r, err := alice.call(ctx, t, "wait_for_messages", `{"timeout_s":50}`); err == nil {
			t.Errorf("result %+v", r)
		}
		if took := time.Since(start); took != 17*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A client that does not read does not make the wait longer.
func TestWaitForMessagesToAWall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice := h.client("alice")
		start := time.Now()
		ctx := context.WithValue(t.Context(), actorKey{}, alice.actor)
		h.HandleMessage(h.WithContext(ctx, stubborn{alice}),
			[]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait_for_messages","arguments":{"timeout_s":50},"_meta":{"progressToken":1}}}`))
		if took := time.Since(start); took != 50*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
