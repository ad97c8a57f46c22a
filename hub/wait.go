package hub

import (
	"context"
	"time"
)

// lookWithin bounds one look of a wait into the log.
const lookWithin = 5 * time.Second

// WaitQuery asks for what comes after a cursor in several rooms.
type WaitQuery struct {
	Rooms        []string // empty: every room the actor may see and is a party to, and all public ones
	After        string   // empty: from now on
	MentionsOnly bool     // only messages that contain @name of the actor, or that are direct
	Limit        int      // 1 to 100; 0 means 50; of long messages there are fewer
}

// Wait returns as soon as there is a message the query asks for, at once if
// there is one already. When ctx ends first it returns an empty page with the
// cursor to go on from, and no error: the context bounds the waiting, so that
// with one that has ended already Wait still looks what is there.
//
// When the actor loses a room that the query names, the wait ends with
// [ErrNotFound].
func (h *Hub) Wait(ctx context.Context, a Actor, q WaitQuery) (Page, error) {
	limit, err := limitOf(q.Limit, defaultPage)
	if err != nil {
		return Page{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.waits, cancel)()
	// Registered first, so that what comes while the log is read is not missed.
	t := newTap(a, messages, q.After == "")
	position, err := h.live.register(t)
	if err != nil {
		return Page{}, err
	}
	defer h.live.unregister(t)
	if q.After != "" {
		look, cancel := looking(ctx)
		position, err = h.seqOf(look, a, h.looks, "after", q.After)
		cancel()
		if err != nil {
			return Page{}, err
		}
	}
	for {
		rooms, err := h.choose(a, q.Rooms)
		if err != nil {
			return Page{}, err
		}
		wanted := func(e entry) bool {
			return e.event.Message != nil && e.isFor(a) && rooms.has(e.room) && (!q.MentionsOnly || mentions(e, a.Name))
		}
		var page Page
		page, position, err = h.scan(ctx, a, t, wanted, position, limit)
		if err != nil || len(page.Messages) > 0 || ctx.Err() != nil {
			return page, err
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
		case <-t.done:
			return Page{}, errClosed()
		}
	}
}

// scan collects what is wanted after a position, until the page is full, there
// is nothing left to look at, or ctx has ended. It looks once in any case, so
// that one wait after the other gets on.
func (h *Hub) scan(ctx context.Context, a Actor, t *tap, wanted func(entry) bool, position uint64, limit int) (Page, uint64, error) {
	var found []Message
	size := 0 // of their texts
	for {
		look, cancel := looking(ctx)
		entries, next, err := h.take(look, a, t, position)
		cancel()
		if err != nil {
			return Page{}, 0, err
		}
		for _, e := range entries {
			if !wanted(e) {
				continue
			}
			if len(found) == limit || size >= pageBytes {
				return Page{Messages: found, Next: found[len(found)-1].ID, More: true}, position, nil
			}
			found = append(found, *e.event.Message)
			size += len(e.event.Message.Message)
		}
		if next == position || ctx.Err() != nil {
			more := next > position && next < h.live.position()
			return Page{Messages: found, Next: h.id(next), More: more}, next, nil
		}
		position = next
	}
}

// looking is the context for a look into the log: not bounded by the wait it
// is for, whose end may be near or past, but bounded.
func looking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
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
