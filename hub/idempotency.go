package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Bounds of what is remembered of idempotency keys.
const (
	keyLife     = 24 * time.Hour
	maxKeys     = 10_000 // in all; then the oldest is forgotten
	maxUserKeys = 1_000  // of one user, where nothing else is said; then that user's oldest is
)

// claim is one use of a key by a call that is running. Calls with the same key
// wait for it to end.
type claim struct {
	user    string
	key     string // of the bucket, and the log's ID
	payload string
	done    chan struct{} // closed when the call has ended
}

// usedKey is what is kept of a key that was used, in version 1.
type usedKey struct {
	Version int       `json:"v"`
	Payload string    `json:"payload"` // its hash
	ID      string    `json:"id"`      // of the stored event
	Time    time.Time `json:"time"`    // and when
}

func (u usedKey) expired() bool { return time.Since(u.Time) > keyLife }

// keys remembers the idempotency keys that were used, in a bucket. Its keys are
// "<user>/<hash of tool and key>".
type keys struct {
	bucket Bucket
	logger *slog.Logger
	maxOf  int // remembered of one user; negative: no bound of its own

	mu      sync.Mutex
	running map[string]*claim    // by the bucket's key; at most maxKeys
	used    map[string][]keptKey // by user, oldest first
	newest  map[string]uint64    // the revision of each key in used
}

// keptKey is a key of the bucket as of a revision.
type keptKey struct {
	key      string
	revision uint64
}

func newKeys(bucket Bucket, maxOf int, logger *slog.Logger) *keys {
	return &keys{
		bucket: bucket, logger: logger, maxOf: maxOf,
		running: map[string]*claim{}, used: map[string][]keptKey{}, newest: map[string]uint64{},
	}
}

// claimMessage takes the draft's key for a call by this actor. Either the call
// is the first with it, and must end by settle; or first is the message that
// an earlier call stored. The draft must have been admitted to the room. A
// draft without a key has a nil claim.
func (h *Hub) claimMessage(ctx context.Context, a Actor, d Draft, r *room) (c *claim, first *Message, err error) {
	c, e, err := h.claim(ctx, a, d.Tool, d.Key, roomSubject+r.name, d.Text, d.ReplyTo)
	return c, e.Message, err
}

// claim takes a key for a call of a tool that will store an event under a
// subject. The payload tells it from other events.
func (h *Hub) claim(ctx context.Context, a Actor, tool, key, subject string, payload ...string) (*claim, Event, error) {
	if key == "" {
		return nil, Event{}, nil
	}
	c := &claim{user: a.Name, payload: hash(append(payload, subject)...), done: make(chan struct{})}
	c.key = a.Name + "/" + hash(tool, key)
	if err := h.keys.run(ctx, c); err != nil {
		return nil, Event{}, err
	}
	e, err := h.firstOf(ctx, c, subject)
	if err != nil || e != (Event{}) {
		h.keys.end(c)
		return nil, e, err
	}
	return c, Event{}, nil
}

// firstOf returns the event that an earlier call with the same key stored, the
// empty one if there was none.
func (h *Hub) firstOf(ctx context.Context, c *claim, subject string) (Event, error) {
	u := h.keys.get(c.key)
	switch id, _ := parseCursor(u.ID); {
	case u.ID == "":
		return Event{}, nil
	case u.Payload != c.payload:
		return Event{}, errKeyUsed()
	default:
		// Of an ID of another epoch, there may be another event now, or none.
		e, ok, err := h.read(ctx, Actor{Name: c.user}, subject, id.seq)
		switch {
		case err != nil:
			return Event{}, err
		case ok && e.sender() == c.user && e.time().Equal(u.Time):
			return e, nil
		case id.epoch != h.logOf(subject).epoch:
			return Event{}, nil
		}
		return Event{}, refuse(Conflict, "idempotency_key", "was used for %s, which has expired; use a new key", u.ID)
	}
}

func errKeyUsed() error {
	return refuse(Conflict, "idempotency_key", "was used with other arguments; use a new key for something new")
}

