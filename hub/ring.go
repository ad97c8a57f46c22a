package hub

import "slices"

// Bounds of what the rings hold. There is one of all rooms, not one of each:
// what a listener has not had yet is then one position, and nothing has to be
// brought into order again. It serves any number of listeners that keep up,
// since an entry and its encoding are shared; one that is more than the ring
// behind reads the log.
const (
	ringBytes  = 16 << 20 // of recent messages and notifications
	linesBytes = 1 << 20  // of recent log lines
)

// ring holds the newest entries: all there are after base, up to head.
type ring struct {
	base, head uint64
	entries    []entry // in order
	bytes, max int
}

// add puts an entry at the head and lets go of the oldest ones beyond max.
func (r *ring) add(e entry) {
	r.entries = append(r.entries, e)
	r.head = e.seq
	r.bytes += e.size()
	for r.bytes > r.max {
		r.bytes -= r.entries[0].size()
		r.base = r.entries[0].seq
		r.entries[0] = entry{}
		r.entries = r.entries[1:]
	}
}

// window copies at most limit entries after a position. When the ring has lost
// what comes right after the position, they begin at its base.
func (r *ring) window(after uint64, limit int) window {
	found := entriesAfter(r.entries, after)
	w := window{base: r.base, head: r.head}
	if len(found) > limit {
		found = found[:limit]
		w.head = found[limit-1].seq
	}
	w.entries = slices.Clone(found)
	return w
}

// window is a part of the ring, or of the log: all entries after base, up to
// head, that are after the position it was taken for.
type window struct {
	base, head uint64
	entries    []entry
}

// stitch continues, from a position, what was replayed from the log with what
// the ring holds, without gap or duplicate. next is where to continue: the
// position until which everything is in entries. While the ring has moved on
// from where the replay ended, that is the end of the replay.
func stitch(position uint64, replayed, recent window) (entries []entry, next uint64) {
	next = position
	for _, w := range []window{replayed, recent} {
		if w.base <= next && w.head > next {
			entries = append(entries, entriesAfter(w.entries, next)...)
			next = w.head
		}
	}
	return entries, next
}

// entriesAfter returns the entries after a position.
func entriesAfter(entries []entry, position uint64) []entry {
	i, _ := slices.BinarySearchFunc(entries, position+1, func(e entry, seq uint64) int {
		switch {
		case e.seq < seq:
			return -1
		case e.seq > seq:
			return 1
		}
		return 0
	})
	return entries[i:]
}
