// Package hub is wigwag's domain: rooms, messages, notifications, log lines, who
// is here, who may see what, history, and live delivery. It knows no HTTP, no
// MCP and no storage engine.
//
// Every method takes the [Actor] that asks and checks it there, so one place
// decides who may see what. What an actor may not see does not exist for it:
// the answer is the same as for an unknown name.
//
// # How a message travels
//
// [Hub.Send] appends a record to the [Log], and so does [Hub.Notify]. The log
// hands every stored record back, in order ([Log.Follow]), and only that puts
// it before listeners: into a ring of recent entries, after which whoever may
// see it is woken. A [Listener] is a cursor into that ring. One that fell off
// it reads the log until it is on it again, so nothing is dropped and nothing
// is queued per listener. [Hub.Wait] is a listener that ends with what it was
// waiting for.
//
// A message that arrives in parts ([Hub.Stream]) shows listeners the text so
// far; only the newest [Partial] of each is held. The final message is the
// record, and is stored once.
//
// # Several nodes
//
// Hubs over the same log and buckets show the same messages, notifications, log
// lines and rooms, in the same order and under the same IDs. What is live only
// (partial messages, presence, typing) is of one hub.
package hub

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Actor is who asks. It always comes from a verified token, never from an
// argument. The zero Actor is nobody, for whom nothing exists.
type Actor struct {
	// Name is the user's name.
	Name string
	// Via is the client that acts for the user ("Claude Code"), empty for the
	// user in person.
	Via string
	// Guest is nobody in particular, and has neither Name nor Via: it sees the
	// messages of public rooms, and those on their way there, and nothing else.
	// It may write nothing and is never here for others.
	Guest bool
}

// isUser is where it is decided who is somebody.
func (a Actor) isUser() bool { return a.Name != "" && !a.Guest }

// user is the name of who is somebody; guests share the empty one.
func (a Actor) user() string {
	if a.isUser() {
		return a.Name
	}
	return ""
}

// mustBeUser fails for what is only for users.
func (a Actor) mustBeUser() error {
	if a.isUser() {
		return nil
	}
	return refuse(NotFound, "", "this is for users only: there is no user without a name")
}

// Users tells which users exist.
type Users interface {
	Exists(name string) bool
	Names() []string
}

// Options are what a hub is made of.
type Options struct {
	Log    Log          // of messages and notifications; required
	Users  Users        // required
	Logger *slog.Logger // required

	// What of these is nil is kept in memory.
	Lines Log    // of log lines; one that lets go of its oldest
	Rooms Bucket // of rooms, by name
	Keys  Bucket // of idempotency keys; what is in it may end after 24 hours
	Marks Bucket // of how far users have read their notifications

	// Ready, if set, tells while Log and Rooms were not heard for some seconds.
	// Meanwhile nothing is stored and rooms that are not public are not given.
	// It must not wait.
	Ready func() error

	Observer Observer // nil: nobody is told
	Trail    Trail    // nil: nobody is told

	// Bounds. Those of a user may be negative: no bound of its own, for when all
	// are the same user.
	MaxListeners      int // listeners and waits at a time; 0: 20,000
	MaxStreamsPerUser int // messages on their way in parts; 0: 32
	MaxRoomsPerUser   int // opened by the user; 0: 500
	MaxAlteredPerUser int // rooms opened, topics changed, members added and removed, at once; then one a second; 0: 2,000
	MaxKeysPerUser    int // idempotency keys remembered; 0: 1,000
	MaxReadsPerUser   int // readings of the log at a time, of listeners and of all else; 0: 4
}

// Bounds of what is kept in memory for want of something better, in bytes.
const (
	memoryLines   = 8 << 20
	memoryBuckets = 64 << 20
)

// Hub is the domain. Its methods are safe for concurrent use.
type Hub struct {
	log        Log
	lines      Log
	users      Users
	logger     *slog.Logger
	ready      func() error
	epoch      string
	linesEpoch string

	rooms   *directory
	marks   Bucket // how far users have read their notifications, by their names
	sent    sent
	live    *live
	keys    *keys
	changes *changes
	replays *turns // of listeners
	looks   *turns // of everybody else

	observer Observer
	trail    Trail
	altered  altered

	waits    context.Context //nolint:containedctx // ended by EndWaits, not by a caller
	endWaits context.CancelFunc
	learned  chan struct{}   // closed when the log was read for the newest message of each room
	life     context.Context //nolint:containedctx // of the hub's own work, ended by stop
	stop     func()          // ends all; called once
}

