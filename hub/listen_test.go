package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// shrinkRing makes the ring hold nothing, so that all listeners read the log.
func shrinkRing(h *Hub) {
	h.live.mu.Lock()
	defer h.live.mu.Unlock()
	h.live.ring.max = 0
}

func TestListen(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	open(t, h, alice, RoomSpec{Name: "pub"})
	send(t, h, alice, General, "before")
	toBob, toCarol := listen(t, h, bob, ListenOptions{}), listen(t, h, carol, ListenOptions{})
	onlyPub := listen(t, h, bob, ListenOptions{Rooms: []string{"pub", "den"}})
	for i, room := range []string{General, "den", "pub", "dm/alice/bob", "dm/alice/carol", "den"} {
		send(t, h, alice, room, fmt.Sprint(i))
	}
	wantEvents(t, toBob, "0|1|2|3|5")
	wantEvents(t, toCarol, "0|2|4")
	wantEvents(t, onlyPub, "1|2|5")
	nothing(t, toBob)

	// What was missed comes with a cursor.
	wantEvents(t, listen(t, h, bob, ListenOptions{After: "0"}), "before|0|1|2|3|5")
	wantEvents(t, listen(t, h, carol, ListenOptions{After: h.id(4)}), "4")
	nothing(t, listen(t, h, carol, ListenOptions{After: h.id(6)}))
}

// TestListenWakes: a listener that waits is woken by what it may see.
func TestListenWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		open(t, h, alice, RoomSpec{Name: "den", Private: true})
		l := listen(t, h, bob, ListenOptions{})
		var got []Event
		go func() { got, _ = l.Next(t.Context()) }()
		synctest.Wait()
		send(t, h, alice, "den", "secret")
		send(t, h, alice, "dm/alice/carol", "secret")
		synctest.Wait()
		if got != nil {
			t.Fatalf("bob got %s", show(got))
		}
		send(t, h, alice, "dm/alice/bob", "hello")
		synctest.Wait()
		if show(got) != "hello" {
			t.Errorf("bob got %q", show(got))
		}
		h.Close()
	})
}

// TestInvited: an invitation brings the text so far of running streams, and
// what is sent from then on; what was sent before is history.
func TestInvited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		open(t, h, alice, RoomSpec{Name: "den", Private: true})
		c, l := collect(t, h, bob), listen(t, h, bob, ListenOptions{})
		public := begin(t, h, alice, Draft{})
		public.Part("public", 1, 1)
		send(t, h, alice, "den", "before")
		s := begin(t, h, alice, Draft{Target: Target{Room: "den"}})
		s.Part("on its", 1, 3)
		wantEvents(t, l, "public…")
		nothing(t, l)
		synctest.Wait()
		open(t, h, alice, RoomSpec{Name: "den", Invite: []string{"bob"}})
		synctest.Wait()
		wantEvents(t, l, "on its…")
		nothing(t, l)
		send(t, h, alice, "den", "after")
		pass(partialEvery)
		s.Part(" way", 2, 3)
		synctest.Wait()
		wantEvents(t, l, "after|on its way…")
		pass(partialEvery) // those who wait are not woken more often than that
		s.Cancel()
		wantEvents(t, l, "on its way×")
		pass(partialEvery)
		if events, _ := c.all(); show(events) != "public…|on its…|after|on its way…|on its way×" {
			t.Errorf("a waiting listener got %q", show(events))
		}
		h.Close()
	})
}

