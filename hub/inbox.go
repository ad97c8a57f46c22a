package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
)

const (
	// maxUnread is how far unread notifications are counted.
	maxUnread = 100
	// maxSent is how many of the notifications that a user has sent to another
	// the sender finds again; older ones are their addressees' only.
	maxSent = 200
)

// NotificationQuery asks for the notifications that the actor may see: those to
// it, to everybody, and what it sent itself. At most one of After and Before is
// set, as in [HistoryQuery].
type NotificationQuery struct {
	After, Before string
	Limit         int  // 1 to 100; 0 means 50. Of long ones there are fewer
	Unread        bool // only those after the read mark that the actor did not send
}

// NotificationPage is a run of notifications, oldest first, and where to go on,
// as in [Page].
type NotificationPage struct {
	Notifications []Notification
	Next          string
	More          bool
}

// Unread tells how many notifications to the actor, or to everybody, are after
// the read mark and not the actor's own.
type Unread struct {
	Count  int
	More   bool   // there are more than the 100 that were counted
	ReadTo string // the read mark, a cursor; empty: none was set
}

// Notifications reads notifications, which are kept for seven days.
func (h *Hub) Notifications(ctx context.Context, a Actor, q NotificationQuery) (NotificationPage, error) {
	if err := a.mustBeUser(); err != nil {
		return NotificationPage{}, err
	}
	limit, err := limitOf(q.Limit, defaultPage)
	if err != nil {
		return NotificationPage{}, err
	}
	h.awaitLearned(ctx)
	part, err := h.spanOf(ctx, a, h.logOf(""), bounds{after: q.After, before: q.Before})
	if err != nil {
		return NotificationPage{}, err
	}
	if q.Unread {
		mark, _ := h.readMark(a.Name)
		part.after = max(part.after, mark.seq)
	}
	got, err := h.inbox(ctx, a, part, limit, q.Unread)
	if err != nil {
		return NotificationPage{}, err
	}
	page := NotificationPage{Next: h.id(got.next), More: got.more}
	if part.backwards {
		slices.Reverse(got.found)
	}
	if part.backwards && q.Before == "" { // the latest: it goes on after them
		page.Next, page.More = h.id(part.next), false
		if n := len(got.found); n > 0 {
			page.Next = h.id(got.found[n-1].seq)
		}
	}
	for _, e := range got.found {
		page.Notifications = append(page.Notifications, *e.event.Notification)
	}
	return page, nil
}

// Unread counts the unread notifications, up to 100.
func (h *Hub) Unread(ctx context.Context, a Actor) (Unread, error) {
	if err := a.mustBeUser(); err != nil {
		return Unread{}, err
	}
	mark, _ := h.readMark(a.Name)
	got, err := h.inbox(ctx, a, span{after: mark.seq, next: mark.seq}, maxUnread, true)
	if err != nil {
		return Unread{}, err
	}
	u := Unread{Count: len(got.found), More: got.more}
	if mark.epoch != "" {
		u.ReadTo = mark.String()
	}
	return u, nil
}

// MarkRead moves the actor's read mark forwards to a cursor, for all clients of
// the user, and counts what is unread then. A cursor before the mark changes
// nothing.
func (h *Hub) MarkRead(ctx context.Context, a Actor, upTo string) (Unread, error) {
	if err := h.mayWrite(a); err != nil {
		return Unread{}, err
	}
	seq, err := h.seqOf(ctx, a, h.looks, "up_to", upTo)
	if err != nil {
		return Unread{}, err
	}
	for range maxTries {
		mark, revision := h.readMark(a.Name)
		if mark.seq >= seq {
			return h.Unread(ctx, a)
		}
		value, err := json.Marshal(markRecord{recordVersion, h.id(seq)})
		if err != nil {
			return Unread{}, err
		}
		switch ok, err := h.marks.Put(ctx, a.Name, value, revision); {
		case err != nil:
			return Unread{}, storeError(err)
		case ok:
			return h.Unread(ctx, a)
		}
	}
	return Unread{}, refuse(Unavailable, "up_to", "the read mark is being moved by others; try again")
}

// markRecord is what the bucket keeps under a user's name.
type markRecord struct {
	Version int    `json:"v"`
	Read    string `json:"read"` // a cursor
}

