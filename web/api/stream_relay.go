package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

// storeWithin is how long the hub may take to begin a message of a stream, or to
// store it.
const storeWithin = 10 * time.Second

// relay shows a room a text while it arrives, and stores it in as many messages
// as it takes, each of which answers the one before. One goroutine uses it, but
// for alive.
//
// With a key, each message has one of its own, told apart by its number. So what
// an interrupted stream has stored whole is not stored again by the next one with
// that key, which only has to send the same text.
type relay struct {
	hub   *hub.Hub
	actor hub.Actor
	draft hub.Draft             // of the message on its way, or of the next
	pace  func(context.Context) // waits until one more message may be sent, or the context ends

	text    []byte                        // of the message on its way
	running atomic.Pointer[hub.Streaming] // that message; nil: there is none
	earlier *hub.Message                  // in its place: what an earlier call has stored with the key
	stored  []streamed
	isNew   bool // one of them was not stored by an earlier call
}

// streamed is a message that a stream has become, or one of several.
type streamed struct {
	ID       string   `json:"id"`
	Room     string   `json:"room"`
	StreamID string   `json:"stream_id"`
	Time     hub.Time `json:"time"`
	Bytes    int      `json:"bytes"` // of its text
}

// begin begins the next message.
func (r *relay) begin(ctx context.Context) error {
	// What was sent is taken, also if the stream has to end meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	r.draft.Tool = streaming + strconv.Itoa(len(r.stored))
	s, earlier, err := r.hub.Stream(ctx, r.actor, r.draft)
	if err != nil {
		return err
	}
	r.running.Store(s)
	r.earlier = earlier
	return nil
}

// alive tells that the sender is there, though it may say nothing. Any goroutine
// may call it.
func (r *relay) alive() {
	if s := r.running.Load(); s != nil {
		s.Alive()
	}
}

// add shows the next piece of the text, and stores what is more than one message
// holds.
func (r *relay) add(ctx context.Context, piece string) error {
	if err := r.show(ctx, piece); err != nil {
		return err
	}
	for len(r.text) > hub.MaxText {
		n := hub.FirstMessage(string(r.text))
		rest := string(r.text[n:])
		if err := r.store(ctx, n); err != nil {
			return err
		}
		if err := r.show(ctx, rest); err != nil {
			return err
		}
	}
	return nil
}

// show adds to the message on its way, or begins one.
func (r *relay) show(ctx context.Context, piece string) error {
	if piece == "" {
		return nil
	}
	if r.running.Load() == nil && r.earlier == nil {
		r.pace(ctx)
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	r.text = append(r.text, piece...)
	if s := r.running.Load(); s != nil {
		s.Part(piece, 0, 0)
	}
	return nil
}

// store ends the message on its way with the first n bytes of the text.
func (r *relay) store(ctx context.Context, n int) error {
	text, s := string(r.text[:n]), r.running.Load()
	if len(r.stored) == 0 && strings.TrimSpace(text) == "" {
		r.cancel()
		return endpoint.BadRequest("there is no text, or none within the first 64 KiB")
	}
	if s == nil {
		if r.earlier.Message != text {
			return &endpoint.Problem{
				Status: http.StatusConflict, Code: string(hub.Conflict), Argument: "idempotency_key",
				Detail: "idempotency_key: was used with another text; use a new key for something new",
			}
		}
		r.note(*r.earlier)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	m, err := s.FinishAt(ctx, n)
	r.running.Store(nil)
	if err != nil {
		return err
	}
	r.isNew = r.isNew || m.StreamID == s.ID()
	r.note(m)
	return nil
}

// finish stores the rest of the text, of which all is there.
func (r *relay) finish(ctx context.Context) error {
	if len(r.text) == 0 && len(r.stored) > 0 {
		return nil
	}
	return r.store(ctx, len(r.text))
}

// interrupt stores what there is of the message on its way, and tells which one
// that is; nil: nothing is on its way, or nothing of it has arrived.
func (r *relay) interrupt(ctx context.Context) (*hub.Message, error) {
	s := r.running.Swap(nil)
	if s == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer cancel()
	m, isStored, err := s.Interrupt(ctx)
	if err != nil || !isStored {
		return nil, err
	}
	return &m, nil
}

// cancel ends the message on its way, if there is one, and nothing of it is
// stored.
func (r *relay) cancel() {
	if s := r.running.Swap(nil); s != nil {
		s.Cancel()
	}
}

// note ends the message on its way, which is now this one.
func (r *relay) note(m hub.Message) {
	r.stored = append(r.stored, streamed{ID: m.ID, Room: m.Room, StreamID: m.StreamID, Time: m.Time, Bytes: len(m.Message)})
	r.draft.ReplyTo = m.ID
	r.earlier, r.text = nil, r.text[:0]
}
