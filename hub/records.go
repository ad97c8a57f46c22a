package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Subjects of the log: of a room its messages, of a user or of all the
// notifications.
const (
	roomSubject = "room."
	userSubject = "user."
	allSubject  = "all"
)

// recordVersion is the version of what is kept as data in a log.
const recordVersion = 1

// envelope is what all data of the log begin with.
type envelope struct {
	Version int    `json:"v"`
	Type    string `json:"type"`
}

// messageRecord is the part of a message that the log keeps as data.
type messageRecord struct {
	envelope
	Sender   Sender `json:"sender"`
	Message  string `json:"message"`
	ReplyTo  string `json:"reply_to,omitempty"`
	StreamID string `json:"stream_id,omitempty"`
	// Rights is the revision of the room that the message was sent under. A
	// node shows it once it knows that revision, or a later one.
	Rights uint64 `json:"rights,omitempty"`
}

// notificationRecord is the part of a notification that the log keeps as data.
type notificationRecord struct {
	envelope
	Sender   Sender `json:"sender"`
	Level    Level  `json:"level"`
	Title    string `json:"title,omitempty"`
	Message  string `json:"message"`
	Progress *int   `json:"progress,omitempty"`
	Key      string `json:"key,omitempty"`
}

// append stores data and returns the event once listeners can have it. It ends
// the claim; with one, the event may be that which an earlier call stored.
func (h *Hub) append(ctx context.Context, subject string, data any, ttl time.Duration, c *claim) (Event, error) {
	encoded, err := json.Marshal(data)
	if err != nil {
		h.keys.end(c)
		return Event{}, fmt.Errorf("encode a record: %w", err)
	}
	e := Entry{Subject: subject, Data: encoded, TTL: ttl}
	if c != nil {
		e.ID = c.key
	}
	rec, err := h.log.Append(ctx, e)
	if err != nil {
		h.keys.end(c)
		return Event{}, storeError(err)
	}
	h.settle(ctx, c, h.id(rec.Seq), timeOf(rec.Time))
	h.live.await(ctx, rec.Seq)
	return h.decode(rec)
}

// read reads one record of a subject. ok tells whether it is there.
func (h *Hub) read(ctx context.Context, subject string, seq uint64) (e Event, ok bool, err error) {
	if seq == 0 {
		return Event{}, false, nil
	}
	records, err := h.log.Read(ctx, Range{Subjects: []string{subject}, After: seq - 1, Before: seq + 1, Limit: 1})
	if err != nil || len(records) == 0 {
		return Event{}, false, storeError(err)
	}
	e, err = h.decode(records[0])
	return e, err == nil, err
}

// decode reads a record as a message or a notification. Its errors do not
// quote the record.
func (h *Hub) decode(r Record) (Event, error) {
	var kind envelope
	if err := json.Unmarshal(r.Data, &kind); err != nil {
		return Event{}, errors.New("it is not JSON")
	}
	if kind.Version != recordVersion {
		return Event{}, fmt.Errorf("it has version %d, and this is known up to %d", kind.Version, recordVersion)
	}
	room, isRoom := strings.CutPrefix(r.Subject, roomSubject)
	user, isUser := strings.CutPrefix(r.Subject, userSubject)
	if r.Subject == allSubject {
		user, isUser = "", true
	}
	switch {
	case kind.Type == typeMessage && isRoom:
		var m messageRecord
		if err := json.Unmarshal(r.Data, &m); err != nil {
			return Event{}, errors.New("it is not a message")
		}
		return Event{Message: h.composeMessage(r, room, m), frames: &frames{}}, nil
	case kind.Type == typeNotification && isUser:
		var n notificationRecord
		if err := json.Unmarshal(r.Data, &n); err != nil {
			return Event{}, errors.New("it is not a notification")
		}
		return Event{Notification: h.composeNotification(r, user, n), frames: &frames{}}, nil
	}
	return Event{}, errors.New("it is neither a message of a room nor a notification of a user")
}

// rights is the revision of its room that a message's record was sent under.
func rights(r Record) uint64 {
	var m struct {
		Rights uint64 `json:"rights"`
	}
	if json.Unmarshal(r.Data, &m) != nil {
		return 0 // it is shown to nobody
	}
	return m.Rights
}
