package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waiting is a Wait under way.
type waiting struct {
	done bool
	page Page
	err  error
	took time.Duration
}

// wait begins a Wait in a bubble of synctest and lets it come to rest.
func wait(ctx context.Context, h *Hub, a Actor, q WaitQuery) *waiting {
	var w waiting
	go func() {
		start := time.Now()
		page, err := h.Wait(ctx, a, q)
		w = waiting{true, page, err, time.Since(start)}
	}()
	synctest.Wait()
	return &w
}

func TestWaitAtOnce(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true})
	open(t, h, alice, RoomSpec{Name: "pub"})
	for i, room := range []string{General, "den", "pub", "dm/alice/bob", General} {
		send(t, h, alice, room, fmt.Sprint(i+1, []string{"", " @Bob"}[i%2]))
	}
	for _, test := range []struct {
		actor Actor
		q     WaitQuery
		texts string
		next  uint64
		more  bool
	}{
		{bob, WaitQuery{After: "0"}, "1|3|4 @Bob|5", 5, false},
		{bob, WaitQuery{After: "0", Limit: 2}, "1|3", 3, true},
		{bob, WaitQuery{After: "0", Limit: 4}, "1|3|4 @Bob|5", 5, false},
		{bob, WaitQuery{After: h.id(3)}, "4 @Bob|5", 5, false},
		{bob, WaitQuery{After: "0", MentionsOnly: true}, "4 @Bob", 5, false},
		{bob, WaitQuery{After: "0", Rooms: []string{"pub"}}, "3", 5, false},
		{bob, WaitQuery{After: "0", Rooms: []string{"pub", "dm/alice/bob", "pub"}, Limit: 1}, "3", 3, true},
		{carol, WaitQuery{After: "0"}, "1|3|5", 5, false},
		{alice, WaitQuery{After: "0", MentionsOnly: true}, "4 @Bob", 5, false}, // direct: she is a party
	} {
		page, err := h.Wait(t.Context(), test.actor, test.q)
		if err != nil || texts(page) != test.texts || page.Next != h.id(test.next) || page.More != test.more {
			t.Errorf("%s %+v: %q, next %s, more %t, %v", test.actor.Name, test.q, texts(page), page.Next, page.More, err)
		}
	}
}

func TestWaitRefuses(t *testing.T) {
	h := newHub(t)
	for arg, q := range map[string]WaitQuery{
		"limit": {Limit: maxPage + 1},
		"after": {After: "x"},
		"rooms": {Rooms: make([]string, maxRoomNames+1)},
	} {
		_, err := h.Wait(t.Context(), alice, q)
		wantCode(t, err, Invalid, arg)
	}
	_, err := h.Wait(t.Context(), alice, WaitQuery{Rooms: []string{"nosuch"}})
	wantCode(t, err, NotFound, "rooms")
	_, err = h.Wait(t.Context(), alice, WaitQuery{Rooms: []string{""}})
	wantCode(t, err, Invalid, "rooms")
}

func TestWaitForNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		open(t, h, alice, RoomSpec{Name: "den", Private: true})
		send(t, h, alice, General, "old @bob")
		w := wait(t.Context(), h, bob, WaitQuery{})
		inDen := wait(t.Context(), h, alice, WaitQuery{Rooms: []string{"den"}})
		mentioned := wait(t.Context(), h, bob, WaitQuery{MentionsOnly: true})
		direct := wait(t.Context(), h, carol, WaitQuery{MentionsOnly: true})
		pass(time.Minute)
		send(t, h, alice, "den", "secret")
		synctest.Wait()
		if w.done || mentioned.done || direct.done {
			t.Fatal("a wait ended by what its actor may not see")
		}
		if !inDen.done || texts(inDen.page) != "secret" || inDen.took != time.Minute {
			t.Errorf("the wait for the room: %+v", inDen)
		}
		send(t, h, alice, General, "new")
		synctest.Wait()
		if !w.done || texts(w.page) != "new" || w.page.Next != h.id(3) || w.page.More || mentioned.done {
			t.Errorf("the wait for anything: %+v", w)
		}
		send(t, h, alice, General, "hey @Bob")
		send(t, h, alice, "dm/alice/carol", "psst")
		synctest.Wait()
		if !mentioned.done || texts(mentioned.page) != "hey @Bob" || !direct.done || texts(direct.page) != "psst" {
			t.Errorf("the waits for mentions: %+v, %+v", mentioned, direct)
		}
		if h.live.tapCount != 0 {
			t.Errorf("%d waits are left", h.live.tapCount)
		}
		h.Close()
	})
}

// TestWaitForNewRoom: rooms to come are among those of an empty query.
func TestWaitForNewRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		w := wait(t.Context(), h, bob, WaitQuery{})
		open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
		send(t, h, alice, "den", "welcome")
		synctest.Wait()
		if !w.done || texts(w.page) != "welcome" {
			t.Errorf("%+v", w)
		}
		h.Close()
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		open(t, h, alice, RoomSpec{Name: "other"})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		fromNow := wait(ctx, h, bob, WaitQuery{Rooms: []string{General}})
		fromStart := wait(ctx, h, bob, WaitQuery{Rooms: []string{General}, After: "0"})
		send(t, h, alice, "other", "x")
		pass(time.Minute)
		for _, w := range []*waiting{fromNow, fromStart} {
			// The cursor has moved on: what was looked at need not be again.
			if !w.done || w.err != nil || len(w.page.Messages) != 0 || w.page.Next != h.id(1) || w.took != 50*time.Second {
				t.Errorf("%+v", w)
			}
		}
		h.Close()
	})
}

