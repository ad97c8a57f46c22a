package hub

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Observer is told what the hub does. Its methods are called from many
// goroutines and must not block. What it is told comes from small, fixed sets,
// never from a client's text.
type Observer interface {
	// Stored tells that this hub has stored something: a "message", a
	// "notification" or a "log" line.
	Stored(what string)
	// Delivered tells how long after it was stored something was given to a
	// listener that had everything before. It is a sample: one of every 16 times
	// that this happens to a listener, the first among them.
	Delivered(lag time.Duration)
	// FellBehind tells that a listener that had kept up is off the ring.
	FellBehind()
	// Replayed tells that so many records were read from the log at once, for a
	// listener or a wait that is not on the ring.
	Replayed(records int)
	// StoreFailed tells that a log or a bucket has failed: in "append", "read",
	// "state", "put" or "delete", because it is "full", "unavailable", too slow
	// ("timeout"), or for an "other" reason.
	StoreFailed(operation, kind string)
}

// Stats is what there is at one moment.
type Stats struct {
	Listeners int // and waits
	Streams   int // messages on their way in parts
}

// Stats counts what there is now.
func (h *Hub) Stats() Stats {
	h.live.mu.Lock()
	defer h.live.mu.Unlock()
	return Stats{Listeners: h.live.tapCount, Streams: len(h.live.streams)}
}

// sampleEvery is how often [Observer.Delivered] is told.
const sampleEvery = 16

// observeLook tells of a listener's look at the ring; hadAll tells that it had
// everything before. The clock is read for a sample only: very many listeners
// look at the same moment.
func (l *Listener) observeLook(hadAll bool, position uint64, recent window) {
	onRing := recent.base <= position
	if l.onRing && !onRing {
		l.hub.observer.FellBehind()
	}
	if l.onRing = onRing; !onRing || !hadAll || len(recent.entries) == 0 {
		return
	}
	if l.looks%sampleEvery == 0 {
		newest := recent.entries[len(recent.entries)-1]
		l.hub.observer.Delivered(time.Since(time.Unix(0, newest.stored)))
	}
	l.looks++
}

// storedAs is what is kept under a subject, as observers know it.
func storedAs(subject string) string {
	switch {
	case subject == lineSubject:
		return "log"
	case strings.HasPrefix(subject, roomSubject):
		return typeMessage
	default:
		return typeNotification
	}
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Stored(string)              {}
func (nobody) Delivered(time.Duration)    {}
func (nobody) FellBehind()                {}
func (nobody) Replayed(int)               {}
func (nobody) StoreFailed(string, string) {}

// observedLog tells of a log's errors.
type observedLog struct {
	Log
	observer Observer
}

func (l observedLog) Append(ctx context.Context, e Entry) (Record, error) {
	r, err := l.Log.Append(ctx, e)
	storeFailed(l.observer, "append", err)
	return r, err
}

func (l observedLog) Read(ctx context.Context, r Range) ([]Record, error) {
	records, err := l.Log.Read(ctx, r)
	storeFailed(l.observer, "read", err)
	return records, err
}

func (l observedLog) State(ctx context.Context) (State, error) {
	s, err := l.Log.State(ctx)
	storeFailed(l.observer, "state", err)
	return s, err
}

// observedBucket tells of a bucket's errors.
type observedBucket struct {
	Bucket
	observer Observer
}

func (b observedBucket) Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error) {
	ok, err := b.Bucket.Put(ctx, key, value, revision)
	storeFailed(b.observer, "put", err)
	return ok, err
}

func (b observedBucket) Delete(ctx context.Context, key string, revision uint64) (bool, error) {
	ok, err := b.Bucket.Delete(ctx, key, revision)
	storeFailed(b.observer, "delete", err)
	return ok, err
}

// storeFailed tells an observer of an error, but not of a caller that is gone.
func storeFailed(o Observer, operation string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	kind := "other"
	switch told, ok := errors.AsType[*Error](storeError(err)); {
	case ok:
		kind = string(told.Code)
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	}
	o.StoreFailed(operation, kind)
}
