// Package store keeps what wigwag must not forget: an ordered log of messages
// and notifications, a log of log lines, a journal of what was streamed to
// clients, and a few buckets of small values. It is an embedded NATS JetStream
// server in a data folder, or in memory; nothing else of wigwag knows NATS.
package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Values of [Options].Sync.
const (
	SyncAlways   = "always"   // an acknowledged write is on disk
	SyncInterval = "interval" // faster; a power loss may take the last second
)

// Defaults of [Options].
const (
	DefaultMaxBytes       = 4 << 30
	DefaultMemoryMaxBytes = 128 << 20
	DefaultLineBytes      = 64 << 20
	DefaultMinFree        = 64 << 20 // is for the caller to give

	DefaultStreamBytes       = 256 << 20
	DefaultMemoryStreamBytes = 32 << 20
)

// Bounds of the buckets, and of the journal of streams beside its bytes.
const (
	bucketBytes    = 64 << 20
	sessionBytes   = 256 << 20
	auditBytes     = 64 << 20
	idempotencyAge = 24 * time.Hour
	streamAge      = 10 * time.Minute
	// streamRecords bounds the memory for subjects: there may be as many.
	streamRecords = 200_000
)

// Names of the buckets.
const (
	Users       = "users"
	Rooms       = "rooms"
	Keys        = "keys"
	Credentials = "credentials"
	Idempotency = "idempotency" // what is in it ends after 24 hours
	Sessions    = "sessions"
	OAuth       = "oauth"
	Marks       = "marks"
)

// Options say where and how to store.
type Options struct {
	Dir       string // data folder, made when it does not exist
	Memory    bool   // keep all in memory: Dir is not used, nothing outlives Close
	Sync      string // SyncAlways or SyncInterval; "": SyncAlways
	MaxBytes  int64  // of messages, before they are refused; 0: DefaultMaxBytes, in memory DefaultMemoryMaxBytes
	LineBytes int64  // of log lines, before the oldest go; 0: DefaultLineBytes
	// StreamBytes bounds the journal of streams, before the oldest go; 0:
	// DefaultStreamBytes, in memory DefaultMemoryStreamBytes.
	StreamBytes int64
	MaxAge      time.Duration // how long messages are kept; 0: forever
	// MinFree is how many bytes of the disk are left free: messages are refused
	// with [ErrFull] before the disk is full. 0: none.
	MinFree int64
	Logger  *slog.Logger // must be set
}

// Store is an open store.
type Store struct {
	folder   *folder // nil in memory
	room     *room   // nil in memory
	engine   *engine
	logger   *slog.Logger
	streams  []*stream
	messages *Log
	lines    *Log
	audit    *Log
	written  *Journal
	buckets  map[string]*Bucket
	opened   bool // the folder's state is that of this store
	done     chan struct{}
	tending  sync.WaitGroup
	close    func() error
}

// Open opens the store, or makes it. A data folder that cannot be used is one
// of [ErrLocked], [ErrUnwritable], [ErrNewer], [ErrDamaged].
func Open(ctx context.Context, o Options) (*Store, error) {
	switch {
	case o.Sync == "":
		o.Sync = SyncAlways
	case o.Sync != SyncAlways && o.Sync != SyncInterval:
		return nil, fmt.Errorf("sync is %q; it may be %q or %q", o.Sync, SyncAlways, SyncInterval)
	}
	if o.Memory {
		o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMemoryMaxBytes)
		o.StreamBytes = cmp.Or(o.StreamBytes, DefaultMemoryStreamBytes)
	}
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.LineBytes = cmp.Or(o.LineBytes, DefaultLineBytes)
	o.StreamBytes = cmp.Or(o.StreamBytes, DefaultStreamBytes)
	st := newStore(o.Logger)
	if err := st.open(ctx, o); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

func newStore(logger *slog.Logger) *Store {
	st := &Store{logger: logger, buckets: map[string]*Bucket{}, done: make(chan struct{})}
	st.close = sync.OnceValue(st.shut)
	return st
}

