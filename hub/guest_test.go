package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

var guest = Actor{Guest: true}

// TestGuestSees: a guest gets the messages of public rooms, as they arrive and
// afterwards, and nothing else.
func TestGuestSees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		open(t, h, alice, RoomSpec{Name: "den", Private: true})
		open(t, h, alice, RoomSpec{Name: "square"})
		types := kindNames
		l := listen(t, h, guest, ListenOptions{Types: types, LineLevel: LineDebug})
		slow := listen(t, h, guest, ListenOptions{After: "0", Types: types})
		for _, room := range []string{"den", "square", "dm/alice/bob", General} {
			send(t, h, alice, room, "in "+room)
			pass(time.Second)
			s := begin(t, h, alice, Draft{Target: Target{Room: room}})
			s.Part("arriving in "+room, 1, 2)
			defer s.Cancel()
			if err := h.Typing(t.Context(), alice, Target{Room: room}); err != nil {
				t.Fatal(err)
			}
		}
		notify(t, h, alice, "", "for all")
		notify(t, h, alice, "bob", "for bob")
		if _, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineError, Message: "a line"}); err != nil {
			t.Fatal(err)
		}
		h.Seen(bob)
		pass(time.Second)
		const want = "in square|in general|arriving in square…|arriving in general…"
		wantNow(t, l, want)
		wantNow(t, slow, want)
		for room, want := range map[string]string{General: "in general", "square": "in square"} {
			if page, err := h.History(t.Context(), guest, HistoryQuery{Target: Target{Room: room}}); err != nil || texts(page) != want {
				t.Errorf("the history of %s is %q, %v", room, texts(page), err)
			}
		}
		if page, err := h.Wait(t.Context(), guest, WaitQuery{After: "0"}); err != nil || texts(page) != "in square|in general" {
			t.Errorf("a wait gets %q, %v", texts(page), err)
		}
		if rooms, err := h.Rooms(t.Context(), guest); err != nil || len(rooms) != 2 || rooms[0].Name != General || rooms[1].Name != "square" {
			t.Errorf("rooms are %+v, %v", rooms, err)
		}
		h.Close()
	})
}

// TestGuestMayNot: what is only for users, and the rooms that are not for all.
// A name does not make a guest somebody.
func TestGuestMayNot(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true})
	for _, a := range []Actor{guest, {Name: "alice", Guest: true}} {
		for what, test := range map[string]struct {
			arg string
			ask func(context.Context) error
		}{
			"Send":   {"", func(ctx context.Context) error { return second(h.Send(ctx, a, Draft{Text: "x"})) }},
			"Stream": {"", func(ctx context.Context) error { return second(h.Stream(ctx, a, Draft{})) }},
			"Notify": {"", func(ctx context.Context) error {
				return second(h.Notify(ctx, a, NotificationDraft{Level: LevelInfo, Message: "x"}))
			}},
			"WriteLog": {"", func(ctx context.Context) error {
				return second(h.WriteLog(ctx, a, LineDraft{Level: LineInfo, Message: "x"}))
			}},
			"OpenRoom":  {"", func(ctx context.Context) error { return second(h.OpenRoom(ctx, a, RoomSpec{Name: "mine"})) }},
			"Typing":    {"", func(ctx context.Context) error { return h.Typing(ctx, a, Target{}) }},
			"People":    {"", func(ctx context.Context) error { return outcome(h.People(ctx, a, Target{})) }},
			"a private": {"room", func(ctx context.Context) error { return outcome(h.Room(ctx, a, Target{Room: "den"})) }},
			"a direct":  {"to", func(ctx context.Context) error { return outcome(h.Room(ctx, a, Target{To: "bob"})) }},
			"its name":  {"room", func(ctx context.Context) error { return outcome(h.Room(ctx, a, Target{Room: "dm/alice/bob"})) }},
			"to listen": {"rooms", func(ctx context.Context) error {
				return outcome(h.Listen(ctx, a, ListenOptions{Rooms: []string{"den"}}))
			}},
		} {
			t.Run(what, func(t *testing.T) { wantCode(t, test.ask(t.Context()), NotFound, test.arg) })
		}
	}
}

// TestGuestIsNotHere: nobody hears of a guest's coming and going.
func TestGuestIsNotHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := listen(t, h, bob, ListenOptions{Types: []string{"presence"}})
		for _, a := range []Actor{guest, {Name: "carol", Guest: true}} {
			h.Seen(a)
			listen(t, h, a, ListenOptions{}).Close()
		}
		pass(time.Minute)
		nothing(t, l)
		h.Seen(carol)
		pass(time.Second)
		wantNow(t, l, "+carol")
		h.Close()
	})
}
