package hub

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Bounds of what is taken at a time.
const (
	takeLimit   = 1_000    // entries from the ring
	replayLimit = 100      // records from the log, or
	replayBytes = 64 << 10 // of them; the last one may exceed it
)

// ListenOptions choose what to listen to.
type ListenOptions struct {
	// After is the cursor to resume from; empty: from now on. It is of messages
	// and notifications; everything else is live only.
	After string
	// Rooms are those to get messages, partial messages and typing of; empty:
	// of every room the actor may see, those to come included. Notifications,
	// presence and log lines are of no room and come whatever it says.
	Rooms []string
	// Types are what to get: message, partial-message, notification, log,
	// presence, typing. Nil: all of them, log lines only with a LineLevel.
	Types []string
	// LineLevel is the lowest level of log lines to get; empty: info, if Types
	// ask for log lines.
	LineLevel LineLevel
}

// Listener is one actor's view of what happens: every message and notification
// stored after its start that the actor may see, once, in order; of messages on
// their way the text so far; log lines, who comes and goes, and who types. When
// the actor has lost a room, nothing of it is given any more, whenever it was
// stored.
//
// A listener that reads slowly misses no message and no notification, but of
// all else only the newest is kept for it. It is for one goroutine, but Close
// may be called by another.
type Listener struct {
	hub   *Hub
	actor Actor
	rooms choice
	level int // index of the lowest of lineLevels
	tap   *tap

	position uint64                  // everything up to here was given
	step     uint64                  // partials up to here need not be looked at again
	open     map[*Streaming]*Partial // the last one given of each stream of which no end was
	line     uint64                  // the log line up to which all was given
	hint     uint64                  // as step, of hints
	idle     bool                    // all there was has been taken: the tap is woken when there is more
	onRing   bool                    // when it last looked
	looks    uint64                  // that were observed
}

// Listen begins to listen. The context bounds the start only; end by Close.
func (h *Hub) Listen(ctx context.Context, a Actor, o ListenOptions) (*Listener, error) {
	rooms, err := h.choose(a, o.Rooms)
	if err != nil {
		return nil, err
	}
	wants, err := parseKinds(o.Types)
	if err != nil {
		return nil, err
	}
	if !a.isUser() {
		wants &= messages | partials
	}
	switch {
	case o.LineLevel == "" && o.Types == nil:
		wants &^= lines
	case o.LineLevel == "":
		o.LineLevel = LineInfo
	}
	if o.LineLevel != "" {
		if err := checkLevel("log_level", o.LineLevel); err != nil {
			return nil, err
		}
	}
	l := &Listener{
		hub: h, actor: a, rooms: rooms, level: slices.Index(lineLevels, o.LineLevel),
		tap: newTap(a, wants, o.After == ""), open: map[*Streaming]*Partial{},
	}
	if err := h.live.registerListener(l); err != nil {
		return nil, err
	}
	if o.After != "" {
		if l.position, err = h.seqOf(ctx, a, h.replays, "after", o.After); err != nil {
			h.live.unregister(l.tap)
			return nil, err
		}
	}
	return l, nil
}

// registerListener registers a listener's tap and sets where it begins.
func (l *live) registerListener(n *Listener) (err error) {
	if n.position, err = l.register(n.tap); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n.line, n.hint = l.lines.head, l.hints.step
	return nil
}

// Cursor is where a listener that replaces this one can go on: everything up to
// there was given, or is not for the actor. Before the first Next it is where
// the listening began.
func (l *Listener) Cursor() string { return l.hub.id(l.position) }

// Close ends the listening; a Next under way returns.
func (l *Listener) Close() { l.hub.live.unregister(l.tap) }

// Next waits until there is something and returns all that is there, up to a
// bound; what is stored comes before what is live only. It fails when ctx ends,
// when the listener or the hub is closed, and with an [Error] of code [Reset]
// when the log has expired what the listener has not had yet.
func (l *Listener) Next(ctx context.Context) ([]Event, error) {
	for {
		if l.idle {
			select {
			case <-l.tap.wake:
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-l.tap.done:
				return nil, errClosed()
			}
		}
		events, err := l.poll(ctx)
		switch {
		case errors.Is(err, errBusy) && ctx.Err() == nil: // it goes on waiting for its turn
		case err != nil || len(events) > 0:
			return events, err
		}
	}
}

// poll takes what is there, and notes whether that was all.
func (l *Listener) poll(ctx context.Context) (events []Event, err error) {
	hadAll := l.idle
	l.idle = false
	position, recent, liveOnly := l.look()
	l.observeLook(hadAll, position, recent)
	entries, next, err := l.hub.complete(ctx, l.actor, l.hub.replays, position, recent)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if l.wantsEntry(e) {
			events = append(events, e.event)
		}
	}
	events = append(events, liveOnly...)
	if len(events) > 0 && l.hub.ready() != nil && slices.ContainsFunc(events, l.hub.isPrivate) {
		l.idle = false
		return nil, errUnavailable() // rights may have been lost unheard
	}
	l.position = next
	return events, nil
}

// look is the one look at all that is live, with the lock taken once: very many
// listeners do it at the same moment. What is live only is left for later while
// the ring no longer holds what comes next. So a stream that still runs now has
// no final message before it, and no partial comes after its final.
func (l *Listener) look() (position uint64, recent window, liveOnly []Event) {
	lv := l.hub.live
	lv.mu.Lock()
	defer lv.mu.Unlock()
	position, recent = lv.lookLocked(l.tap, l.position)
	if recent.base <= position {
		liveOnly = l.liveOnlyLocked()
		l.idle = recent.head == lv.ring.head
	}
	return position, recent, liveOnly
}