// specs are all streams. Their order is that of the file of heads: a new one
// goes to the end.
func specs(o Options) []spec {
	return []spec{
		{name: messagesName, maxBytes: o.MaxBytes, maxAge: o.MaxAge, quarters: 4},
		{name: linesName, maxBytes: o.LineBytes, evict: true, quarters: 4},
		{name: Users, bucket: true, maxBytes: bucketBytes, quarters: 1},
		{name: Rooms, bucket: true, maxBytes: bucketBytes, quarters: 1},
		{name: Keys, bucket: true, maxBytes: bucketBytes, quarters: 1},
		{name: Idempotency, bucket: true, maxBytes: bucketBytes, maxAge: idempotencyAge, quarters: 4},
		// Sessions come and go; a flood of them must not fill it with their ends.
		{name: Sessions, bucket: true, maxBytes: sessionBytes, deletedFor: time.Minute, quarters: 2},
		{name: writtenName, journal: true, maxBytes: o.StreamBytes, maxRecords: streamRecords, maxAge: streamAge, evict: true, quarters: 4},
		{name: Credentials, bucket: true, maxBytes: bucketBytes, quarters: 1},
		{name: OAuth, bucket: true, maxBytes: bucketBytes, quarters: 1},
		{name: auditName, maxBytes: auditBytes, evict: true, quarters: 1},
		{name: Marks, bucket: true, maxBytes: bucketBytes, quarters: 4},
	}
}

func (st *Store) open(ctx context.Context, o Options) (err error) {
	all := specs(o)
	if o.Memory {
		st.engine, err = startInMemory(ctx, o.Sync, o.Logger)
	} else {
		if st.folder, err = openFolder(o.Dir); err != nil {
			return err
		}
		if st.folder.isNew { // so that what is half made is not taken for damaged
			if err = st.folder.save(); err != nil {
				return err
			}
		}
		if err = distrustIndexes(o.Dir, false, o.Logger); err != nil {
			return st.blame(err)
		}
		st.room = newRoom(o.Dir, o.MinFree, o.Logger)
		st.engine, err = startEngine(ctx, o.Dir, o.Sync, o.Logger)
	}
	if err != nil {
		return st.blame(err)
	}
	for slot, sp := range all {
		if err := st.openStream(ctx, slot, sp, o); err != nil {
			return st.blame(err)
		}
	}
	if st.folder == nil {
		return nil
	}
	// Only now is it known what was found; until here a next start finds it again.
	st.folder.about.Running = o.Sync
	if err := st.folder.save(); err != nil {
		return err
	}
	st.opened = true
	for _, s := range st.streams {
		if err := s.mark(head{s.feed.limit(), s.kept, s.count}); err != nil {
			return st.blame(fmt.Errorf("%w: %w", ErrUnwritable, err))
		}
	}
	st.tending.Go(st.tend)
	return nil
}

// blame names the folder in an error.
func (st *Store) blame(err error) error {
	if st.folder == nil {
		return err
	}
	return fmt.Errorf("data folder %s: %w", st.folder.path, err)
}

func (st *Store) openStream(ctx context.Context, slot int, sp spec, o Options) error {
	s := &stream{
		spec: sp, engine: st.engine, logger: o.Logger, room: st.room,
		batch:    !sp.bucket && !sp.journal && o.Sync == SyncAlways && !o.Memory,
		mark:     func(head) error { return nil },
		requests: make(chan *request), heads: make(chan chan headResult), done: make(chan struct{}),
	}
	mayCreate := true
	if st.folder != nil {
		_, exists := st.folder.about.Streams[sp.name]
		mayCreate = !exists
	}
	state, err := s.open(ctx, o.Memory, mayCreate)
	if err != nil {
		return err
	}
	if state.Lost != nil && len(state.Lost.Msgs) > 0 {
		if s.decidesRights() {
			return fmt.Errorf("%w: %d records of %s cannot be read; %s", ErrDamaged, len(state.Lost.Msgs), s.name, rightsUnknown)
		}
		o.Logger.Error("records are damaged and were left out", "log", s.name, "count", len(state.Lost.Msgs), "bytes", state.Lost.Bytes)
	}
	if st.folder == nil {
		s.epoch = newEpoch()
	} else if err := st.settle(ctx, s, slot, state); err != nil {
		return err
	}
	st.streams = append(st.streams, s)
	if sp.bucket {
		b := &Bucket{s: s, values: map[string]bucketValue{}}
		s.onFirst = b.forget
		st.buckets[sp.name] = b
		expected := s.count
		if err := b.load(ctx, state.LastSeq); err != nil {
			return err
		}
		return b.complete(expected)
	}
	switch sp.name {
	case messagesName:
		st.messages = &Log{Journal{s}}
	case linesName:
		st.lines = &Log{Journal{s}}
	case auditName:
		st.audit = &Log{Journal{s}}
	default:
		st.written = &Journal{s}
	}
	return s.start(state.LastSeq, state.LastSeq, nil)
}

