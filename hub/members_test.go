package hub

import (
	"slices"
	"testing"
)

func TestInvite(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Topic: "plans", Invite: []string{"bob"}})
	open(t, h, alice, RoomSpec{Name: "square"})
	l := listen(t, h, carol, ListenOptions{})
	for range 2 { // again, it changes nothing
		r, err := h.Invite(t.Context(), bob, "den", "carol")
		if err != nil || r.Topic != "plans" || !slices.Equal(r.Members, []string{"alice", "bob", "carol"}) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	send(t, h, alice, "den", "welcome")
	wantEvents(t, l, "welcome")
	for name, test := range map[string]struct {
		actor      Actor
		room, user string
		code       Code
		arg        string
	}{
		"a guest":             {guest, "den", "dave", NotFound, ""},
		"no member":           {Actor{Name: "dave"}, "den", "dave", NotFound, "room"},
		"no such room":        {alice, "none", "dave", NotFound, "room"},
		"no name":             {alice, "No!", "dave", Invalid, "room"},
		"no such user":        {alice, "den", "nobody", NotFound, "user"},
		"a public room":       {alice, "square", "dave", Invalid, "room"},
		"the one for all":     {alice, General, "dave", Invalid, "room"},
		"a direct room":       {alice, "dm/alice/bob", "dave", Invalid, "room"},
		"a stranger's direct": {carol, "dm/alice/bob", "carol", NotFound, "room"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Invite(t.Context(), test.actor, test.room, test.user)
			wantCode(t, err, test.code, test.arg)
		})
	}
	if rooms, err := h.Rooms(t.Context(), Actor{Name: "dave"}); err != nil || len(rooms) != 2 {
		t.Errorf("of what was refused there is %+v, %v", rooms, err)
	}
}

// TestExpel: members leave, and the one who opened the room can make them; from
// then on they get nothing of it.
func TestExpel(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob", "carol", "dave"}})
	open(t, h, alice, RoomSpec{Name: "square"})
	for name, test := range map[string]struct {
		actor      Actor
		room, user string
		code       Code
		arg        string
	}{
		"a guest":              {guest, "den", "bob", NotFound, ""},
		"by another member":    {bob, "den", "carol", Forbidden, "user"},
		"the one who opened":   {bob, "den", "alice", Forbidden, "user"},
		"no such member":       {alice, "den", "nobody", NotFound, "user"},
		"no such room":         {alice, "none", "alice", NotFound, "room"},
		"a public room":        {bob, "square", "bob", Invalid, "room"},
		"out of a public room": {alice, "square", "bob", Invalid, "room"},
		"the one for all":      {bob, General, "bob", Invalid, "room"},
		"a direct room":        {bob, "dm/alice/bob", "bob", Invalid, "room"},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, h.Expel(t.Context(), test.actor, test.room, test.user), test.code, test.arg)
		})
	}

	toBob, toCarol := listen(t, h, bob, ListenOptions{}), listen(t, h, carol, ListenOptions{})
	typed := begin(t, h, carol, Draft{Target: Target{Room: "den"}})
	typed.Part("on my way", 1, 2)
	wantEvents(t, toBob, "on my way…")
	if err := h.Expel(t.Context(), bob, "den", "bob"); err != nil {
		t.Fatal(err)
	}
	if err := h.Expel(t.Context(), alice, "den", "carol"); err != nil {
		t.Fatal(err)
	}
	send(t, h, alice, "den", "among us")
	nothing(t, toBob)
	drain(t, toCarol)
	nothing(t, toCarol)
	for _, a := range []Actor{bob, carol} {
		wantCode(t, h.Expel(t.Context(), a, "den", a.Name), NotFound, "room")
		_, err := h.History(t.Context(), a, HistoryQuery{Target: Target{Room: "den"}})
		wantCode(t, err, NotFound, "room")
	}
	toDave := listen(t, h, Actor{Name: "dave"}, ListenOptions{Rooms: []string{"den"}})
	typed.Part(", still writing", 2, 2)
	_, _, err := typed.Interrupt(t.Context())
	wantCode(t, err, NotFound, "room")
	for _, e := range drain(t, toDave) {
		if e.Partial == nil || e.Partial.Message != "on my way" {
			t.Errorf("of who was expelled came %s", show([]Event{e}))
		}
	}
}

// TestCreatorLeaves: who opened a room has no more rights in it than others
// once out of it, and has them again when invited; a room of nobody is nobody's.
func TestCreatorLeaves(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob", "carol"}})
	if err := h.Expel(t.Context(), alice, "den", "alice"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, h.Expel(t.Context(), alice, "den", "bob"), NotFound, "room")
	_, err := h.Invite(t.Context(), alice, "den", "alice")
	wantCode(t, err, NotFound, "room")
	wantCode(t, h.Expel(t.Context(), bob, "den", "carol"), Forbidden, "user")
	if _, err := h.Invite(t.Context(), bob, "den", "alice"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"carol", "bob", "alice"} {
		if err := h.Expel(t.Context(), alice, "den", user); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	for _, a := range []Actor{alice, bob} {
		_, _, err := h.OpenRoom(t.Context(), a, RoomSpec{Name: "den", Private: true})
		wantCode(t, err, NotFound, "room")
	}
}