// TestWaitWithEndedContext: a wait of no time at all still looks, and one after
// the other gets through the whole log.
func TestWaitWithEndedContext(t *testing.T) {
	h := newHub(t)
	shrinkRing(h)
	for range 3 * replayLimit {
		send(t, h, alice, General, "x")
	}
	send(t, h, alice, General, "@bob")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := WaitQuery{After: "0", MentionsOnly: true}
	for calls := 1; ; calls++ {
		page, err := h.Wait(ctx, bob, q)
		if err != nil || page.Next == q.After || calls > 10 {
			t.Fatalf("call %d: %+v, %v", calls, page, err)
		}
		if len(page.Messages) > 0 {
			if texts(page) != "@bob" || page.More || calls == 1 {
				t.Errorf("call %d: %+v", calls, page)
			}
			break
		}
		if !page.More {
			t.Errorf("call %d: no more after %s", calls, page.Next)
		}
		q.After = page.Next
	}
	if page, err := h.Wait(ctx, bob, WaitQuery{}); err != nil || page.Next != h.Head() || page.More || len(page.Messages) > 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestWaitLosesRoom: a loss of rights ends the wait for a room, as if it were
// gone.
func TestWaitLosesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
		named := wait(t.Context(), h, bob, WaitQuery{Rooms: []string{General, "den"}})
		ctx, cancel := context.WithCancel(t.Context())
		anything := wait(ctx, h, bob, WaitQuery{})
		expel(t, h, "den", "bob")
		send(t, h, alice, "den", "secret")
		synctest.Wait()
		if !named.done || !errors.Is(named.err, ErrNotFound) {
			t.Errorf("%+v", named)
		}
		if anything.done {
			t.Errorf("%+v", anything)
		}
		cancel()
		h.Close()
	})
}

// TestWaitThroughLog: a page is filled from as many looks into the log as it
// takes.
func TestWaitThroughLog(t *testing.T) {
	h := newHub(t)
	shrinkRing(h)
	open(t, h, alice, RoomSpec{Name: "rare"})
	for i := range 3 * replayLimit {
		if send(t, h, alice, General, "x"); i%replayLimit == 0 {
			send(t, h, alice, "rare", fmt.Sprint(i/replayLimit))
		}
	}
	for _, limit := range []int{2, 3, 4} {
		page, err := h.Wait(t.Context(), bob, WaitQuery{After: "0", Rooms: []string{"rare"}, Limit: limit})
		want := strings.Join([]string{"0", "1", "2"}[:min(limit, 3)], "|")
		if err != nil || texts(page) != want || page.More != (limit < 3) || !page.More && page.Next != h.Head() {
			t.Errorf("limit %d: %q, next %s, more %t, %v", limit, texts(page), page.Next, page.More, err)
		}
	}
}

func TestWaitFails(t *testing.T) {
	broken := errors.New("broken")
	log := &oddLog{Log: NewMemoryLog(1 << 20)}
	h := newHubOver(t, log)
	shrinkRing(h)
	send(t, h, alice, General, "x")
	log.read = func([]Record, error) ([]Record, error) { return nil, broken }
	if _, err := h.Wait(t.Context(), bob, WaitQuery{After: "0"}); !errors.Is(err, broken) {
		t.Errorf("Wait: %v", err)
	}
}

// TestNoMissedWakeUp: many actors wait for each other's next message, from
// where the last wait ended; nobody misses one.
func TestNoMissedWakeUp(t *testing.T) {
	const waiters, total = 8, 400
	h := newHub(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range waiters {
		after := h.Head()
		wg.Go(func() {
			var got []string
			for len(got) < total {
				page, err := h.Wait(ctx, bob, WaitQuery{After: after})
				if err != nil || len(page.Messages) == 0 {
					t.Errorf("Wait: %+v, %v", page, err)
					return
				}
				got = append(got, strings.Split(texts(page), "|")...)
				after = page.Next
			}
			for i, text := range got {
				if text != fmt.Sprint(i) {
					t.Fatalf("message %d is %s", i, text)
				}
			}
		})
	}
	for i := range total {
		send(t, h, alice, General, fmt.Sprint(i))
	}
	wg.Wait()
}

// When the server is about to stop, a wait ends with the cursor to go on from.
func TestEndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		send(t, h, alice, General, "one")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := wait(ctx, h, bob, WaitQuery{})
		if w.done {
			t.Fatal("the wait did not wait")
		}
		h.EndWaits()
		synctest.Wait()
		if !w.done || w.err != nil || len(w.page.Messages) > 0 || w.page.Next != h.id(1) || w.took > 0 {
			t.Errorf("the wait: %+v", w)
		}
		if w := wait(ctx, h, bob, WaitQuery{After: "0"}); !w.done || texts(w.page) != "one" {
			t.Errorf("a later wait does not look once: %+v", w)
		}
		if w := wait(ctx, h, bob, WaitQuery{}); !w.done || w.err != nil {
			t.Errorf("a later wait waits: %+v", w)
		}
	})
}