// readMark is a user's read mark, and the revision of what the bucket has. One
// of another epoch, or version, counts for none: rather something is shown as
// unread again than never.
func (h *Hub) readMark(user string) (cursor, uint64) {
	value, revision := h.marks.Get(user)
	var rec markRecord
	if revision == 0 || json.Unmarshal(value, &rec) != nil || rec.Version != recordVersion {
		return cursor{}, revision
	}
	if c, ok := parseCursor(rec.Read); ok && c.epoch == h.epoch {
		return c, revision
	}
	return cursor{}, revision
}

// inbox reads the notifications of a span that are the actor's to see, or only
// those that others have sent.
func (h *Hub) inbox(ctx context.Context, a Actor, part span, limit int, ofOthers bool) (scanned, error) {
	if !ofOthers {
		head, err := h.followed(ctx, a)
		if err != nil {
			return scanned{}, err
		}
		if part.before == 0 || part.before > head+1 { // what is stored from now on is for later
			part.before = head + 1
		}
	}
	subjects := []string{userSubject + a.Name, allSubject}
	got, err := h.scanLog(ctx, a, h.logOf(""), part, subjects, limit, func(rec Record) (entry, bool) {
		e := h.entry(rec)
		n := e.event.Notification
		return e, n != nil && (!ofOthers || n.Sender.Name != a.Name)
	})
	if err != nil || ofOthers {
		return got, err
	}
	if got.more { // what is beyond is for later
		if part.backwards {
			part.after = got.next - 1
		} else {
			part.before = got.next + 1
		}
	}
	return h.withSent(ctx, a, part, limit, got)
}

// followed waits until what the log holds is before listeners, but not for long.
// Up to the position it returns it is known who has sent what.
func (h *Hub) followed(ctx context.Context, a Actor) (uint64, error) {
	state, err := stateOf(ctx, a, h.looks, h.log)
	if err != nil {
		return 0, err
	}
	h.live.await(ctx, state.Last)
	return h.live.position(), nil
}

// withSent adds what the actor has sent to others in a span, which is all that
// was looked at.
func (h *Hub) withSent(ctx context.Context, a Actor, part span, limit int, got scanned) (scanned, error) {
	seqs := h.sent.within(a.Name, part)
	if len(seqs) == 0 {
		return got, nil
	}
	release, err := h.looks.take(ctx, a)
	if err != nil {
		return scanned{}, err
	}
	defer release()
	sent := 0
	for _, seq := range seqs {
		records, _, err := readPage(ctx, h.log, Range{After: seq - 1, Before: seq + 1, Limit: 1})
		if err != nil {
			return scanned{}, err
		}
		for _, rec := range records { // none if it has expired
			got.found = append(got.found, h.entry(rec))
			sent++
		}
		if sent > limit {
			break
		}
	}
	slices.SortFunc(got.found, func(x, y entry) int { return cmp.Compare(x.seq, y.seq) })
	if part.backwards {
		slices.Reverse(got.found)
	}
	last := len(got.found) - 1
	switch {
	case last >= limit:
		got.found = got.found[:limit]
		got.next, got.more = got.found[limit-1].seq, true
	case last >= 0 && !got.more:
		got.next = got.found[last].seq
	}
	return got, nil
}

// sent knows which notifications users have sent to others: they are kept with
// their addressees. It follows the log, as rooms do.
type sent struct {
	mu sync.Mutex
	of map[string][]uint64 // by sender, the newest of their sequences: at most maxSent, rising
}

// note takes over a notification. Older ones may come after newer ones.
func (s *sent) note(n *Notification, seq uint64) {
	if n == nil || n.To == "" || n.To == n.Sender.Name {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seqs := s.of[n.Sender.Name]
	at, _ := slices.BinarySearch(seqs, seq)
	seqs = slices.Insert(seqs, at, seq)
	s.of[n.Sender.Name] = slices.Delete(seqs, 0, max(0, len(seqs)-maxSent))
}

// within returns a user's in a span, in its direction.
func (s *sent) within(user string, part span) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	seqs := slices.DeleteFunc(slices.Clone(s.of[user]), func(seq uint64) bool {
		return seq <= part.after || part.before > 0 && seq >= part.before
	})
	if part.backwards {
		slices.Reverse(seqs)
	}
	return seqs
}
