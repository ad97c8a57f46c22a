package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestReadLongLog compares what is read of several subjects, over more than a
// page, with what a filter gives; some are rare, some large.
func TestReadLongLog(t *testing.T) {
	log := open(t, Options{Memory: true}).Messages()
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test that can be repeated
	var all []Record
	for i := range 4 * readPage {
		name := fmt.Sprint("room.", random.IntN(20))
		if i%700 == 0 {
			name = "rare"
		}
		data := fmt.Append(nil, i)
		if i%50 == 0 {
			data = bytes.Repeat(data, 20_000/len(data))
		}
		all = append(all, add(t, log, name, string(data)))
	}
	last := all[len(all)-1].Seq
	for _, names := range [][]string{nil, {"rare"}, {"room.1"}, {"room.1", "rare"}, {"rare", "nobody"}, {"room.1", "room.2", "room.3", "room.4", "room.5", "room.6", "room.7"}} {
		for _, limit := range []int{1, 50, readPage + 1, 10_000} {
			for _, latest := range []bool{false, true} {
				for i, bounds := range [][2]uint64{{0, 0}, {last / 3, 0}, {100, last - 10}, {last - readPage, 0}, {last - 3, last + 3}, {0, 0}, {last / 3, last}} {
					r := Range{Subjects: names, After: bounds[0], Before: bounds[1], Limit: limit, Latest: latest}
					if i > 4 {
						r.Bytes = 50_000
					}
					var want []Record
					for _, rec := range all {
						if rec.Seq > r.After && (r.Before == 0 || rec.Seq < r.Before) && (names == nil || slices.Contains(names, rec.Subject)) {
							want = append(want, rec)
						}
					}
					want = pageSize{limit, r.Bytes}.of(want, latest)
					same(t, fmt.Sprintf("%+v", r), read(t, log, r), want)
				}
			}
		}
	}
}

// of returns the first records that fill a page, or the last.
func (p pageSize) of(records []Record, latest bool) []Record {
	size := 0
	for n := range records {
		i := n
		if latest {
			i = len(records) - 1 - n
		}
		if size += len(records[i].Data); !p.full(n+1, size) {
			continue
		}
		if latest {
			return records[i:]
		}
		return records[:i+1]
	}
	return records
}
