package transport

import (
	"encoding/binary"
	"encoding/json"
	"errors"
)

// group is one record: messages of a stream, and which of its requests are not
// answered after them.
type group struct {
	items []item
	owed  []json.RawMessage
}

// unrecorded returns what is not written yet, at least one group, and takes it
// for written.
func (st *stream) unrecorded() (subject string, groups []group) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rec := st.record
	rec.dirty = false
	fresh := make([]item, 0, min(st.seq-rec.upTo, uint64(len(st.history.items)+len(st.pending))))
	for _, items := range [][]item{st.history.items, st.pending} {
		for _, it := range items {
			if it.seq > rec.upTo {
				fresh = append(fresh, it)
			}
		}
	}
	groups = []group{{items: make([]item, 0, len(fresh))}}
	size := 0
	unkept := make(map[string]bool) // answers too large to be kept
	for _, it := range fresh {
		rec.upTo = it.seq
		if len(it.data) > maxGroup {
			if it.response {
				unkept[string(it.answers)] = true
			}
			continue
		}
		if size += len(it.data); size > maxGroup {
			groups, size = append(groups, group{}), len(it.data)
		}
		last := &groups[len(groups)-1]
		last.items = append(last.items, it)
	}
	for i := range groups { // too much is owed by all but the last: they are not the end
		groups[i].owed = st.requests
	}
	groups[len(groups)-1].owed = nil
	for _, id := range st.requests {
		answered := false
		for _, a := range st.answered {
			answered = answered || string(a) == string(id)
		}
		if !answered || unkept[string(id)] {
			groups[len(groups)-1].owed = append(groups[len(groups)-1].owed, id)
		}
	}
	return rec.subject, groups
}

const groupVersion = 1

// encode is: the version, the owed IDs, the messages; each list with its length
// before it, each message its sequence, whether it is a response, and its text.
func (g group) encode() []byte {
	size := 16
	for _, it := range g.items {
		size += len(it.data) + 2*binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, size), groupVersion)
	b = binary.AppendUvarint(b, uint64(len(g.owed)))
	for _, id := range g.owed {
		b = appendBytes(b, id)
	}
	b = binary.AppendUvarint(b, uint64(len(g.items)))
	for _, it := range g.items {
		b = binary.AppendUvarint(b, it.seq)
		if it.response {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = appendBytes(b, it.data)
	}
	return b
}

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

var errBadGroup = errors.New("a record of a stream cannot be read")

func decodeGroup(b []byte) (g group, err error) {
	if len(b) == 0 || b[0] != groupVersion {
		return g, errBadGroup
	}
	d := &decoder{rest: b[1:]}
	for range d.count() {
		g.owed = append(g.owed, d.bytes())
	}
	for range d.count() {
		g.items = append(g.items, item{seq: d.number(), response: d.number() == 1, data: d.bytes()})
	}
	if d.bad || len(d.rest) > 0 {
		return group{}, errBadGroup
	}
	return g, nil
}

// decoder reads what encode wrote; once something was wrong it returns zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.rest, d.bad = nil, true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count is the length of a list, whose elements have at least a byte each.
func (d *decoder) count() uint64 {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) bytes() []byte {
	n := d.count()
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}
