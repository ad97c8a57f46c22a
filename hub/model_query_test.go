package hub

import (
	"slices"
	"strings"
)

// The model's questions about what is stored, and its changes of members.

// pages reads until there is no more, and returns the IDs of all. ask is given
// where to go on, at first "".
func (m *model) pages(limit int, ask func(from string) (ids []string, next string, more bool, err error)) (all []string) {
	m.t.Helper()
	for from, more := "", true; more; {
		var ids []string
		var err error
		ids, from, more, err = ask(from)
		if err != nil || len(ids) > limit || len(all) > len(m.events) {
			m.t.Fatalf("a page of %d after %d, %v", len(ids), len(all), err)
		}
		all = append(all, ids...)
	}
	return all
}

// search pages through all messages with some words, newest first.
func (m *model) search() {
	a := m.actor()
	q := SearchQuery{Text: pick(m, "MESSAGE", "pArt", "1 essag", "long message", "@"+m.actor().Name, "nowhere"), Limit: 1 + m.rng.IntN(20)}
	if m.rng.IntN(3) == 0 {
		q.Sender = m.actor().Name
	}
	var rooms []string
	if m.rng.IntN(2) == 0 {
		q.Room = m.anyRoom()
		rooms = []string{q.Room}
		if !m.sees(a, q.Room) {
			_, err := m.hub().Search(m.t.Context(), a, q)
			wantCode(m.t, err, NotFound, "room")
			return
		}
	}
	before := m.count()
	if m.rng.IntN(2) == 0 {
		q.Before, before = m.somewhere()
		before = max(before, 1) - 1
	}
	var want []string
	for _, msg := range m.wanted(a, rooms, 0) {
		c, _ := parseCursor(msg.ID)
		has := func(word string) bool { return strings.Contains(strings.ToLower(msg.Message), word) }
		if c.seq <= before && (q.Sender == "" || q.Sender == msg.Sender.Name) && !slices.ContainsFunc(strings.Fields(strings.ToLower(q.Text)), func(w string) bool { return !has(w) }) {
			want = append(want, msg.ID)
		}
	}
	slices.Reverse(want)
	got := m.pages(q.Limit, func(from string) (ids []string, next string, more bool, err error) {
		if from != "" {
			q.Before = from
		}
		page, err := m.hub().Search(m.t.Context(), a, q)
		for _, msg := range page.Messages {
			ids = append(ids, msg.ID)
		}
		return ids, page.Next, page.More, err
	})
	if !slices.Equal(got, want) {
		m.t.Errorf("%s searches %+v: %q, want %q", a.Name, q, got, want)
	}
}

// notifications are the IDs of those that an actor may see, or that it has not
// read, between two indexes.
func (m *model) notifications(a Actor, unread bool, from, to uint64) (ids []string) {
	from = max(from, m.expired)
	if unread {
		from = max(from, m.read[a.Name])
	}
	for i := from; i < to; i++ {
		if n := m.events[i].Notification; n != nil && m.isFor(a, m.events[i]) && (!unread || n.Sender.Name != a.Name) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// inbox reads notifications, in every direction.
func (m *model) inbox() {
	a := m.actor()
	q := NotificationQuery{Limit: 1 + m.rng.IntN(10), Unread: m.rng.IntN(2) == 0}
	read := func() (ids []string, page NotificationPage, err error) {
		page, err = m.hub().Notifications(m.t.Context(), a, q)
		for _, n := range page.Notifications {
			ids = append(ids, n.ID)
		}
		return ids, page, err
	}
	cursor, i := m.somewhere()
	var got, want []string
	switch m.rng.IntN(3) {
	case 0:
		q.After = cursor
		want = m.notifications(a, q.Unread, i, m.count())
		got = m.pages(q.Limit, func(from string) ([]string, string, bool, error) {
			if from != "" {
				q.After = from
			}
			ids, page, err := read()
			return ids, page.Next, page.More, err
		})
	case 1:
		q.Before = cursor
		want = m.notifications(a, q.Unread, 0, max(i, 1)-1)
		slices.Reverse(want)
		got = m.pages(q.Limit, func(from string) ([]string, string, bool, error) {
			if from != "" {
				q.Before = from
			}
			ids, page, err := read()
			slices.Reverse(ids)
			return ids, page.Next, page.More, err
		})
	default:
		want = m.notifications(a, q.Unread, 0, m.count())
		want = want[max(0, len(want)-q.Limit):]
		var page NotificationPage
		var err error
		got, page, err = read()
		q.After = page.Next
		if rest, _, err2 := read(); err != nil || err2 != nil || len(rest) > 0 {
			m.t.Errorf("%s: after the latest, %q, are %q; %v, %v", a.Name, got, rest, err, err2)
		}
	}
	if !slices.Equal(got, want) {
		m.t.Errorf("%s reads notifications, %+v: %q, want %q", a.Name, q, got, want)
	}
}

// markRead moves a read mark, which all nodes know of, and never backwards.
func (m *model) markRead() {
	a := m.actor()
	cursor, i := m.somewhere()
	_, err := m.hub().MarkRead(m.t.Context(), a, cursor)
	m.read[a.Name] = max(m.read[a.Name], i)
	u, err2 := m.hub().Unread(m.t.Context(), a)
	want := Unread{Count: len(m.notifications(a, true, 0, m.count()))}
	if want.Count > maxUnread {
		want.Count, want.More = maxUnread, true
	}
	if m.read[a.Name] > 0 {
		want.ReadTo = m.hubs[0].id(m.read[a.Name])
	}
	if err != nil || err2 != nil || u != want {
		m.t.Errorf("%s has read to %s: %+v, want %+v; %v, %v", a.Name, cursor, u, want, err, err2)
	}
}

func (m *model) invite() {
	a, room, user := m.actor(), pick(m, "r1", "r2", "r3", General), m.actor().Name
	got, err := m.hub().Invite(m.t.Context(), a, room, user)
	members := m.members[room]
	switch {
	case !m.sees(a, room):
		wantCode(m.t, err, NotFound, "room")
	case members == nil:
		wantCode(m.t, err, Invalid, "room")
	case err != nil || got.Name != room || !slices.Contains(got.Members, user):
		m.t.Errorf("%s invites %s: %+v, %v", a.Name, user, got, err)
	case !slices.Contains(members, user):
		m.members[room] = append(members, user)
	}
}

// leave lets one who may, or may not, take a member out.
func (m *model) leave() {
	a, room, user := m.actor(), pick(m, "r1", "r2", "r3", General), m.actor().Name
	err := m.hub().Expel(m.t.Context(), a, room, user)
	members := m.members[room]
	switch {
	case !m.sees(a, room):
		wantCode(m.t, err, NotFound, "room")
	case members == nil:
		wantCode(m.t, err, Invalid, "room")
	case user != a.Name && m.creator[room] != a.Name:
		wantCode(m.t, err, Forbidden, "user")
	case !slices.Contains(members, user):
		wantCode(m.t, err, NotFound, "user")
	case err != nil:
		m.t.Errorf("%s takes %s out of %s: %v", a.Name, user, room, err)
	default:
		m.members[room] = slices.DeleteFunc(members, func(u string) bool { return u == user })
	}
}
