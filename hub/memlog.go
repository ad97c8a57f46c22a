package hub

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// recordOverhead is what a record counts for beyond its data, subject and
	// ID, in bytes.
	recordOverhead = 128
	// knownFor is how long the ID of an entry is remembered.
	knownFor = 2 * time.Minute
)

// MemoryLog is a [Log] that lives as long as its process and holds a bounded
// number of bytes. It is the reference for every other log.
type MemoryLog struct {
	epoch    string
	maxBytes int64
	evict    bool // a full log lets go of its oldest records

	mu sync.Mutex
	// records are in order. Their elements are never changed, only replaced
	// with the whole slice, so that one taken under mu may be read without.
	records   []heldRecord
	last      uint64                     // sequence of the newest record ever
	bytes     int64                      // of records, at most maxBytes
	expiring  time.Time                  // no record expires before; zero: none does
	known     map[string]heldRecord      // by ID, those of the last two minutes
	knownIDs  []string                   // what is in known, oldest first
	followers map[chan struct{}]struct{} // woken by a token when last has risen
}

type heldRecord struct {
	Record
	size    int64
	expires time.Time // zero: never
}

// NewMemoryLog makes an empty log of a new epoch. It is full when its records,
// each with its data, subject, ID and 128 bytes, exceed maxBytes.
func NewMemoryLog(maxBytes int64) *MemoryLog {
	return &MemoryLog{
		epoch: newEpoch(), maxBytes: maxBytes,
		known: map[string]heldRecord{}, followers: map[chan struct{}]struct{}{},
	}
}

// NewEvictingMemoryLog makes a log as [NewMemoryLog] does, but one that lets go
// of its oldest records instead of being full.
func NewEvictingMemoryLog(maxBytes int64) *MemoryLog {
	l := NewMemoryLog(maxBytes)
	l.evict = true
	return l
}

// memoryFullError is the error of a log or bucket in memory that has no room left.
type memoryFullError int64

func (m memoryFullError) Error() string {
	return fmt.Sprintf("the %d bytes of memory are full", int64(m))
}

func (memoryFullError) Full() bool { return true }

// Append implements [Log].
func (l *MemoryLog) Append(ctx context.Context, e Entry) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	now := time.Now()
	r := heldRecord{
		Record: Record{Time: now, Subject: e.Subject, Data: bytes.Clone(e.Data)},
		size:   int64(len(e.Data) + len(e.Subject) + len(e.ID) + recordOverhead),
	}
	if e.TTL > 0 {
		r.expires = now.Add((e.TTL + time.Second - 1).Truncate(time.Second))
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetIDsLocked(now)
	if first, ok := l.known[e.ID]; ok {
		return first.Record, nil
	}
	l.expireLocked(now)
	for l.evict && l.bytes+r.size > l.maxBytes && len(l.records) > 0 {
		l.bytes -= l.records[0].size
		l.records = l.records[1:]
	}
	if l.bytes+r.size > l.maxBytes {
		return Record{}, memoryFullError(l.maxBytes)
	}
	l.last++
	r.Seq = l.last
	l.records = append(l.records, r)
	l.bytes += r.size
	if !r.expires.IsZero() && (l.expiring.IsZero() || r.expires.Before(l.expiring)) {
		l.expiring = r.expires
	}
	if e.ID != "" {
		l.known[e.ID] = r
		l.knownIDs = append(l.knownIDs, e.ID)
	}
	for wake := range l.followers {
		signal(wake)
	}
	return r.Record, nil
}

// forgetIDsLocked forgets the IDs whose time is over.
func (l *MemoryLog) forgetIDsLocked(now time.Time) {
	for len(l.knownIDs) > 0 && now.Sub(l.known[l.knownIDs[0]].Time) >= knownFor {
		delete(l.known, l.knownIDs[0])
		l.knownIDs = l.knownIDs[1:]
	}
}

// expireLocked lets go of the records whose time is over.
func (l *MemoryLog) expireLocked(now time.Time) {
	if l.expiring.IsZero() || now.Before(l.expiring) {
		return
	}
	left := make([]heldRecord, 0, len(l.records))
	l.bytes, l.expiring = 0, time.Time{}
	for _, r := range l.records {
		if !r.expires.IsZero() && !now.Before(r.expires) {
			continue
		}
		left = append(left, r)
		l.bytes += r.size
		if !r.expires.IsZero() && (l.expiring.IsZero() || r.expires.Before(l.expiring)) {
			l.expiring = r.expires
		}
	}
	l.records = left
}

// Read implements [Log].
func (l *MemoryLog) Read(ctx context.Context, r Range) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, _ := l.since(r.After)
	if r.Before > 0 {
		end, _ := find(records, r.Before)
		records = records[:end]
	}
	var found []Record
	size := 0
	take := func(rec heldRecord) (full bool) {
		if r.Subjects == nil || slices.Contains(r.Subjects, rec.Subject) {
			found = append(found, rec.Record)
			size += len(rec.Data)
		}
		return len(found) >= r.Limit || r.Bytes > 0 && size >= r.Bytes
	}
	if !r.Latest {
		for _, rec := range records {
			if take(rec) {
				break
			}
		}
		return found, nil
	}
	for _, rec := range slices.Backward(records) {
		if take(rec) {
			break
		}
	}
	slices.Reverse(found)
	return found, nil
}

// State implements [Log].
func (l *MemoryLog) State(ctx context.Context) (State, error) {
	records, last := l.since(0)
	s := State{Epoch: l.epoch, First: last + 1, Last: last}
	if len(records) > 0 {
		s.First = records[0].Seq
	}
	return s, ctx.Err()
}

// Follow implements [Log] by a goroutine that ends with stop.
func (l *MemoryLog) Follow(fn func(Record)) (stop func()) {
	wake := make(chan struct{}, 1)
	done, ended := make(chan struct{}), make(chan struct{})

	l.mu.Lock()
	pos := l.last
	l.followers[wake] = struct{}{}
	l.mu.Unlock()

	go func() {
		defer close(ended)
		for {
			records, last := l.since(pos)
			for _, r := range records {
				select {
				case <-done:
					return
				default:
				}
				fn(r.Record)
			}
			pos = last
			select {
			case <-wake:
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		l.mu.Lock()
		delete(l.followers, wake)
		l.mu.Unlock()
		close(done)
		<-ended
	})
}

// since returns all records after a sequence, and the newest sequence ever.
func (l *MemoryLog) since(seq uint64) ([]heldRecord, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireLocked(time.Now())
	if seq >= l.last { // seq+1 might be 0
		return nil, l.last
	}
	i, _ := find(l.records, seq+1)
	return l.records[i:], l.last
}

// find returns the index of the first record with a sequence of at least seq.
func find(records []heldRecord, seq uint64) (int, bool) {
	return slices.BinarySearchFunc(records, seq, func(r heldRecord, seq uint64) int {
		switch {
		case r.Seq < seq:
			return -1
		case r.Seq > seq:
			return 1
		}
		return 0
	})
}

// signal leaves a token in a channel of capacity one, unless one is there.
func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
