package hub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func notify(t *testing.T, h *Hub, a Actor, to, text string) Notification {
	t.Helper()
	n, _, err := h.Notify(t.Context(), a, NotificationDraft{To: to, Level: LevelInfo, Message: text})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNotify(t *testing.T) {
	h := newHub(t)
	n, _, err := h.Notify(t.Context(), alice, NotificationDraft{
		To: "bob", Level: LevelSuccess, Title: "Build", Message: "done", Progress: new(100), Key: "build-1",
	})
	if err != nil || n.ID != h.id(1) || h.Head() != n.ID {
		t.Fatalf("%+v, %v", n, err)
	}
	data, err := json.Marshal(n)
	wire := fmt.Sprintf(`{"id":%q,"level":"success","title":"Build","message":"done","to":"bob","sender":{"name":"alice","via":"Claude Code"},"time":%q,"progress":100,"key":"build-1"}`, n.ID, n.Time)
	if err != nil || string(data) != wire {
		t.Errorf("on the wire: %s, %v; want %s", data, err, wire)
	}
	data, err = json.Marshal(notify(t, h, bob, "", "to all"))
	if got := string(data); err != nil || strings.Contains(got, "progress") || strings.Contains(got, "key") || strings.Contains(got, "title") || strings.Contains(got, `"to"`) {
		t.Errorf("on the wire: %s, %v", got, err)
	}
	if _, _, err := h.Notify(t.Context(), alice, NotificationDraft{Level: LevelInfo, Message: "x", Progress: new(0)}); err != nil {
		t.Error(err)
	}
	l := listen(t, h, bob, ListenOptions{After: "0"})
	events := next(t, l)
	if got := *events[0].Notification; got.ID != n.ID || got.Key != "build-1" || *got.Progress != 100 || got.Time != n.Time {
		t.Errorf("a listener got %+v", got)
	}
	if p := events[2].Notification.Progress; p == nil || *p != 0 {
		t.Errorf("no progress yet is %v", p)
	}
}

// TestNotificationsAreOfOneOrder: they come among messages, from the ring and
// from the log, to whom they are for.
func TestNotificationsAreOfOneOrder(t *testing.T) {
	for _, fromLog := range []bool{false, true} {
		h := newHub(t)
		if fromLog {
			shrinkRing(h)
		}
		live := map[string]*Listener{}
		for _, user := range people {
			live[user] = listen(t, h, Actor{Name: user}, ListenOptions{})
		}
		inDen := listen(t, h, bob, ListenOptions{Rooms: []string{"dm/alice/bob"}})
		send(t, h, alice, General, "1")
		notify(t, h, alice, "bob", "2")
		send(t, h, alice, "dm/alice/bob", "3")
		notify(t, h, alice, "", "4")
		notify(t, h, bob, "bob", "5")
		send(t, h, alice, General, "6")
		for user, want := range map[string]string{
			"alice": "1|info: 2|3|info: 4|6",
			"bob":   "1|info: 2|3|info: 4|info: 5|6",
			"carol": "1|info: 4|6",
			"dave":  "1|info: 4|6",
		} {
			if got := show(drain(t, live[user])); got != want {
				t.Errorf("%s got %q, want %q", user, got, want)
			}
			if got := show(drain(t, listen(t, h, Actor{Name: user}, ListenOptions{After: "0"}))); got != want {
				t.Errorf("%s got %q later, want %q", user, got, want)
			}
		}
		if got := show(drain(t, inDen)); got != "info: 2|3|info: 4|info: 5" {
			t.Errorf("with a room named came %q", got)
		}
		nothing(t, listen(t, h, Actor{}, ListenOptions{After: "0"}))
		// They are in no room's history and end no wait.
		if page, err := h.History(t.Context(), bob, HistoryQuery{After: "0"}); err != nil || texts(page) != "1|6" {
			t.Errorf("history is %q, %v", texts(page), err)
		}
		if page, err := h.Wait(t.Context(), bob, WaitQuery{After: h.id(1)}); err != nil || texts(page) != "3|6" {
			t.Errorf("a wait has %q, %v", texts(page), err)
		}
		if page, err := h.Wait(t.Context(), bob, WaitQuery{After: "0", MentionsOnly: true}); err != nil || texts(page) != "3" {
			t.Errorf("a wait for mentions has %q, %v", texts(page), err)
		}
		_, _, err := h.Send(t.Context(), bob, Draft{Text: "x", ReplyTo: h.id(2)})
		wantCode(t, err, NotFound, "reply_to")
	}
}

// TestNotificationWakes whom it is for, and nobody else.
func TestNotificationWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		toBob, toCarol := collect(t, h, bob), collect(t, h, carol)
		w := wait(t.Context(), h, bob, WaitQuery{})
		notify(t, h, alice, "bob", "one")
		synctest.Wait()
		pass(time.Second)
		if events, _ := toBob.all(); show(events) != "info: one" {
			t.Errorf("bob got %q", show(events))
		}
		if events, _ := toCarol.all(); len(events) != 0 || w.done {
			t.Errorf("carol got %q, the wait is over: %t", show(events), w.done)
		}
		h.Close()
	})
}

