package hub

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestHiddenRooms: for whoever may not see it, a room is exactly as one that
// does not exist, in everything that can be asked.
func TestHiddenRooms(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "hidden", Private: true, Topic: "plans", Invite: []string{"bob"}})
	inHidden := send(t, h, alice, "hidden", "secret")
	inDirect := send(t, h, alice, "dm/alice/bob", "secret")
	s, _, err := h.Stream(t.Context(), alice, Draft{Target: Target{Room: "hidden"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Cancel()
	s.Part("secret", 1, 2)

	asked := map[string]func(room string) error{
		"Room": func(room string) error {
			_, err := h.Room(t.Context(), carol, Target{Room: room})
			return err
		},
		"May": func(room string) error {
			if h.May(carol, room) {
				return nil
			}
			return ErrNotFound
		},
		"Send": func(room string) error {
			_, _, err := h.Send(t.Context(), carol, Draft{Target: Target{Room: room}, Text: "x"})
			return err
		},
		"Send with key": func(room string) error {
			_, _, err := h.Send(t.Context(), carol, Draft{Target: Target{Room: room}, Text: "x", Tool: "send", Key: "k"})
			return err
		},
		"Send with reply": func(room string) error {
			_, _, err := h.Send(t.Context(), carol, Draft{Target: Target{Room: room}, Text: "x", ReplyTo: inHidden.ID})
			return err
		},
		"Stream": func(room string) error {
			_, _, err := h.Stream(t.Context(), carol, Draft{Target: Target{Room: room}})
			return err
		},
		"History": func(room string) error {
			_, err := h.History(t.Context(), carol, HistoryQuery{Target: Target{Room: room}, After: "0"})
			return err
		},
		"Wait": func(room string) error {
			_, err := h.Wait(t.Context(), carol, WaitQuery{Rooms: []string{General, room}, After: "0"})
			return err
		},
		"Listen": func(room string) error {
			_, err := h.Listen(t.Context(), carol, ListenOptions{Rooms: []string{room}})
			return err
		},
	}
	unknown := map[string]string{"hidden": "nosuch", "dm/alice/bob": "dm/alice/box"}
	for name, ask := range asked {
		for hidden, nosuch := range unknown {
			got, want := ask(hidden), ask(nosuch)
			if !errors.Is(want, ErrNotFound) {
				t.Fatalf("%s of an unknown room: %v", name, want)
			}
			if got == nil || strings.ReplaceAll(got.Error(), hidden, nosuch) != want.Error() {
				t.Errorf("%s of %s says %v, of an unknown room %v", name, hidden, got, want)
			}
		}
	}
	// A message in it cannot be answered from elsewhere; nor can one be found
	// out.
	for _, id := range []string{inHidden.ID, inDirect.ID, h.id(999), "other-1", "nonsense", h.id(0)} {
		_, _, err := h.Send(t.Context(), carol, Draft{Text: "x", ReplyTo: id})
		wantCode(t, err, NotFound, "reply_to")
		if want := fmt.Sprintf("reply_to: there is no message %q in room general", id); err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	rooms, err := h.Rooms(t.Context(), carol)
	if err != nil || len(rooms) != 1 || rooms[0].Name != General {
		t.Errorf("carol's rooms are %+v, %v", rooms, err)
	}
	l := listen(t, h, carol, ListenOptions{After: "0"})
	nothing(t, l)

	// Whoever may see it finds all that by the same ways.
	for _, room := range []string{"hidden", "dm/alice/bob"} {
		if r, err := h.Room(t.Context(), bob, Target{Room: room}); err != nil || !slices.Contains(r.Members, "bob") || !h.May(bob, room) {
			t.Errorf("bob's %s is %+v, %v", room, r, err)
		}
		if page, err := h.History(t.Context(), bob, HistoryQuery{Target: Target{Room: room}}); err != nil || texts(page) != "secret" {
			t.Errorf("bob reads %q in %s, %v", texts(page), room, err)
		}
	}
	wantEvents(t, listen(t, h, bob, ListenOptions{After: "0"}), "secret|secret|secret…")
}

// TestNobody: an actor without a name sees nothing, public rooms included.
func TestNobody(t *testing.T) {
	h := newHub(t)
	send(t, h, alice, General, "x")
	_, err := h.History(t.Context(), Actor{}, HistoryQuery{})
	wantCode(t, err, NotFound, "room")
	_, _, err = h.Send(t.Context(), Actor{}, Draft{Text: "x"})
	wantCode(t, err, NotFound, "")
	_, _, err = h.OpenRoom(t.Context(), Actor{}, RoomSpec{Name: "mine"})
	wantCode(t, err, NotFound, "")
	if rooms, _ := h.Rooms(t.Context(), Actor{}); len(rooms) != 0 {
		t.Errorf("nobody sees %+v", rooms)
	}
	nothing(t, listen(t, h, Actor{}, ListenOptions{After: "0"}))
}

func TestTargets(t *testing.T) {
	h := newHub(t)
	for _, test := range []struct {
		target Target
		room   string
		code   Code
		arg    string
	}{
		{Target{}, General, "", ""},
		{Target{Room: General}, General, "", ""},
		{Target{To: "bob"}, "dm/alice/bob", "", ""},
		{Target{Room: "dm/alice/bob"}, "dm/alice/bob", "", ""},
		{Target{Room: "dm/alice/bob", To: "bob"}, "", Invalid, "to"},
		{Target{To: "alice"}, "", Invalid, "to"},
		{Target{To: "nobody"}, "", NotFound, "to"},
		{Target{To: "Bob"}, "", Invalid, "to"},
		{Target{To: "dm/alice/bob"}, "", Invalid, "to"},
		{Target{Room: "dm/alice/nobody"}, "", NotFound, "room"},
		{Target{Room: "dm/bob/carol"}, "", NotFound, "room"},
		{Target{Room: "dm/alice/alice"}, "", Invalid, "room"},
		{Target{Room: "dm/bob/alice"}, "", Invalid, "room"},
		{Target{Room: "No Such"}, "", Invalid, "room"},
		{Target{Room: "nosuch"}, "", NotFound, "room"},
		{Target{Room: "../general"}, "", Invalid, "room"},
		{Target{Room: "*"}, "", Invalid, "room"},
	} {
		m, _, err := h.Send(t.Context(), alice, Draft{Target: test.target, Text: "x"})
		if test.code != "" {
			wantCode(t, err, test.code, test.arg)
		} else if err != nil || m.Room != test.room {
			t.Errorf("%+v went to %q, %v", test.target, m.Room, err)
		}
	}
}

// TestDirectRooms are there for any two users, and listed with the first
// message.
func TestDirectRooms(t *testing.T) {
	h := newHub(t)
	r, err := h.Room(t.Context(), alice, Target{To: "bob"})
	if err != nil || r.Name != "dm/alice/bob" || r.Kind != Direct || !slices.Equal(r.Members, []string{"alice", "bob"}) || r.Last != "" {
		t.Errorf("the direct room is %+v, %v", r, err)
	}
	if rooms, _ := h.Rooms(t.Context(), alice); len(rooms) != 1 {
		t.Errorf("listed before its first message: %+v", rooms)
	}
	s, _, err := h.Stream(t.Context(), alice, Draft{Target: Target{To: "bob"}})
	if err != nil {
		t.Fatal(err)
	}
	toBob, toCarol := listen(t, h, bob, ListenOptions{}), listen(t, h, carol, ListenOptions{})
	s.Part("hi", 1, 1)
	wantEvents(t, toBob, "hi…")
	m, err := s.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, toBob, "hi")
	nothing(t, toCarol)
	for _, a := range []Actor{alice, bob} {
		if rooms, _ := h.Rooms(t.Context(), a); len(rooms) != 2 || rooms[0].Name != "dm/alice/bob" || rooms[0].Last != m.ID {
			t.Errorf("%s has %+v", a.Name, rooms)
		}
	}
	back, _, err := h.Send(t.Context(), bob, Draft{Target: Target{To: "alice"}, Text: "hi to you", ReplyTo: m.ID})
	if err != nil || back.Room != m.Room {
		t.Errorf("the answer is %+v, %v", back, err)
	}
}

func TestOpenRoom(t *testing.T) {
	h := newHub(t)
	for _, step := range []struct {
		actor   Actor
		spec    RoomSpec
		created bool
		topic   string
		members string
		code    Code
		arg     string
	}{
		{actor: alice, spec: RoomSpec{Name: General}},
		{actor: alice, spec: RoomSpec{Name: General, Topic: "mine"}}, // nobody made it
		{actor: alice, spec: RoomSpec{Name: General, Private: true}, code: Invalid, arg: "private"},
		{actor: alice, spec: RoomSpec{Name: General, Invite: []string{"bob"}}, code: Invalid, arg: "invite"},
		{actor: alice, spec: RoomSpec{Name: "pub", Topic: "one"}, created: true, topic: "one"},
		{actor: bob, spec: RoomSpec{Name: "pub", Topic: "two"}, topic: "one"},
		{actor: alice, spec: RoomSpec{Name: "pub"}, topic: "one"},
		{actor: alice, spec: RoomSpec{Name: "pub", Topic: "three"}, topic: "three"},
		{actor: bob, spec: RoomSpec{Name: "pub", Private: true}, code: Invalid, arg: "private"},
		{actor: bob, spec: RoomSpec{Name: "pub2", Invite: []string{"alice"}}, code: Invalid, arg: "invite"},
		{actor: bob, spec: RoomSpec{Name: "pub2"}, created: true},
		{actor: alice, spec: RoomSpec{Name: "den", Private: true, Topic: "one"}, created: true, topic: "one", members: "alice"},
		{actor: bob, spec: RoomSpec{Name: "den"}, code: NotFound, arg: "room"},
		{actor: bob, spec: RoomSpec{Name: "den", Private: true}, code: NotFound, arg: "room"},
		{actor: bob, spec: RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}}, code: NotFound, arg: "room"},
		{actor: alice, spec: RoomSpec{Name: "den", Invite: []string{"nobody"}}, code: NotFound, arg: "invite"},
		{actor: alice, spec: RoomSpec{Name: "den", Invite: []string{"bob", "bob", "alice"}}, topic: "one", members: "alice bob"},
		{actor: bob, spec: RoomSpec{Name: "den", Private: true, Topic: "two", Invite: []string{"carol"}}, topic: "two", members: "alice bob carol"},
		{actor: carol, spec: RoomSpec{Name: "den"}, topic: "two", members: "alice bob carol"},
		{actor: alice, spec: RoomSpec{Name: "dm/alice/bob"}, code: Invalid, arg: "room"},
		{actor: alice, spec: RoomSpec{Name: "A B"}, code: Invalid, arg: "room"},
		{actor: alice, spec: RoomSpec{Name: ""}, code: Invalid, arg: "room"},
		{actor: alice, spec: RoomSpec{Name: "x", Topic: "a\nb"}, code: Invalid, arg: "topic"},
		{actor: alice, spec: RoomSpec{Name: "x", Private: true, Invite: make([]string, maxInvites+1)}, code: Invalid, arg: "invite"},
	} {
		r, created, err := h.OpenRoom(t.Context(), step.actor, step.spec)
		if step.code != "" {
			wantCode(t, err, step.code, step.arg)
			continue
		}
		want := Room{Name: step.spec.Name, Kind: Public, Topic: step.topic, Members: strings.Fields(step.members)}
		if step.members != "" {
			want.Kind = Private
		}
		if err != nil || created != step.created || fmt.Sprint(r) != fmt.Sprint(want) {
			t.Errorf("%s opens %+v: %+v, created %t, %v", step.actor.Name, step.spec, r, created, err)
		}
	}
	var names []string
	rooms, _ := h.Rooms(t.Context(), bob)
	for _, r := range rooms {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, " "); got != "den general pub pub2" {
		t.Errorf("bob has %s", got)
	}
}