// isPrivate tells whether an event is of a room that not everybody may see.
func (h *Hub) isPrivate(e Event) bool {
	var name string
	switch {
	case e.Message != nil:
		name = e.Message.Room
	case e.Partial != nil:
		name = e.Partial.Room
	case e.Typing != nil:
		name = e.Typing.Room
	default:
		return false
	}
	r := h.rooms.get(name)
	return r == nil || r.kind != Public
}

func (l *Listener) wantsEntry(e entry) bool {
	if !e.isFor(l.actor) {
		return false
	}
	if e.event.Message == nil {
		return l.tap.wants&notifications != 0
	}
	return l.tap.wants&messages != 0 && l.rooms.has(e.room)
}

func (l *Listener) wantsRoom(r *room) bool { return l.rooms.has(r) && r.admits(l.actor) }

// liveOnlyLocked returns what is not stored and was not given yet.
func (l *Listener) liveOnlyLocked() []Event {
	lv := l.hub.live
	var found []Event
	if l.tap.wants&partials != 0 {
		found = l.partialsLocked()
	}
	if l.tap.wants&lines != 0 {
		for _, e := range entriesAfter(lv.lines.entries, l.line) {
			if slices.Index(lineLevels, e.event.Line.Level) >= l.level {
				found = append(found, e.event)
			}
		}
		l.line = lv.lines.head
	}
	if l.tap.wants&(presences|typings) != 0 {
		for _, n := range lv.hints.since(l.hint) {
			if l.wantsHint(n) {
				found = append(found, n.event)
			}
		}
		l.hint = lv.hints.step
	}
	return found
}

// wantsHint tells whether a hint is for the listener: of presence everything,
// since everybody shares [General] with everybody, of typing what others do.
func (l *Listener) wantsHint(n hint) bool {
	if t := n.event.Typing; t != nil {
		return l.tap.wants&typings != 0 && l.wantsRoom(n.room) && t.User != l.actor.Name && time.Since(t.Time.Time) < typingFor
	}
	return l.tap.wants&presences != 0
}

// partialsLocked returns the newest partial of every stream that has one the
// listener was not given yet, and the last one of those that ended without a
// message.
func (l *Listener) partialsLocked() []Event {
	var found []Event
	for s := range l.open {
		if s.state == running {
			continue
		}
		if s.state == cancelled && l.wantsRoom(s.room) {
			found = append(found, Event{Partial: s.newest, frames: s.frames})
		}
		delete(l.open, s)
	}
	if l.tap.renewed { // a stream that was passed over may be for the listener now
		l.tap.renewed, l.step = false, 0
	}
	lv := l.hub.live
	for _, s := range lv.shownSinceLocked(l.step) {
		if l.wantsRoom(s.room) && l.open[s] != s.newest {
			found = append(found, Event{Partial: s.newest, frames: s.frames})
			l.open[s] = s.newest
		}
	}
	l.step = lv.partialStep
	return found
}

// take returns the entries after a tap's position that are there now, up to a
// bound, and the position after them: from the ring, or while the position has
// fallen off it, from the log.
func (h *Hub) take(ctx context.Context, a Actor, t *tap, position uint64) (entries []entry, next uint64, err error) {
	position, recent := h.live.look(t, position)
	return h.complete(ctx, a, h.looks, position, recent)
}

// complete returns what the ring had after a position, or what the log has
// where the ring no longer had it, and the position after that. The log takes a
// turn.
func (h *Hub) complete(ctx context.Context, a Actor, t *turns, position uint64, recent window) (entries []entry, next uint64, err error) {
	replayed := window{base: position, head: position}
	if recent.base > position {
		if replayed, err = h.replay(ctx, a, t, position, recent.base); err != nil {
			return nil, position, err
		}
	}
	entries, next = stitch(position, replayed, recent)
	return entries, next, nil
}

// replay reads from the log what is after a position, up to another one or to
// a bound.
func (h *Hub) replay(ctx context.Context, a Actor, t *turns, after, upTo uint64) (window, error) {
	release, err := t.take(ctx, a)
	if err != nil {
		return window{}, err
	}
	defer release()
	state, err := h.log.State(ctx)
	if err != nil {
		return window{}, storeError(err)
	}
	if after > 0 && after+1 < state.First {
		return window{}, reset("after", h.id(after), "has expired", state)
	}
	records, more, err := readPage(ctx, h.log, Range{After: after, Before: upTo + 1, Limit: replayLimit, Bytes: replayBytes})
	if err != nil {
		return window{}, err
	}
	h.observer.Replayed(len(records))
	w := window{base: after, head: upTo}
	if more {
		w.head = records[len(records)-1].Seq
	}
	for _, rec := range records {
		w.entries = append(w.entries, h.entry(rec))
	}
	return w, nil
}

// entry is a record as listeners need it. One that is unreadable is for nobody;
// that was logged when it came.
func (h *Hub) entry(rec Record) entry {
	e := entry{seq: rec.Seq}
	if event, err := h.decode(rec); err == nil {
		e.event, e.bytes = event, len(rec.Data)
	}
	if m := e.event.Message; m != nil {
		e.room = h.rooms.get(m.Room)
	}
	return e
}
