package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Sender is the author of a message as others see it.
type Sender struct {
	Name string `json:"name"`
	Via  string `json:"via,omitempty"`
}

// Message is a stored message: the record, and the wire form in every surface.
type Message struct {
	ID       string `json:"id"`   // the cursor
	Type     string `json:"type"` // always "message"
	Room     string `json:"room"`
	Sender   Sender `json:"sender"`
	Message  string `json:"message"`
	Time     Time   `json:"time"`
	ReplyTo  string `json:"reply_to,omitempty"`
	StreamID string `json:"stream_id,omitempty"`
}

// typeMessage is the type of a message, on the wire and in the log.
const typeMessage = "message"

// Draft is a message to be sent.
type Draft struct {
	Target
	// Text is 1 to [MaxText] bytes of valid UTF-8 without NUL. For a message
	// that arrives in parts it may be empty: then it is what the parts add up
	// to.
	Text    string
	ReplyTo string // ID of a message in the same room
	// Tool and Key make sending idempotent per user and tool for 24 hours; no
	// Key, no idempotency. The same Key with another payload is an error.
	// A key is 1 to 128 printable ASCII characters.
	Tool string
	Key  string
}

// Send stores a message and returns it once the log has it. duplicate tells
// that an earlier call with the same key had already stored it.
func (h *Hub) Send(ctx context.Context, a Actor, d Draft) (m Message, duplicate bool, err error) {
	if err := checkText(d.Text); err != nil {
		return Message{}, false, err
	}
	r, err := h.admit(ctx, a, d)
	if err != nil {
		return Message{}, false, err
	}
	claim, first, err := h.claim(ctx, a, d, r)
	if err != nil {
		return Message{}, false, err
	}
	if first != nil {
		return *first, true, nil
	}
	m, seq, err := h.store(ctx, r, body{Sender: sender(a), Message: d.Text, ReplyTo: d.ReplyTo})
	h.keys.settle(claim, seq)
	return m, false, err
}

// admit decides whether the actor may send a draft, its text aside, and to
// which room.
func (h *Hub) admit(ctx context.Context, a Actor, d Draft) (*room, error) {
	if h.live.isClosed() {
		return nil, errClosed()
	}
	r, err := h.find(a, d.Target)
	if err != nil {
		return nil, err
	}
	if d.ReplyTo != "" {
		c, ok := parseCursor(d.ReplyTo)
		if ok = ok && c.epoch == h.epoch; ok {
			_, ok, err = h.message(ctx, r.name, c.seq)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, refuse(NotFound, "reply_to", "there is no message %s in room %s", quote(d.ReplyTo), r.name)
		}
	}
	return r, checkKey(d.Key)
}

func sender(a Actor) Sender { return Sender{Name: a.Name, Via: cleanVia(a.Via)} }

// body is the part of a message that the log keeps as data.
type body struct {
	Type     string `json:"type"`
	Sender   Sender `json:"sender"`
	Message  string `json:"message"`
	ReplyTo  string `json:"reply_to,omitempty"`
	StreamID string `json:"stream_id,omitempty"`
}

// store appends a message to the log and returns it, with its sequence, once
// listeners can have it. On an error the sequence is 0.
func (h *Hub) store(ctx context.Context, r *room, b body) (Message, uint64, error) {
	b.Type = typeMessage
	data, err := json.Marshal(b)
	if err != nil {
		return Message{}, 0, fmt.Errorf("encode a message: %w", err)
	}
	rec, err := h.log.Append(ctx, r.name, data)
	if err != nil {
		return Message{}, 0, err
	}
	h.live.await(ctx, rec.Seq)
	return h.compose(rec, b), rec.Seq, nil
}

// message reads one message of a room.
func (h *Hub) message(ctx context.Context, room string, seq uint64) (m Message, ok bool, err error) {
	if seq == 0 {
		return Message{}, false, nil
	}
	records, err := h.log.Read(ctx, Range{Rooms: []string{room}, After: seq - 1, Before: seq + 1, Limit: 1})
	if err != nil || len(records) == 0 {
		return Message{}, false, err
	}
	m, err = h.decode(records[0])
	return m, err == nil, err
}

// decode reads a record. Its errors do not quote the record.
func (h *Hub) decode(r Record) (Message, error) {
	var b body
	if err := json.Unmarshal(r.Data, &b); err != nil {
		return Message{}, errors.New("it is not JSON")
	}
	if b.Type != typeMessage {
		return Message{}, errors.New("it is not a message")
	}
	return h.compose(r, b), nil
}

func (h *Hub) compose(r Record, b body) Message {
	return Message{
		ID:       h.id(r.Seq),
		Type:     b.Type,
		Room:     r.Room,
		Sender:   b.Sender,
		Message:  b.Message,
		Time:     timeOf(r.Time),
		ReplyTo:  b.ReplyTo,
		StreamID: b.StreamID,
	}
}
