package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scripts are texts that are easily broken.
var scripts = map[string]string{
	"japanese":      "こんにちは、世界。カタカナと漢字が混ざった文です。",
	"chinese":       "你好，世界。这是一条没有空格的消息。",
	"thai":          "สวัสดีครับ นี่คือข้อความภาษาไทยที่ไม่มีช่องว่าง น้ำใจ",
	"emoji":         "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇯🇵 ❤️",
	"right to left": "שלום עולם — مرحبا بالعالم \u2067x\u2069",
	"combining":     "e\u0301 ก\u0e33 \u1112\u1161\u11ab नमस्ते",
	"markup":        "<b>&amp;</b> \"quoted\" \\n \u2028 \r\n {\"type\":\"message\"}",
	"controls":      "\x01\x1b[31m\x7f\u0085\ufeff\ufffd",
}

func TestSend(t *testing.T) {
	h := newHub(t)
	l := listen(t, h, bob, ListenOptions{})
	first := send(t, h, alice, General, "hello")
	m, duplicate, err := h.Send(t.Context(), bob, Draft{Text: "hello to you", ReplyTo: first.ID})
	if err != nil || duplicate {
		t.Fatal(err)
	}
	want := Message{
		ID: h.id(2), Type: "message", Room: General, Sender: Sender{Name: "bob"},
		Message: "hello to you", Time: m.Time, ReplyTo: first.ID,
	}
	if m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if first.Sender != (Sender{Name: "alice", Via: "Claude Code"}) {
		t.Errorf("the sender is %+v", first.Sender)
	}
	if d := time.Since(m.Time.Time); d < -time.Millisecond || d > time.Minute || m.Time.Location() != time.UTC {
		t.Errorf("the time is %v", m.Time)
	}
	page, err := h.History(t.Context(), carol, HistoryQuery{})
	if err != nil || len(page.Messages) != 2 || page.Messages[0] != first || page.Messages[1] != m {
		t.Errorf("history is %+v, %v", page, err)
	}
	var heard []Message
	for len(heard) < 2 {
		for _, e := range next(t, l) {
			heard = append(heard, *e.Message)
		}
	}
	if heard[0] != first || heard[1] != m {
		t.Errorf("a listener got %+v", heard)
	}
	data, err := json.Marshal(m)
	wire := fmt.Sprintf(`{"id":%q,"type":"message","room":"general","sender":{"name":"bob"},"message":"hello to you","time":%q,"reply_to":%q}`, m.ID, m.Time, first.ID)
	if err != nil || string(data) != wire {
		t.Errorf("on the wire: %s, %v; want %s", data, err, wire)
	}
}

func TestScripts(t *testing.T) {
	for name, text := range scripts {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			l := listen(t, h, bob, ListenOptions{})
			sent := send(t, h, alice, "dm/alice/bob", text)
			events := next(t, l)
			page, err := h.History(t.Context(), bob, HistoryQuery{Target: Target{To: "alice"}})
			if err != nil || sent.Message != text || *events[0].Message != sent || page.Messages[0] != sent {
				t.Errorf("%q became %q, %q, %+v, %v", text, sent.Message, events[0].Message.Message, page, err)
			}
		})
	}
}

func TestReplyTo(t *testing.T) {
	h := newHub(t)
	there := send(t, h, alice, General, "x")
	open(t, h, alice, RoomSpec{Name: "other"})
	elsewhere := send(t, h, alice, "other", "x")
	for id, ok := range map[string]bool{
		there.ID: true, elsewhere.ID: false, h.id(0): false, h.id(99): false, "other-1": false, "1": false, "0": false, there.ID + " ": false,
	} {
		_, _, err := h.Send(t.Context(), bob, Draft{Text: "y", ReplyTo: id, Key: "k" + strings.TrimSpace(id)})
		if ok && err != nil {
			t.Errorf("reply to %q: %v", id, err)
		} else if !ok {
			wantCode(t, err, NotFound, "reply_to")
		}
		if _, _, err := h.Stream(t.Context(), bob, Draft{Text: "y", ReplyTo: id}); (err == nil) != ok {
			t.Errorf("stream in reply to %q: %v", id, err)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	h := newHub(t)
	for _, d := range []Draft{{}, {Text: "\xff"}, {Text: "a\x00"}, {Text: strings.Repeat("x", MaxText+1)}} {
		_, _, err := h.Send(t.Context(), alice, d)
		wantCode(t, err, Invalid, "message")
		if d.Text != "" { // empty, it is yet to come
			_, _, err = h.Stream(t.Context(), alice, d)
			wantCode(t, err, Invalid, "message")
		}
	}
	_, _, err := h.Send(t.Context(), alice, Draft{Text: "x", Key: "\n"})
	wantCode(t, err, Invalid, "idempotency_key")
	if page, _ := h.History(t.Context(), alice, HistoryQuery{}); len(page.Messages) != 0 {
		t.Errorf("stored: %q", texts(page))
	}
}

// TestFullLog: who sends is told, and what is stored stays.
func TestFullLog(t *testing.T) {
	h := newHubOver(t, NewMemoryLog(4000))
	sent := 0
	var err error
	for ; err == nil && sent < 100; sent++ {
		_, _, err = h.Send(t.Context(), alice, Draft{Text: strings.Repeat("x", 100), Key: fmt.Sprint("k", sent)})
	}
	wantCode(t, err, Full, "")
	s, _, err := h.Stream(t.Context(), alice, Draft{Text: strings.Repeat("x", 300), Tool: "stream", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, h, bob, ListenOptions{})
	s.Part("xx", 1, 2)
	wantEvents(t, l, "xx…")
	_, err = s.Finish(t.Context())
	wantCode(t, err, Full, "")
	wantEvents(t, l, "xx×")
	if page, err := h.History(t.Context(), alice, HistoryQuery{After: "0"}); err != nil || len(page.Messages) != sent-1 || sent < 5 {
		t.Errorf("%d messages were sent, %d are there, %v", sent-1, len(page.Messages), err)
	}
}

func TestSendCancelled(t *testing.T) {
	h := newHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := h.Send(ctx, alice, Draft{Text: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v", err)
	}
	if h.Head() != h.id(0) {
		t.Error("a cancelled message was stored")
	}
}

// TestSendWithLateFollower: a message that is stored is sent, even if its way
// to listeners is slow.
func TestSendWithLateFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lazyLog{MemoryLog: NewMemoryLog(1 << 20)}
		h := newHubOver(t, log)
		start := time.Now()
		m := send(t, h, alice, General, "x")
		if d := time.Since(start); d != appliedWithin || h.Head() != h.id(0) {
			t.Errorf("Send took %v; head is %s", d, h.Head())
		}
		ctx, cancel := context.WithTimeout(t.Context(), appliedWithin/2)
		defer cancel()
		if _, _, err := h.Send(ctx, alice, Draft{Text: "y"}); err != nil || time.Since(start) != appliedWithin*3/2 {
			t.Errorf("Send took until %v: %v", time.Since(start), err)
		}
		page, err := h.History(t.Context(), bob, HistoryQuery{})
		if err != nil || texts(page) != "x|y" || page.Messages[0] != m {
			t.Errorf("history is %+v, %v", page, err)
		}
	})
}
