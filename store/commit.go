package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Bounds of what is published at once.
const (
	// minBatch: a batch is staged in files of its own, which costs five syncs
	// beyond that of the stream. Fewer messages are faster one by one.
	minBatch      = 8
	maxBatch      = 50
	maxBatchBytes = 4 << 20
)

// Headers of an atomic batch.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// request is a message to be stored.
type request struct {
	msg    *nats.Msg
	values int         // in a bucket: how many more there are after it
	done   chan result // of capacity one
}

type result struct {
	seq uint64
	err error
}

// write is the stream's one writer: it commits what is waiting, together, and
// between commits compares with the leader. So what the leader tells is never
// half of a commit.
func (s *stream) write() {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case r := <-s.requests:
			s.writing.Lock()
			s.commit(s.gather(r))
			s.writing.Unlock()
		case answer := <-s.heads:
			s.writing.Lock()
			s.answerHeads(answer)
			s.writing.Unlock()
		case <-tick.C:
			s.writing.Lock()
			h := s.reconcile()
			s.writing.Unlock()
			if h.err != nil {
				s.logger.Warn("the log does not answer", "log", s.name, "error", h.err)
			}
		}
	}
}

// answerHeads answers all who ask for the head now with one look.
func (s *stream) answerHeads(first chan headResult) {
	waiting := []chan headResult{first}
	for more := true; more; {
		select {
		case a := <-s.heads:
			waiting = append(waiting, a)
		default:
			more = false
		}
	}
	h := s.reconcile()
	for _, a := range waiting {
		a <- h
	}
}

// gather takes what else is waiting.
func (s *stream) gather(first *request) []*request {
	rs, bytes := []*request{first}, len(first.msg.Data)
	for len(rs) < maxBatch && bytes < maxBatchBytes {
		select {
		case r := <-s.requests:
			rs, bytes = append(rs, r), bytes+len(r.msg.Data)
		default:
			return rs
		}
	}
	return rs
}

// commit stores requests and answers each of them. A batch is stored as a whole
// or not at all; when it is refused for the sake of one of its messages, the
// others must not suffer.
func (s *stream) commit(rs []*request) {
	if !s.batch || len(rs) < minBatch {
		s.publishEach(rs)
		return
	}
	err := s.publishBatch(rs)
	if err == nil {
		return
	}
	refused, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		for _, r := range rs {
			r.done <- result{err: err}
		}
		return
	}
	if refused.ErrorCode == codeBatchHoldsKnownID {
		// Which one is not said. Published alone, one with a known ID is
		// answered with the sequence of the first.
		var withID, others []*request
		for _, r := range rs {
			if r.msg.Header.Get(jetstream.MsgIDHeader) != "" {
				withID = append(withID, r)
			} else {
				others = append(others, r)
			}
		}
		if len(others) > 0 {
			s.commit(others) // ends: without IDs it is not refused for one
		}
		rs = withID
	}
	s.publishEach(rs)
}

