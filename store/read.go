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
	// consumerLife is how long a consumer may linger when its end is not heard.
	consumerLife = 30 * time.Second
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
func (s *stream) scan(ctx context.Context, filters []string, lo, hi uint64, expect int, fn func(Record) bool) error {
	switch {
	case lo > hi || filters != nil && len(filters) == 0:
		return nil
	case len(filters) == 0:
		return s.scanOne(ctx, s.name+".*", lo, hi, expect, fn)
	case len(filters) == 1:
		return s.scanOne(ctx, filters[0], lo, hi, expect, fn)
	default:
		return s.scanMany(ctx, filters, lo, hi, expect, fn)
	}
}

// scanOne reads by direct gets, which keep nothing on the server.
func (s *stream) scanOne(ctx context.Context, filter string, lo, hi uint64, expect int, fn func(Record) bool) error {
	inbox := nats.NewInbox()
	sub, err := s.reads.SubscribeSync(inbox)
	if err != nil {
		return s.unavailable(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is closed, then
	for lo <= hi {
		page := directGet{Seq: lo, NextFor: filter, Batch: min(expect, readPage), MaxBytes: readPageBytes}
		if hi-lo < uint64(page.Batch) { //nolint:gosec // it is positive
			page.Batch = int(hi-lo) + 1 //nolint:gosec // it is less than Batch
		}
		query, err := json.Marshal(page)
		if err != nil {
			return err
		}
		if err = s.reads.PublishRequest("$JS.API.DIRECT.GET."+s.name, inbox, query); err != nil {
			return s.unavailable(err)
		}
		next, more, err := s.readPage(ctx, sub, lo, hi, fn)
		if err != nil || !more {
			return err
		}
		lo = next
	}
	return nil
}

// directGet is JetStream's request for a page of messages.
type directGet struct {
	Seq      uint64 `json:"seq"`
	NextFor  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// readPage reads the answers to one request. More is false at the end of the
// log, beyond hi and when fn has enough; otherwise next is where to go on.
func (s *stream) readPage(ctx context.Context, sub *nats.Subscription, lo, hi uint64, fn func(Record) bool) (next uint64, more bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, ErrUnavailable)
	defer cancel()
	next = lo
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			if ctx.Err() == nil {
				return 0, false, s.unavailable(err)
			}
			return 0, false, fmt.Errorf("reading %s: %w", s.name, context.Cause(ctx))
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "404": // nothing from lo on
			return 0, false, nil
		case "204": // end of the page
			pending, err := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
			if err != nil {
				return 0, false, s.unavailable(err)
			}
			if pending > 0 && next == lo {
				return 0, false, fmt.Errorf("%w: %s cannot be read from record %d on", ErrDamaged, s.name, lo)
			}
			return next, pending > 0, nil
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

// scanMany reads by one consumer, which lives as long as the call.
func (s *stream) scanMany(ctx context.Context, filters []string, lo, hi uint64, expect int, fn func(Record) bool) (err error) {
	consumer, err := s.js.CreateConsumer(ctx, s.name, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       lo,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubjects:    filters,
		MemoryStorage:     true,
		InactiveThreshold: consumerLife,
	})
	if err != nil {
		return s.unavailable(err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		if endErr := s.js.DeleteConsumer(end, s.name, consumer.CachedInfo().Name); endErr != nil && !errors.Is(endErr, jetstream.ErrConsumerNotFound) {
			s.logger.Debug("a consumer lingers", "log", s.name, "error", endErr)
		}
	}()
	delivered := uint64(0)
	for pending := consumer.CachedInfo().NumPending; pending > 0; {
		page, err := consumer.FetchNoWait(min(expect, readPage))
		if err != nil {
			return s.unavailable(err)
		}
		timeout := time.NewTimer(answerTimeout)
		defer timeout.Stop()
		for more := true; more; {
			var m jetstream.Msg
			select {
			case m, more = <-page.Messages():
			case <-ctx.Done():
				return s.unavailable(ctx.Err())
			case <-timeout.C:
				return s.unavailable(errors.New("the consumer delivers nothing"))
			}
			if !more {
				break
			}
			meta, err := m.Metadata()
			if err != nil {
				return s.unavailable(err)
			}
			if delivered++; meta.Sequence.Consumer != delivered {
				return s.unavailable(errors.New("the consumer has lost a message"))
			}
			pending = meta.NumPending
			if meta.Sequence.Stream > hi {
				return nil
			}
			name, ok := decode(strings.TrimPrefix(m.Subject(), s.name+"."))
			if ok && !fn(Record{Seq: meta.Sequence.Stream, Time: meta.Timestamp.UTC(), Subject: name, Data: m.Data()}) {
				return nil
			}
		}
		if err := page.Error(); err != nil {
			return s.unavailable(err)
		}
	}
	return nil
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
