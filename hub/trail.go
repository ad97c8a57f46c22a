package hub

import (
	"context"
	"slices"
	"sync"
	"time"
)

// What one user may change of rooms: so much at once, and then one thing in every
// so long. All of it is remembered by the trail, of which nobody shall push out
// what was before.
const (
	maxAltered   = 2_000 // where nothing else is said
	alteredEvery = time.Second
)

// Trail is told what should be remembered of who did what to rooms. Its methods
// should not take long.
type Trail interface {
	// RoomChanged tells that an actor has done something to a room.
	RoomChanged(ctx context.Context, a Actor, c RoomChange)
	// RoomMissed tells that an actor has asked for a room that does not exist for
	// it; there tells that it does for others. Both take as long, so that nobody
	// finds out which by the time of the answer.
	RoomMissed(a Actor, room string, there bool)
}

// RoomChange is something done to a room.
type RoomChange struct {
	Room string
	What string // "open", "topic", "add" or "remove"
	User string // of "add" and "remove": who was made a member, or is none any more
}

// untold is a trail that nobody reads.
type untold struct{}

func (untold) RoomChanged(context.Context, Actor, RoomChange) {}

func (untold) RoomMissed(Actor, string, bool) {}

// alter changes a room as [directory.change] does, for an actor, and tells the
// trail.
func (h *Hub) alter(ctx context.Context, a Actor, name string, decide func(*room) (*roomRecord, error)) (*room, bool, error) {
	var done []RoomChange
	counted := 0 // in an earlier try
	r, isNew, err := h.rooms.change(ctx, name, func(r *room) (*roomRecord, error) {
		rec, err := decide(r)
		done = nil
		if err != nil || rec == nil {
			return nil, err
		}
		done = changesOf(name, r, rec)
		if err := h.altered.count(a.Name, len(done)-counted); err != nil {
			return nil, err
		}
		counted = max(counted, len(done))
		return rec, nil
	}, h.applyRoom)
	if err != nil {
		return nil, false, err
	}
	for _, c := range done {
		h.trail.RoomChanged(ctx, a, c)
	}
	return r, isNew, nil
}

// changesOf are what makes a room, nil for a new one, what it will be. That its
// creator is a member goes without saying.
func changesOf(name string, r *room, rec *roomRecord) (all []RoomChange) {
	if r == nil {
		all = append(all, RoomChange{Room: name, What: "open"})
		return append(all, membersChanged(name, "add", rec.Members, []string{rec.Creator})...)
	}
	if r.topic != rec.Topic {
		all = append(all, RoomChange{Room: name, What: "topic"})
	}
	all = append(all, membersChanged(name, "add", rec.Members, r.members())...)
	return append(all, membersChanged(name, "remove", r.members(), rec.Members)...)
}

// membersChanged are changes about those of users who are not among others.
func membersChanged(room, what string, users, others []string) (all []RoomChange) {
	for _, user := range users {
		if !slices.Contains(others, user) {
			all = append(all, RoomChange{room, what, user})
		}
	}
	return all
}

// altered counts what each user has changed of rooms.
type altered struct {
	most int // at once; negative: no bound

	mu   sync.Mutex
	free map[string]time.Time // when a user has all of it again; at most one of each user, guarded by mu
}

// count counts n changes by a user, or fails if those are too many now.
func (c *altered) count(user string, n int) error {
	if c.most < 0 || n <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	free := c.free[user]
	if free.Before(now) {
		free = now
	}
	free = free.Add(time.Duration(n) * alteredEvery)
	if over := free.Sub(now) - time.Duration(c.most)*alteredEvery; over > 0 {
		return refuse(Full, "", "you have changed rooms and their members too often: %d changes are allowed at once, and then one a second; try again in %d s", c.most, (over+time.Second-1)/time.Second)
	}
	c.free[user] = free
	return nil
}
