package hub

import "context"

// Bounds of a page of messages.
const (
	maxPage     = 100
	defaultPage = 50
	pageBytes   = 256 << 10 // of records; the last one may exceed it
)

// HistoryQuery asks for messages of one room. At most one of After and Before
// is set: after a cursor ("0": from the beginning), before one, or neither: the latest. The
// answer is always oldest first.
type HistoryQuery struct {
	Target
	After  string
	Before string
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
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return Page{}, err
	}
	records := Range{Subjects: []string{roomSubject + r.name}, Limit: limit, Bytes: pageBytes}
	var from uint64 // the position of Next when there is no message
	switch {
	case q.After != "" && q.Before != "":
		return Page{}, refuse(Invalid, "before", "give after or before, not both")
	case q.After != "":
		from, err = h.seqOf(ctx, a, h.looks, "after", q.After)
		records.After = from
	case q.Before != "":
		from, err = h.seqOf(ctx, a, h.looks, "before", q.Before)
		records.Before = max(from, 1) // nothing is before the beginning
		records.Latest = true
	default:
		from = h.live.position() // taken before the log is read, so that nothing is missed after it
		records.Latest = true
	}
	if err != nil {
		return Page{}, err
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
	switch {
	case len(found) == 0:
	case backwards:
		from = found[0].Seq
		records.Before = from
	default:
		from = found[len(found)-1].Seq
		records.After = from
	}
	if more = more && (backwards || q.After != ""); more {
		records.Limit = 1
		rest, _, err := readPage(ctx, h.log, records)
		if err != nil {
			return Page{}, err
		}
		more = len(rest) > 0
	}
	page := Page{Next: h.id(from), More: more}
	for _, rec := range found {
		if e, err := h.decode(rec); err == nil { // if not, it was logged when it came
			page.Messages = append(page.Messages, *e.Message)
		}
	}
	return page, nil
}

func pageLimit(n int) (int, error) {
	switch {
	case n == 0:
		return defaultPage, nil
	case n < 0 || n > maxPage:
		return 0, refuse(Invalid, "limit", "is %d; 1 to %d are allowed", n, maxPage)
	}
	return n, nil
}