// settle decides a stream's epoch: a new one whenever sequences may have been
// used that the log no longer knows, or its end is lost.
func (st *Store) settle(ctx context.Context, s *stream, slot int, state jetstream.StreamState) error {
	f := st.folder
	had, err := f.readHead(slot, s.name)
	if err != nil {
		return err
	}
	s.mark = func(h head) error { return f.writeHead(slot, s.name, h) }
	known, exists := f.about.Streams[s.name]
	why := f.uncertain
	last := state.LastSeq
	lost := last < had.seq
	// In a bucket only the last record of all is sure not to be replaced.
	if !lost && had.kept > 0 && s.maxAge == 0 && (!s.bucket || had.kept == last) {
		end, err := s.first(ctx, nil, had.kept, had.kept, pageSize{records: 1})
		if err != nil {
			return err
		}
		lost = len(end) == 0
	}
	if lost && s.decidesRights() {
		return fmt.Errorf("%w: the end of %s is lost: it had come to record %d and ends at %d; %s", ErrDamaged, s.name, had.seq, last, rightsUnknown)
	}
	if lost && s.journal {
		s.logger.Warn("the newest records of the journal were not on disk when the process ended", "log", s.name, "count", had.seq-last)
	} else if lost {
		why = "its end is lost"
		s.logger.Error("the data folder is damaged: the end of a log is lost", "log", s.name, "had_come_to", had.seq, "ends_at", last)
	} else if s.maxAge == 0 {
		s.kept, s.count = had.kept, had.count
	}
	if !s.bucket && !s.evict && state.Msgs < s.count {
		s.logger.Error("the data folder is damaged: records are lost", "log", s.name, "at_least", s.count-state.Msgs)
		s.count = 0
	}
	if !s.bucket && !s.journal {
		s.epoch = known.Epoch
		if !exists || why != "" {
			s.epoch = newEpoch()
		}
		if exists && why != "" {
			s.logger.Warn("new epoch: cursors given out before are void", "log", s.name, "why", why)
		}
	}
	f.about.Streams[s.name] = streamAbout{Epoch: s.epoch}
	return nil
}

// decidesRights reports whether the stream says who may come in or who may see
// what. With a part of it gone a disabled user or a revoked token would be back,
// or a private room open: rather nothing is served.
func (s *stream) decidesRights() bool {
	return s.name == Users || s.name == Rooms || s.name == Credentials
}

const rightsUnknown = "who may come in and see what would not be as it was: put back a copy of the folder"

// newEpoch is 8 random characters of base 32, in lower case.
func newEpoch() string { return strings.ToLower(rand.Text()[:8]) }

// Messages is the log of messages and notifications.
func (st *Store) Messages() *Log { return st.messages }

// Lines is the log of log lines. When it is full the oldest go.
func (st *Store) Lines() *Log { return st.lines }

// Audit is the log of what administrators may have to know about later. When it
// is full the oldest go.
func (st *Store) Audit() *Log { return st.audit }

// Streams is the journal of what was streamed to clients, for those that come
// back for it: kept for ten minutes, and when it is full the oldest records go.
func (st *Store) Streams() *Journal { return st.written }

// Bucket returns a bucket by its name: [Users], [Rooms], [Keys],
// [Idempotency], [Sessions], [Credentials], [OAuth] or [Marks]. Another name is
// a mistake of the program: nil.
func (st *Store) Bucket(name string) *Bucket { return st.buckets[name] }

// Ready is nil unless a write was not answered, or a part of the store has not
// been heard for five seconds.
func (st *Store) Ready() error {
	var errs []error
	for _, s := range st.streams {
		errs = append(errs, s.ready())
	}
	return errors.Join(errs...)
}

// Close finishes what is being written, ends every goroutine and releases the
// folder. It must not be called from a follower or watcher, and waits for those
// that are running. Calls after the first have the same result.
func (st *Store) Close() error { return st.close() }

func (st *Store) shut() error {
	close(st.done)
	st.tending.Wait()
	for _, s := range st.streams {
		s.end()
	}
	var err error
	if st.engine != nil {
		err = st.engine.stop()
	}
	if st.folder != nil {
		if err == nil && st.opened {
			st.folder.about.Running = ""
			err = st.folder.save()
		}
		st.folder.close()
	}
	return err
}
