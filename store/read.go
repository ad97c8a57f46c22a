package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	readPage      = 512     // records asked for at once
	readPageBytes = 4 << 20 // of a page, at most by one record more
)

// Record, Range and State are spelled as package hub spells them, so that both
// are the same types.
type (
	// Entry is what is to be stored.
	Entry = struct {
		Subject string
		Data    []byte
		TTL     time.Duration // how long it is kept, in whole seconds; 0: as long as the log keeps things
		ID      string        // within two minutes, an entry with the same ID is not stored again; "": none
	}
	// Record is an entry as stored. Data must not be modified.
	Record = struct {
		Seq     uint64
		Time    time.Time
		Subject string
		Data    []byte
	}
	// Range selects the first Limit records, or the last with Latest, of the
	// subjects (nil: of all; empty: of none) with After < Seq < Before (Before
	// 0: no bound).
	Range = struct {
		Subjects []string
		After    uint64
		Before   uint64
		Limit    int
		Latest   bool
	}
	// State is where a log stands. When it holds no record First is Last+1.
	State = struct {
		Epoch       string
		First, Last uint64
	}
)

// first returns the first records with lo ≤ sequence ≤ hi of filters (nil: of
// all), at most limit.
func (s *stream) first(ctx context.Context, filters []string, lo, hi uint64, limit int) ([]Record, error) {
	var found []Record
	err := s.scan(ctx, filters, lo, hi, limit, func(r Record) bool {
		found = append(found, r)
		return len(found) < limit
	})
	return found, err
}

// latest returns the last records of what first would select, in order. A log
// is read forwards only, so it looks at windows that grow, from the newest back.
func (s *stream) latest(ctx context.Context, filters []string, lo, hi uint64, limit int) ([]Record, error) {
	var found []Record
	for width := max(64, 2*uint64(limit)); lo <= hi; width *= 4 { //nolint:gosec // limit is positive
		start := lo
		if hi-lo >= width {
			start = hi - width + 1
		}
		need := limit - len(found)
		var window []Record
		err := s.scan(ctx, filters, start, hi, readPage, func(r Record) bool {
			if window = append(window, r); len(window) >= 2*need+readPage {
				window = slices.Clone(window[len(window)-need:])
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		found = slices.Concat(window[max(0, len(window)-need):], found)
		if len(found) >= limit || start == lo {
			break
		}
		hi = start - 1
	}
	return found, nil
}

// scan calls fn with the records with lo ≤ sequence ≤ hi of filters (nil: of
// all), in order, until it is false. It expects to need about expect of them.
// Direct gets leave nothing on the server.
func (s *stream) scan(ctx context.Context, filters []string, lo, hi uint64, expect int, fn func(Record) bool) error {
	if lo > hi || filters != nil && len(filters) == 0 {
		return nil
	}
	g, err := s.newGetter()
	if err != nil {
		return err
	}
	defer g.end()
	all := s.name + ".*"
	switch {
	case len(filters) == 0:
		return g.scan(ctx, directGet{NextFor: all, Batch: min(expect, readPage), MaxBytes: readPageBytes}, lo, hi, fn)
	case len(filters) == 1:
		return g.scan(ctx, directGet{NextFor: filters[0], Batch: min(expect, readPage), MaxBytes: readPageBytes}, lo, hi, fn)
	case hi-lo < readPage: // one request instead of one for each
		wanted := make(map[string]struct{}, len(filters))
		for _, f := range filters {
			wanted[f] = struct{}{}
		}
		return g.scan(ctx, directGet{NextFor: all, Batch: readPage, MaxBytes: readPageBytes}, lo, hi, func(r Record) bool {
			_, ok := wanted[s.subject(r.Subject)]
			return !ok || fn(r)
		})
	default:
		return g.merge(ctx, filters, lo, hi, expect, fn)
	}
}

// directGet is JetStream's request for a page of messages.
type directGet struct {
	Seq      uint64 `json:"seq"`
	NextFor  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"` // is exceeded by the last message
}

// getter asks for pages, one after another.
type getter struct {
	s       *stream
	answers *nats.Subscription
	inbox   string
	asked   int
}

func (s *stream) newGetter() (*getter, error) {
	g := &getter{s: s, inbox: nats.NewInbox() + "."}
	var err error
	if g.answers, err = s.reads.SubscribeSync(g.inbox + "*"); err != nil {
		return nil, s.unavailable(err)
	}
	return g, nil
}

func (g *getter) end() { _ = g.answers.Unsubscribe() } // fails when the connection is closed, which ends it, too

// scan calls fn with the records from lo to hi, by pages like get, until it is
// false.
func (g *getter) scan(ctx context.Context, get directGet, lo, hi uint64, fn func(Record) bool) error {
	for more := true; more && lo <= hi; {
		var err error
		get.Seq = lo
		if lo, more, err = g.page(ctx, get, hi, fn); err != nil {
			return err
		}
	}
	return nil
}

// merge scans every filter by itself and calls fn in order of sequence.
func (g *getter) merge(ctx context.Context, filters []string, lo, hi uint64, expect int, fn func(Record) bool) error {
	type source struct {
		get  directGet
		page []Record // not yet given to fn
		more bool     // after page
	}
	sources := make([]*source, len(filters))
	for i, f := range filters {
		sources[i] = &source{more: true, get: directGet{
			Seq: lo, NextFor: f,
			Batch:    min(max(2*expect/len(filters), 8), readPage),
			MaxBytes: max(readPageBytes/len(filters), 1),
		}}
	}
	for {
		var earliest *source
		for _, src := range sources {
			for len(src.page) == 0 && src.more {
				var err error
				src.get.Seq, src.more, err = g.page(ctx, src.get, hi, func(r Record) bool {
					src.page = append(src.page, r)
					return true
				})
				if err != nil {
					return err
				}
			}
			if len(src.page) > 0 && (earliest == nil || src.page[0].Seq < earliest.page[0].Seq) {
				earliest = src
			}
		}
		if earliest == nil || !fn(earliest.page[0]) {
			return nil
		}
		earliest.page = earliest.page[1:]
	}
}

// page asks for one page and calls fn with its records up to hi. More is false
// at the end of the log, beyond hi and when fn is; otherwise next is where to
// go on.
func (g *getter) page(ctx context.Context, get directGet, hi uint64, fn func(Record) bool) (next uint64, more bool, err error) {
	s := g.s
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, ErrUnavailable)
	defer cancel()
	if hi-get.Seq < uint64(get.Batch) { //nolint:gosec // it is positive
		get.Batch = int(hi-get.Seq) + 1 //nolint:gosec // it is not above Batch
	}
	query, err := json.Marshal(get)
	if err != nil {
		return 0, false, err
	}
	// What is left of the answers to an earlier request goes to its inbox.
	g.asked++
	inbox := g.inbox + strconv.Itoa(g.asked)
	if err := s.reads.PublishRequest("$JS.API.DIRECT.GET."+s.name, inbox, query); err != nil {
		return 0, false, s.unavailable(err)
	}
	next = get.Seq
	for {
		m, err := g.answers.NextMsgWithContext(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return 0, false, fmt.Errorf("reading %s: %w", s.name, context.Cause(ctx))
		case err != nil:
			return 0, false, s.unavailable(err)
		case m.Subject != inbox:
			continue
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "404": // nothing from get.Seq on
			return 0, false, nil
		case "204": // end of the page; after an empty one nothing would follow, either
			return next, next > get.Seq, nil
		default:
			return 0, false, s.unavailable(fmt.Errorf("status %s %s", status, m.Header.Get("Description")))
		}
		seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return 0, false, s.unavailable(err)
		}
		next = seq + 1
		if seq > hi {
			return 0, false, nil
		}
		if r, ok := readRecord(m); ok && !fn(r) {
			return 0, false, nil
		}
	}
}

// unavailable says that the stream could not be read, and keeps the end of a
// context recognisable.
func (s *stream) unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("reading %s: %w", s.name, err)
	}
	return fmt.Errorf("%w: reading %s: %w", ErrUnavailable, s.name, err)
}

// readRecord reads a republished or fetched message. It is false for one that
// this package has not written.
func readRecord(m *nats.Msg) (Record, bool) {
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return Record{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return Record{}, false
	}
	_, token, _ := strings.Cut(m.Header.Get(jetstream.SubjectHeader), ".")
	name, ok := decode(token)
	return Record{Seq: seq, Time: at, Subject: name, Data: m.Data}, ok
}
