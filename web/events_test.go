package web

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// fields is the data of an event with the values that differ from run to run
// left out.
func fields(t *testing.T, ev sse.Event) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(ev.Data, &v); err != nil {
		t.Fatalf("%s: %v", ev.Data, err)
	}
	for _, name := range []string{"id", "time", "stream_id"} {
		if text, ok := v[name].(string); ok && text != "" {
			v[name] = "…"
		}
	}
	return v
}

type object = map[string]any

// wantEvent checks the next event, whole.
func (s *feed) wantEvent(t *testing.T, name string, hasID bool, data object) {
	t.Helper()
	ev := s.next(t)
	if ev.Name != name || (ev.ID != "") != hasID {
		t.Errorf("event %q, ID %q; want %q, ID %t", ev.Name, ev.ID, name, hasID)
	}
	if got := fields(t, ev); !reflect.DeepEqual(got, data) {
		t.Errorf("%s: got %v, want %v", name, got, data)
	}
}

// TestWire: the events of the wire, field by field.
func TestWire(t *testing.T) {
	f := start(t, Limits{})
	resp := f.ask(t, http.MethodGet, "bob", "")
	s := &feed{resp: resp, reader: sse.NewReader(resp.Body, 1<<20)}
	defer s.close()
	s.wantEvent(t, "system", true, object{"type": "info", "message": "connected", "time": "…"})

	first := f.send(t, alice, hub.General, "hello")
	sender := object{"name": "alice", "via": "Claude Code"}
	ev := s.next(t)
	if ev.ID != first.ID || ev.Name != "message" {
		t.Errorf("got %s %q", ev.Name, ev.ID)
	}
	// The same object as everywhere else.
	want, err := json.Marshal(first)
	if err != nil || string(ev.Data) != string(want) {
		t.Errorf("got %s, want %s", ev.Data, want)
	}

	if _, _, err := f.hub.Send(t.Context(), bob, hub.Draft{Target: hub.Target{To: "alice"}, Text: "re"}); err != nil {
		t.Fatal(err)
	}
	s.wantEvent(t, "message", true, object{"id": "…", "type": "message", "room": "dm/alice/bob", "sender": object{"name": "bob"}, "message": "re", "time": "…"})

	st := f.begin(t, alice, hub.General)
	st.Part("one ", 1, 4)
	s.wantEvent(t, "partial-message", false, object{
		"stream_id": "…", "room": "general", "sender": sender, "time": "…", "message": "one ", "progress": 25.0, "isComplete": false,
	})
	st.Cancel()
	s.wantEvent(t, "partial-message", false, object{
		"stream_id": "…", "room": "general", "sender": sender, "time": "…", "message": "one ", "progress": 25.0, "isComplete": true, "cancelled": true,
	})

	delta := f.open(t, "bob", "?partials=delta&types=partial-message")
	defer delta.close()
	st = f.begin(t, alice, hub.General)
	st.Part("one ", 1, 4)
	s.wantEvent(t, "partial-message", false, object{
		"stream_id": "…", "room": "general", "sender": sender, "time": "…", "message": "one ", "progress": 25.0, "isComplete": false,
	})
	delta.wantEvent(t, "partial-message", false, object{
		"stream_id": "…", "room": "general", "sender": sender, "time": "…", "offset": 0.0, "delta": "one ", "progress": 25.0, "isComplete": false,
	})
	if _, err := st.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantEvent(t, "partial-message", false, object{
		"stream_id": "…", "room": "general", "sender": sender, "time": "…", "message": "one ", "progress": 100.0, "isComplete": true,
	})
	delta.wantEvent(t, "partial-message", false, object{
		"stream_id": "…", "room": "general", "sender": sender, "time": "…", "offset": 4.0, "delta": "", "progress": 100.0, "isComplete": true,
	})
	s.wantEvent(t, "message", true, object{
		"id": "…", "type": "message", "room": "general", "sender": sender, "message": "one ", "time": "…", "stream_id": "…",
	})

	progress := 40
	sent, _, err := f.hub.Notify(t.Context(), alice, hub.NotificationDraft{To: "bob", Level: hub.LevelSuccess, Title: "Build", Message: "done", Progress: &progress, Key: "build"})
	if err != nil {
		t.Fatal(err)
	}
	ev = s.next(t)
	if want, err := json.Marshal(sent); err != nil || ev.Name != "notification" || ev.ID != sent.ID || string(ev.Data) != string(want) {
		t.Errorf("%v: got %s %q %s, want %s", err, ev.Name, ev.ID, ev.Data, want)
	}
	f.notify(t, "", "to all")
	s.wantEvent(t, "notification", true, object{"id": "…", "level": "info", "message": "to all", "sender": sender, "time": "…"})

	lines := f.open(t, "bob", "?types=log")
	defer lines.close()
	if _, _, err := f.hub.WriteLog(t.Context(), alice, hub.LineDraft{Level: hub.LineWarn, Logger: "db", Message: "slow", Fields: object{"ms": 12}}); err != nil {
		t.Fatal(err)
	}
	lines.wantEvent(t, "log", false, object{"id": "…", "level": "warn", "logger": "db", "message": "slow", "fields": object{"ms": 12.0}, "sender": sender, "time": "…"})

	if err := f.hub.Typing(t.Context(), alice, hub.Target{}); err != nil {
		t.Fatal(err)
	}
	s.wantEvent(t, "typing", false, object{"room": "general", "user": "alice", "time": "…"})

	here := f.open(t, "bob", "?types=presence")
	defer here.close()
	defer f.open(t, "carol", "").close()
	if ev, err := here.read(); err != nil || ev.Name != "presence" || ev.ID != "" || !reflect.DeepEqual(fields(t, ev), object{"user": "carol", "online": true, "time": "…"}) {
		t.Errorf("%v: %s %s", err, ev.Name, ev.Data)
	}
}

