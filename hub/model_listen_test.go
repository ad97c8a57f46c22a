package hub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing/synctest"
)

type modelListener struct {
	actor    Actor
	hub      *Hub
	listener *Listener
	rooms    []string
	given    uint64             // events before this index were given, or passed over
	pending  bool               // there may be one for it since it was last drained
	last     string             // ID of the last one that was given
	open     map[string]Partial // the newest of each stream that was shown and has no end
}

type modelWait struct {
	*waiting
	cancel context.CancelFunc
	actor  Actor
	q      WaitQuery
	from   uint64 // index of the first message it may return
}

func (m *model) listen() {
	if len(m.listeners) > 8 {
		return
	}
	a := m.actor()
	l := &modelListener{actor: a, rooms: m.someRooms(a), given: m.count()}
	after := ""
	if m.rng.IntN(2) == 0 {
		after, l.given = m.somewhere()
	}
	m.begin(l, after)
	m.listeners = append(m.listeners, l)
}

func (m *model) begin(l *modelListener, after string) {
	l.hub = m.hub()
	l.listener = listen(m.t, l.hub, l.actor, ListenOptions{After: after, Rooms: l.rooms})
	l.last, l.open, l.pending = after, map[string]Partial{}, after != ""
}

// resume ends a listener and goes on, on some node, from the last event that it
// was given.
func (m *model) resume() {
	if len(m.listeners) == 0 {
		return
	}
	i := m.rng.IntN(len(m.listeners))
	l := m.listeners[i]
	l.listener.Close()
	for _, room := range l.rooms {
		if l.last == "" || !m.sees(l.actor, room) {
			m.listeners = slices.Delete(m.listeners, i, i+1)
			return
		}
	}
	l.given = m.count()
	if l.last != "" {
		c, _ := parseCursor(l.last)
		l.given = c.seq
		if l.last != "0" && l.given < m.expired {
			_, err := m.hub().Listen(m.t.Context(), l.actor, ListenOptions{After: l.last})
			l.last = m.checkReset(err)
			l.given = m.expired
		}
	}
	m.begin(l, l.last)
}

// checkReset checks that a cursor was refused, and returns the one that works.
func (m *model) checkReset(err error) string {
	m.t.Helper()
	wantCode(m.t, err, Reset, "after")
	var e *Error
	if want := m.hubs[0].id(m.expired); !errors.As(err, &e) || e.Oldest != want {
		m.t.Errorf("reset is %+v, want %s", e, want)
	}
	return m.hubs[0].id(m.expired)
}

func (m *model) drainOne() {
	if len(m.listeners) > 0 {
		m.drain(pick(m, m.listeners...))
	}
}

// wanted are the messages from an index on that an actor may see, in rooms.
func (m *model) wanted(a Actor, rooms []string, from uint64) []Message {
	var wanted []Message
	for _, e := range m.events[max(from, m.expired):] {
		if e.Message != nil && m.sees(a, e.Message.Room) && (len(rooms) == 0 || slices.Contains(rooms, e.Message.Room)) {
			wanted = append(wanted, *e.Message)
		}
	}
	return wanted
}

// wantedIDs are those of all events from an index on that a listener is to get.
func (m *model) wantedIDs(l *modelListener, from uint64) []string {
	var wanted []string
	for _, e := range m.events[from:] {
		if m.isFor(l.actor, e) && (e.Message == nil || len(l.rooms) == 0 || slices.Contains(l.rooms, e.Message.Room)) {
			wanted = append(wanted, idOf(e))
		}
	}
	return wanted
}

func (m *model) drain(l *modelListener) {
	var got []string
	var events []Event
	for {
		some, err := l.listener.poll(m.t.Context())
		if err != nil {
			m.drainReset(l, err)
			return
		}
		if events = append(events, some...); l.listener.idle {
			break
		}
	}
	for _, e := range events {
		if e.Partial == nil {
			id := idOf(e)
			got = append(got, id)
			c, _ := parseCursor(id)
			if want := m.events[c.seq-1]; e.Message != nil && *e.Message != *want.Message || e.Notification != nil && *e.Notification != *want.Notification {
				m.t.Errorf("%s got %+v, want %+v", l.actor.Name, e, want)
			}
		}
		if e.Message != nil {
			delete(l.open, e.Message.StreamID)
		}
		if e.Partial == nil {
			continue
		}
		p := *e.Partial
		before, open := l.open[p.StreamID]
		if !m.sees(l.actor, p.Room) || !strings.HasPrefix(p.Message, before.Message) || p.IsComplete != p.Cancelled || p.IsComplete && !open {
			m.t.Errorf("%s got the partial %+v after %+v", l.actor.Name, p, before)
		}
		if l.open[p.StreamID] = p; p.IsComplete {
			delete(l.open, p.StreamID)
		}
	}
	// What has expired meanwhile may have been in the ring still. Who begins at
	// the beginning of the log begins at what it holds.
	want, least := m.wantedIDs(l, l.given), m.wantedIDs(l, max(l.given, m.expired))
	if len(got) < len(least) || len(got) > len(want) || !slices.Equal(got, want[len(want)-len(got):]) || l.last != "0" && l.given > 0 && len(got) < len(want) {
		m.t.Errorf("%s from %d in %v got\n%v, want\n%v", l.actor.Name, l.given, l.rooms, got, want)
	}
	if l.given, l.pending = m.count(), false; len(got) > 0 {
		l.last = got[len(got)-1]
	} else if l.last == "0" {
		l.last = l.listener.Cursor()
	}
	m.checkOpen(l)
}