const (
	// learnPage is how many records are read at a time when a hub starts over a
	// log that holds some, and learnBytes of how much data.
	learnPage  = 1000
	learnBytes = 1 << 20
	// learnAgain is how long it waits when that has failed.
	learnAgain = time.Second
	// learnWithin is how long what is asked about rooms waits for it.
	learnWithin = 2 * time.Second
)

// New makes a hub over a log. Close it when done. The context bounds the
// start only.
func New(ctx context.Context, o Options) (*Hub, error) {
	if o.Lines == nil {
		o.Lines = NewEvictingMemoryLog(memoryLines)
	}
	if o.Rooms == nil {
		o.Rooms = NewMemoryBucket(memoryBuckets)
	}
	if o.Keys == nil {
		o.Keys = NewMemoryBucket(memoryBuckets)
	}
	if o.Marks == nil {
		o.Marks = NewMemoryBucket(memoryBuckets)
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Trail == nil {
		o.Trail = untold{}
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	} else {
		o.Log, o.Lines = observedLog{o.Log, o.Observer}, observedLog{o.Lines, o.Observer}
		o.Rooms, o.Keys = observedBucket{o.Rooms, o.Observer}, observedBucket{o.Keys, o.Observer}
		o.Marks = observedBucket{o.Marks, o.Observer}
	}
	h := &Hub{
		log:     o.Log,
		lines:   o.Lines,
		users:   o.Users,
		logger:  o.Logger,
		ready:   o.Ready,
		rooms:   newDirectory(o.Rooms, cmp.Or(o.MaxRoomsPerUser, maxOwnRooms)),
		live:    newLive(cmp.Or(o.MaxListeners, maxTaps), cmp.Or(o.MaxStreamsPerUser, maxUserStreams)),
		keys:    newKeys(o.Keys, cmp.Or(o.MaxKeysPerUser, maxUserKeys), o.Logger),
		marks:   o.Marks,
		sent:    sent{of: map[string][]uint64{}},
		changes: newChanges(),
		learned: make(chan struct{}),
		replays: newTurns(maxReplays, cmp.Or(o.MaxReadsPerUser, maxUserTurns)),
		looks:   newTurns(maxLooks, cmp.Or(o.MaxReadsPerUser, maxUserTurns)),

		observer: o.Observer, trail: o.Trail,
		altered: altered{most: cmp.Or(o.MaxAlteredPerUser, maxAltered), free: map[string]time.Time{}},
	}
	h.waits, h.endWaits = context.WithCancel(context.Background())
	life, end := context.WithCancel(context.Background())
	h.life = life
	last, unfollow, err := h.follow(ctx)
	if err != nil {
		end()
		return nil, err
	}
	var work sync.WaitGroup
	work.Go(h.changes.run)
	work.Go(func() { h.learn(last) })
	h.stop = sync.OnceFunc(func() {
		end()
		unfollow()
		h.live.close()
		h.changes.close()
		work.Wait()
	})
	return h, nil
}

// follow takes over the rooms and keys there are and where the logs stand, and
// from then on what is new. It returns the newest sequence of the log.
func (h *Hub) follow(ctx context.Context) (last uint64, unfollow func(), err error) {
	stops := []func(){
		h.rooms.bucket.Watch(h.roomChanged),
		h.keys.bucket.Watch(func(key string, _ []byte, _ uint64) { h.keys.note(key) }),
	}
	// Followed first, so that there is no gap between where the logs stand and
	// what follows. Meanwhile, records wait.
	begin := make(chan struct{})
	failed := false
	following := func(apply func(Record)) func(Record) {
		return func(r Record) {
			if <-begin; !failed {
				apply(r)
			}
		}
	}
	stops = append(stops, h.log.Follow(following(h.apply)), h.lines.Follow(following(h.applyLine)))
	unfollow = func() {
		for _, stop := range stops {
			stop()
		}
	}
	last, err = h.start(ctx)
	failed = err != nil
	close(begin)
	if failed {
		unfollow()
	}
	return last, unfollow, err
}

// Close ends every wait, every listener and every message on its way. It
// waits for the function given to OnChange, so that must not call it.
func (h *Hub) Close() { h.stop() }

// EndWaits ends every wait as if its time were over, and lets no later one
// last: the server is about to stop, and the waiting can go on where it was.
func (h *Hub) EndWaits() { h.endWaits() }

// OnChange registers fn to be told of every change. It is called in order, by
// one goroutine, with no lock held, and should not take long: equal changes
// that wait for it meanwhile are told once. Register before the first message
// is sent.
func (h *Hub) OnChange(fn func(Change)) { h.changes.register(fn) }

// Head is the cursor of the newest event, of whatever room.
func (h *Hub) Head() string { return h.id(h.live.position()) }

// start learns where the logs stand and begins there.
func (h *Hub) start(ctx context.Context) (last uint64, err error) {
	state, err := h.log.State(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the state of the log: %w", err)
	}
	lines, err := h.lines.State(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the state of the log of lines: %w", err)
	}
	for _, epoch := range []string{state.Epoch, lines.Epoch} {
		if !validEpoch(epoch) {
			return 0, fmt.Errorf("the log's epoch %q is not 1 to %d of a-z and 0-9", epoch, maxEpoch)
		}
	}
	h.epoch, h.linesEpoch = state.Epoch, lines.Epoch
	h.live.start(state.Last, lines.Last)
	return state.Last, nil
}

// learn reads the log up to a sequence for which direct rooms there are, the
// newest message of each room, and who has notified whom. In a long log that
// takes its time, and only what tells of those waits for it.
func (h *Hub) learn(last uint64) {
	defer close(h.learned)
	for pos := uint64(0); ; {
		records, more, err := readPage(h.life, h.log, Range{After: pos, Before: last + 1, Limit: learnPage, Bytes: learnBytes})
		if err != nil && h.life.Err() == nil {
			h.logger.Error("the log is not read for its rooms; trying again", slog.Any("error", err))
			select {
			case <-time.After(learnAgain):
				continue
			case <-h.life.Done():
			}
		}
		for _, r := range records {
			if name, ok := strings.CutPrefix(r.Subject, roomSubject); ok {
				h.rooms.note(name, r.Seq)
			} else if e, err := h.decode(r); err == nil { // if not, it was logged when it came
				h.sent.note(e.Notification, r.Seq)
			}
			pos = r.Seq
		}
		if !more {
			return
		}
	}
}

// awaitLearned waits until it is known what the log tells of rooms, and of who
// has notified whom, but not for long: it is then told as far as it is known.
func (h *Hub) awaitLearned(ctx context.Context) {
	timeout := time.NewTimer(learnWithin)
	defer timeout.Stop()
	select {
	case <-h.learned:
	case <-ctx.Done():
	case <-timeout.C:
	}
}

// apply puts a stored record before listeners. Only the log's follower calls
// it, one record at a time.
func (h *Hub) apply(r Record) {
	if r.Seq <= h.live.position() {
		return // stored before the start
	}
	event, rights, err := h.decodeRights(r)
	if err != nil {
		h.logger.Error("a record of the log is unreadable", slog.Uint64("seq", r.Seq), slog.Any("error", err))
		h.live.append(entry{seq: r.Seq})
		return
	}
	e := entry{seq: r.Seq, stored: r.Time.UnixNano(), bytes: len(r.Data), event: event}
	if event.Message == nil {
		h.sent.note(event.Notification, r.Seq)
		h.live.append(e)
		return
	}
	name := event.Message.Room
	h.rooms.await(name, rights, h.life.Done())
	room, isNew := h.rooms.note(name, r.Seq)
	e.room = room
	h.live.append(e)
	if isNew {
		h.changes.tell(Change{Room: name, New: true})
	}
	h.changes.tell(Change{Room: name})
}

// id is the ID of the event with this sequence, and the cursor that continues
// after it.
func (h *Hub) id(seq uint64) string { return cursor{h.epoch, seq}.String() }

// mayWrite fails for an actor that may store nothing, and when nothing can be
// stored now.
func (h *Hub) mayWrite(a Actor) error {
	if err := a.mustBeUser(); err != nil {
		return err
	}
	return h.writable()
}

// writable fails when nothing can be stored now.
func (h *Hub) writable() error {
	switch {
	case h.live.isClosed():
		return errClosed()
	case h.ready() != nil:
		return errUnavailable()
	}
	return nil
}

// errClosed answers what is asked of a hub that is closing.
func errClosed() error {
	return &Error{Code: Unavailable, Msg: "the server is shutting down; ask again in a moment"}
}

// Time is a moment on the wire: RFC 3339, UTC, exactly three decimals.
type Time struct{ time.Time }

// timeOf rounds down to what the wire carries, so that a message is the same
// whether it was read from memory or from the wire.
func timeOf(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// String is the wire form.
func (t Time) String() string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// MarshalText is the wire form.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalJSON is the wire form, quoted.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }
