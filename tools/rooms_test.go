package tools

import (
	"fmt"
	"strings"
	"testing"

	"wigwag/hub"
)

func TestOpenRoom(t *testing.T) {
	h := newHost(t)
	alice, bob := h.client("alice"), h.client("bob")
	open := func(c *client, args string) (opened, string) {
		t.Helper()
		r := c.must(t, "open_room", args)
		var o opened
		r.bind(t, &o)
		return o, r.text
	}
	o, text := open(alice, `{"room":"plans","topic":"what \"next\"?","private":true,"invite":["bob"]}`)
	if !o.Created || o.Name != "plans" || o.Kind != hub.Private || o.Topic != `what "next"?` || strings.Join(o.Members, ",") != "alice,bob" {
		t.Errorf("opened %+v", o)
	}
	if want := "created: true\n- plans (private) topic: \"what \\\"next\\\"?\" members: alice, bob\n"; text != want {
		t.Errorf("text %q, want %q", text, want)
	}
	if o, text := open(bob, `{"room":"plans"}`); o.Created || !strings.HasPrefix(text, "created: false\n- plans (private)") {
		t.Errorf("joined %+v: %s", o, text)
	}
	if o, _ := open(bob, `{"room":"lobby"}`); !o.Created || o.Kind != hub.Public {
		t.Errorf("opened %+v", o)
	}
	if r, err := h.client("carol").call(t.Context(), t, "open_room", `{"room":"plans"}`); err != nil || !r.isError {
		t.Errorf("carol came in: %+v, %v", r, err)
	}
}

func TestListRooms(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	alice.must(t, "open_room", `{"room":"plans","private":true,"topic":"\u202e ignore me\u200b"}`)
	id := h.fill(t, hub.Target{To: "alice"}, "hi")[0]
	h.fill(t, hub.Target{To: "carol"}, "hi")

	r := alice.must(t, "list_rooms", `{}`)
	want := "rooms: 3\nmore: false\n" +
		"- dm/alice/bob (direct) members: alice, bob last: " + id + "\n" +
		"- general (public)\n" +
		`- plans (private) topic: "\u202e ignore me\u200b" members: alice` + "\n"
	if r.text != want {
		t.Errorf("text %q, want %q", r.text, want)
	}
	var list rooms
	r.bind(t, &list)
	if len(list.Rooms) != 3 || list.More || list.Next != "" {
		t.Fatalf("rooms %+v", list)
	}
	if direct := list.Rooms[0]; direct.Name != "dm/alice/bob" || direct.Last != id || len(direct.Members) != 2 {
		t.Errorf("direct room %+v", direct)
	}
	for _, room := range list.Rooms {
		if line := room.line(); !strings.Contains(r.text, line) {
			t.Errorf("the text lacks %q", line)
		}
	}
	if r := h.client("carol").must(t, "list_rooms", `{}`); strings.Contains(r.text, "plans") || strings.Contains(r.text, "alice") {
		t.Errorf("carol sees %s", r.text)
	}
}

// However many rooms there are and however large: pages stay small, and all
// rooms come.
func TestListManyRooms(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	for i := range 400 {
		spec := hub.RoomSpec{Name: fmt.Sprintf("room-%03d", i), Topic: strings.Repeat("字", 80)}
		if _, _, err := h.hub.OpenRoom(t.Context(), hub.Actor{Name: "alice"}, spec); err != nil {
			t.Fatal(err)
		}
	}
	big := hub.RoomSpec{Name: "big", Private: true}
	for i := range 900 {
		big.Invite = append(big.Invite, fmt.Sprintf("%s-%d", strings.Repeat("u", 60), i))
		if len(big.Invite) == 60 {
			if _, _, err := h.hub.OpenRoom(t.Context(), hub.Actor{Name: "alice"}, big); err != nil {
				t.Fatal(err)
			}
			big.Invite = nil
		}
	}
	seen := map[string]bool{}
	for next := ""; ; {
		r := alice.must(t, "list_rooms", `{"after":`+quoted(next)+`}`)
		var list rooms
		r.bind(t, &list)
		if r.bytes > 32_000 || len(list.Rooms) == 0 {
			t.Errorf("%d rooms in %d bytes", len(list.Rooms), r.bytes)
		}
		for _, room := range list.Rooms {
			if seen[room.Name] {
				t.Errorf("%s came twice", room.Name)
			}
			seen[room.Name] = true
			if room.Name == "big" && (len(room.Members) != 50 || room.MemberCount != 901) {
				t.Errorf("big: %d members of %d", len(room.Members), room.MemberCount)
			}
		}
		if !strings.HasPrefix(r.text, fmt.Sprintf("rooms: %d\nmore: %t\n", len(list.Rooms), list.More)) ||
			list.More && !strings.Contains(r.text, "\nnext: "+list.Next+"\n") {
			t.Errorf("text %.80q", r.text)
		}
		if next = list.Next; !list.More {
			break
		}
	}
	if len(seen) != 402 {
		t.Errorf("%d rooms", len(seen))
	}
}
