package hub

import (
	"context"
	"time"
)

// lookWithin bounds how long a wait reads the log for one page.
const lookWithin = 5 * time.Second

// WaitQuery asks for what comes after a cursor in several rooms.
type WaitQuery struct {
	Rooms        []string // empty: every room the actor may see and is a party to, and all public ones
	After        string   // empty: from now on
	MentionsOnly bool     // only messages that contain @name of the actor, or that are direct
	Limit        int      // 1 to 100; 0 means 50
}

// Wait returns as soon as there is a message the query asks for, at once if
// there is one already. When ctx ends first it returns an empty page with the
// cursor to go on from, and no error: the context bounds the waiting, so that
// with one that has ended already Wait still looks what is there.
//
// When the actor loses a room that the query names, the wait ends with
// [ErrNotFound].
func (h *Hub) Wait(ctx context.Context, a Actor, q WaitQuery) (Page, error) {
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return Page{}, err
	}
	rooms, err := h.choose(a, q.Rooms)
	if err != nil {
		return Page{}, err
	}
	// Registered first, so that what comes while the log is read is not missed.
	t, position, err := h.live.tap(a.Name, false)
	if err != nil {
		return Page{}, err
	}
	defer h.live.untap(t)
	if q.After != "" {
		if position, err = h.look(ctx, func(ctx context.Context) (uint64, error) {
			return h.seqOf(ctx, "after", q.After)
		}); err != nil {
			return Page{}, err
		}
	}

	var found []Message
	for {
		var entries []entry
		next, err := h.look(ctx, func(ctx context.Context) (next uint64, err error) {
			entries, next, err = h.take(ctx, "after", position)
			return next, err
		})
		if err != nil {
			return Page{}, err
		}
		for _, e := range entries {
			if !rooms.has(e.room) || !e.room.admits(a.Name) || q.MentionsOnly && !mentions(e, a.Name) {
				continue
			}
			if len(found) == limit {
				return Page{Messages: found, Next: found[limit-1].ID, More: true}, nil
			}
			found = append(found, *e.message)
		}
		moved := next > position
		position = next
		ended := ctx.Err() != nil
		if moved && !ended {
			continue // until there is nothing to look at
		}
		if len(found) > 0 || ended {
			return Page{Messages: found, Next: h.id(position), More: h.live.position() > position}, nil
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
		case <-t.done:
			return Page{}, errClosed()
		}
		if _, err := h.choose(a, q.Rooms); err != nil {
			return Page{}, err
		}
	}
}

// look reads the log for a wait: not bounded by the wait, whose end may be
// near or past, but bounded.
func (h *Hub) look(ctx context.Context, read func(context.Context) (uint64, error)) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
	defer cancel()
	return read(ctx)
}

// choice is a set of room names; the nil one holds every room.
type choice map[string]struct{}

func (c choice) has(r *room) bool {
	if r == nil {
		return false
	}
	_, ok := c[r.name]
	return ok || c == nil
}

// choose checks that the actor may see each of the rooms.
func (h *Hub) choose(a Actor, names []string) (choice, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if len(names) > maxRoomNames {
		return nil, refuse(Invalid, "rooms", "names %d rooms; at most %d are allowed", len(names), maxRoomNames)
	}
	c := choice{}
	for _, name := range names {
		r, err := h.findRoom(a, "rooms", name)
		if err != nil {
			return nil, err
		}
		c[r.name] = struct{}{}
	}
	return c, nil
}
