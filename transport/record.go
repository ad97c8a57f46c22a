package transport

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// What goes into a [StreamLog] and comes out of it are aliases of unnamed
// types, so that an implementation need not know this package.
type (
	// LogEntry is what is to be kept. The transport leaves TTL and ID empty.
	LogEntry = struct {
		Subject string
		Data    []byte
		TTL     time.Duration
		ID      string
	}

	// LogRecord is a kept entry.
	LogRecord = struct {
		Seq     uint64
		Time    time.Time
		Subject string
		Data    []byte
	}

	// LogRange selects the first records of the subjects after a sequence: at
	// most Limit, and no further one once their data has so many Bytes.
	LogRange = struct {
		Subjects      []string
		After, Before uint64
		Limit         int
		Bytes         int
		Latest        bool
	}
)

// StreamLog keeps, for some minutes and within bounds of its own, what the
// streams of sessions had to say, so that a client can resume a stream of a
// process that has ended. Subjects are "<session>/<stream>" of letters and
// digits, data is at most 1 MiB.
type StreamLog interface {
	Append(ctx context.Context, e LogEntry) (LogRecord, error)
	// Read returns the records of a range, in order.
	Read(ctx context.Context, r LogRange) ([]LogRecord, error)
}

const (
	gatherFor     = 100 * time.Millisecond // before what streams said is written together
	recordTimeout = 5 * time.Second        // of one append or read
	maxGroup      = 512 << 10              // bytes of messages in one record, and of a message that is kept
	readPage      = 16                     // records at a time
	readBytes     = 1 << 20                // and about so many bytes
	maxKeptAtEnd  = 32 << 20               // bytes of finished streams that are kept when the process ends
	maxReaders    = 16                     // streams being read at a time; others wait
)

// recorder writes streams to a log, behind: a stream that has something new is
// noted, and a moment later all that it has is one record. One that has ended by
// then, all of it written to its client, is left out; only when the process ends
// in order it is kept too, since the client may not have got it.
type recorder struct {
	log    StreamLog
	logger *slog.Logger
	turns  chan struct{} // to read: maxReaders

	writing sync.Mutex // one writer at a time, so that records are in order

	mu      sync.Mutex
	dirty   []*stream // each once
	failing bool
	wake    chan struct{} // one slot
}

// record is what a stream knows of its being kept. Its fields are guarded by the
// stream's mu.
type record struct {
	to      *recorder
	subject string
	upTo    uint64 // sequence up to which it is written, or being written
	dirty   bool   // noted, or about to be written
}

func newRecorder(log StreamLog, logger *slog.Logger) *recorder {
	return &recorder{log: log, logger: logger, turns: make(chan struct{}, maxReaders), wake: make(chan struct{}, 1)}
}

// keep begins to record a stream.
func (r *recorder) keep(session string, st *stream) {
	if r == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.record = &record{to: r, subject: session + "/" + st.idLocked()}
	st.recordLocked()
}

// recordLocked notes that the stream has something new.
func (st *stream) recordLocked() {
	if st.record != nil && !st.record.dirty {
		st.record.dirty = true
		st.record.to.note(st)
	}
}

func (r *recorder) note(st *stream) {
	r.mu.Lock()
	r.dirty = append(r.dirty, st)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run writes what is noted until ctx ends.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		gather := time.NewTimer(gatherFor)
		select {
		case <-ctx.Done():
			gather.Stop()
			return
		case <-gather.C:
		}
		r.flush(ctx)
	}
}

// flush writes what is noted now. A log that does not answer is waited for once.
func (r *recorder) flush(ctx context.Context) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	dirty := r.dirty
	r.dirty = nil
	r.mu.Unlock()
	for _, st := range dirty {
		if !st.leftOut() && errors.Is(r.write(ctx, st), context.DeadlineExceeded) {
			giveUp()
		}
	}
}

// finish writes what streams have that is not written.
func (r *recorder) finish(ctx context.Context, streams []*stream) {
	r.writing.Lock()
	defer r.writing.Unlock()
	for _, st := range streams {
		if st.isRecorded() && ctx.Err() == nil {
			_ = r.write(ctx, st) // it was logged
		}
	}
}

// leftOut reports whether the stream need not be written now.
func (st *stream) leftOut() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.written {
		st.record.dirty = false
	}
	return st.written
}

func (st *stream) isRecorded() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.record != nil
}

// write appends what of the stream is not written. The rest of what follows an
// error would be out of order; who resumes is told of the gap.
func (r *recorder) write(ctx context.Context, st *stream) error {
	subject, groups := st.unrecorded()
	for _, g := range groups {
		ctx, cancel := context.WithTimeout(ctx, recordTimeout)
		_, err := r.log.Append(ctx, LogEntry{Subject: subject, Data: g.encode()})
		cancel()
		r.told(ctx, err)
		if err != nil {
			return err
		}
	}
	return nil
}

// told logs the first of a row of failures.
func (r *recorder) told(ctx context.Context, err error) {
	r.mu.Lock()
	first := err != nil && !r.failing
	r.failing = err != nil
	r.mu.Unlock()
	if first {
		r.logger.LogAttrs(ctx, slog.LevelWarn, "streams are not kept beyond this process", slog.Any("error", err))
	}
}

// past returns a stream as the log has it: its newest messages, and as its
// requests those that it did not answer. It is nil when the log has nothing.
func (r *recorder) past(ctx context.Context, session, id string) (*stream, error) {
	if r == nil || len(id) > 255 || strings.Trim(id, streamIDLetters) != "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	st := newStream(0, true)
	st.name = id
	for after, found := uint64(0), false; ; {
		records, err := r.log.Read(ctx, LogRange{Subjects: []string{session + "/" + id}, After: after, Limit: readPage, Bytes: readBytes})
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			g, err := decodeGroup(rec.Data)
			if err != nil {
				return nil, err
			}
			st.restore(g)
			found, after = true, rec.Seq
		}
		switch {
		case len(records) > 0:
		case found:
			return st, nil
		default:
			return nil, nil
		}
	}
}

// restore adds what was kept, and notes what is missing between. Nobody else
// has the stream yet.
func (st *stream) restore(g group) {
	for _, it := range g.items {
		if it.seq > st.seq+1 {
			st.history.evicted = it.seq - 1
		}
		st.history.add([]item{it})
		st.seq, st.taken = it.seq, it.seq
	}
	st.requests = g.owed
}

// keepStreams writes what sessions' streams have, before the process ends. A
// session's own stream is kept only here: what it carries says that something
// changed, and after a crash it says so again.
func (s *Server) keepStreams(ctx context.Context) {
	if s.recorder == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	s.recorder.flush(ctx) // first what clients are in the middle of
	for _, sess := range s.sessions.all() {
		if !sess.sse && sess.out.began() {
			s.recorder.keep(sess.id, sess.out)
		}
	}
	s.recorder.flush(ctx)
	s.recorder.finish(ctx, s.shelf.newest(maxKeptAtEnd))
}
