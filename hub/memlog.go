package hub

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

// recordOverhead is what a record counts for beyond its data and room name,
// in bytes.
const recordOverhead = 128

// MemoryLog is a [Log] that lives as long as its process and holds a bounded
// number of bytes. It is the reference for every other log.
type MemoryLog struct {
	epoch    string
	maxBytes int64

	mu sync.Mutex
	// records[i] has the sequence i+1. It only ever grows, so a slice of it
	// taken under mu may be read without.
	records   []Record
	bytes     int64                      // never above maxBytes
	followers map[chan struct{}]struct{} // woken by a token when records grows
}

// NewMemoryLog makes an empty log of a new epoch. It is full when its records,
// each with its data, its room's name and 128 bytes, exceed maxBytes.
func NewMemoryLog(maxBytes int64) *MemoryLog {
	return &MemoryLog{epoch: newEpoch(), maxBytes: maxBytes, followers: map[chan struct{}]struct{}{}}
}

// Append implements [Log].
func (l *MemoryLog) Append(ctx context.Context, room string, data []byte) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	r := Record{Room: room, Data: bytes.Clone(data)}
	size := int64(len(r.Data) + len(r.Room) + recordOverhead)

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes+size > l.maxBytes {
		return Record{}, refuse(Full, "", "the log is full (%d bytes): nothing more can be stored", l.maxBytes)
	}
	r.Seq = uint64(len(l.records)) + 1
	r.Time = time.Now()
	l.records = append(l.records, r)
	l.bytes += size
	for wake := range l.followers {
		signal(wake)
	}
	return r, nil
}

// Read implements [Log].
func (l *MemoryLog) Read(ctx context.Context, r Range) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records := l.since(r.After)
	if r.Before > 0 {
		n := uint64(0)
		if r.Before > r.After {
			n = r.Before - r.After - 1
		}
		records = records[:min(n, uint64(len(records)))]
	}
	var found []Record
	take := func(rec Record) (full bool) {
		if r.Rooms == nil || slices.Contains(r.Rooms, rec.Room) {
			found = append(found, rec)
		}
		return len(found) >= r.Limit
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
	return State{Epoch: l.epoch, First: 1, Last: uint64(len(l.since(0)))}, ctx.Err()
}

// Follow implements [Log] by a goroutine that ends with stop.
func (l *MemoryLog) Follow(fn func(Record)) (stop func()) {
	wake := make(chan struct{}, 1)
	done, ended := make(chan struct{}), make(chan struct{})

	l.mu.Lock()
	pos := uint64(len(l.records))
	l.followers[wake] = struct{}{}
	l.mu.Unlock()

	go func() {
		defer close(ended)
		for {
			for _, r := range l.since(pos) {
				select {
				case <-done:
					return
				default:
				}
				fn(r)
				pos = r.Seq
			}
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

// since returns all records after a sequence.
func (l *MemoryLog) since(seq uint64) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[min(seq, uint64(len(l.records))):]
}

// signal leaves a token in a channel of capacity one, unless one is there.
func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