func (f *fixture) notify(t *testing.T, to, text string) {
	t.Helper()
	if _, _, err := f.hub.Notify(t.Context(), alice, hub.NotificationDraft{To: to, Level: hub.LevelInfo, Message: text}); err != nil {
		t.Fatal(err)
	}
}

func TestFilters(t *testing.T) {
	f := start(t, Limits{})
	f.openRoom(t, alice, hub.RoomSpec{Name: "pub"})
	open := func(query string) *feed {
		s := f.open(t, "bob", query)
		t.Cleanup(s.close)
		return s
	}
	all, pub, dm := open(""), open("?rooms=pub"), open("?rooms=dm/alice/bob,pub&types=message,ping")
	fromInfo, fromWarn, fromDebug := open("?types=log"), open("?log_level=warn&rooms=pub"), open("?types=log&log_level=debug")
	messages, partials, none, notes := open("?types=message"), open("?types=partial-message"), open("?types=system,ping"), open("?types=notification")

	f.send(t, alice, hub.General, "1")
	f.send(t, alice, "pub", "2")
	f.send(t, alice, "dm/alice/bob", "3")
	all.want(t, "message 1", "message 2", "message 3")
	pub.want(t, "message 2")
	fromWarn.want(t, "message 2")
	dm.want(t, "message 2", "message 3")
	messages.want(t, "message 1", "message 2", "message 3")

	st := f.begin(t, alice, hub.General)
	st.Part("so far", 1, 2)
	all.want(t, "partial-message so far")
	partials.want(t, "partial-message so far")
	st.Cancel()
	all.want(t, "partial-message so far ×")
	partials.want(t, "partial-message so far ×")

	f.notify(t, "bob", "5")
	all.want(t, "notification 5")
	pub.want(t, "notification 5") // it is of no room
	notes.want(t, "notification 5")
	for _, level := range []hub.LineLevel{hub.LineDebug, hub.LineInfo, hub.LineWarn, hub.LineError} {
		if _, _, err := f.hub.WriteLog(t.Context(), alice, hub.LineDraft{Level: level, Message: string(level)}); err != nil {
			t.Fatal(err)
		}
	}
	fromInfo.want(t, "log info", "log warn", "log error")
	fromWarn.want(t, "notification 5", "log warn", "log error")
	fromDebug.want(t, "log debug", "log info", "log warn", "log error")

	f.send(t, alice, "pub", "4")
	fromWarn.want(t, "message 4")
	all.want(t, "message 4")
	pub.want(t, "message 4")
	dm.want(t, "message 4")
	messages.want(t, "message 4")

	go func() { _ = f.web.Shutdown(t.Context()) }()
	for _, s := range []*feed{partials, none, notes, fromInfo, fromWarn, fromDebug, messages, pub, dm, all} {
		if ev := s.next(t); ev.Name != eventShutdown {
			t.Errorf("got %s, want nothing but the end", show(ev))
		}
	}
}

// TestVisible: everybody gets what they may see and nothing else, also from
// the log, and rights that change take effect on open streams.
func TestVisible(t *testing.T) {
	f := start(t, Limits{})
	f.openRoom(t, alice, hub.RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	toBob, toCarol := f.open(t, "bob", ""), f.open(t, "carol", "")
	defer toBob.close()
	defer toCarol.close()
	for _, room := range []string{"den", "dm/alice/bob", "dm/alice/carol", hub.General} {
		st := f.begin(t, alice, room)
		st.Part("in "+room, 1, 1)
		st.Cancel()
		f.send(t, alice, room, room)
	}
	onlyOf := func(s *feed, want ...string) {
		t.Helper()
		for len(want) > 0 {
			ev := s.next(t)
			if ev.Name == eventPartial { // which of them are seen depends on time, not of whom they are
				var v struct{ Room string }
				if err := json.Unmarshal(ev.Data, &v); err != nil || !strings.Contains(strings.Join(want, " "), v.Room) {
					t.Fatalf("got a partial of %s: %v", v.Room, err)
				}
				continue
			}
			if got := show(ev); got != "message "+want[0] {
				t.Fatalf("got %s, want %s", got, want[0])
			}
			want = want[1:]
		}
	}
	onlyOf(toBob, "den", "dm/alice/bob", "general")
	onlyOf(toCarol, "dm/alice/carol", "general")
	for token, want := range map[string][]string{"bob": {"den", "dm/alice/bob", "general"}, "carol": {"dm/alice/carol", "general"}} {
		s := f.open(t, token, "?last_event_id=0")
		onlyOf(s, want...)
		s.close()
	}

	f.notify(t, "bob", "for bob")
	f.notify(t, "carol", "for carol")
	f.notify(t, "", "for all")
	toBob.want(t, "notification for bob", "notification for all")
	toCarol.want(t, "notification for carol", "notification for all")
	s := f.open(t, "carol", "?types=notification&last_event_id=0")
	s.want(t, "notification for carol", "notification for all")
	s.close()

	f.openRoom(t, alice, hub.RoomSpec{Name: "den", Invite: []string{"carol"}})
	f.send(t, alice, "den", "welcome")
	toCarol.want(t, "message welcome")
}