// settle ends a claim with the event that was stored. A nil claim is none.
func (h *Hub) settle(ctx context.Context, c *claim, id string, at Time) {
	if c == nil {
		return
	}
	// What is stored is stored, also when its caller is gone by now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appliedWithin)
	defer cancel()
	h.keys.keep(ctx, c, id, at)
	h.keys.end(c)
}

// run begins a claim once no other of the same key is running.
func (k *keys) run(ctx context.Context, c *claim) error {
	for {
		other, err := k.tryRun(c)
		if other == nil || err != nil {
			return err
		}
		if other.payload != c.payload {
			return errKeyUsed()
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return refuse(Conflict, "idempotency_key", "an earlier call with this key is still running")
		}
	}
}

// tryRun begins a claim, or returns the one that is in its way.
func (k *keys) tryRun(c *claim) (*claim, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if other := k.running[c.key]; other != nil {
		return other, nil
	}
	if len(k.running) >= maxKeys {
		return nil, refuse(Full, "idempotency_key", "too many calls with a key are running; try again")
	}
	k.running[c.key] = c
	return nil, nil
}

// end ends a claim; without settle, the key is free again. A nil claim is none.
func (k *keys) end(c *claim) {
	if c == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, c.key)
	close(c.done)
}

// get returns what is kept of a key, empty if that is nothing or too old.
func (k *keys) get(key string) usedKey {
	value, revision := k.bucket.Get(key)
	var u usedKey
	if revision == 0 || json.Unmarshal(value, &u) != nil || u.Version != recordVersion || u.expired() {
		return usedKey{}
	}
	return u
}

// keep remembers what a key was used for. When that fails the log's own memory
// of IDs still holds for a while, so it is no error for the caller.
func (k *keys) keep(ctx context.Context, c *claim, id string, at Time) {
	k.makeRoom(ctx, c.user)
	_, revision := k.bucket.Get(c.key)
	value, err := json.Marshal(usedKey{recordVersion, c.payload, id, at.Time})
	if err == nil {
		_, err = k.bucket.Put(ctx, c.key, value, revision)
	}
	if err != nil {
		k.logger.Warn("an idempotency key is not remembered", slog.Any("error", err))
	}
	k.note(c.key)
}

// note takes over what the bucket has of a key. Changes come by way of its
// watch, and those of this node at once, too.
func (k *keys) note(key string) {
	user, _, _ := strings.Cut(key, "/")
	k.mu.Lock()
	defer k.mu.Unlock()
	_, revision := k.bucket.Get(key)
	if k.newest[key] == revision {
		return
	}
	list := k.used[user]
	for i := range list {
		if list[i].key == key {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if delete(k.newest, key); revision > 0 {
		list = append(list, keptKey{key, revision})
		k.newest[key] = revision
	}
	if k.used[user] = list; len(list) == 0 {
		delete(k.used, user)
	}
}

// makeRoom forgets so much that one more key of a user fits. A user with many
// keys pushes out own ones first.
func (k *keys) makeRoom(ctx context.Context, user string) {
	for range maxKeys {
		oldest, ok := k.surplus(user)
		if !ok {
			return
		}
		if _, err := k.bucket.Delete(ctx, oldest.key, oldest.revision); err != nil {
			k.logger.Warn("an idempotency key is not forgotten", slog.Any("error", err))
			return
		}
		k.note(oldest.key)
	}
}

// surplus is the key to forget next: one that is too old, or too many.
func (k *keys) surplus(user string) (keptKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if own := k.used[user]; len(own) > 0 {
		if k.maxOf >= 0 && len(own) >= k.maxOf || k.get(own[0].key).ID == "" {
			return own[0], true
		}
	}
	if len(k.newest) < maxKeys {
		return keptKey{}, false
	}
	var oldest keptKey
	for _, list := range k.used {
		if oldest.key == "" || list[0].revision < oldest.revision {
			oldest = list[0]
		}
	}
	return oldest, true
}

// hash joins strings so that different ones differ.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