// publishBatch stores requests as one atomic batch with one sync, and answers
// them, unless it fails.
func (s *stream) publishBatch(rs []*request) error {
	id := nuid.Next()
	reply := s.reply()
	for i, r := range rs {
		h := r.msg.Header
		h.Set(headerBatchID, id)
		h.Set(headerBatchSequence, strconv.Itoa(i+1))
		if i == len(rs)-1 {
			h.Set(headerBatchCommit, "1")
			r.msg.Reply = reply
		}
		if err := s.conn.PublishMsg(r.msg); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	last, err := s.receive(map[string]*request{reply: rs[len(rs)-1]}, nil)
	for _, r := range rs { // it may be published again, alone
		r.msg.Header.Del(headerBatchID)
		r.msg.Header.Del(headerBatchSequence)
		r.msg.Header.Del(headerBatchCommit)
	}
	if err != nil {
		return err
	}
	seq := last - uint64(len(rs))
	for _, r := range rs {
		seq++
		s.keep(r, seq)
	}
	s.committed(last)
	seq = last - uint64(len(rs))
	for _, r := range rs {
		seq++
		r.done <- result{seq: seq}
	}
	return nil
}

// publishEach stores requests one by one, without waiting in between, and
// answers them.
func (s *stream) publishEach(rs []*request) {
	s.expectFewer(rs)
	waiting := make(map[string]*request, len(rs))
	for _, r := range rs {
		r.msg.Reply = s.reply()
		if err := s.conn.PublishMsg(r.msg); err != nil {
			r.done <- result{err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
			continue
		}
		waiting[r.msg.Reply] = r
	}
	_, err := s.receive(waiting, func(r *request, seq uint64, err error) {
		if err == nil {
			s.keep(r, seq)
			s.committed(seq)
		}
		if refused, ok := errors.AsType[*jetstream.APIError](err); ok {
			err = refusal(s.name, refused)
		}
		r.done <- result{seq, err}
	})
	for _, r := range waiting {
		r.done <- result{err: err}
	}
}

// keep notes what must be there when the stream is opened again. What ends by
// itself need not, nor, in a bucket, what it has replaced.
func (s *stream) keep(r *request, seq uint64) {
	ends := r.msg.Header.Get(jetstream.MsgTTLHeader) != ""
	switch {
	case s.bucket && ends:
		s.kept = 0
	case s.bucket:
		s.kept = seq
		s.count += uint64(r.values) //nolint:gosec // 0 or 1: fewer are in expectFewer
	case !ends && seq > s.kept: // otherwise its ID was known
		s.kept = seq
		s.count++
	}
}

// expectFewer notes deletions before they are made: whenever the process ends,
// no value is expected that was deleted.
func (s *stream) expectFewer(rs []*request) {
	before := s.count
	for _, r := range rs {
		if r.values < 0 && s.count > 0 {
			s.count--
		}
	}
	if s.count < before {
		s.record(s.feed.limit())
	}
}

// reply makes a subject for one acknowledgement.
func (s *stream) reply() string {
	s.nextAck++
	return s.inbox + strconv.FormatUint(s.nextAck, 10)
}

// receive takes the acknowledgements of what is waiting, hands each to answered
// and removes it from waiting. Without answered it returns the only one.
//
// JetStream leaves a write unanswered when its disk fails or is full. Then what
// follows is not waited for as long, and the store is not ready.
func (s *stream) receive(waiting map[string]*request, answered func(*request, uint64, error)) (uint64, error) {
	deadline := time.Now().Add(answerTimeout)
	if s.unanswered.Load() {
		deadline = time.Now().Add(answerTimeoutFailing)
	}
	for len(waiting) > 0 {
		m, err := s.acks.NextMsg(min(time.Until(deadline), doubtAfter))
		if errors.Is(err, nats.ErrTimeout) && time.Now().Before(deadline) && s.writeErrors()[s.name] == "" {
			continue
		}
		if err != nil {
			s.unanswered.Store(true)
			return 0, fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err)
		}
		r, ok := waiting[m.Subject]
		if !ok {
			s.answeredLate(m)
			continue
		}
		s.unanswered.Store(false)
		seq, err := readAck(m)
		if answered == nil {
			return seq, err
		}
		delete(waiting, m.Subject)
		answered(r, seq, err)
	}
	return 0, nil
}

// answeredLate takes an acknowledgement whose sender was told that there is
// none: what it stands for is durable all the same.
func (s *stream) answeredLate(m *nats.Msg) {
	if seq, err := readAck(m); err == nil {
		s.unanswered.Store(false)
		s.committed(seq)
	}
}

// readAck reads an acknowledgement: the sequence, or a *jetstream.APIError.
func readAck(m *nats.Msg) (uint64, error) {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
	}
	if len(m.Data) == 0 { // nobody serves the stream
		return 0, fmt.Errorf("%w (status %s)", ErrUnavailable, m.Header.Get("Status"))
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("%w: an acknowledgement cannot be read: %w", ErrUnavailable, err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	return ack.Seq, nil
}
