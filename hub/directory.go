package hub

import (
	"slices"
	"sync"
	"sync/atomic"
)

// room is a room's state. Direct rooms are made as they are asked for and kept
// once they have a message.
type room struct {
	name    string
	kind    Kind
	creator string // of a public or private room; empty for General

	topic   string                   // guarded by directory.mu
	invited atomic.Pointer[[]string] // members or parties, sorted; nil for public; replaced, never changed
	last    atomic.Uint64            // sequence of the newest message, 0 for none
}

func newRoom(name string, kind Kind, creator string, members ...string) *room {
	r := &room{name: name, kind: kind, creator: creator}
	if kind != Public {
		r.setMembers(members)
	}
	return r
}

// newDirectRoom returns nil when the name is not that of a direct room.
func newDirectRoom(name string) *room {
	a, b, ok := directParties(name)
	if !ok {
		return nil
	}
	return newRoom(name, Direct, "", a, b)
}

// admits is where it is decided who may see a room: everybody who is somebody
// a public one, its members any other. It takes no lock, for it is asked for
// every event and every listener.
func (r *room) admits(user string) bool {
	if r == nil || user == "" {
		return false
	}
	_, member := slices.BinarySearch(r.members(), user)
	return member || r.kind == Public
}

// members returns the members or parties, sorted. The slice is shared.
func (r *room) members() []string {
	if m := r.invited.Load(); m != nil {
		return *m
	}
	return nil
}

// setMembers needs directory.mu, unless the room is new.
func (r *room) setMembers(users []string) {
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	r.invited.Store(&users)
}

// other is the other party of a direct room.
func (r *room) other(user string) string {
	m := r.members()
	if m[0] == user {
		return m[1]
	}
	return m[0]
}

// directory holds the rooms there are.
type directory struct {
	mu     sync.RWMutex
	rooms  map[string]*room // at most maxRooms, and the direct rooms of which the log holds a message
	opened int              // how many of them are public or private
	madeBy map[string]int   // how many a user opened, at most maxOwnRooms
}

func newDirectory() *directory {
	return &directory{
		rooms:  map[string]*room{General: newRoom(General, Public, "")},
		opened: 1,
		madeBy: map[string]int{},
	}
}

// get returns a room whoever asks, a direct one also before its first message,
// or nil.
func (d *directory) get(name string) *room {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if r := d.rooms[name]; r != nil {
		return r
	}
	return newDirectRoom(name)
}

// note keeps the sequence of a room's newest message. isNew tells that it is
// the first one of a direct room. A room that does not exist gives nil.
func (d *directory) note(name string, seq uint64) (r *room, isNew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r = d.rooms[name]
	if r == nil {
		if r = newDirectRoom(name); r == nil {
			return nil, false
		}
		d.rooms[name] = r
		isNew = true
	}
	r.last.Store(seq)
	return r, isNew
}

func (d *directory) names() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	names := make([]string, 0, len(d.rooms))
	for name := range d.rooms {
		names = append(names, name)
	}
	return names
}

func (d *directory) describe(r *room) Room {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return Room{Name: r.name, Kind: r.kind, Topic: r.topic, Members: slices.Clone(r.members())}
}

// opening is what came of opening a room.
type opening int

const (
	opened   opening = iota // it was there, for the same people
	admitted                // it was there and has new members
	made                    // it is new
)

// open creates or joins a room for a user, with names and topic checked.
func (d *directory) open(user string, spec RoomSpec) (*room, opening, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rooms[spec.Name]
	if !r.admits(user) {
		return d.makeLocked(user, spec, r != nil)
	}
	switch {
	case r.kind == Public && spec.Private:
		return nil, opened, refuse(Invalid, "private", "the room %s exists and is public", quote(r.name))
	case r.kind == Public && len(spec.Invite) > 0:
		return nil, opened, errInvitePublic()
	}
	outcome := opened
	if all := union(r.members(), spec.Invite); len(all) > maxMembers {
		return nil, opened, errMembers()
	} else if len(all) > len(r.members()) {
		r.setMembers(all)
		outcome = admitted
	}
	if spec.Topic != "" && (r.kind == Private || r.creator == user) {
		r.topic = spec.Topic
	}
	return r, outcome, nil
}

// makeLocked creates a room. A private room that the user may not see has its
// name: it cannot be created again, so a creation that fails for no other
// reason tells that the name is taken; the answer is that of an unknown room,
// given only where a new one would have been made.
func (d *directory) makeLocked(user string, spec RoomSpec, taken bool) (*room, opening, error) {
	kind, members := Public, []string(nil)
	if spec.Private {
		kind, members = Private, union([]string{user}, spec.Invite)
	}
	switch {
	case user == "":
		return nil, opened, noSuchRoom("room", spec.Name)
	case kind == Public && len(spec.Invite) > 0:
		return nil, opened, errInvitePublic()
	case d.madeBy[user] >= maxOwnRooms:
		return nil, opened, refuse(Full, "room", "you have opened %d rooms, which is as many as one user may", maxOwnRooms)
	case d.opened >= maxRooms:
		return nil, opened, refuse(Full, "room", "there are %d rooms, which is as many as there may be", maxRooms)
	case taken:
		return nil, opened, noSuchRoom("room", spec.Name)
	}
	r := newRoom(spec.Name, kind, user, members...)
	r.topic = spec.Topic
	d.rooms[spec.Name] = r
	d.opened++
	d.madeBy[user]++
	return r, made, nil
}

func union(members, more []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(members, more))))
}

func errInvitePublic() error {
	return refuse(Invalid, "invite", "is for private rooms; everybody may enter a public one")
}

func errMembers() error {
	return refuse(Full, "invite", "a room has at most %d members", maxMembers)
}
