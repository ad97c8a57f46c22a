package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// TestModel does random things as several actors on one or two nodes and
// compares them with a model that is too simple to be wrong: a list of messages
// and notifications, and for each room who may see it. Every listener and every
// wait must get exactly what its actor may see, once, in order, or be told that
// some of it has expired.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, seed)
				defer func() {
					for _, h := range m.hubs {
						h.Close()
					}
				}()
				for step := 0; step < 400 && !t.Failed(); step++ {
					m.step()
				}
				for _, l := range slices.Clone(m.listeners) { // those that cannot begin again are taken out
					m.drain(l)
				}
			})
		})
	}
}

type model struct {
	t    *testing.T
	rng  *rand.Rand
	hubs []*Hub // one or two nodes over the same storage

	events    []Event             // messages and notifications, in order
	expired   uint64              // how many of them the log has let go of
	members   map[string][]string // by room; nil: everybody
	creator   map[string]string   // by room
	read      map[string]uint64   // by user: events before this index were read
	listeners []*modelListener
	waits     []*modelWait
	streams   []*modelStream
}

type modelStream struct {
	*Streaming
	hub        *Hub
	actor      Actor
	room, text string
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, rng: seeded(seed), members: map[string][]string{General: nil}, creator: map[string]string{}, read: map[string]uint64{}}
	o := cluster()
	o.Log = expiringLog{o.Log, m}
	for range 1 + seed%2 {
		m.hubs = append(m.hubs, newHubWith(t, o))
	}
	for i, a := range people {
		for _, b := range people[i+1:] {
			m.members[directName(a, b)] = []string{a, b}
		}
	}
	for _, h := range m.hubs {
		h.live.ring.max = m.rng.IntN(20) * smallEntry
	}
	return m
}

// expiringLog has let go of what the model says.
type expiringLog struct {
	Log
	m *model
}

func (l expiringLog) State(ctx context.Context) (State, error) {
	s, err := l.Log.State(ctx)
	s.First = l.m.expired + 1
	return s, err
}

func (l expiringLog) Read(ctx context.Context, r Range) ([]Record, error) {
	r.After = max(r.After, l.m.expired)
	return l.Log.Read(ctx, r)
}

func (m *model) hub() *Hub { return pick(m, m.hubs...) }

// isFor is what the hub must equal.
func (m *model) isFor(a Actor, e Event) bool {
	if n := e.Notification; n != nil {
		return n.To == "" || n.To == a.Name || n.Sender.Name == a.Name
	}
	return m.sees(a, e.Message.Room)
}

func idOf(e Event) string {
	if e.Notification != nil {
		return e.Notification.ID
	}
	return e.Message.ID
}

func pick[T any](m *model, from ...T) T { return from[m.rng.IntN(len(from))] }

// count is how many events there are, which is the sequence of the last one.
func (m *model) count() uint64 { return uint64(len(m.events)) }

func (m *model) actor() Actor { return Actor{Name: pick(m, people...)} }

// sees is what the hub must equal.
func (m *model) sees(a Actor, room string) bool {
	members, exists := m.members[room]
	return exists && (members == nil || slices.Contains(members, a.Name))
}

func (m *model) anyRoom() string {
	rooms := []string{General, "r1", "r2", "r3", "nosuch"}
	for i, a := range people {
		for _, b := range people[i+1:] {
			rooms = append(rooms, directName(a, b))
		}
	}
	return pick(m, rooms...)
}

