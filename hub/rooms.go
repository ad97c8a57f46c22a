package hub

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
)

// General is the public room that always exists and that a message goes to
// when its sender names no other.
const General = "general"

// Bounds of the directory.
const (
	maxRooms     = 10_000 // public and private ones in all
	maxOwnRooms  = 500    // made by one user
	maxMembers   = 1_000  // of one private room
	maxInvites   = 64     // in one call
	maxRoomNames = 100    // named in one query
)

// Kind says who may see a room.
type Kind string

const (
	Public  Kind = "public"  // everybody
	Private Kind = "private" // its members
	Direct  Kind = "direct"  // its two parties
)

// Room is a place messages go to.
type Room struct {
	Name    string   `json:"name"`
	Kind    Kind     `json:"kind"`
	Topic   string   `json:"topic,omitempty"`
	Members []string `json:"members,omitempty"` // of private and direct rooms, sorted
	Last    string   `json:"last,omitempty"`    // ID of the newest message
}

// RoomSpec asks for a room to be created, or joined if it exists.
type RoomSpec struct {
	Name    string
	Topic   string
	Private bool
	Invite  []string // users to add as members; only of a private room
}

// Target names where a message goes: a room by name, or the direct room with
// another user. At most one is set; neither means [General].
type Target struct {
	Room string
	To   string
}

// find resolves a target to a room that the actor may see. Every method that
// takes a room comes through here, so a room that may not be seen and one that
// does not exist get the same answer, made in the same place.
func (h *Hub) find(a Actor, t Target) (*room, error) {
	if t.To == "" {
		if t.Room == "" {
			t.Room = General
		}
		return h.findRoom(a, "room", t.Room)
	}
	switch {
	case t.Room != "":
		return nil, refuse(Invalid, "to", "give a room or a user, not both")
	case !validName(t.To):
		return nil, refuse(Invalid, "to", "%s is not the name of a user: %s", quote(t.To), nameRule)
	case t.To == a.Name:
		return nil, refuse(Invalid, "to", "is yourself; a direct room is with somebody else")
	}
	if err := h.answerable(directName(a.Name, t.To)); err != nil {
		return nil, err
	}
	if r := h.visible(a, directName(a.Name, t.To)); r != nil {
		return r, nil
	}
	return nil, refuse(NotFound, "to", "there is no user %s", quote(t.To))
}

// findRoom is find by name, for an argument of any name.
func (h *Hub) findRoom(a Actor, arg, name string) (*room, error) {
	if err := checkRoomName(arg, name); err != nil {
		return nil, err
	}
	if err := h.answerable(name); err != nil {
		return nil, err
	}
	if r := h.visible(a, name); r != nil {
		return r, nil
	}
	h.trail.RoomMissed(a, name, h.rooms.get(name) != nil)
	return nil, noSuchRoom(arg, name)
}

// answerable fails while the storage is not heard, but for public rooms: who
// is a member of another one may have changed. It is the same whoever asks.
func (h *Hub) answerable(name string) error {
	if r := h.rooms.get(name); r != nil && r.kind == Public || h.ready() == nil {
		return nil
	}
	return errUnavailable()
}

func noSuchRoom(arg, name string) error {
	return refuse(NotFound, arg, "there is no room %s that you may see", quote(name))
}

// visible returns the room if it exists for the actor, otherwise nil. A direct
// room exists for any two users, before its first message too.
func (h *Hub) visible(a Actor, name string) *room {
	r := h.rooms.get(name)
	if r == nil || !r.admits(a) {
		return nil
	}
	if r.kind == Direct && !h.users.Exists(r.other(a.Name)) {
		return nil
	}
	return r
}

// May reports whether the actor may see the room.
func (h *Hub) May(a Actor, name string) bool { return h.visible(a, name) != nil }

// Room returns one room, or [ErrNotFound].
func (h *Hub) Room(ctx context.Context, a Actor, t Target) (Room, error) {
	h.awaitLearned(ctx)
	r, err := h.find(a, t)
	if err != nil {
		return Room{}, err
	}
	return h.describe(r), nil
}

