package store

import (
	"cmp"
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
	// Range selects the first records, or the last with Latest, of the subjects
	// (nil: of all; empty: of none) with After < Seq < Before (Before 0: no
	// bound): at most Limit, and with Bytes above 0 no further one once their
	// data is as long or longer.
	Range = struct {
		Subjects      []string
		After, Before uint64
		Limit         int
		Bytes         int
		Latest        bool
	}
	// State is where a log stands. When it holds no record First is Last+1.
	State = struct {
		Epoch       string
		First, Last uint64
	}
)

// pageSize bounds what is read at once: it is full with so many records, or once
// their data is so many bytes (0: no bound) or more.
type pageSize struct{ records, bytes int }

func (p pageSize) full(records, bytes int) bool {
	return records >= p.records || p.bytes > 0 && bytes >= p.bytes
}

// first returns the first records with lo ≤ sequence ≤ hi of filters (nil: of
// all), until the page is full.
func (s *stream) first(ctx context.Context, filters []string, lo, hi uint64, most pageSize) ([]Record, error) {
	var found []Record
	size := 0
	err := s.scan(ctx, filters, lo, hi, most, func(r Record) bool {
		found = append(found, r)
		size += len(r.Data)
		return !most.full(len(found), size)
	})
	return found, err
}

// latest returns the last records of what first would select, in order. A log
// is read forwards only, so it looks at windows that grow, from the newest back.
func (s *stream) latest(ctx context.Context, filters []string, lo, hi uint64, most pageSize) ([]Record, error) {
	var found []Record
	size := 0
	for width := max(64, 2*uint64(most.records)); lo <= hi; width *= 4 { //nolint:gosec // limit is positive
		start := lo
		if hi-lo >= width {
			start = hi - width + 1
		}
		var window []Record // the last ones that are wanted, as far as it was looked
		bytes := 0
		err := s.scan(ctx, filters, start, hi, pageSize{readPage, most.bytes}, func(r Record) bool {
			window = append(window, r)
			bytes += len(r.Data)
			for oldest := len(window[0].Data); most.full(len(found)+len(window)-1, size+bytes-oldest); oldest = len(window[0].Data) {
				bytes -= oldest
				window[0] = Record{}
				window = window[1:]
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		found = slices.Concat(window, found)
		if size += bytes; most.full(len(found), size) || start == lo {
			break
		}
		hi = start - 1
	}
	return found, nil
}

// scan calls fn with the records with lo ≤ sequence ≤ hi of filters (nil: of
// all), in order, until it is false. It expects to need about so many of them.
// Direct gets leave nothing on the server.
func (s *stream) scan(ctx context.Context, filters []string, lo, hi uint64, expect pageSize, fn func(Record) bool) error {
	if lo > hi || filters != nil && len(filters) == 0 {
		return nil
	}
	g, err := s.newGetter()
	if err != nil {
		return err
	}
	defer g.end()
	all := s.name + ".*"
	get := directGet{NextFor: all, Batch: min(expect.records, readPage), MaxBytes: min(cmp.Or(expect.bytes, readPageBytes), readPageBytes)}
	switch {
	case len(filters) == 0:
		return g.scan(ctx, get, lo, hi, fn)
	case len(filters) == 1:
		get.NextFor = filters[0]
		return g.scan(ctx, get, lo, hi, fn)
	case hi-lo < readPage: // one request instead of one for each
		wanted := make(map[string]struct{}, len(filters))
		for _, f := range filters {
			wanted[f] = struct{}{}
		}
		get.Batch = readPage
		return g.scan(ctx, get, lo, hi, func(r Record) bool {
			_, ok := wanted[s.subject(r.Subject)]
			return !ok || fn(r)
		})
	default:
		return g.merge(ctx, filters, lo, hi, get, fn)
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
	seen    func(*nats.Msg) // is given every message of a page; may be nil
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

// merge scans every filter by itself, all together by pages like get, and calls
// fn in order of sequence.
func (g *getter) merge(ctx context.Context, filters []string, lo, hi uint64, get directGet, fn func(Record) bool) error {
	type source struct {
		get  directGet
		page []Record // not yet given to fn
		more bool     // after page
	}
	sources := make([]*source, len(filters))
	for i, f := range filters {
		sources[i] = &source{more: true, get: directGet{
			Seq: lo, NextFor: f,
			Batch:    min(max(2*get.Batch/len(filters), 8), readPage),
			MaxBytes: max(get.MaxBytes/len(filters), 1),
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
		if g.seen != nil {
			g.seen(m)
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
