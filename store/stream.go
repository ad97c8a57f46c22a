package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// answerTimeout bounds every wait for an answer of the server.
	answerTimeout = 5 * time.Second
	// answerTimeoutFailing is the same after a write was not answered.
	answerTimeoutFailing = time.Second
	// doubtAfter is how long an answer is waited for before the server is asked
	// whether it has given up writing.
	doubtAfter = 250 * time.Millisecond
	// reconcileEvery is how often a stream is compared with its leader.
	reconcileEvery = time.Second
	// silence is how long a stream may go unheard before [Store.Ready] says so.
	silence = 5 * time.Second
	// dedupeWindow is how long an [Entry]'s ID is remembered.
	dedupeWindow = 2 * time.Minute
)

// MaxData bounds the data of one record, in bytes.
const MaxData = 1 << 20

// Names of streams and of live subjects.
const (
	messagesName = "messages"
	linesName    = "lines"
	auditName    = "audit"
	writtenName  = "streams"
	livePrefix   = "live."
)

// spec says what a stream is for.
type spec struct {
	name       string
	bucket     bool          // newest record per subject only, see Bucket.swap
	deletedFor time.Duration // of a bucket; 0: the usual
	maxBytes   int64         // of the stream
	maxAge     time.Duration // 0: kept
	evict      bool          // a full stream drops its oldest records instead of refusing new ones
	// journal: written to disk soon, not before it is acknowledged; nobody
	// follows it.
	journal    bool
	maxRecords int64 // 0: no bound
	// quarters of the reserve of disk space that the stream leaves alone: what
	// people need to come in and read may go into it.
	quarters int64
}

// stream is one JetStream stream: its writer (commit.go), its live feed
// (feed.go) and its reader (read.go). Log and Bucket are made of it.
type stream struct {
	spec
	*engine
	logger *slog.Logger
	room   *room // nil in memory
	epoch  string
	batch  bool             // concurrent appends share a sync
	mark   func(head) error // records how far the stream has come
	// As in head; of the writer.
	kept, count uint64

	requests chan *request // unbuffered: a sender that gives up was not taken
	heads    chan chan headResult
	life     sync.Mutex    // orders run and end
	done     chan struct{} // closed when the store closes
	running  sync.WaitGroup
	acks     *nats.Subscription
	inbox    string // prefix of the subjects of acks
	nextAck  uint64 // of the writer
	// writing is held while the stream is written or compared with the leader,
	// and while the server is started anew.
	writing sync.Mutex
	// unanswered: the newest write was not, it may be on disk or not.
	unanswered atomic.Bool
	refusing   atomic.Pointer[error] // why nothing is written until the server is started anew
	heard      atomic.Int64          // when the leader last answered, in Unix nanoseconds

	feed *feed
	// onFirst is told the sequence of the oldest record held, now and then.
	onFirst func(first uint64)
}

// headResult is the leader's view, or why there is none.
type headResult struct {
	first, last uint64
	err         error
}

func (s *stream) subject(name string) string { return s.name + "." + encode(name) }

// config is the stream as JetStream keeps it.
func (s *stream) config(memory bool) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:               s.name,
		Subjects:           []string{s.name + ".*"},
		Discard:            jetstream.DiscardNew,
		MaxBytes:           s.maxBytes,
		MaxAge:             s.maxAge,
		MaxMsgSize:         -1,
		MaxMsgs:            -1,
		MaxConsumers:       -1,
		MaxMsgsPerSubject:  -1,
		Storage:            jetstream.FileStorage,
		Replicas:           1,
		AllowDirect:        true,
		AllowMsgTTL:        true,
		AllowAtomicPublish: !s.bucket,
		RePublish:          &jetstream.RePublish{Source: ">", Destination: livePrefix + ">"},
		Duplicates:         dedupeWindow,
	}
	if s.maxAge > 0 {
		c.Duplicates = min(c.Duplicates, s.maxAge)
	}
	if s.evict {
		c.Discard = jetstream.DiscardOld
	}
	if s.bucket {
		c.AllowRollup = true // see swap
	}
	if s.maxRecords > 0 {
		c.MaxMsgs = s.maxRecords
	}
	if s.journal {
		c.RePublish = nil
		c.AllowAtomicPublish = false // not in this mode
		c.AllowMsgTTL = false        // finding which end sooner takes time after a kill
		c.PersistMode = jetstream.AsyncPersistMode
	}
	if memory {
		c.Storage = jetstream.MemoryStorage
		c.PersistMode = jetstream.DefaultPersistMode
	}
	return c
}

// open finds the stream, or makes it when it may be missing, and brings its
// limits up to date.
func (s *stream) open(ctx context.Context, memory, mayCreate bool) (jetstream.StreamState, error) {
	want := s.config(memory)
	js, err := s.js.Stream(ctx, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if !mayCreate {
			return jetstream.StreamState{}, fmt.Errorf("%w: %q is missing or cannot be read", ErrDamaged, s.name)
		}
		js, err = s.js.CreateStream(ctx, want)
	}
	if err == nil {
		if have := js.CachedInfo().Config; have.MaxBytes != want.MaxBytes || have.MaxAge != want.MaxAge || have.MaxMsgs != want.MaxMsgs {
			js, err = s.js.UpdateStream(ctx, want)
		}
	}
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("opening %q: %w", s.name, err)
	}
	return js.CachedInfo().State, nil
}

