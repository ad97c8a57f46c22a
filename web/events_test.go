package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// TestHeader: the header of a stream, over HTTP/1.1 and HTTP/2.
func TestHeader(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			f := start(t, Limits{})
			if version == 2 {
				f.useHTTP2(t)
			}
			s := f.open(t, "bob", "")
			defer s.close()
			if s.resp.ProtoMajor != version {
				t.Fatalf("it is %s", s.resp.Proto)
			}
			for name, want := range map[string]string{
				"Content-Type":      "text/event-stream",
				"Cache-Control":     "no-cache, no-transform",
				"X-Accel-Buffering": "no",
			} {
				if got := s.resp.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			f.send(t, alice, hub.General, "hello")
			s.want(t, "message hello")
			s.close()
			eventually(t, "the stream is gone when its client is", func() bool { return f.opened() == 0 })
		})
	}
}

// useHTTP2 makes the client speak HTTP/2 without TLS.
func (f *fixture) useHTTP2(t *testing.T) {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	f.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
}

// TestHTTP2Deadline: on HTTP/2, too, who does not read is cut off, and who has
// nothing to read is not.
func TestHTTP2Deadline(t *testing.T) {
	f := start(t, Limits{WriteTimeout: time.Second})
	f.useHTTP2(t)
	idle, stuck := f.open(t, "bob", "?rooms=dm/alice/bob"), f.open(t, "bob", "")
	defer idle.close()
	defer stuck.close()
	f.send(t, alice, "dm/alice/bob", "first")
	idle.want(t, "message first")
	for range 200 { // more than a stream's window
		f.send(t, alice, hub.General, strings.Repeat(".", 60_000))
	}
	eventually(t, "the one that is stuck is cut off", func() bool { return f.opened() == 1 })
	f.send(t, alice, "dm/alice/bob", "second")
	idle.want(t, "message second")
}

func TestRefused(t *testing.T) {
	f := start(t, Limits{})
	f.openRoom(t, alice, hub.RoomSpec{Name: "den", Private: true})
	tests := []struct {
		method, query, header string
		status                int
		detail                string // what it has to name
	}{
		{"POST", "", "", 405, "GET"},
		{"HEAD", "", "", 405, ""},
		{"GET", "", "Accept: application/json", 406, "text/event-stream"},
		{"GET", "", "Accept: text/event-stream;q=0, */*", 406, "text/event-stream"},
		{"GET", "?room=general", "", 400, `"room"; allowed are rooms, types, partials, log_level, last_event_id`},
		{"GET", "?types=messages", "", 400, `"messages"; allowed are message, partial-message, notification, log, presence, typing, ping, system`},
		{"GET", "?types=message,", "", 400, `""; allowed are message`},
		{"GET", "?types=shutdown", "", 400, "allowed are message"},
		{"GET", "?types=", "", 400, "types is empty"},
		{"GET", "?rooms=", "", 400, "rooms is empty"},
		{"GET", "?rooms=general&rooms=den", "", 400, "rooms is given 2 times"},
		{"GET", "?rooms=general,,", "", 400, "rooms"},
		{"GET", "?rooms=No+Room", "", 400, "rooms"},
		{"GET", "?rooms=general,nowhere", "", 404, `rooms: there is no room "nowhere" that you may see`},
		{"GET", "?rooms=den", "", 404, `rooms: there is no room "den" that you may see`},
		{"GET", "?rooms=dm/alice/carol", "", 404, `rooms: there is no room "dm/alice/carol" that you may see`},
		{"GET", "?rooms=dm/bob/nobody", "", 404, `rooms: there is no room "dm/bob/nobody" that you may see`},
		{"GET", "?partials=none", "", 400, `"none"; allowed are full, delta`},
		{"GET", "?log_level=warning", "", 400, `"warning"; allowed are debug, info, warn, error`},
		{"GET", "?last_event_id=7", "", 400, `last_event_id: "7" is not a cursor`},
		{"GET", "", "Last-Event-ID: nonsense", 400, `last_event_id: "nonsense" is not a cursor`},
		{"GET", "?rooms=%zz", "", 400, "well-formed"},
		{"GET", "?rooms=general;types=message", "", 400, "well-formed"},
		{"GET", "?" + strings.Repeat("x", 5000) + "=1", "", 400, "allowed are rooms"},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.query+tt.header, func(t *testing.T) {
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			resp := f.ask(t, tt.method, "bob", tt.query, headers...)
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || len(body) > 1000 {
				t.Fatalf("got %s, %v: %s", resp.Status, err, body)
			}
			if tt.status == 405 && resp.Header.Get("Allow") != "GET" {
				t.Errorf("Allow: %q", resp.Header.Get("Allow"))
			}
			if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type: %q", got)
			}
			if tt.method == "HEAD" {
				return
			}
			var problem struct {
				Title, Detail string
				Status        int
			}
			if err := json.Unmarshal(body, &problem); err != nil || problem.Status != tt.status || !strings.Contains(problem.Detail, tt.detail) {
				t.Errorf("%v: %s, want %q", err, body, tt.detail)
			}
		})
	}
	if f.opened() != 0 {
		t.Error("what was refused is counted")
	}
	if resp := f.ask(t, http.MethodGet, "", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", resp.Status)
	}
}

