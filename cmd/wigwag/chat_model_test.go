package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wigwag/client"
	"wigwag/hub"
	"wigwag/terminal"
)

// noon is what time it is in these tests.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func newChatModel() *chatModel {
	return &chatModel{style: lineStyle{zone: time.UTC}, columns: 41, rows: 10}
}

func said(who, text string) client.Event {
	return client.Event{Message: &client.Message{ID: "e-1", Room: "general", Sender: client.Sender{Name: who}, Message: text, Time: noon}}
}

func growing(stream, text string, progress int) client.Event {
	return client.Event{Partial: &client.Partial{StreamID: stream, Room: "general", Sender: client.Sender{Name: "bob", Via: "Claude Code"}, Message: text, Progress: progress, Time: noon}}
}

func became(state string, in time.Duration, err error) client.Event {
	return client.Event{State: &client.State{State: state, Attempt: 2, RetryIn: in, Err: err}}
}

// typed presses keys and returns what is to be done after the last of them.
func typed(m *chatModel, keys string) (a chatAction) {
	k := terminal.NewKeys(strings.NewReader(keys))
	for {
		key, err := k.Next()
		if err != nil {
			return a
		}
		a = m.press(key)
	}
}

// What happens, and what the terminal shows then: what is new above the line,
// and what is below it.
func TestChatFrames(t *testing.T) {
	m := newChatModel()
	for _, step := range []struct {
		name   string
		happen func()
		want   string
	}{
		{"at first", func() {}, `
----
-- connecting
> `},
		{"opened", func() { m.opened("general", []client.Message{*said("alice", "Hello").Message}, noon) }, `
* This is general. /help says what can
* be done.
12:00:00 general alice: Hello
----
-- general | connecting
> `},
		{"connected", func() { m.event(became(client.Connected, 0, nil), noon) }, `
----
-- general | connected
> `},
		{"somebody writes", func() { m.event(growing("s", "A longer text that is", 40), noon) }, `
----
12:00:00 general bob (via Claude Code)
    is writing (40 %): A longer text
    that is
-- general | connected
> `},
		{"it grows while one types", func() {
			m.event(growing("s", "A longer text that is being\nwritten", 90), noon)
			typed(m, "mine\x1b[D")
		}, `
----
12:00:00 general bob (via Claude Code)
    is writing (90 %): A longer text
    that is being
    written
-- general | connected
> min|e`},
		{"it is there", func() {
			last := growing("s", "A longer text", 100)
			last.Partial.IsComplete = true
			m.event(last, noon)
			whole := said("bob", "A longer text")
			whole.Message.StreamID = "s"
			m.event(whole, noon)
		}, `
12:00:00 general bob: A longer text
----
-- general | connected
> min|e`},
		{"sent", func() { typed(m, "\r") }, `
----
-- general | sending 1 | connected
> `},
		{"acknowledged", func() { m.event(said("alice", "mine"), noon); m.sent("mine", nil) }, `
12:00:00 general alice: mine
----
-- general | connected
> `},
		{"refused", func() { typed(m, "bad\r"); m.sent("bad", errors.New("answers 400")) }, `
* Not sent: answers 400
* bad
----
-- general | connected
> `},
		{"one breaks off", func() {
			m.event(growing("t", "never don", 0), noon)
			over := growing("t", "never don", 0)
			over.Partial.IsComplete, over.Partial.Cancelled = true, true
			m.event(over, noon)
		}, `
12:00:00 general bob (via Claude Code)
    broke off: never don
----
-- general | connected
> `},
		{"interrupted", func() {
			ev := said("carol", "half")
			ev.Message.Interrupted = true
			m.event(ev, noon)
		}, `
12:00:00 general carol: half
    [interrupted]
----
-- general | connected
> `},
		{"the connection breaks", func() {
			m.event(growing("u", "lost", 0), noon)
			m.event(became(client.Reconnecting, 4*time.Second, errors.New("EOF")), noon.Add(-time.Second))
		}, `
----
-- general | reconnecting in 3s (attempt
> `},
		{"and is there again", func() { m.event(became(client.Connected, 0, nil), noon) }, `
----
-- general | connected
> `},
		{"something is gone", func() { m.event(client.Event{Reset: &client.Reset{Reason: "expired"}}, noon) }, `
* messages may be missing here: expired
----
-- general | connected
> `},
		{"going elsewhere", func() { typed(m, "/room other\r") }, `
----
-- general | going to other | connected
> `},
		{"which is not there", func() { m.notOpened(errors.New("there is no room")) }, `
* there is no room
----
-- general | connected
> `},
		{"signed out", func() {
			m.event(became(client.Disconnected, 0, &client.Error{Status: http.StatusUnauthorized}), noon)
		}, `
----
-- general | signed out: wigwag login si
> `},
		{"a terminal is steered by nobody", func() {
			m.event(said("eve", "\x1b[2J\x1b]0;title\x07x\r12:00:00 general bob: y\u202e\n* This is nowhere."), noon)
		}, `
12:00:00 general eve: x 12:00:00 general
    bob: y
    * This is nowhere.
----
-- general | signed out: wigwag login si
> `},
	} {
		step.happen()
		f := m.frame(noon)
		var got strings.Builder
		got.WriteString("\n")
		for _, line := range append(append(f.Above, "----"), f.Live...) {
			got.WriteString(line + "\n")
		}
		want := strings.Replace(step.want, "|e", "e", 1) + "\n"
		if got.String() != want {
			t.Errorf("%s: the terminal shows %s\nwant %s", step.name, got.String(), want)
		}
		last := step.want[strings.LastIndex(step.want, "\n")+1:]
		if before, _, split := strings.Cut(last, "|"); split && f.Column != len(before) || f.Row != len(f.Live)-1 {
			t.Errorf("%s: the cursor is at %d, %d", step.name, f.Row, f.Column)
		}
	}
}

