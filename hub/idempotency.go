package hub

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Bounds of what is remembered of idempotency keys.
const (
	keyLife     = 24 * time.Hour
	maxKeys     = 10_000 // in all; then the oldest is forgotten
	maxUserKeys = 1_000  // of one user; then that user's oldest is
)

// keyID is what an idempotency key is unique within.
type keyID struct{ user, tool, key string }

// claim is one use of a key: by a call that is running, or that has stored its
// message.
type claim struct {
	id      keyID
	payload [sha256.Size]byte
	done    chan struct{} // closed when the call has ended

	// Both are set before done is closed and not changed after.
	seq     uint64 // of the stored message; 0 when the call stored none
	expires time.Time
}

// keys remembers the idempotency keys that were used.
type keys struct {
	mu      sync.Mutex
	claims  map[keyID]*claim    // running and settled, at most maxKeys
	settled map[string][]*claim // by user, oldest first, at most maxUserKeys each
}

func newKeys() *keys {
	return &keys{claims: map[keyID]*claim{}, settled: map[string][]*claim{}}
}

// claim takes the draft's key for a call by this actor. Either the call is the
// first with it, and must end by settle; or first is the message that an
// earlier call stored. The draft must have been admitted to the room. A draft
// without a key has a nil claim.
func (h *Hub) claim(ctx context.Context, a Actor, d Draft, r *room) (c *claim, first *Message, err error) {
	if d.Key == "" {
		return nil, nil, nil
	}
	payload, err := json.Marshal([]string{r.name, d.Text, d.ReplyTo})
	if err != nil {
		return nil, nil, fmt.Errorf("encode a payload: %w", err)
	}
	c, seq, err := h.keys.claim(ctx, keyID{a.Name, d.Tool, d.Key}, sha256.Sum256(payload))
	if c != nil || err != nil {
		return c, nil, err
	}
	m, ok, err := h.message(ctx, r.name, seq)
	if err == nil && !ok {
		err = refuse(Conflict, "idempotency_key", "was used for message %s, which has expired; use a new key", h.id(seq))
	}
	return nil, &m, err
}

// claim returns a claim for the caller to settle, or the sequence that an
// earlier call with the key got. It waits for an earlier one that is running.
func (k *keys) claim(ctx context.Context, id keyID, payload [sha256.Size]byte) (c *claim, seq uint64, err error) {
	for {
		c, isNew, err := k.take(id, payload)
		if isNew || err != nil {
			return c, 0, err
		}
		select {
		case <-c.done:
			if c.seq != 0 {
				return nil, c.seq, nil
			} // it stored nothing: the key is free again
		case <-ctx.Done():
			return nil, 0, refuse(Conflict, "idempotency_key", "an earlier call with this key is still running")
		}
	}
}

// take makes a claim, or returns the one there is.
func (k *keys) take(id keyID, payload [sha256.Size]byte) (c *claim, isNew bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.claims[id].expired() {
		k.forgetLocked(id.user) // what is before it in the list is older still
	}
	if c := k.claims[id]; c != nil {
		if c.payload != payload {
			return nil, false, refuse(Conflict, "idempotency_key", "was used with another room, text or reply_to; use a new key for a new message")
		}
		return c, false, nil
	}
	if err := k.makeRoomLocked(id.user); err != nil {
		return nil, false, err
	}
	c = &claim{id: id, payload: payload, done: make(chan struct{})}
	k.claims[id] = c
	return c, true, nil
}

func (c *claim) expired() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return time.Now().After(c.expires)
	default:
		return false
	}
}

// makeRoomLocked forgets so much that one more key fits. A user with many keys
// pushes out own ones first.
func (k *keys) makeRoomLocked(user string) error {
	if len(k.settled[user]) >= maxUserKeys {
		k.forgetLocked(user)
	}
	if len(k.claims) < maxKeys {
		return nil
	}
	oldest := ""
	for u, list := range k.settled {
		if oldest == "" || list[0].expires.Before(k.settled[oldest][0].expires) {
			oldest = u
		}
	}
	if oldest == "" {
		return refuse(Full, "idempotency_key", "too many calls with a key are running; try again")
	}
	k.forgetLocked(oldest)
	return nil
}

// forgetLocked forgets the oldest settled key of a user who has one.
func (k *keys) forgetLocked(user string) {
	list := k.settled[user]
	delete(k.claims, list[0].id)
	list[0] = nil
	if k.settled[user] = list[1:]; len(list) == 1 {
		delete(k.settled, user)
	}
}

// settle ends a claim: with the sequence of the stored message, or with 0,
// which makes the key free again. A nil claim is none.
func (k *keys) settle(c *claim, seq uint64) {
	if c == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c.seq, c.expires = seq, time.Now().Add(keyLife)
	close(c.done)
	if seq == 0 {
		delete(k.claims, c.id)
		return
	}
	k.settled[c.id.user] = append(k.settled[c.id.user], c)
}