// drainReset: a listener that was too slow is told so, and begins again.
func (m *model) drainReset(l *modelListener, err error) {
	after := m.checkReset(err)
	if l.given >= m.expired {
		m.t.Errorf("%s from %d is reset, but only %d have expired", l.actor.Name, l.given, m.expired)
	}
	l.listener.Close()
	l.given = m.expired
	for _, room := range l.rooms {
		if !m.sees(l.actor, room) {
			m.listeners = slices.DeleteFunc(m.listeners, func(other *modelListener) bool { return other == l })
			return
		}
	}
	m.begin(l, after)
}

// checkOpen: right after a drain a listener knows the newest text of every
// stream, and of no other. Rights to some rooms come and go, so those that
// nobody loses are looked at.
func (m *model) checkOpen(l *modelListener) {
	lasting := func(room string) bool {
		return (room == General || strings.HasPrefix(room, directPrefix)) && (len(l.rooms) == 0 || slices.Contains(l.rooms, room))
	}
	for id, p := range l.open {
		running := slices.ContainsFunc(m.streams, func(s *modelStream) bool { return s.ID() == id })
		if lasting(p.Room) && !running {
			m.t.Errorf("%s did not see the end of %+v", l.actor.Name, p)
		}
	}
	for _, s := range m.streams {
		if s.hub == l.hub && lasting(s.room) && m.sees(l.actor, s.room) && l.open[s.ID()].Message != s.text {
			m.t.Errorf("%s knows %+v, want %q", l.actor.Name, l.open[s.ID()], s.text)
		}
	}
}

func (m *model) wait() {
	if len(m.waits) > 5 {
		return
	}
	a := m.actor()
	w := &modelWait{actor: a, from: m.count()}
	w.q = WaitQuery{Rooms: m.someRooms(a), MentionsOnly: m.rng.IntN(2) == 0, Limit: 1 + m.rng.IntN(5)}
	if m.rng.IntN(2) == 0 {
		w.q.After, w.from = m.somewhere()
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	w.cancel = cancel
	w.waiting = wait(ctx, m.hub(), a, w.q)
	m.waits = append(m.waits, w)
}

// waitedFor are the messages that a wait must return.
func (m *model) waitedFor(a Actor, q WaitQuery, from uint64) []Message {
	wanted := m.wanted(a, q.Rooms, from)
	if q.MentionsOnly {
		wanted = slices.DeleteFunc(wanted, func(msg Message) bool {
			return !strings.HasPrefix(msg.Room, directPrefix) && !strings.HasSuffix(msg.Message, "@"+strings.ToUpper(a.Name))
		})
	}
	return wanted
}

// checkWaits: after every step exactly those waits are over that have
// something, or have lost a room.
func (m *model) checkWaits() {
	m.waits = slices.DeleteFunc(m.waits, func(w *modelWait) bool {
		lost := slices.ContainsFunc(w.q.Rooms, func(room string) bool { return !m.sees(w.actor, room) })
		want := m.waitedFor(w.actor, w.q, w.from)
		if !w.done {
			if lost || len(want) > 0 {
				m.t.Errorf("%s still waits for %+v: lost %t, there is %v", w.actor.Name, w.q, lost, want)
			}
			w.from = m.count() // what it has passed over stays so
			return false
		}
		w.cancel()
		if lost {
			wantCode(m.t, w.err, NotFound, "rooms")
			return true
		}
		m.checkPage(w.page, w.err, want, w.q.Limit)
		return true
	})
}

func (m *model) checkPage(page Page, err error, want []Message, limit int) {
	m.t.Helper()
	n := 0
	for size := 0; n < min(len(want), limit) && size < pageBytes; n++ {
		size += len(want[n].Message)
	}
	more := n < len(want)
	next := m.hubs[0].Head()
	if more {
		want = want[:n]
		next = want[n-1].ID
	}
	if err != nil || !slices.Equal(page.Messages, want) || page.More != more || page.Next != next {
		m.t.Errorf("a wait has %+v, %v; want %+v, more %t, next %s", page, err, want, more, next)
	}
}

func (m *model) cancelWait() {
	if len(m.waits) == 0 {
		return
	}
	i := m.rng.IntN(len(m.waits))
	w := m.waits[i]
	w.cancel()
	synctest.Wait()
	if !w.done {
		m.t.Error("a cancelled wait goes on")
		return
	}
	m.waits = slices.Delete(m.waits, i, i+1)
	m.checkPage(w.page, w.err, nil, 1)
}
