package hub

import (
	"context"
	"slices"
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
	r, isNew, err := h.rooms.change(ctx, name, func(r *room) (*roomRecord, error) {
		rec, err := decide(r)
		done = nil // of an earlier try
		if err == nil && rec != nil {
			done = changesOf(name, r, rec)
		}
		return rec, err
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
