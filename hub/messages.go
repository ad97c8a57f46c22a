package hub

import "context"

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
	// Interrupted tells that its sender broke off: this is what had arrived.
	Interrupted bool `json:"interrupted,omitempty"`
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
	claim, first, err := h.claimMessage(ctx, a, d, r)
	if err != nil {
		return Message{}, false, err
	}
	if first != nil {
		return *first, true, nil
	}
	return h.store(ctx, r, record{Sender: sender(a), Message: d.Text, ReplyTo: d.ReplyTo}, claim)
}

// admit decides whether the actor may send a draft, its text aside, and to
// which room.
func (h *Hub) admit(ctx context.Context, a Actor, d Draft) (*room, error) {
	if err := h.mayWrite(a); err != nil {
		return nil, err
	}
	r, err := h.find(a, d.Target)
	if err != nil {
		return nil, err
	}
	if d.ReplyTo != "" {
		c, ok := parseCursor(d.ReplyTo)
		if ok = ok && c.epoch == h.epoch; ok {
			_, ok, err = h.read(ctx, a, roomSubject+r.name, c.seq)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, refuse(NotFound, "reply_to", "there is no message %s in room %s", quote(d.ReplyTo), r.name)
		}
	}
	return r, checkKey("idempotency_key", d.Key)
}

func sender(a Actor) Sender { return Sender{Name: a.Name, Via: cleanVia(a.Via)} }

// store appends a message to the log and returns it once listeners can have it.
// It ends the claim.
func (h *Hub) store(ctx context.Context, r *room, m record, c *claim) (stored Message, duplicate bool, err error) {
	m.Type = typeMessage
	m.Rights = h.rooms.revision(r)
	e, duplicate, err := h.append(ctx, roomSubject+r.name, m, 0, c)
	if err != nil {
		return Message{}, false, err
	}
	got := e.Message // with a key, it may be that of an earlier call
	if got == nil || got.Room != r.name || got.Message != m.Message || got.ReplyTo != m.ReplyTo {
		return Message{}, false, errKeyUsed()
	}
	return *got, duplicate, nil
}

func (h *Hub) composeMessage(r Record, room string, m record) *Message {
	return &Message{
		ID:       h.id(r.Seq),
		Type:     typeMessage,
		Room:     room,
		Sender:   m.Sender,
		Message:  m.Message,
		Time:     timeOf(r.Time),
		ReplyTo:  m.ReplyTo,
		StreamID: m.StreamID,

		Interrupted: m.Interrupted,
	}
}
