package hub

import "context"

// Bounds of what is taken at a time.
const (
	takeLimit   = 1_000 // entries from the ring
	replayLimit = 100   // records from the log
)

// Event is something that happened, as a listener gets it: exactly one of its
// fields is set. What they point to is shared by all listeners and must not be
// changed.
type Event struct {
	Message *Message
	Partial *Partial
}

// ListenOptions choose what to listen to.
type ListenOptions struct {
	After string   // cursor to resume from; empty: from now on
	Rooms []string // empty: every room the actor may see, those to come included
}

// Listener is one actor's view of what happens: every message stored after its
// start in a room that the actor may see, once, in order; and of messages on
// their way the text so far. When the actor has lost a room, nothing of it is
// given any more, whenever it was stored.
//
// A listener that reads slowly misses no message, but steps of partial ones:
// it is given the newest. It is for one goroutine, but Close may be called by
// another.
type Listener struct {
	hub   *Hub
	actor Actor
	rooms choice
	tap   *tap

	position uint64                  // everything up to here was given
	step     uint64                  // partials up to here need not be looked at again
	open     map[*Streaming]*Partial // the last one given of each stream of which no end was
}

// Listen begins to listen. The context bounds the start only; end by Close.
func (h *Hub) Listen(ctx context.Context, a Actor, o ListenOptions) (*Listener, error) {
	rooms, err := h.choose(a, o.Rooms)
	if err != nil {
		return nil, err
	}
	t := newTap(a.Name, true, o.After == "")
	position, err := h.live.register(t)
	if err != nil {
		return nil, err
	}
	if o.After != "" {
		if position, err = h.seqOf(ctx, "after", o.After); err != nil {
			h.live.unregister(t)
			return nil, err
		}
	}
	return &Listener{hub: h, actor: a, rooms: rooms, tap: t, position: position, open: map[*Streaming]*Partial{}}, nil
}

// Close ends the listening; a Next under way returns.
func (l *Listener) Close() { l.hub.live.unregister(l.tap) }

// Next waits until there is something and returns all that is there, up to a
// bound; messages come before partials. It fails when ctx ends, when the
// listener or the hub is closed, and with an [Error] of code [Reset] when the
// log has expired what the listener has not had yet.
func (l *Listener) Next(ctx context.Context) ([]Event, error) {
	for {
		events, moved, err := l.poll(ctx)
		if err != nil || len(events) > 0 {
			return events, err
		}
		if moved {
			continue
		}
		select {
		case <-l.tap.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.tap.done:
			return nil, errClosed()
		}
	}
}

// poll takes what is there. moved tells that there may be more.
func (l *Listener) poll(ctx context.Context) (events []Event, moved bool, err error) {
	before := l.position
	entries, next, err := l.hub.take(ctx, l.tap, before)
	if l.position = next; err != nil {
		return nil, false, err
	}
	moved = next > before
	for _, e := range entries {
		if l.wants(e.room) {
			events = append(events, Event{Message: e.message})
		}
	}
	// Taken after the messages: a stream that still runs now has no final
	// message among them, so no partial comes after its final.
	for _, p := range l.partials() {
		events = append(events, Event{Partial: p})
	}
	return events, moved, nil
}

func (l *Listener) wants(r *room) bool { return l.rooms.has(r) && r.admits(l.actor.Name) }

// partials returns the newest partial of every stream that has one the
// listener was not given yet, and the last one of those that ended without a
// message.
func (l *Listener) partials() []*Partial {
	lv := l.hub.live
	lv.mu.Lock()
	defer lv.mu.Unlock()
	var found []*Partial
	for s := range l.open {
		if s.state == running {
			continue
		}
		if s.state == cancelled && l.wants(s.room) {
			found = append(found, s.newest)
		}
		delete(l.open, s)
	}
	if l.tap.renewed { // a stream that was passed over may be for the listener now
		l.tap.renewed, l.step = false, 0
	}
	for _, s := range lv.shownSinceLocked(l.step) {
		if l.wants(s.room) && l.open[s] != s.newest {
			found = append(found, s.newest)
			l.open[s] = s.newest
		}
	}
	l.step = lv.partialStep
	return found
}

// take returns the entries after a tap's position that are there now, up to a
// bound, and the position after them: from the ring, or while the position has
// fallen off it, from the log.
func (h *Hub) take(ctx context.Context, t *tap, position uint64) (entries []entry, next uint64, err error) {
	position, recent := h.live.look(t, position)
	replayed := window{base: position, head: position}
	if recent.base > position {
		if replayed, err = h.replay(ctx, position, recent.base); err != nil {
			return nil, position, err
		}
	}
	entries, next = stitch(position, replayed, recent)
	return entries, next, nil
}

// replay reads from the log what is after a position, up to another one or to
// a bound.
func (h *Hub) replay(ctx context.Context, after, upTo uint64) (window, error) {
	state, err := h.log.State(ctx)
	if err != nil {
		return window{}, err
	}
	if after > 0 && after+1 < state.First {
		return window{}, h.reset("after", h.id(after), "has expired", state)
	}
	records, err := h.log.Read(ctx, Range{After: after, Before: upTo + 1, Limit: replayLimit})
	if err != nil {
		return window{}, err
	}
	w := window{base: after, head: upTo}
	if len(records) == replayLimit {
		w.head = records[replayLimit-1].Seq
	}
	for _, rec := range records {
		e := entry{seq: rec.Seq}
		if m, err := h.decode(rec); err == nil { // if not, it was logged when it came
			e.room, e.message = h.rooms.get(rec.Room), &m
		}
		w.entries = append(w.entries, e)
	}
	return w, nil
}