// start begins to write and to follow. The feed begins after the record from
// and has all there is when it reaches last.
func (s *stream) start(from, last uint64, apply func(Record)) error {
	s.heard.Store(time.Now().UnixNano())
	s.feed = newFeed(s, from, last, apply)
	s.inbox = nats.NewInbox() + "."
	var err error
	if s.acks, err = s.conn.SubscribeSync(s.inbox + "*"); err != nil {
		return err
	}
	if !s.journal {
		if err = s.feed.subscribe(s.conn); err != nil {
			return err
		}
	}
	// The server knows the subscriptions before anything is published.
	if err = s.conn.FlushTimeout(answerTimeout); err != nil {
		return err
	}
	s.run(s.write)
	if !s.journal {
		s.run(s.feed.run)
	}
	return nil
}

// run starts a goroutine that end waits for. It is false when the stream has
// ended.
func (s *stream) run(fn func()) bool {
	s.life.Lock()
	defer s.life.Unlock()
	select {
	case <-s.done:
		return false
	default:
		s.running.Go(fn)
		return true
	}
}

// end ends all goroutines of the stream and waits for them.
func (s *stream) end() {
	s.life.Lock()
	close(s.done)
	s.life.Unlock()
	s.running.Wait()
}

// append stores a message and returns its record: durable, and seen by this
// node's feed. Of a journal's record only the sequence is known.
func (s *stream) append(ctx context.Context, r *request) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	if len(r.msg.Data) > MaxData || len(r.msg.Subject) > maxSubject {
		return Record{}, fmt.Errorf("%w: %d bytes under a name of %d bytes; at most %d and %d", ErrTooLarge, len(r.msg.Data), len(r.msg.Subject), MaxData, maxSubject)
	}
	if why := s.refusing.Load(); why != nil {
		return Record{}, *why
	}
	if err := s.room.take(int64(len(r.msg.Data)+len(r.msg.Subject)), s.quarters); err != nil {
		return Record{}, fmt.Errorf("%s: %w", s.name, err)
	}
	r.done = make(chan result, 1)
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return Record{}, ctx.Err()
	case <-s.done:
		return Record{}, ErrClosed
	}
	// The writer answers every request it has taken.
	select {
	case res := <-r.done:
		if res.err != nil || s.journal {
			return Record{Seq: res.seq}, res.err
		}
		return s.feed.await(ctx, res.seq)
	case <-ctx.Done():
		return Record{}, ctx.Err()
	}
}

// head asks the leader where the stream stands, between two commits: what it
// tells of is durable.
func (s *stream) head(ctx context.Context) (first, last uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	answer := make(chan headResult, 1)
	select {
	case s.heads <- answer:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-s.done:
		return 0, 0, ErrClosed
	}
	select {
	case h := <-answer:
		return h.first, h.last, h.err
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
}

// reconcile compares with the leader: what it has beyond what is known here is
// read from the log by the feed. Only the writer calls it, between commits.
func (s *stream) reconcile() headResult {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	js, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return headResult{err: fmt.Errorf("%w: %s: %w", ErrUnavailable, s.name, err)}
	}
	state := js.CachedInfo().State
	s.heard.Store(time.Now().UnixNano())
	for m, err := s.acks.NextMsg(0); err == nil; m, err = s.acks.NextMsg(0) {
		s.answeredLate(m)
	}
	if !s.unanswered.Load() {
		s.committed(state.LastSeq)
	}
	h := headResult{last: s.feed.limit()}
	if h.first = h.last + 1; state.Msgs > 0 {
		h.first = min(h.first, max(state.FirstSeq, 1))
	}
	if s.onFirst != nil {
		s.onFirst(h.first)
	}
	return h
}

// committed records that everything up to seq is durable and may be shown.
func (s *stream) committed(seq uint64) {
	if s.feed.raise(seq) {
		s.record(seq)
	}
}

// record writes down how far the stream has come.
func (s *stream) record(seq uint64) {
	if err := s.mark(head{seq, s.kept, s.count}); err != nil {
		s.logger.Error("cannot record how far the log has come", "log", s.name, "error", err)
	}
}

// ready tells whether writes are answered and the leader has been heard lately.
func (s *stream) ready() error {
	if s.unanswered.Load() {
		return fmt.Errorf("%w: a write to %s was not answered; the disk may be full or failing", ErrUnavailable, s.name)
	}
	if quiet := time.Since(time.Unix(0, s.heard.Load())); quiet > silence {
		return fmt.Errorf("%w: %s has not been heard for %v", ErrUnavailable, s.name, quiet.Round(time.Second))
	}
	return nil
}
