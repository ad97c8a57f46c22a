package hub

import (
	"slices"
	"testing"
)

func entriesOf(seqs ...uint64) []entry {
	var entries []entry
	for _, seq := range seqs {
		entries = append(entries, entry{seq: seq})
	}
	return entries
}

func seqsOf(entries []entry) []uint64 {
	var seqs []uint64
	for _, e := range entries {
		seqs = append(seqs, e.seq)
	}
	return seqs
}

func TestStitch(t *testing.T) {
	for _, test := range []struct {
		name             string
		position         uint64
		replayed, recent window
		want             []uint64
		next             uint64
	}{
		{"nothing at all", 0, window{}, window{}, nil, 0},
		{"nothing new", 5, window{5, 5, nil}, window{2, 5, nil}, nil, 5},
		{"all in the ring", 5, window{5, 5, nil}, window{2, 8, entriesOf(6, 7, 8)}, []uint64{6, 7, 8}, 8},
		{"some of the ring had been given", 5, window{5, 5, nil}, window{2, 7, entriesOf(3, 4, 5, 6, 7)}, []uint64{6, 7}, 7},
		{"the replay reaches the ring", 2, window{2, 4, entriesOf(3, 4)}, window{4, 6, entriesOf(5, 6)}, []uint64{3, 4, 5, 6}, 6},
		{"the replay overlaps the ring", 2, window{2, 5, entriesOf(3, 4, 5)}, window{3, 6, entriesOf(4, 5, 6)}, []uint64{3, 4, 5, 6}, 6},
		{"the replay goes beyond the ring", 2, window{2, 8, entriesOf(3, 8)}, window{3, 6, entriesOf(4, 6)}, []uint64{3, 8}, 8},
		{"the replay ends before the ring", 2, window{2, 4, entriesOf(3, 4)}, window{6, 8, entriesOf(7, 8)}, []uint64{3, 4}, 4},
		{"the replay is empty up to the ring", 2, window{2, 6, nil}, window{6, 8, entriesOf(7, 8)}, []uint64{7, 8}, 8},
		{"the ring is empty but has moved", 2, window{2, 2, nil}, window{2, 6, nil}, nil, 6},
		{"the ring is behind the position", 9, window{9, 9, nil}, window{2, 7, entriesOf(6, 7)}, nil, 9},
		{"sequences with holes", 10, window{10, 20, entriesOf(15, 18)}, window{19, 40, entriesOf(30, 40)}, []uint64{15, 18, 30, 40}, 40},
		{"fell off and no replay yet", 2, window{2, 2, nil}, window{6, 8, entriesOf(7, 8)}, nil, 2},
	} {
		entries, next := stitch(test.position, test.replayed, test.recent)
		if !slices.Equal(seqsOf(entries), test.want) || next != test.next {
			t.Errorf("%s: %v, next %d; want %v, next %d", test.name, seqsOf(entries), next, test.want, test.next)
		}
	}
}

// FuzzStitch reads a random log through a random ring in random steps: every
// entry comes once, in order, however replay and ring overlap.
func FuzzStitch(f *testing.F) {
	f.Add(uint64(1), uint64(0))
	f.Add(uint64(2), uint64(30))
	f.Add(uint64(3), uint64(1000))
	f.Fuzz(func(t *testing.T, seed, start uint64) {
		rng := seeded(seed)
		r := ring{max: 512 * (1 + rng.IntN(20))}
		var log []entry
		seq := uint64(0)
		grow := func() {
			for range rng.IntN(8) {
				seq += 1 + rng.Uint64N(3)
				log = append(log, entry{seq: seq})
				r.add(log[len(log)-1])
			}
		}
		for range rng.IntN(5) {
			grow()
		}
		start %= 50
		position := start
		var got []uint64
		for range 40 {
			recent := r.window(position, 1+rng.IntN(10))
			grow() // between the look at the ring and that at the log
			replayed := window{base: position, head: position}
			if recent.base > position || rng.IntN(4) == 0 {
				found := entriesAfter(log, position)
				if limit := 1 + rng.IntN(10); len(found) > limit {
					found = found[:limit]
				}
				if len(found) > 0 {
					replayed.entries, replayed.head = found, found[len(found)-1].seq
				}
			}
			entries, next := stitch(position, replayed, recent)
			if next < position || len(entries) > 0 && next < entries[len(entries)-1].seq {
				t.Fatalf("position %d, entries %v, next %d", position, seqsOf(entries), next)
			}
			got = append(got, seqsOf(entries)...)
			position = next
		}
		var want []uint64
		for _, s := range seqsOf(entriesAfter(log, start)) {
			if s <= position {
				want = append(want, s)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %d to %d: got %v, want %v", start, position, got, want)
		}
	})
}

func TestRing(t *testing.T) {
	r := ring{max: 5 * 3500}
	var seq uint64
	for i := range 1000 {
		seq += uint64(1 + i%3)
		size := i * 37 % 2000
		if i == 500 {
			size = 10_000 // bigger than the ring
		}
		r.add(entry{seq: seq, bytes: size})
		held := 0
		for _, e := range r.entries {
			held += e.size()
		}
		if held != r.bytes || held > r.max || r.head != seq {
			t.Fatalf("after %d: %d bytes held, %d counted, head %d", i, held, r.bytes, r.head)
		}
		if len(r.entries) > 0 && r.entries[0].seq <= r.base || len(r.entries) == 0 && r.base != r.head {
			t.Fatalf("after %d: base %d, entries %v", i, r.base, seqsOf(r.entries))
		}
		if w := r.window(r.base, 2); len(w.entries) > 2 || len(w.entries) == 2 && w.head != w.entries[1].seq {
			t.Fatalf("after %d: window %+v", i, w)
		}
	}
}