// Rooms returns all rooms the actor may see, by name. Direct rooms are among
// them once they have a message.
func (h *Hub) Rooms(ctx context.Context, a Actor) ([]Room, error) {
	h.awaitLearned(ctx)
	var rooms []Room
	for _, name := range h.rooms.names() {
		if r := h.visible(a, name); r != nil {
			rooms = append(rooms, h.describe(r))
		}
	}
	slices.SortFunc(rooms, func(x, y Room) int { return strings.Compare(x.Name, y.Name) })
	return rooms, nil
}

func (h *Hub) describe(r *room) Room {
	v := h.rooms.describe(r)
	if last := r.last.Load(); last > 0 {
		v.Last = h.id(last)
	}
	return v
}

// OpenRoom creates a room, or joins it if it exists and the actor may. Its
// creator is the first member of a private room, and every member may invite.
// A topic replaces the old one when a member of a private room gives it, or
// the creator of a public one; otherwise the old one stays.
//
// It needs no idempotency key: what is asked for is how the room should be, so
// the same call again changes nothing. Only created tells of the call itself.
func (h *Hub) OpenRoom(ctx context.Context, a Actor, spec RoomSpec) (opened Room, created bool, err error) {
	if err := h.mayWrite(a); err != nil {
		return Room{}, false, err
	}
	if err := h.checkSpec(spec); err != nil {
		return Room{}, false, err
	}
	r, created, err := h.alter(ctx, a, spec.Name, func(r *room) (*roomRecord, error) {
		return h.rooms.openLocked(r, a, spec)
	})
	if errors.Is(err, ErrNotFound) { // the name is that of a room which the actor may not see
		h.trail.RoomMissed(a, spec.Name, true)
	}
	if err != nil {
		return Room{}, false, err
	}
	return h.describe(r), created, nil
}

// AdminRooms returns all rooms, by name. It is for the server's own command
// line, which asks for no actor.
func (h *Hub) AdminRooms() []Room {
	var rooms []Room
	for _, name := range h.rooms.names() {
		rooms = append(rooms, h.describe(h.rooms.get(name)))
	}
	slices.SortFunc(rooms, func(x, y Room) int { return strings.Compare(x.Name, y.Name) })
	return rooms
}

// AddMember makes a user a member of a private room. It is for the server's own
// command line, which asks for no actor. Again it changes nothing, and says that
// the user is a member already.
func (h *Hub) AddMember(ctx context.Context, room, user string) error {
	if err := h.writable(); err != nil {
		return err
	}
	if !h.users.Exists(user) {
		return refuse(NotFound, "user", "there is no user %s", quote(user))
	}
	_, _, err := h.rooms.change(ctx, room, with(room, user), h.applyRoom)
	return err
}

// with decides what a room is with one more member.
func with(name, user string) func(*room) (*roomRecord, error) {
	return func(r *room) (*roomRecord, error) {
		switch {
		case r == nil:
			return nil, refuse(NotFound, "room", "there is no room %s", quote(name))
		case r.kind != Private:
			return nil, refuse(Invalid, "room", "%s is %s; only a private room has members to add", quote(name), r.kind)
		case r.has(user):
			return nil, refuse(Conflict, "user", "%s is a member of room %s already", quote(user), quote(name))
		case len(r.members()) >= maxMembers:
			return nil, refuse(Full, "room", "%s has %d members, which is as many as a room may", quote(name), maxMembers)
		}
		more := append(slices.Clone(r.members()), user)
		slices.Sort(more)
		return &roomRecord{Kind: Private, Creator: r.creator, Topic: r.topic, Members: more}, nil
	}
}

// RemoveMember takes a user's rights to a private room away. From its return on
// the user is given nothing of it, and waits for it have ended. It is for the
// server's own command line, which asks for no actor.
func (h *Hub) RemoveMember(ctx context.Context, name, user string) error {
	if err := h.writable(); err != nil {
		return err
	}
	_, _, err := h.rooms.change(ctx, name, without(name, user), h.applyRoom)
	return err
}

