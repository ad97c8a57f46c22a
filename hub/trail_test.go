package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// heard is a trail that remembers.
type heard struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (h *heard) RoomChanged(_ context.Context, a Actor, c RoomChange) {
	h.add("%s %s %s %s", a.Name, c.What, c.Room, c.User)
}

func (h *heard) RoomMissed(a Actor, room string, there bool) {
	h.add("%s misses %s %t", a.Name, room, there)
}

func (h *heard) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, fmt.Sprintf(format, args...))
}

// take returns what was heard since.
func (h *heard) take() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, h.all = h.all, nil
	return all
}

func TestTrail(t *testing.T) {
	ctx, trail := t.Context(), &heard{}
	h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Trail: trail})
	for _, step := range []struct {
		name  string
		do    func() error
		fails bool
		want  []string
	}{
		{"a new room", func() error {
			return second(h.OpenRoom(ctx, alice, RoomSpec{Name: "plans", Private: true, Invite: []string{"bob"}}))
		}, false, []string{"alice open plans ", "alice add plans bob"}},
		{"the same again", func() error {
			return second(h.OpenRoom(ctx, alice, RoomSpec{Name: "plans", Private: true, Invite: []string{"bob"}}))
		}, false, nil},
		{"a topic", func() error {
			return second(h.OpenRoom(ctx, bob, RoomSpec{Name: "plans", Private: true, Topic: "later"}))
		}, false, []string{"bob topic plans "}},
		{"an invitation", func() error { return only(h.Invite(ctx, bob, "plans", "carol")) }, false, []string{"bob add plans carol"}},
		{"the same invitation", func() error { return only(h.Invite(ctx, bob, "plans", "carol")) }, false, nil},
		{"leaving", func() error { return h.Expel(ctx, carol, "plans", "carol") }, false, []string{"carol remove plans carol"}},
		{"one who may not see it", func() error { return only(h.Room(ctx, carol, Target{Room: "plans"})) }, true, []string{"carol misses plans true"}},
		{"one that is not there", func() error { return only(h.Room(ctx, carol, Target{Room: "nowhere"})) }, true, []string{"carol misses nowhere false"}},
		{"of two others", func() error { return only(h.Room(ctx, carol, Target{Room: "dm/alice/bob"})) }, true, []string{"carol misses dm/alice/bob true"}},
		{"a name that is taken", func() error { return second(h.OpenRoom(ctx, carol, RoomSpec{Name: "plans"})) }, true, []string{"carol misses plans true"}},
		{"a list", func() error { return only(h.Rooms(ctx, carol)) }, false, nil},
	} {
		if err := step.do(); (err != nil) != step.fails {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := trail.take(); !slices.Equal(got, step.want) {
			t.Errorf("%s: heard %q, want %q", step.name, got, step.want)
		}
	}
}

// TestTrailIsNotFlooded: what is remembered of one user is so much at once, and then
// one thing a second, whichever way it is done; others have their own.
func TestTrailIsNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, trail := t.Context(), &heard{}
		h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Trail: trail, MaxAlteredPerUser: 4})
		topic := func(a Actor, text string) error {
			return second(h.OpenRoom(ctx, a, RoomSpec{Name: "plans", Private: true, Topic: text}))
		}
		if err := second(h.OpenRoom(ctx, alice, RoomSpec{Name: "plans", Private: true, Invite: []string{"bob", "carol"}})); err != nil { // 3
			t.Fatal(err)
		}
		if err := topic(alice, "1"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, topic(alice, "2"), Full, "")
		wantCode(t, h.Expel(ctx, alice, "plans", "carol"), Full, "")
		if err := topic(alice, "1"); err != nil { // which changes nothing
			t.Error(err)
		}
		if err := topic(bob, "3"); err != nil {
			t.Error(err)
		}
		<-time.After(2 * time.Second)
		wantCode(t, second(h.OpenRoom(ctx, alice, RoomSpec{Name: "more", Private: true, Invite: []string{"bob", "carol"}})), Full, "")
		if err := h.Expel(ctx, alice, "plans", "carol"); err != nil {
			t.Error(err)
		}
		if err := topic(alice, "4"); err != nil {
			t.Error(err)
		}
		wantCode(t, topic(alice, "5"), Full, "")
		if got := trail.take(); len(got) != 7 {
			t.Errorf("heard %q", got)
		}
	})
}

func only[T any](_ T, err error) error { return err }