// TestRoomsAreCopies: what a caller does with a room changes nothing.
func TestRoomsAreCopies(t *testing.T) {
	h := newHub(t)
	r := open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	r.Members[0], r.Members[1] = "carol", "carol"
	if h.May(carol, "den") || !h.May(alice, "den") || !h.May(bob, "den") {
		t.Error("a caller changed the members")
	}
}

func TestRoomBounds(t *testing.T) {
	h := newHub(t)
	open(t, h, bob, RoomSpec{Name: "hidden", Private: true})
	for i := range maxOwnRooms {
		open(t, h, alice, RoomSpec{Name: fmt.Sprintf("r%d", i), Private: i%2 == 0})
	}
	// At the bound a hidden name and a free one get the same answer.
	for _, name := range []string{"one-more", "hidden"} {
		_, _, err := h.OpenRoom(t.Context(), alice, RoomSpec{Name: name})
		wantCode(t, err, Full, "room")
	}
	open(t, h, alice, RoomSpec{Name: "r1"}) // joining is no opening
	open(t, h, bob, RoomSpec{Name: "one-more"})

	opened := 1 + 1 + maxOwnRooms + 1
	for i := 0; opened < maxRooms; i++ {
		user := Actor{Name: fmt.Sprintf("user%d", i/maxOwnRooms)}
		open(t, h, user, RoomSpec{Name: fmt.Sprintf("s%d", i)})
		opened++
	}
	for _, name := range []string{"last", "hidden"} {
		_, _, err := h.OpenRoom(t.Context(), carol, RoomSpec{Name: name})
		wantCode(t, err, Full, "room")
	}
	if rooms, _ := h.Rooms(t.Context(), bob); len(rooms) != maxRooms-maxOwnRooms/2 {
		t.Errorf("bob sees %d rooms", len(rooms))
	}
}

