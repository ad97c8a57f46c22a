package hub

import (
	"context"
	"slices"
	"time"
)

// Bounds of looking through a log for what is wanted of it.
const (
	maxScanned      = 20_000  // records looked at for one answer
	maxScannedBytes = 8 << 20 // of them; the last page may exceed it
	scanPage        = 256     // records read at a time, or pageBytes
)

// span is a part of a log, and from which end it is read.
type span struct {
	after, before uint64 // exclusive; before 0: up to the newest
	backwards     bool
	next          uint64 // the position of where to go on when nothing was found
}

// bounds are what a query says of its span, as the caller gave it. At most one
// of the cursors is set.
type bounds struct {
	after, before string
	since         time.Time // if set, read forwards from there, unless there is before
}

// spanOf resolves what a query says of a log. With nothing it is all of it, to
// be read from its newest record.
func (h *Hub) spanOf(ctx context.Context, a Actor, log kept, b bounds) (s span, err error) {
	if b.after != "" && b.before != "" {
		return span{}, refuse(Invalid, "before", "give after or before, not both")
	}
	if !b.since.IsZero() {
		if s.after, err = h.seqAt(ctx, a, log, b.since); err != nil {
			return span{}, err
		}
		s.next = s.after
	}
	switch {
	case b.after != "":
		s.next, err = h.seqIn(ctx, a, h.looks, log, "after", b.after)
		s.after = max(s.after, s.next)
	case b.before != "":
		s.next, err = h.seqIn(ctx, a, h.looks, log, "before", b.before)
		s.before = max(s.next, 1) // nothing is before the beginning
		s.backwards = true
	case b.since.IsZero():
		s.next = h.live.headOf(log.ring) // taken before the log is read, so that nothing is missed after it
		s.backwards = true
	}
	return s, err
}

// scanned is what was found in a span, in the direction in which it was read.
type scanned struct {
	found []entry
	next  uint64 // all up to here, in that direction, was looked at
	more  bool   // there is more that is wanted, or may be
	cut   bool   // the looking stopped at a bound, with less than was asked for
}

// scanLog looks through a span for the first of what is wanted, by pages that
// take a turn each: at most so many, and no further ones once they are pageBytes
// long.
func (h *Hub) scanLog(ctx context.Context, a Actor, log kept, s span, subjects []string, limit int, wanted func(Record) (entry, bool)) (scanned, error) {
	out := scanned{next: s.next}
	r := Range{Subjects: subjects, After: s.after, Before: s.before, Limit: scanPage, Bytes: pageBytes, Latest: s.backwards}
	foundBytes := 0
	full := func() bool { return len(out.found) == limit || foundBytes >= pageBytes }
	page := func() (looked, size int, more bool, err error) {
		release, err := h.looks.take(ctx, a)
		if err != nil {
			return 0, 0, false, err
		}
		defer release()
		records, more, err := readPage(ctx, log, r)
		if s.backwards {
			slices.Reverse(records)
		}
		for _, rec := range records {
			size += len(rec.Data)
			e, ok := wanted(rec)
			if out.more = ok && full(); out.more {
				return 0, 0, false, nil
			}
			if ok {
				out.found = append(out.found, e)
				foundBytes += len(rec.Data)
			}
			out.next = rec.Seq
		}
		return len(records), size, more, err
	}
	for looked, size := 0, 0; ; {
		n, bytes, more, err := page()
		if err != nil || !more {
			return out, err
		}
		if looked, size = looked+n, size+bytes; looked >= maxScanned || size >= maxScannedBytes {
			out.more, out.cut = true, !full()
			return out, nil
		}
		if s.backwards {
			r.Before = out.next
		} else {
			r.After = out.next
		}
	}
}

// CursorAt is the cursor after which is what was stored at a time or later. It
// is found by the times in the log, which are in order as far as the server's
// clock was.
func (h *Hub) CursorAt(ctx context.Context, a Actor, t time.Time) (string, error) {
	seq, err := h.seqAt(ctx, a, h.logOf(""), t)
	if err != nil {
		return "", err
	}
	return h.id(seq), nil
}

// seqAt is the position in a log after which is what was stored at a time or
// later. The turn is for all that it reads, which is little.
func (h *Hub) seqAt(ctx context.Context, a Actor, log kept, t time.Time) (uint64, error) {
	release, err := h.looks.take(ctx, a)
	if err != nil {
		return 0, err
	}
	defer release()
	state, err := log.State(ctx)
	if err != nil {
		return 0, storeError(err)
	}
	// Up to low all is older, after high nothing is.
	low, high := state.First-1, state.Last
	for low < high {
		mid := low + (high-low)/2
		records, _, err := readPage(ctx, log, Range{After: mid, Before: high + 1, Limit: 1})
		if err != nil {
			return 0, err
		}
		switch {
		case len(records) == 0: // they have expired
			high = mid
		case records[0].Time.Before(t):
			low = records[0].Seq
		default:
			high = mid
		}
	}
	return low, nil
}