// However much is being written, what is shown of it leaves room for the rest,
// and the newest of it is seen.
func TestChatFrameFits(t *testing.T) {
	m := newChatModel()
	for i := range maxWriting + 3 {
		m.event(growing(string(rune('a'+i)), strings.Repeat("line\n", 30)+"end", 0), noon)
	}
	for rows := 1; rows < 40; rows++ {
		m.rows = rows
		if f := m.frame(noon); len(f.Live) > max(2, rows-1) {
			t.Errorf("%d live lines on %d rows", len(f.Live), rows)
		} else if rows > 2+maxWriting && !strings.HasSuffix(f.Live[0], "end") && !slices.ContainsFunc(f.Live, func(l string) bool { return strings.HasSuffix(l, "end") }) {
			t.Errorf("%q does not have the end", f.Live)
		}
	}
}

func TestChatKeys(t *testing.T) {
	for _, tt := range []struct {
		keys string
		want chatAction
		left string // in the editor
	}{
		{"Hello\r", chatAction{sendText, "Hello"}, ""},
		{"  \r", chatAction{}, "  "},
		{"two\x1b\rlines\r", chatAction{sendText, "two\nlines"}, ""},
		{"\x1b[200~two\rlines\n\x1b[201~\r", chatAction{sendText, "two\nlines"}, ""},
		{"//not a command\r", chatAction{sendText, "/not a command"}, ""},
		{"/room  other \r", chatAction{goToRoom, "other"}, ""},
		{"/to bob\r", chatAction{goToUser, "bob"}, ""},
		{"/quit\r", chatAction{kind: leave}, "/quit"},
		{"/help\r", chatAction{}, ""},
		{"/nothing\r", chatAction{}, "/nothing"},
		{"/room\r", chatAction{}, "/room"},
		{"\x04", chatAction{kind: leave}, ""},
		{"ab\x01\x04", chatAction{}, "b"},
		{"ab\x03", chatAction{kind: leaveNow}, "ab"},
		{"\x1b[200~" + strings.Repeat("x", hub.MaxText+1) + "\x1b[201~\r", chatAction{}, strings.Repeat("x", hub.MaxText+1)},
	} {
		m := newChatModel()
		m.room = "general"
		if got := typed(m, tt.keys); got != tt.want || m.editor.Text() != tt.left {
			t.Errorf("%.40q: %.40v, %.40q is left; want %.40v, %.40q", tt.keys, got, m.editor.Text(), tt.want, tt.left)
		}
	}
	m := newChatModel()
	if got := typed(m, "early\r"); got != (chatAction{}) || m.editor.Text() != "early" {
		t.Errorf("without a room: %v", got)
	}
	m.room, m.unsent = "general", maxUnsent
	if got := typed(m, "\r"); got != (chatAction{}) || m.editor.Text() != "early" {
		t.Errorf("with too many unsent: %v", got)
	}
}