func TestMemberBound(t *testing.T) {
	h := newHub(t)
	var users userSet
	for i := range maxMembers + 1 {
		users = append(users, fmt.Sprintf("u%d", i))
	}
	h.users = users
	owner := Actor{Name: users[0]}
	for i := 0; i < maxMembers; i += maxInvites {
		open(t, h, owner, RoomSpec{Name: "den", Private: true, Invite: users[i:min(i+maxInvites, maxMembers)]})
	}
	_, _, err := h.OpenRoom(t.Context(), owner, RoomSpec{Name: "den", Invite: users[maxMembers:]})
	wantCode(t, err, Full, "invite")
	if r, err := h.Room(t.Context(), owner, Target{Room: "den"}); err != nil || len(r.Members) != maxMembers {
		t.Errorf("the room has %d members, %v", len(r.Members), err)
	}
}

// TestOpenRoomAgain: a call that is made again because its answer was lost
// changes nothing, whether the room is new or somebody else's.
func TestOpenRoomAgain(t *testing.T) {
	bucket := NewMemoryBucket(1 << 20)
	h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Rooms: bucket})
	for _, spec := range []RoomSpec{
		{Name: "pub", Topic: "t"},
		{Name: "den", Private: true, Topic: "t", Invite: []string{"bob"}},
		{Name: "den", Private: true, Topic: "other", Invite: []string{"carol", "bob"}},
	} {
		first := open(t, h, alice, spec)
		value, revision := bucket.Get(spec.Name)
		again, created, err := h.OpenRoom(t.Context(), alice, spec)
		if err != nil || created || !reflect.DeepEqual(again, first) {
			t.Errorf("again: %+v, created %t, %v; want %+v", again, created, err, first)
		}
		if v, r := bucket.Get(spec.Name); r != revision || string(v) != string(value) {
			t.Errorf("%s was stored again", spec.Name)
		}
	}
	wantCode(t, h.AddMember(t.Context(), "den", "bob"), Conflict, "user")
	_, before := bucket.Get("den")
	if err := h.AddMember(t.Context(), "den", "dave"); err != nil {
		t.Fatal(err)
	}
	_, after := bucket.Get("den")
	wantCode(t, h.AddMember(t.Context(), "den", "dave"), Conflict, "user")
	if _, r := bucket.Get("den"); r != after || after == before {
		t.Errorf("revisions %d, %d, then %d", before, after, r)
	}
}
