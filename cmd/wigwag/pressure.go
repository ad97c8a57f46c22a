package main

import (
	"log/slog"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pressureEvery is how often the memory is looked at, at most. A look takes a
	// microsecond, and a flood some milliseconds to fill what is left.
	pressureEvery = 10 * time.Millisecond
	// collectEvery is how old a collection may be where it matters what it left.
	collectEvery = time.Second
)

// pressure tells when memory runs out, so that nothing new is let in: above nine
// tenths of the limit, until it is back at eight.
//
// What counts is what the last collection has left and what is not on the heap.
// Garbage does not: the runtime lets it fill what the limit allows before it
// collects. So where all together comes near the limit, and while memory is
// short, a collection is started when the last one is too old to tell. Beyond
// the limit garbage counts, too: collecting does not keep up.
type pressure struct {
	limit   uint64 // in bytes; 0: none
	logger  *slog.Logger
	read    func() memory
	collect func() // starts a collection and does not wait for it

	short atomic.Bool
	due   atomic.Int64 // when to look again, in nanoseconds since 1970

	mu        sync.Mutex // held while looking; guards the rest
	cycles    uint64
	collected time.Time // when cycles was seen to rise, or a collection was started
}

// memory is what a process uses, in bytes.
type memory struct {
	live    uint64 // what was left on the heap by the last collection
	other   uint64 // not on the heap: stacks and what the runtime needs
	objects uint64 // on the heap, garbage among them
	cycles  uint64 // collections so far
}

// newPressure watches a limit in bytes; 0 is none.
func newPressure(limit int64, logger *slog.Logger) *pressure {
	var collecting atomic.Bool
	return &pressure{
		limit: uint64(limit), logger: logger, read: readMemory, //nolint:gosec // not negative
		collect: func() {
			if collecting.CompareAndSwap(false, true) {
				go func() { // ends with the collection
					defer collecting.Store(false)
					runtime.GC()
				}()
			}
		},
	}
}

// overloaded tells whether nothing new may be let in. It is quick: most calls
// get what an earlier one has found.
func (p *pressure) overloaded() bool {
	if p.limit == 0 {
		return false
	}
	if now := time.Now(); now.UnixNano() >= p.due.Load() && p.mu.TryLock() {
		p.due.Store(now.Add(pressureEvery).UnixNano())
		p.lookLocked(now)
		p.mu.Unlock()
	}
	return p.short.Load()
}

func (p *pressure) lookLocked(now time.Time) {
	m := p.read()
	if m.cycles != p.cycles {
		p.cycles, p.collected = m.cycles, now
	}
	used, all, short := m.live+m.other, m.objects+m.other, p.short.Load()
	switch {
	case !short && (used > p.limit/10*9 || all > p.limit):
		p.short.Store(true)
		p.logger.Warn("memory is short: nothing new is let in", slog.Uint64("used", max(used, all)), slog.Uint64("limit", p.limit))
	case short && used < p.limit/10*8 && all <= p.limit:
		p.short.Store(false)
		p.logger.Info("memory is no longer short", slog.Uint64("used", used), slog.Uint64("limit", p.limit))
	}
	if (p.short.Load() || all > p.limit/10*9) && now.Sub(p.collected) > collectEvery {
		p.collected = now
		p.collect()
	}
}

// readMemory asks the runtime.
func readMemory() memory {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(s)
	n := func(i int) uint64 { return s[i].Value.Uint64() }
	return memory{live: n(0), objects: n(1), other: n(2) - n(1) - n(3) - n(4) - n(5), cycles: n(6)}
}