// TestListenerLosesRoom: rights are asked at delivery, so what was stored or
// shown before they were lost is not delivered after.
func TestListenerLosesRoom(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	l := listen(t, h, bob, ListenOptions{})
	s, _, err := h.Stream(t.Context(), alice, Draft{Target: Target{Room: "den"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Part("one", 1, 2)
	wantEvents(t, l, "one…")
	send(t, h, alice, "den", "two")
	expel(t, h, "den", "bob")
	s.Cancel()
	nothing(t, l)
	nothing(t, listen(t, h, bob, ListenOptions{After: "0"}))
	shrinkRing(h)
	send(t, h, alice, General, "three")
	wantEvents(t, listen(t, h, bob, ListenOptions{After: "0"}), "three")
}

// expel takes a member's rights away.
func expel(t *testing.T, h *Hub, room, user string) {
	t.Helper()
	if err := h.RemoveMember(t.Context(), room, user); err != nil {
		t.Fatal(err)
	}
}

// smallEntry is about the size of an entry with a short message.
const smallEntry = 900

// TestSlowListener: a listener that fell off the ring gets everything from the
// log, then goes on live.
func TestSlowListener(t *testing.T) {
	h := newHub(t)
	h.live.ring.max = 60 * 3600
	slow, quick := listen(t, h, bob, ListenOptions{}), listen(t, h, bob, ListenOptions{})
	filler := strings.Repeat("x", 1000)
	const n = 4 * replayLimit
	for i := range n {
		room := General
		if i%3 == 0 {
			room = "dm/alice/carol"
		}
		send(t, h, alice, room, fmt.Sprint(i, " ", filler))
		if i%3 != 0 {
			if got := next(t, quick); len(got) != 1 || !strings.HasPrefix(got[0].Message.Message, fmt.Sprint(i, " ")) {
				t.Fatalf("the quick listener got %d events at %d", len(got), i)
			}
		}
	}
	if h.live.ring.base == 0 {
		t.Fatal("the ring still holds everything")
	}
	for i := 1; i < n; {
		for _, e := range next(t, slow) {
			if !strings.HasPrefix(e.Message.Message, fmt.Sprint(i, " ")) {
				t.Fatalf("got %.10q, want %d", e.Message.Message, i)
			}
			if i++; i%3 == 0 {
				i++
			}
		}
	}
	nothing(t, slow)
	send(t, h, alice, General, "live")
	wantEvents(t, slow, "live")
}

// TestIdleListener: a listener that had nothing to see for long is not led
// through the log for it.
func TestIdleListener(t *testing.T) {
	log := &oddLog{Log: NewMemoryLog(1 << 20)}
	h := newHubOver(t, log)
	h.live.ring.max = 5 * smallEntry
	fresh, old := listen(t, h, bob, ListenOptions{}), listen(t, h, bob, ListenOptions{After: "0"})
	send(t, h, alice, General, "before")
	wantEvents(t, fresh, "before")
	wantEvents(t, old, "before")
	nothing(t, old)
	log.read = func(r []Record, err error) ([]Record, error) {
		t.Error("the log is read")
		return r, err
	}
	for range 3 {
		for range 20 {
			send(t, h, alice, "dm/alice/carol", "psst")
		}
		s := begin(t, h, alice, Draft{})
		s.Part("part", 1, 1)
		wantEvents(t, old, "part…")
		s.Cancel()
		send(t, h, alice, General, "after")
		wantEvents(t, old, "after|part×")
		wantEvents(t, fresh, "after")
	}
	// One that has something to see and does not take it falls off.
	log.read = nil
	send(t, h, alice, General, "one")
	for range 20 {
		send(t, h, alice, "dm/alice/carol", "psst")
	}
	send(t, h, alice, General, "two")
	if h.live.ring.base < old.tap.first {
		t.Error("the ring still holds it")
	}
	for _, l := range []*Listener{fresh, old} {
		if got := show(drain(t, l)); got != "one|two" {
			t.Errorf("got %q", got)
		}
	}
}

// TestExpiredListener: what the log has let go of before the listener read it
// is not passed over in silence.
func TestExpiredListener(t *testing.T) {
	log := &oddLog{Log: NewMemoryLog(1 << 20)}
	h := newHubOver(t, log)
	send(t, h, alice, General, "0")
	l := listen(t, h, bob, ListenOptions{})
	fresh := listen(t, h, bob, ListenOptions{After: "0"})
	shrinkRing(h)
	for i := range 5 {
		send(t, h, alice, General, fmt.Sprint(i+1))
	}
	log.state = func(s State) (State, error) { s.First = 4; return s, nil }
	log.read = func(r []Record, err error) ([]Record, error) {
		return slices.DeleteFunc(r, func(r Record) bool { return r.Seq < 4 }), err
	}
	_, err := l.Next(t.Context())
	wantCode(t, err, Reset, "after")
	if err == nil || !strings.Contains(err.Error(), h.id(3)) {
		t.Errorf("%v does not name %s", err, h.id(3))
	}
	wantEvents(t, fresh, "3|4|5") // "0" is the beginning of what there is
}

func TestListenerFails(t *testing.T) {
	broken := errors.New("broken")
	log := &oddLog{Log: NewMemoryLog(1 << 20)}
	h := newHubOver(t, log)
	l := listen(t, h, bob, ListenOptions{})
	shrinkRing(h)
	send(t, h, alice, General, "x")
	log.read = func([]Record, error) ([]Record, error) { return nil, broken }
	if _, err := l.Next(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Next: %v", err)
	}
	log.read = nil
	wantEvents(t, l, "x") // nothing was lost by it
}

func TestListenerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := listen(t, h, bob, ListenOptions{})
		var err error
		go func() { _, err = l.Next(t.Context()) }()
		synctest.Wait()
		l.Close()
		l.Close()
		synctest.Wait()
		wantCode(t, err, Unavailable, "")
		if n := h.live.tapCount; n != 0 || len(h.live.taps) != 0 {
			t.Errorf("%d listeners are left", n)
		}
		_, err = h.Listen(t.Context(), bob, ListenOptions{After: "nonsense"})
		wantCode(t, err, Invalid, "after")
		if h.live.tapCount != 0 {
			t.Error("a listener that was refused is left")
		}
		h.Close()
	})
}

func TestListenerBound(t *testing.T) {
	h := newHub(t)
	for range maxTaps {
		listen(t, h, bob, ListenOptions{})
	}
	_, err := h.Listen(t.Context(), bob, ListenOptions{})
	wantCode(t, err, Full, "")
	_, err = h.Wait(t.Context(), bob, WaitQuery{After: "0"})
	wantCode(t, err, Full, "")
}

// TestConcurrentListeners: under concurrent senders, resumed and slow, every
// listener gets everything once, in order.
func TestConcurrentListeners(t *testing.T) {
	const senders, each, listeners = 4, 150, 6
	h := newHub(t)
	h.live.ring.max = 20 * smallEntry // small, so that some fall off
	var wg sync.WaitGroup
	var got [listeners][]string
	for i := range listeners {
		l := listen(t, h, bob, ListenOptions{})
		wg.Go(func() {
			for len(got[i]) < senders*each {
				for _, e := range next(t, l) {
					got[i] = append(got[i], e.Message.ID)
				}
				if i%2 == 0 { // this one comes and goes
					l.Close()
					var err error
					if l, err = h.Listen(t.Context(), bob, ListenOptions{After: got[i][len(got[i])-1]}); err != nil {
						t.Error(err)
						return
					}
				}
			}
			l.Close()
		})
	}
	for range senders {
		wg.Go(func() {
			for range each {
				if _, _, err := h.Send(context.Background(), alice, Draft{Text: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range got {
		for n, id := range got[i] {
			if id != h.id(uint64(n)+1) {
				t.Fatalf("listener %d: event %d is %s", i, n, id)
			}
		}
	}
}