func TestNotifyRefuses(t *testing.T) {
	h := newHub(t)
	for _, test := range []struct {
		code  Code
		arg   string
		draft NotificationDraft
	}{
		{NotFound, "to", NotificationDraft{To: "nobody", Level: LevelInfo, Message: "x"}},
		{NotFound, "to", NotificationDraft{To: "Bob", Level: LevelInfo, Message: "x"}},
		{NotFound, "to", NotificationDraft{To: "*", Level: LevelInfo, Message: "x"}},
		{Invalid, "level", NotificationDraft{Message: "x"}},
		{Invalid, "level", NotificationDraft{Level: "debug", Message: "x"}},
		{Invalid, "message", NotificationDraft{Level: LevelInfo}},
		{Invalid, "message", NotificationDraft{Level: LevelInfo, Message: strings.Repeat("x", MaxNotice+1)}},
		{Invalid, "message", NotificationDraft{Level: LevelInfo, Message: "\xff"}},
		{Invalid, "message", NotificationDraft{Level: LevelInfo, Message: "a\x00"}},
		{Invalid, "title", NotificationDraft{Level: LevelInfo, Message: "x", Title: "a\nb"}},
		{Invalid, "title", NotificationDraft{Level: LevelInfo, Message: "x", Title: strings.Repeat("x", maxTopic+1)}},
		{Invalid, "progress", NotificationDraft{Level: LevelInfo, Message: "x", Progress: new(-1)}},
		{Invalid, "progress", NotificationDraft{Level: LevelInfo, Message: "x", Progress: new(101)}},
		{Invalid, "key", NotificationDraft{Level: LevelInfo, Message: "x", Key: "é"}},
		{Invalid, "idempotency_key", NotificationDraft{Level: LevelInfo, Message: "x", IdempotencyKey: "\n"}},
	} {
		_, _, err := h.Notify(t.Context(), alice, test.draft)
		wantCode(t, err, test.code, test.arg)
	}
	_, _, err := h.Notify(t.Context(), Actor{}, NotificationDraft{Level: LevelInfo, Message: "x"})
	wantCode(t, err, NotFound, "")
	if h.Head() != h.id(0) {
		t.Error("something was stored")
	}
}

func TestNotificationScripts(t *testing.T) {
	for name, text := range scripts {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			l := listen(t, h, bob, ListenOptions{})
			title := ""
			if checkLine("title", text, maxTopic) == nil {
				title = text
			}
			sent, _, err := h.Notify(t.Context(), alice, NotificationDraft{To: "bob", Level: LevelWarning, Title: title, Message: text})
			if got := next(t, l)[0].Notification; err != nil || sent.Message != text || *got != sent || sent.Title != title {
				t.Errorf("%q became %+v, %+v, %v", text, sent, got, err)
			}
		})
	}
}

// TestNotificationsExpire after seven days, and nothing else with them.
func TestNotificationsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		shrinkRing(h)
		send(t, h, alice, General, "1")
		notify(t, h, alice, "", "2")
		send(t, h, alice, General, "3")
		pass(notificationLife - time.Second)
		wantEvents(t, listen(t, h, bob, ListenOptions{After: h.id(1)}), "info: 2|3")
		pass(time.Second)
		wantEvents(t, listen(t, h, bob, ListenOptions{After: h.id(1)}), "3")
		wantEvents(t, listen(t, h, bob, ListenOptions{After: h.id(2)}), "3")
		h.Close()
	})
}

func TestNotifyIdempotency(t *testing.T) {
	h := newHub(t)
	d := NotificationDraft{To: "bob", Level: LevelInfo, Title: "t", Message: "x", Progress: new(10), Key: "job", Tool: "notify", IdempotencyKey: "k"}
	first, duplicate, err := h.Notify(t.Context(), alice, d)
	if err != nil || duplicate {
		t.Fatalf("duplicate %t, %v", duplicate, err)
	}
	if again, duplicate, err := h.Notify(t.Context(), alice, d); err != nil || !duplicate || again.ID != first.ID {
		t.Errorf("again: %+v, duplicate %t, %v", again, duplicate, err)
	}
	for name, change := range map[string]func(*NotificationDraft){
		"to":       func(d *NotificationDraft) { d.To = "" },
		"level":    func(d *NotificationDraft) { d.Level = LevelError },
		"title":    func(d *NotificationDraft) { d.Title = "" },
		"message":  func(d *NotificationDraft) { d.Message = "y" },
		"progress": func(d *NotificationDraft) { d.Progress = nil },
		"key":      func(d *NotificationDraft) { d.Key = "" },
	} {
		other := d
		change(&other)
		if _, _, err := h.Notify(t.Context(), alice, other); err == nil {
			t.Errorf("another %s with the same key was sent", name)
		} else {
			wantCode(t, err, Conflict, "idempotency_key")
		}
	}
	// A message is something else, even with the same tool and key.
	_, _, err = h.Send(t.Context(), alice, Draft{Target: Target{To: "bob"}, Text: "x", Tool: "notify", Key: "k"})
	wantCode(t, err, Conflict, "idempotency_key")
	if h.Head() != first.ID {
		t.Error("something was stored")
	}
}
