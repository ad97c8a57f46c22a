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
	g := newGate(8, 3)
	enter := func(from string) (leave func(), err error) {
		r := &http.Request{RemoteAddr: from}
		return g.enter(visitorOf(r, hub.Actor{Guest: true}))
	}
	refused := func(from, why string) {
		t.Helper()
		if _, err := enter(from); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, want %q", from, err, why)
		}
	}
	var leave []func()
	for i := range 3 {
		out, err := enter(fmt.Sprintf("[2001:db8::%d]:1234", i)) // of one /64
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, out)
	}
	refused("[2001:db8::ffff]:1", "your address has 3 streams open")
	out, err := enter("198.51.100.7:1")
	if err != nil {
		t.Fatal(err)
	}
	leave = append(leave, out)
	refused("198.51.100.7:2", "all 4 streams that are for guests are in use")
	refused("[2001:db8:0:1::1]:2", "all 4 streams that are for guests are in use")
	for i := range 4 { // the others are for users
		out, err := g.enter(visitor{user: fmt.Sprint("user", i)})
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, out)
	}
	refused("198.51.100.8:1", "all 8 streams of this server")
	for _, out := range leave {
		out()
	}
	if g.open != 0 || g.guests != 0 || len(g.users) != 0 {
		t.Errorf("%d open, %d of guests, %d users are left", g.open, g.guests, len(g.users))
	}
	for _, from := range []string{"198.51.100.7:1", "[::ffff:198.51.100.7]:9", "[fe80::1%eth0]:1", "", "@"} {
		if v := visitorOf(&http.Request{RemoteAddr: from}, hub.Actor{Guest: true}); !v.isGuest() {
			t.Errorf("%q is %+v", from, v)
		}
	}
}
