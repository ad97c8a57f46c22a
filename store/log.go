package store

import (
	"bytes"
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Journal is an ordered record. The one of [Store.Streams] does not wait for
// the disk: what was acknowledged in the last moment, some 10 ms, is lost when
// the process is killed, and the last second or so when the machine loses
// power. A [Log] loses nothing. Its methods are safe for concurrent use.
type Journal struct{ s *stream }

// Log is a durable journal that can be followed.
type Log struct{ Journal }

// Append stores an entry and returns its record; of a log, once it is durable;
// of [Store.Streams], without its time. When there is no room it fails with
// [ErrFull] and nothing is evicted, unless it is a log made for that. An entry
// with an ID that is known is not stored again: the first record is returned,
// without its time if it has expired since. When ctx ends or the error is
// [ErrUnavailable] the entry may have been stored.
func (l *Journal) Append(ctx context.Context, e Entry) (Record, error) {
	m := nats.NewMsg(l.s.subject(e.Subject))
	m.Data = bytes.Clone(e.Data)
	if e.TTL > 0 {
		m.Header.Set(jetstream.MsgTTLHeader, wholeSeconds(e.TTL).String())
	}
	if e.ID != "" {
		m.Header.Set(jetstream.MsgIDHeader, encode(e.ID))
	}
	r, err := l.s.append(ctx, &request{msg: m})
	if err == nil && r.Time.IsZero() {
		r.Subject, r.Data = e.Subject, m.Data
	}
	return r, err
}

// wholeSeconds rounds up: JetStream knows no less.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// Read returns the records of a range, in order. It sees every record whose
// Append had returned, or that a follower had been given, when it was called.
func (l *Journal) Read(ctx context.Context, r Range) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	lo, hi := r.After+1, l.s.feed.limit()
	if lo == 0 || r.Limit < 1 { // nothing is after the last sequence there can be
		return nil, nil
	}
	if r.Before > 0 {
		hi = min(hi, r.Before-1)
	}
	var filters []string
	if r.Subjects != nil {
		filters = make([]string, 0, len(r.Subjects))
		seen := make(map[string]struct{}, len(r.Subjects))
		for _, name := range r.Subjects {
			if _, twice := seen[name]; !twice {
				seen[name] = struct{}{}
				filters = append(filters, l.s.subject(name))
			}
		}
	}
	most := pageSize{records: r.Limit, bytes: r.Bytes}
	if r.Latest {
		return l.s.latest(ctx, filters, lo, hi, most)
	}
	return l.s.first(ctx, filters, lo, hi, most)
}

// State asks the leader for the bounds: they are at least as new as what any
// Append or follower has told before.
func (l *Log) State(ctx context.Context) (State, error) {
	first, last, err := l.s.head(ctx)
	if err != nil {
		return State{}, err
	}
	return State{Epoch: l.s.epoch, First: first, Last: last}, nil
}

// Follow calls fn with every record stored from now on, once, in order, without
// gaps, from one goroutine, until stop is called or the store closes. A record
// that expires before a slow fn gets to it is left out. When stop returns, fn
// is not running and is not called again; so fn must not call stop.
func (l *Log) Follow(fn func(Record)) (stop func()) {
	return l.s.feed.follow(l.s.feed.limit(), fn)
}
