package hub

import (
	"context"
	"math"
	"slices"
	"time"
)

// Bounds of looking through a log for what is wanted of it.
const (
	maxScanned      = 20_000  // records looked at for one answer
	maxScannedBytes = 8 << 20 // of them; the last chunk may exceed either
	chunkLimit      = 1_000   // records read at a time, or
	chunkBytes      = 1 << 20 // of them; the last one may exceed it
	// chunkWidth is how many sequences the first chunk backwards covers, and
	// chunkStep by how much the next is wider, or narrower.
	chunkWidth = 256
	chunkStep  = 4
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

// scanLog looks through a span for the first of what is wanted, by chunks that
// take a turn each: at most so many, and no further ones once they are pageBytes
// long.
func (h *Hub) scanLog(ctx context.Context, a Actor, log kept, s span, subjects []string, limit int, wanted func(Record) (entry, bool)) (scanned, error) {
	out := scanned{next: s.next}
	chunks := chunks{log: log, span: s, subjects: subjects, limit: limit + 1, width: chunkWidth}
	foundBytes := 0
	full := func() bool { return len(out.found) == limit || foundBytes >= pageBytes }
	look := func() (looked, size int, more bool, err error) {
		release, err := h.looks.take(ctx, a)
		if err != nil {
			return 0, 0, false, err
		}
		defer release()
		records, more, err := chunks.read(ctx)
		if err != nil {
			return 0, 0, false, err
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
		if more {
			out.next = chunks.position()
		}
		return len(records), size, more, nil
	}
	for looked, size := 0, 0; ; {
		n, bytes, more, err := look()
		if err != nil || !more {
			return out, err
		}
		if looked, size = looked+n, size+bytes; looked >= maxScanned || size >= maxScannedBytes {
			out.more, out.cut = true, !full()
			return out, nil
		}
	}
}

// chunks read a span from one end to the other. What is left of it is still to
// be read.
type chunks struct {
	span
	log      kept
	subjects []string
	limit    int    // of the next chunk forwards
	width    uint64 // of the next chunk backwards, in sequences
	began    bool
}

// position is how far was read.
func (c *chunks) position() uint64 {
	if c.backwards {
		return c.before
	}
	return c.after
}

// read returns the next chunk in the direction of the span, which may be empty.
// more tells that there may be another.
func (c *chunks) read(ctx context.Context) (records []Record, more bool, err error) {
	if c.backwards {
		return c.readBack(ctx)
	}
	records, more, err = readPage(ctx, c.log, Range{Subjects: c.subjects, After: c.after, Before: c.before, Limit: c.limit, Bytes: chunkBytes})
	if len(records) > 0 {
		c.after = records[len(records)-1].Seq
	}
	c.limit = min(chunkStep*c.limit, chunkLimit)
	return records, more, err
}

// readBack reads all that the newest sequences of the span have. A log is read
// forwards, so the chunk is made narrower until it is read as a whole; that way
// hardly anything is read twice, which it would be by [Range].Latest.
func (c *chunks) readBack(ctx context.Context) (records []Record, more bool, err error) {
	if !c.began {
		state, err := c.log.State(ctx)
		if err != nil {
			return nil, false, storeError(err)
		}
		c.began = true
		c.after = max(c.after, state.First-1)
		if c.before == 0 || c.before > state.Last {
			c.before = state.Last + 1
		}
	}
	for c.before > c.after+1 {
		low := c.before - 1 - min(c.width, c.before-1-c.after)
		records, full, err := readPage(ctx, c.log, Range{Subjects: c.subjects, After: low, Before: c.before, Limit: chunkLimit, Bytes: chunkBytes})
		if err != nil {
			return nil, false, err
		}
		if width := c.before - 1 - low; full && width > 1 {
			c.width = max(1, width/chunkStep)
			continue
		}
		c.before = low + 1
		if len(records) < chunkLimit/chunkStep && sizeOf(records) < chunkBytes/chunkStep {
			c.width = min(chunkStep*c.width, math.MaxUint32)
		}
		slices.Reverse(records)
		return records, low > c.after, nil
	}
	return nil, false, nil
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