func TestAccept(t *testing.T) {
	f := start(t, Limits{})
	for _, accept := range []string{"text/event-stream", "*/*", "text/*", "application/json, text/event-stream;q=0.1", "application/json;q=x, */*;q=0.1", "*/*;q=0, text/event-stream"} {
		f.open(t, "bob", "", "Accept: "+accept).close()
	}
}

// TestUnauthenticated: a route that forgets authentication serves nothing.
func TestUnauthenticated(t *testing.T) {
	f := start(t, Limits{})
	w := &recorder{header: http.Header{}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	f.web.ServeEvents(w, r)
	if w.status != http.StatusInternalServerError || !strings.Contains(f.logged.String(), "not authenticated") {
		t.Errorf("got %d, logged %s", w.status, f.logged)
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }

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
	s.wantEvent(t, "system", false, object{"type": "info", "message": "connected", "time": "…"})

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
	sent, err := f.hub.Notify(t.Context(), alice, hub.NotificationDraft{To: "bob", Level: hub.LevelSuccess, Title: "Build", Message: "done", Progress: &progress, Key: "build"})
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
	if _, err := f.hub.WriteLog(t.Context(), alice, hub.LineDraft{Level: hub.LineWarn, Logger: "db", Message: "slow", Fields: object{"ms": 12}}); err != nil {
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
	if _, err := f.hub.Notify(t.Context(), alice, hub.NotificationDraft{To: to, Level: hub.LevelInfo, Message: text}); err != nil {
		t.Fatal(err)
	}
}

// texts that people write, and that attackers do.
var texts = []string{
	"こんにちは、世界。今日は良い天気ですね。",
	"你好，世界。今天天气很好。",
	"สวัสดีชาวโลก วันนี้อากาศดีมาก",
	"👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👍🏽 e\u0301",
	"שלום עולם مرحبا بالعالم \u202eevil\u202c",
	"a\nevent: shutdown\ndata: {}\n\nid: 1\n\n",
	"a\r\rdata: x\r\r\r\nretry: 1\r\n\r\n",
	"\ufeffdata: x\n\n: comment\n",
	"\u2028\u2029\u0085\v\f\x1b[31m\x7f",
	"<script>alert(1)</script> & \"quotes\" \\ \\u0000 ]]> <!--",
	" leading, trailing \n",
}

// TestTexts: every text arrives as it was sent, whole and in parts, and none
// can forge a frame.
func TestTexts(t *testing.T) {
	f := start(t, Limits{})
	for _, query := range []string{"?types=message,partial-message", "?types=message,partial-message&partials=delta"} {
		s := f.open(t, "bob", query)
		for _, text := range texts {
			sent := f.send(t, alice, hub.General, text)
			s.wantText(t, sent.ID, text)
		}
		for _, text := range texts {
			sent := f.stream(t, text)
			s.wantText(t, sent.ID, text)
		}
		s.close()
	}
	// Replayed, too.
	s := f.open(t, "bob", "?last_event_id=0")
	defer s.close()
	for range 4 {
		for _, text := range texts {
			s.wantText(t, "", text)
		}
	}
}

// stream sends a text byte by byte.
func (f *fixture) stream(t *testing.T, text string) hub.Message {
	t.Helper()
	st := f.begin(t, alice, hub.General)
	for i := range len(text) {
		st.Part(text[i:i+1], i+1, len(text))
	}
	m, err := st.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantText reads a message and its partials: what they show is a beginning of
// the text.
func (s *feed) wantText(t *testing.T, id, text string) {
	t.Helper()
	shown := ""
	for {
		ev := s.next(t)
		var v struct {
			ID, Message, Delta string
			Offset             *int
		}
		if err := json.Unmarshal(ev.Data, &v); err != nil {
			t.Fatalf("%s: %v", ev.Data, err)
		}
		switch ev.Name {
		case eventMessage:
			if v.Message != text || ev.ID != v.ID || id != "" && id != ev.ID || ev.Retry != 0 {
				t.Fatalf("got %q with ID %q, want %q with %q", v.Message, ev.ID, text, id)
			}
			return
		case eventPartial:
			if v.Offset == nil {
				shown = v.Message
			} else if *v.Offset != len(shown) {
				t.Fatalf("offset %d after %q", *v.Offset, shown)
			}
			if shown += v.Delta; !strings.HasPrefix(text, shown) || ev.ID != "" {
				t.Fatalf("the text so far is %q of %q", shown, text)
			}
		default:
			t.Fatalf("forged: %s", show(ev))
		}
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
		if _, err := f.hub.WriteLog(t.Context(), alice, hub.LineDraft{Level: level, Message: string(level)}); err != nil {
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

// TestPartials: joined, the differences are the message, whatever was skipped;
// a late joiner gets the text so far, first.
func TestPartials(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		full, delta := f.open(t, "bob", ""), f.open(t, "bob", "?partials=delta")
		defer full.close()
		defer delta.close()
		st := f.begin(t, alice, hub.General)
		st.Part("日本", 1, 4)
		full.want(t, "partial-message 日本")
		delta.want(t, "partial-message @0+日本")
		st.Part("語", 2, 4)
		full.want(t, "partial-message 日本語")
		delta.want(t, "partial-message @6+語")

		late, lateDelta := f.open(t, "carol", ""), f.open(t, "carol", "?partials=delta")
		defer late.close()
		defer lateDelta.close()
		late.want(t, "partial-message 日本語")
		lateDelta.want(t, "partial-message @0+日本語")

		st.Part(" ok", 4, 4)
		for _, s := range []*feed{full, late} {
			s.want(t, "partial-message 日本語 ok")
		}
		for _, s := range []*feed{delta, lateDelta} {
			s.want(t, "partial-message @9+ ok")
		}
		if _, err := st.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*feed{full, late} {
			s.want(t, "partial-message 日本語 ok .", "message 日本語 ok")
		}
		for _, s := range []*feed{delta, lateDelta} {
			s.want(t, "partial-message @12+ .", "message 日本語 ok")
		}

		st = f.begin(t, alice, hub.General)
		st.Part("half", 1, 2)
		full.want(t, "partial-message half")
		delta.want(t, "partial-message @0+half")
		st.Part(" more", 2, 2)
		st.Cancel()
		full.want(t, "partial-message half more ×")
		delta.want(t, "partial-message @4+ more ×")

		// Who does not read in time skips steps, and the text that is stored
		// need not be what was shown.
		st, _, err := f.hub.Stream(t.Context(), alice, hub.Draft{Text: "a text"})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"a ", "b", "c", "d"} {
			st.Part(part, 1, 4)
			full.want(t, "partial-message a"+map[string]string{"b": " b", "c": " bc", "d": " bcd"}[part])
			pass()
		}
		delta.want(t, "partial-message @0+a", "partial-message @2+bcd")
		if _, err := st.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		full.want(t, "partial-message a text .", "message a text")
		delta.want(t, "partial-message @0+a text .", "message a text")
	})
}

// TestPartialsOnly: who follows nothing but partial messages gets their ends,
// and no messages.
func TestPartialsOnly(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		s := f.open(t, "bob", "?types=partial-message")
		defer s.close()
		for range 2 {
			f.send(t, alice, hub.General, "not in parts")
			st := f.begin(t, alice, hub.General)
			st.Part("in parts", 1, 2)
			s.want(t, "partial-message in parts")
			if _, err := st.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.want(t, "partial-message in parts .")
		}
	})
}

func TestCaps(t *testing.T) {
	f := start(t, Limits{MaxStreams: 3, MaxStreamsPerUser: 2})
	refused := func(token string, status int) {
		t.Helper()
		resp := f.ask(t, http.MethodGet, token, "")
		if resp.StatusCode != status || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s, Retry-After %q; want %d", token, resp.Status, resp.Header.Get("Retry-After"), status)
		}
	}
	first := f.open(t, "alice", "")
	defer f.open(t, "alice", "").close()
	refused("alice", http.StatusTooManyRequests)
	defer f.open(t, "bob", "").close()
	refused("bob", http.StatusServiceUnavailable)
	first.close()
	eventually(t, "the stream is gone", func() bool { return f.opened() == 2 })
	defer f.open(t, "bob", "").close()
	refused("bob", http.StatusServiceUnavailable)

	f = start(t, Limits{MaxStreamsPerUser: -1})
	for range 100 {
		f.open(t, "alice", "")
	}
}