// someRooms names rooms that the actor sees, or none, which means all.
func (m *model) someRooms(a Actor) []string {
	var rooms []string
	for range m.rng.IntN(4) {
		if room := m.anyRoom(); m.sees(a, room) {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// somewhere is a cursor, and the index of the first message after it.
func (m *model) somewhere() (string, uint64) {
	i := m.expired + m.rng.Uint64N(m.count()-m.expired+1)
	if i == 0 && m.rng.IntN(2) == 0 {
		return "0", i
	}
	return m.hubs[0].id(i), i
}

func (m *model) step() {
	pick(m,
		m.send, m.send, m.send, m.send, m.notify, m.notify, m.open, m.expel, m.expire,
		m.listen, m.resume, m.drainOne, m.drainOne,
		m.wait, m.cancelWait, m.look, m.history, m.search, m.inbox, m.markRead, m.invite, m.leave,
		m.stream, m.part, m.part, m.part, m.endStream,
	)()
	synctest.Wait()
	m.checkWaits()
}

// refused checks that exactly what an actor may not see is refused.
func (m *model) refused(a Actor, room string, err error) bool {
	m.t.Helper()
	if may := m.sees(a, room); may != (err == nil) {
		m.t.Errorf("%s in %s: %v, but may see it: %t", a.Name, room, err, may)
	}
	return err != nil
}

func (m *model) send() {
	a, room, text := m.actor(), m.anyRoom(), fmt.Sprint("message ", len(m.events))
	if m.rng.IntN(3) == 0 {
		text += " @" + strings.ToUpper(m.actor().Name)
	}
	if m.rng.IntN(10) == 0 {
		text += strings.Repeat("long ", 5000) // a few are as much as is read at a time
	}
	sent, _, err := m.hub().Send(m.t.Context(), a, Draft{Target: Target{Room: room}, Text: text})
	if !m.refused(a, room, err) {
		m.stored(sent, a, room, text)
	}
}

func (m *model) stored(sent Message, a Actor, room, text string) {
	m.t.Helper()
	if sent.ID != m.hubs[0].id(m.count()+1) || sent.Room != room || sent.Message != text || sent.Sender.Name != a.Name {
		m.t.Errorf("%s sent %q to %s, which became %+v", a.Name, text, room, sent)
	}
	m.add(Event{Message: &sent})
}

func (m *model) add(e Event) {
	m.events = append(m.events, e)
	for _, l := range m.listeners {
		// What a listener that has had everything may not see is passed over
		// for good.
		if l.pending = l.pending || m.isFor(l.actor, e); !l.pending {
			l.given = m.count()
		}
	}
}

func (m *model) notify() {
	a, d := m.actor(), NotificationDraft{To: pick(m, append(people, "", "nobody")...), Level: LevelInfo, Message: fmt.Sprint("notification ", len(m.events))}
	n, _, err := m.hub().Notify(m.t.Context(), a, d)
	if d.To == "nobody" {
		wantCode(m.t, err, NotFound, "to")
		return
	}
	if err != nil || n.ID != m.hubs[0].id(m.count()+1) || n.To != d.To || n.Message != d.Message || n.Sender.Name != a.Name {
		m.t.Errorf("%s sent %+v, which became %+v, %v", a.Name, d, n, err)
	}
	m.add(Event{Notification: &n})
}

// expire lets the log forget its beginning.
func (m *model) expire() {
	if m.rng.IntN(8) == 0 {
		m.expired += m.rng.Uint64N(m.count() - m.expired + 1)
	}
}

func (m *model) open() {
	a, spec := m.actor(), RoomSpec{Name: pick(m, "r1", "r2", "r3"), Private: m.rng.IntN(3) > 0}
	if spec.Private {
		spec.Invite = []string{m.actor().Name}
	}
	members, exists := m.members[spec.Name]
	_, created, err := m.hub().OpenRoom(m.t.Context(), a, spec)
	switch {
	case !exists:
		if err != nil || !created {
			m.t.Errorf("%s creates %+v: created %t, %v", a.Name, spec, created, err)
		}
		m.creator[spec.Name] = a.Name
		if spec.Private {
			m.members[spec.Name] = []string{a.Name, spec.Invite[0]}
		} else {
			m.members[spec.Name] = nil
		}
	case created, (err == nil) != (m.sees(a, spec.Name) && (members != nil || !spec.Private)):
		m.t.Errorf("%s opens %+v with the members %v: created %t, %v", a.Name, spec, members, created, err)
	case err == nil && members != nil:
		m.members[spec.Name] = append(members, spec.Invite...)
	}
}

func (m *model) expel() {
	room, user := pick(m, "r1", "r2", "r3"), m.actor().Name
	if slices.Contains(m.members[room], user) {
		m.members[room] = slices.DeleteFunc(m.members[room], func(u string) bool { return u == user })
		expel(m.t, m.hub(), room, user)
	}
}

// look is a wait that finds what is there already.
func (m *model) look() {
	a := m.actor()
	after, from := m.somewhere()
	q := WaitQuery{After: after, Rooms: m.someRooms(a), MentionsOnly: m.rng.IntN(2) == 0, Limit: 1 + m.rng.IntN(20)}
	if want := m.waitedFor(a, q, from); len(want) > 0 {
		page, err := m.hub().Wait(m.t.Context(), a, q)
		m.checkPage(page, err, want, q.Limit)
	}
}

func (m *model) history() {
	a, room := m.actor(), m.anyRoom()
	q := HistoryQuery{Target: Target{Room: room}, Limit: 1 + m.rng.IntN(10)}
	cursor, i := m.somewhere()
	var want []Message
	switch m.rng.IntN(3) {
	case 0:
		q.After = cursor
		want = m.wanted(a, []string{room}, i)
		want = want[:min(len(want), q.Limit)]
	case 1:
		q.Before = cursor
		want = m.wanted(a, []string{room}, 0)
		want = slices.DeleteFunc(want, func(msg Message) bool { return i == 0 || compareIDs(msg.ID, idOf(m.events[i-1])) >= 0 })
		want = want[max(0, len(want)-q.Limit):]
	default:
		want = m.wanted(a, []string{room}, 0)
		want = want[max(0, len(want)-q.Limit):]
	}
	page, err := m.hub().History(m.t.Context(), a, q)
	if !m.refused(a, room, err) && !slices.Equal(page.Messages, want) {
		m.t.Errorf("%s reads %+v: %+v, want %+v", a.Name, q, page, want)
	}
}

func (m *model) stream() {
	a, room := m.actor(), m.anyRoom()
	if len(m.streams) > 5 {
		return
	}
	h := m.hub()
	s, _, err := h.Stream(m.t.Context(), a, Draft{Target: Target{Room: room}})
	if !m.refused(a, room, err) {
		m.streams = append(m.streams, &modelStream{Streaming: s, hub: h, actor: a, room: room})
	}
}

func (m *model) part() {
	if len(m.streams) == 0 {
		return
	}
	s := pick(m, m.streams...)
	s.Part("part ", 0, 0)
	s.text += "part "
	pass(partialEvery)
}

func (m *model) endStream() {
	if len(m.streams) == 0 {
		return
	}
	i := m.rng.IntN(len(m.streams))
	s := m.streams[i]
	m.streams = slices.Delete(m.streams, i, i+1)
	switch m.rng.IntN(4) {
	case 0:
		s.Cancel()
	case 1:
		pass(silentFor) // ends all of them
		m.streams = nil
	case 2:
		sent, stored, err := s.Interrupt(m.t.Context())
		if s.text == "" {
			if stored || err != nil {
				m.t.Errorf("nothing became %+v, %v", sent, err)
			}
		} else if !m.refused(s.actor, s.room, err) {
			if !stored || !sent.Interrupted || sent.StreamID != s.ID() {
				m.t.Errorf("stream %s, interrupted, became %+v, %t", s.ID(), sent, stored)
			}
			m.stored(sent, s.actor, s.room, s.text)
		}
	default:
		sent, err := s.Finish(m.t.Context())
		if s.text == "" {
			wantCode(m.t, err, Invalid, "message")
		} else if !m.refused(s.actor, s.room, err) {
			if sent.StreamID != s.ID() {
				m.t.Errorf("stream %s became %+v", s.ID(), sent)
			}
			m.stored(sent, s.actor, s.room, s.text)
		}
	}
}
