package hub

import (
	"context"
	"time"
)

// Bounds of a page of messages.
const (
	maxPage     = 100
	defaultPage = 50
	pageBytes   = 256 << 10 // of records; the last one may exceed it
)

// HistoryQuery asks for messages of one room. At most one of After, Before and
// Since is set: after a cursor ("0": from the beginning), before one, stored at
// a time or later, or none of them: the latest. The answer is always oldest
// first.
type HistoryQuery struct {
	Target
	After  string
	Before string
	Since  time.Time
	// Limit is 1 to 100; 0 means 50. Of long messages there are fewer.
	Limit int
}

// Page is a run of messages and where to go on.
type Page struct {
	Messages []Message
	// Next is the cursor to pass as After (or Before, when reading backwards)
	// to get what follows. It is set even when Messages is empty.
	Next string
	// More tells that there is something after (or before, when reading
	// backwards) Next already.
	More bool
}

// History reads messages of a room. The latest are read as if forwards: Next
// is the cursor for what comes after them, and the ID of the first of them is
// the one for what is before.
func (h *Hub) History(ctx context.Context, a Actor, q HistoryQuery) (Page, error) {
	r, err := h.find(a, q.Target)
	if err != nil {
		return Page{}, err
	}
	limit, err := limitOf(q.Limit, defaultPage)
	if err != nil {
		return Page{}, err
	}
	if !q.Since.IsZero() && (q.After != "" || q.Before != "") {
		return Page{}, refuse(Invalid, "since", "give since, after or before, not two of them")
	}
	part, err := h.spanOf(ctx, a, h.logOf(""), bounds{q.After, q.Before, q.Since})
	if err != nil {
		return Page{}, err
	}
	records := Range{
		Subjects: []string{roomSubject + r.name}, After: part.after, Before: part.before, Latest: part.backwards, Limit: limit, Bytes: pageBytes,
	}
	release, err := h.looks.take(ctx, a)
	if err != nil {
		return Page{}, err
	}
	defer release()
	found, more, err := readPage(ctx, h.log, records)
	if err != nil {
		return Page{}, err
	}
	backwards := q.Before != ""
	next := part.next
	switch {
	case len(found) == 0:
	case backwards:
		next = found[0].Seq
		records.Before = next
	default:
		next = found[len(found)-1].Seq
		records.After = next
	}
	if more = more && (backwards || !part.backwards); more {
		records.Limit = 1
		rest, _, err := readPage(ctx, h.log, records)
		if err != nil {
			return Page{}, err
		}
		more = len(rest) > 0
	}
	page := Page{Next: h.id(next), More: more}
	for _, rec := range found {
		if e, err := h.decode(rec); err == nil { // if not, it was logged when it came
			page.Messages = append(page.Messages, *e.Message)
		}
	}
	return page, nil
}

// limitOf is how many to give, which is so many if nothing is said.
func limitOf(n, usual int) (int, error) {
	switch {
	case n == 0:
		return usual, nil
	case n < 0 || n > maxPage:
		return 0, refuse(Invalid, "limit", "is %d; 1 to %d are allowed", n, maxPage)
	}
	return n, nil
}
