package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"wigwag/hub"
)

// TestGuest: a guest gets the messages of public rooms, whole and in parts, and
// pings; nothing of people, of other rooms, no notification and no log line.
func TestGuest(t *testing.T) {
	f := start(t, Limits{})
	f.openRoom(t, alice, hub.RoomSpec{Name: "den", Private: true})
	f.openRoom(t, alice, hub.RoomSpec{Name: "news"})
	from := f.hub.Head()
	feeds := map[string]*feed{}
	for _, query := range []string{"", "?types=message,partial-message,ping", "?rooms=general,news", "?last_event_id=" + from} {
		feeds[query] = f.open(t, guest, query)
		defer feeds[query].close()
	}
	f.send(t, alice, "den", "for members")
	f.send(t, alice, "dm/alice/bob", "for bob")
	if _, _, err := f.hub.Notify(t.Context(), alice, hub.NotificationDraft{Level: hub.LevelInfo, Message: "to everybody"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.hub.WriteLog(t.Context(), alice, hub.LineDraft{Level: hub.LineError, Message: "a line"}); err != nil {
		t.Fatal(err)
	}
	if err := f.hub.Typing(t.Context(), alice, hub.Target{}); err != nil {
		t.Fatal(err)
	}
	st := f.begin(t, alice, hub.General)
	st.Part("for ", 1, 2)
	for query, s := range feeds {
		t.Run(query, func(t *testing.T) { s.want(t, "partial-message for") })
	}
	st.Part("all", 2, 2)
	if _, err := st.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.send(t, alice, "news", "the news")
	for query, s := range feeds {
		t.Run(query, func(t *testing.T) {
			for last := ""; last != "partial-message for all ."; {
				if last = show(s.next(t)); !strings.HasPrefix(last, "partial-message for") {
					t.Fatalf("got %s", last)
				}
			}
			s.want(t, "message for all", "message the news")
		})
	}
	again := f.open(t, guest, "?last_event_id=0")
	defer again.close()
	again.want(t, "message for all", "message the news")
}

func TestGuestRefused(t *testing.T) {
	f := start(t, Limits{})
	f.openRoom(t, alice, hub.RoomSpec{Name: "den", Private: true})
	for query, want := range map[string]struct {
		status int
		detail string
	}{
		"?types=notification":  {403, "types: notification is for users"},
		"?types=message,log":   {403, "types: log is for users"},
		"?types=presence":      {403, "types may be message, partial-message, ping"},
		"?types=typing":        {403, "types: typing is for users"},
		"?log_level=info":      {403, "log_level is for users"},
		"?types=nothing":       {400, "there is no"},
		"?rooms=den":           {404, `there is no room "den" that you may see`},
		"?rooms=nowhere":       {404, `there is no room "nowhere" that you may see`},
		"?rooms=general,den":   {404, `there is no room "den" that you may see`},
		"?rooms=dm/alice/bob":  {404, `there is no room "dm/alice/bob" that you may see`},
		"?rooms=dm/bob/nobody": {404, `there is no room "dm/bob/nobody" that you may see`},
	} {
		resp := f.ask(t, http.MethodGet, guest, query)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want.status || !strings.Contains(strings.ReplaceAll(string(body), `\"`, `"`), want.detail) {
			t.Errorf("%s: %v, %s: %s; want %d, %s", query, err, resp.Status, body, want.status, want.detail)
		}
	}
	if f.opened() != 0 {
		t.Error("what was refused is counted")
	}
}

// TestGuestCaps: guests have as many streams as a user, by address, and half of
// all together.
func TestGuestCaps(t *testing.T) {
	s := New(Options{Limits: Limits{MaxStreams: 8, MaxStreamsPerUser: 3}})
	var leave []func()
	enter := func(from string, a hub.Actor) {
		t.Helper()
		out, err := s.enter(&http.Request{RemoteAddr: from}, a)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, out)
	}
	guest := hub.Actor{Guest: true}
	refused := func(from, why string) {
		t.Helper()
		if _, err := s.enter(&http.Request{RemoteAddr: from}, guest); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, want %q", from, err, why)
		}
	}
	for i := range 3 {
		enter(fmt.Sprintf("[2001:db8::%d]:1234", i), guest) // of one /64
	}
	refused("[2001:db8::ffff]:1", "your address has 3 streams open")
	enter("198.51.100.7:1", guest)
	refused("198.51.100.7:2", "all 4 streams that are for guests are in use")
	refused("[2001:db8:0:1::1]:2", "all 4 streams that are for guests are in use")
	for i := range 4 { // the others are for users
		enter("198.51.100.7:1", hub.Actor{Name: fmt.Sprint("user", i)})
	}
	refused("198.51.100.8:1", "all 4 streams")
	leave[0]()
	enter("198.51.100.7:1", hub.Actor{Name: "alice"})
	refused("198.51.100.8:1", "all 8 streams of this server")
	for _, out := range leave[1:] {
		out()
	}
	if all, guests := s.gate.Inside(), s.guests.Inside(); all != 0 || guests != 0 {
		t.Errorf("%d streams, %d of guests are left", all, guests)
	}
}

func TestAddressOf(t *testing.T) {
	for from, want := range map[string]string{
		"198.51.100.7:1":          "198.51.100.7/32",
		"[::ffff:198.51.100.7]:9": "198.51.100.7/32",
		"[2001:db8::1:2:3:4]:1":   "2001:db8::/64",
		"[fe80::1%eth0]:1":        "fe80::/64",
		"":                        "unknown",
		"somewhere":               "unknown",
	} {
		if got := addressOf(&http.Request{RemoteAddr: from}); got != want {
			t.Errorf("%q is %s, want %s", from, got, want)
		}
	}
}