// without decides what a room is with one member less.
func without(name, user string) func(*room) (*roomRecord, error) {
	return func(r *room) (*roomRecord, error) {
		switch {
		case r == nil:
			return nil, refuse(NotFound, "room", "there is no room %s", quote(name))
		case r.kind != Private:
			return nil, refuse(Invalid, "room", "%s is %s; only a private room has members to remove", quote(name), r.kind)
		case !r.has(user):
			return nil, refuse(NotFound, "user", "%s is not a member of room %s", quote(user), quote(name))
		}
		left := slices.DeleteFunc(slices.Clone(r.members()), func(m string) bool { return m == user })
		return &roomRecord{Kind: Private, Creator: r.creator, Topic: r.topic, Members: left}, nil
	}
}

// Invite makes a user a member of a private room that the actor is one of. Again
// it changes nothing.
func (h *Hub) Invite(ctx context.Context, a Actor, name, user string) (Room, error) {
	if err := h.mayWrite(a); err != nil {
		return Room{}, err
	}
	if !validName(user) || !h.users.Exists(user) {
		return Room{}, refuse(NotFound, "user", "there is no user %s", quote(user))
	}
	if err := h.findPrivate(a, name); err != nil {
		return Room{}, err
	}
	add := with(name, user)
	r, _, err := h.alter(ctx, a, name, func(r *room) (*roomRecord, error) {
		switch {
		case !r.admits(a): // any more
			return nil, noSuchRoom("room", name)
		case r.has(user):
			return nil, nil
		}
		return add(r)
	})
	if err != nil {
		return Room{}, err
	}
	return h.describe(r), nil
}

// findPrivate fails if a room that the actor may see has no members that come
// and go.
func (h *Hub) findPrivate(a Actor, name string) error {
	r, err := h.findRoom(a, "room", name)
	switch {
	case err != nil:
		return err
	case r.kind == Public:
		return refuse(Invalid, "room", "%s is public: everybody is in it, so nobody can be invited, and nobody can leave", quote(name))
	case r.kind == Direct:
		return refuse(Invalid, "room", "%s is direct: it has its two parties, so nobody can be invited, and nobody can leave", quote(name))
	}
	return nil
}

// Expel takes a user's rights to a private room away, as [Hub.RemoveMember]
// does. Every member may leave it; its creator, while a member, may make others
// leave.
func (h *Hub) Expel(ctx context.Context, a Actor, name, user string) error {
	if err := h.mayWrite(a); err != nil {
		return err
	}
	if err := h.findPrivate(a, name); err != nil {
		return err
	}
	remove := without(name, user)
	_, _, err := h.alter(ctx, a, name, func(r *room) (*roomRecord, error) {
		switch {
		case !r.admits(a): // any more
			return nil, noSuchRoom("room", name)
		case user != a.Name && r.creator != a.Name:
			return nil, refuse(Forbidden, "user", "%s is not you; only who opened room %s may make others leave it", quote(user), quote(name))
		}
		return remove(r)
	})
	return err
}

// applyRoom takes over what the bucket has of a room now, and lets everybody
// know.
func (h *Hub) applyRoom(name string) {
	if value, revision := h.rooms.bucket.Get(name); revision > 0 {
		h.roomChanged(name, value, revision)
	}
}

// roomChanged is told of every change in the bucket.
func (h *Hub) roomChanged(name string, value []byte, revision uint64) {
	affected, changed, err := h.rooms.apply(name, value, revision)
	if err != nil {
		h.logger.Error("a room is not taken over", slog.Any("error", err))
		return
	}
	if changed {
		h.live.rightsChanged(affected...)
		h.changes.tell(Change{Room: name, New: true})
	}
}

// checkSpec checks what does not depend on the rooms there are, so that its
// answers tell nothing about them.
func (h *Hub) checkSpec(spec RoomSpec) error {
	if !validName(spec.Name) {
		return refuse(Invalid, "room", "%s cannot be opened: give %s (a direct room needs no opening)", quote(spec.Name), nameRule)
	}
	if err := checkLine("topic", spec.Topic, maxTopic); err != nil {
		return err
	}
	if len(spec.Invite) > maxInvites {
		return refuse(Invalid, "invite", "names %d users; at most %d are allowed in one call", len(spec.Invite), maxInvites)
	}
	for _, user := range spec.Invite {
		if !validName(user) || !h.users.Exists(user) {
			return refuse(NotFound, "invite", "there is no user %s", quote(user))
		}
	}
	return nil
}
