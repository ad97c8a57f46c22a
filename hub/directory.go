package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// room is a room's state. Direct rooms are made as they are asked for and kept
// once they have a message.
type room struct {
	name string
	kind Kind

	creator  string                   // of a public or private room, guarded by directory.mu
	topic    string                   // guarded by directory.mu
	revision uint64                   // of its record, 0 for none, guarded by directory.mu
	invited  atomic.Pointer[[]string] // members or parties, sorted; nil for public; replaced, never changed
	last     atomic.Uint64            // sequence of the newest message, 0 for none
}

func newRoom(name string, kind Kind, members ...string) *room {
	r := &room{name: name, kind: kind}
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
	return newRoom(name, Direct, a, b)
}

// admits is where it is decided who may see a room: every user and every guest
// a public one, its members any other. It takes no lock, for it is asked for
// every event and every listener.
func (r *room) admits(a Actor) bool {
	switch {
	case r == nil:
		return false
	case r.kind == Public:
		return a.Guest || a.isUser()
	default:
		return a.isUser() && r.has(a.Name)
	}
}

// has tells whether a user is a member or a party.
func (r *room) has(user string) bool {
	_, member := slices.BinarySearch(r.members(), user)
	return member
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

// roomRecord is what the bucket keeps of a room under its name, in version 1.
// A room's kind never changes and rooms are not deleted.
type roomRecord struct {
	Version int      `json:"v"`
	Kind    Kind     `json:"kind"` // Public or Private
	Creator string   `json:"creator"`
	Topic   string   `json:"topic,omitempty"`
	Members []string `json:"members,omitempty"`
}

func decodeRoom(name string, value []byte) (roomRecord, error) {
	var rec roomRecord
	switch err := json.Unmarshal(value, &rec); {
	case err != nil || !validName(name):
		return rec, fmt.Errorf("what is stored of room %s is not readable", quote(name))
	case rec.Version != recordVersion:
		return rec, fmt.Errorf("what is stored of room %s has version %d, and this is known up to %d", quote(name), rec.Version, recordVersion)
	case rec.Kind != Public && rec.Kind != Private:
		return rec, fmt.Errorf("what is stored of room %s has the kind %s", quote(name), quote(string(rec.Kind)))
	}
	return rec, nil
}

// directory holds the rooms there are. Those that were opened come from a
// bucket: what is decided here is stored there, and in force once it has come
// back. Its bounds are exact on one node; several can exceed them by what they
// open at the same moment.
type directory struct {
	bucket Bucket

	mu      sync.RWMutex
	rooms   map[string]*room // at most maxRooms, and the direct rooms of which the log holds a message
	opened  int              // how many of them are public or private
	maxOwn  int              // how many a user may open; negative: no bound of its own
	madeBy  map[string]int   // how many a user opened, at most maxOwn
	opening map[string]int   // how many a user is opening, which count too
	moved   chan struct{}    // closed and replaced when a room was opened or has changed
}

func newDirectory(bucket Bucket, maxOwn int) *directory {
	return &directory{
		bucket:  bucket,
		rooms:   map[string]*room{General: newRoom(General, Public)},
		opened:  1,
		maxOwn:  maxOwn,
		madeBy:  map[string]int{},
		opening: map[string]int{},
		moved:   make(chan struct{}),
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
	r.last.Store(max(seq, r.last.Load()))
	return r, isNew
}

// await waits until a room is known as of a revision, but not for long: rooms
// and messages come by different ways, and one sent to a new room, or to one
// with a new member, must not be passed over.
func (d *directory) await(name string, revision uint64, done <-chan struct{}) {
	timeout := time.NewTimer(appliedWithin)
	defer timeout.Stop()
	for {
		d.mu.RLock()
		r, moved := d.rooms[name], d.moved
		known := revision == 0 || r != nil && r.revision >= revision
		d.mu.RUnlock()
		if known {
			return
		}
		select {
		case <-moved:
		case <-done:
			return
		case <-timeout.C:
			return
		}
	}
}

// revision is that of a room's record, 0 for none.
func (d *directory) revision(r *room) uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return r.revision
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

// apply takes over what the bucket has of a room. It returns the users who may
// see another room now than before, and whether the room is new or has other
// members.
func (d *directory) apply(name string, value []byte, revision uint64) (affected []string, changed bool, err error) {
	if value == nil {
		return nil, false, fmt.Errorf("room %s was deleted from outside; it stays until a restart", quote(name))
	}
	rec, err := decodeRoom(name, value)
	if err != nil {
		return nil, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rooms[name]
	switch {
	case r == nil:
		r = newRoom(name, rec.Kind, rec.Members...)
		r.creator = rec.Creator
		d.rooms[name] = r
		d.opened++
		d.madeBy[r.creator]++
		affected, changed = r.members(), true
	case revision <= r.revision:
		return nil, false, nil
	case r.kind != rec.Kind:
		return nil, false, fmt.Errorf("room %s is %s and stored as %s", quote(name), r.kind, rec.Kind)
	case r.kind == Private:
		before := r.members()
		r.setMembers(rec.Members)
		affected = union(before, r.members())
		changed = !slices.Equal(before, r.members())
	}
	r.topic, r.revision = rec.Topic, revision
	close(d.moved)
	d.moved = make(chan struct{})
	return affected, changed, nil
}

// maxTries bounds how often a change is tried again because another node has
// changed the same room meanwhile.
const maxTries = 20

// change stores a change of a room, or a new one: what decide, which is called
// with mu held, makes of what there is. A nil answer of it changes nothing.
// apply takes the stored change over. It returns the room as it is then, and
// whether it is new.
func (d *directory) change(ctx context.Context, name string, decide func(*room) (*roomRecord, error), apply func(string)) (r *room, isNew bool, err error) {
	for range maxTries {
		rec, revision, reserved, err := d.decide(name, decide)
		if err != nil {
			return nil, false, err
		}
		if rec == nil {
			return d.get(name), false, nil
		}
		value, err := json.Marshal(rec)
		ok := false
		if err == nil {
			ok, err = d.bucket.Put(ctx, name, value, revision)
		}
		if err == nil {
			apply(name)
		}
		if reserved {
			d.release(rec.Creator)
		}
		if err != nil {
			return nil, false, storeError(err)
		}
		if ok {
			return d.get(name), revision == 0, nil
		}
	}
	return nil, false, refuse(Unavailable, "room", "%s is being changed by others; try again", quote(name))
}

// decide asks what to make of a room, and reserves a place for a new one.
func (d *directory) decide(name string, decide func(*room) (*roomRecord, error)) (rec *roomRecord, revision uint64, reserved bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rooms[name]
	if rec, err = decide(r); rec == nil || err != nil {
		return nil, 0, false, err
	}
	rec.Version = recordVersion
	if r == nil {
		d.opening[rec.Creator]++
		return rec, 0, true, nil
	}
	return rec, r.revision, false, nil
}

func (d *directory) release(creator string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opening[creator]--; d.opening[creator] == 0 {
		delete(d.opening, creator)
	}
}

// openLocked decides what opening a room for a user changes, with names and
// topic checked.
func (d *directory) openLocked(r *room, a Actor, spec RoomSpec) (*roomRecord, error) {
	if !r.admits(a) {
		return d.makeLocked(a.Name, spec, r != nil)
	}
	switch {
	case r.kind == Public && spec.Private:
		return nil, refuse(Invalid, "private", "the room %s exists and is public", quote(r.name))
	case r.kind == Public && len(spec.Invite) > 0:
		return nil, errInvitePublic()
	}
	rec := &roomRecord{Kind: r.kind, Creator: r.creator, Topic: r.topic, Members: union(r.members(), spec.Invite)}
	if len(rec.Members) > maxMembers {
		return nil, refuse(Full, "invite", "a room has at most %d members", maxMembers)
	}
	if spec.Topic != "" && (r.kind == Private || r.creator == a.Name) {
		rec.Topic = spec.Topic
	}
	if rec.Topic == r.topic && len(rec.Members) == len(r.members()) {
		return nil, nil
	}
	return rec, nil
}

// makeLocked decides what a new room is. A private room that the user may not see
// has its name: it cannot be created again, so a creation that fails for no
// other reason tells that the name is taken; the answer is that of an unknown
// room, given only where a new one would have been made.
func (d *directory) makeLocked(user string, spec RoomSpec, taken bool) (*roomRecord, error) {
	rec := &roomRecord{Kind: Public, Creator: user, Topic: spec.Topic}
	if spec.Private {
		rec.Kind, rec.Members = Private, union([]string{user}, spec.Invite)
	}
	pending := 0
	for _, n := range d.opening {
		pending += n
	}
	switch {
	case rec.Kind == Public && len(spec.Invite) > 0:
		return nil, errInvitePublic()
	case d.maxOwn >= 0 && d.madeBy[user]+d.opening[user] >= d.maxOwn:
		return nil, refuse(Full, "room", "you have opened %d rooms, which is as many as one user may", d.maxOwn)
	case d.opened+pending >= maxRooms:
		return nil, refuse(Full, "room", "there are %d rooms, which is as many as there may be", maxRooms)
	case taken:
		return nil, noSuchRoom("room", spec.Name)
	}
	return rec, nil
}

func union(members, more []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(members, more))))
}

func errInvitePublic() error {
	return refuse(Invalid, "invite", "is for private rooms; everybody may enter a public one")
}
