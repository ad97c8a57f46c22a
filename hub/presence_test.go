package hub

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// comings listens for who comes and goes.
func comings(t *testing.T, h *Hub, a Actor) *Listener {
	t.Helper()
	return listen(t, h, a, ListenOptions{Types: []string{"presence"}})
}

// here is how many are remembered to be here.
func here(h *Hub) int {
	h.live.mu.Lock()
	defer h.live.mu.Unlock()
	return len(h.live.present)
}

func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := comings(t, h, bob)
		nothing(t, l) // its own coming is no news to it
		one, two := listen(t, h, alice, ListenOptions{}), listen(t, h, alice, ListenOptions{})
		events := next(t, l)
		if p := events[0].Presence; len(events) != 1 || *p != (Presence{User: "alice", Online: true, Via: "Claude Code", Time: timeOf(time.Now())}) {
			t.Errorf("got %s, %+v", show(events), p)
		}
		one.Close()
		pass(time.Hour)
		nothing(t, l)

		// A reconnect is no coming and going.
		for range 5 {
			two.Close()
			pass(leaveAfter - time.Nanosecond)
			two = listen(t, h, alice, ListenOptions{})
		}
		pass(time.Hour)
		nothing(t, l)
		two.Close()
		pass(leaveAfter - time.Nanosecond)
		nothing(t, l)
		pass(time.Nanosecond)
		wantEvents(t, l, "-alice")
		listen(t, h, alice, ListenOptions{})
		wantEvents(t, l, "+alice")
		h.Close()
		pass(time.Hour)
	})
}

// TestSeen: a call makes a user be here for a minute, and no shorter than a
// listener does.
func TestSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := comings(t, h, bob)
		h.Seen(alice)
		wantNow(t, l, "+alice")
		for range 3 {
			pass(seenFor - time.Second)
			h.Seen(alice)
		}
		pass(seenFor - time.Nanosecond)
		nothing(t, l)
		pass(time.Nanosecond)
		wantNow(t, l, "-alice")

		h.Seen(alice)
		listener := listen(t, h, alice, ListenOptions{})
		wantNow(t, l, "+alice")
		pass(time.Second)
		listener.Close()
		pass(seenFor - time.Second - time.Nanosecond)
		nothing(t, l)
		pass(time.Nanosecond)
		wantNow(t, l, "-alice")

		h.Seen(Actor{})
		nothing(t, l)
		h.Close()
		h.Seen(carol)
		if here(h) != 0 {
			t.Error("somebody is here after the end")
		}
	})
}

// TestPresenceBounds: with very many here nobody is told of each, and no more
// than so many are remembered.
func TestPresenceBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := comings(t, h, bob)
		for i := range maxPeople + 10 {
			h.Seen(Actor{Name: fmt.Sprint("u", i)})
		}
		if events := drain(t, l); len(events) != maxAnnounced-1 {
			t.Errorf("%d comings were announced", len(events))
		}
		if n := here(h); n != maxPeople {
			t.Errorf("%d are here", n)
		}
		pass(seenFor)
		if n := here(h); n != 1 {
			t.Errorf("%d are still here", n)
		}
		if n := len(drain(t, l)); n > maxHints {
			t.Errorf("%d goings", n)
		}
		// Only the newest of each is held for a slow listener.
		for range 10 {
			h.Seen(alice)
			pass(seenFor)
		}
		wantEvents(t, l, "-alice")
		h.Close()
	})
}

func TestPeople(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	h.Seen(alice)
	listen(t, h, carol, ListenOptions{})
	ask := func(a Actor, target Target) string {
		t.Helper()
		found, err := h.People(t.Context(), a, target)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range found {
			s := p.Name
			if p.Online {
				s += "+" + p.Via
			}
			all = append(all, s)
		}
		return strings.Join(all, "|")
	}
	for _, target := range []Target{{}, {Room: General}} {
		if got := ask(bob, target); got != "alice+Claude Code|bob|carol+|dave" {
			t.Errorf("in %+v there are %s", target, got)
		}
	}
	if got := ask(bob, Target{Room: "den"}); got != "alice+Claude Code|bob" {
		t.Errorf("in den there are %s", got)
	}
	if got := ask(bob, Target{To: "carol"}); got != "bob|carol+" {
		t.Errorf("with carol there are %s", got)
	}
	for _, room := range []string{"den", "nosuch", "dm/alice/bob"} {
		_, err := h.People(t.Context(), carol, Target{Room: room})
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("carol asks who is in %s: %v", room, err)
		}
	}
	_, err := h.People(t.Context(), Actor{}, Target{})
	wantCode(t, err, NotFound, "")
}

func TestTyping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
		typing := ListenOptions{Types: []string{"typing"}}
		toAlice, toBob, toCarol := listen(t, h, alice, typing), listen(t, h, bob, typing), listen(t, h, carol, typing)
		slow := listen(t, h, bob, typing)
		elsewhere := listen(t, h, bob, ListenOptions{Types: typing.Types, Rooms: []string{General}})
		types := func(a Actor, target Target) {
			t.Helper()
			if err := h.Typing(t.Context(), a, target); err != nil {
				t.Error(err)
			}
		}
		types(alice, Target{Room: "den"})
		events := next(t, toBob)
		if len(events) != 1 || *events[0].Typing != (Typing{Room: "den", User: "alice", Time: timeOf(time.Now())}) {
			t.Errorf("bob got %s", show(events))
		}
		nothing(t, toAlice)
		nothing(t, toCarol)
		nothing(t, elsewhere)
		pass(typingEvery - time.Millisecond)
		types(alice, Target{Room: "den"}) // too often
		nothing(t, toBob)
		types(alice, Target{}) // another room is another matter
		wantEvents(t, toBob, "alice types")
		wantEvents(t, elsewhere, "alice types")
		wantEvents(t, toCarol, "alice types")
		pass(time.Millisecond)
		types(alice, Target{Room: "den"})
		wantEvents(t, toBob, "alice types")

		if got := show(drain(t, slow)); got != "alice types|alice types" {
			t.Errorf("a slow listener got %q", got)
		}
		types(bob, Target{To: "alice"})
		pass(typingFor)
		nothing(t, toAlice) // that was long ago
		types(alice, Target{Room: "den"})
		expel(t, h, "den", "bob")
		nothing(t, toBob)

		err := h.Typing(t.Context(), carol, Target{Room: "den"})
		wantCode(t, err, NotFound, "room")
		err = h.Typing(t.Context(), Actor{}, Target{})
		wantCode(t, err, NotFound, "")
		h.Close()
		err = h.Typing(t.Context(), alice, Target{})
		wantCode(t, err, Unavailable, "")
	})
}

// TestHintBound: what is held for slow listeners is bounded.
func TestHintBound(t *testing.T) {
	hs := newLive(1, 1).hints
	for i := range 3 * maxHints {
		hs.put(fmt.Sprint(i%(2*maxHints)), hint{})
	}
	if hs.list.Len() != maxHints || len(hs.byKey) != maxHints {
		t.Errorf("%d are held, %d by key", hs.list.Len(), len(hs.byKey))
	}
	found := hs.since(hs.step - 3)
	if len(found) != 3 || found[0].step != hs.step-2 || found[2].step != hs.step {
		t.Errorf("the newest are %+v", found)
	}
	if n := len(hs.since(0)); n != maxHints {
		t.Errorf("since the beginning there are %d", n)
	}
}
