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

// recordVersion is the version of what is kept as data in a log or a bucket.
const recordVersion = 1

// record is what the log keeps as data of a message or a notification.
type record struct {
	Version int    `json:"v"`
	Type    string `json:"type"`
	Sender  Sender `json:"sender"`
	Message string `json:"message"`

	// Of a message. Rights is the revision of the room that it was sent under:
	// a node shows it once it knows that revision, or a later one.
	ReplyTo  string `json:"reply_to,omitempty"`
	StreamID string `json:"stream_id,omitempty"`
	Rights   uint64 `json:"rights,omitempty"`

	Interrupted bool `json:"interrupted,omitempty"`

	// Of a notification.
	Level    Level  `json:"level,omitempty"`
	Title    string `json:"title,omitempty"`
	Progress *int   `json:"progress,omitempty"`
	Key      string `json:"key,omitempty"`
}

// kept is a log, and what the hub knows of it.
type kept struct {
	Log
	epoch string
	ring  *ring // its newest entries; guarded by live.mu
}

// logOf is the log that keeps a subject.
func (h *Hub) logOf(subject string) kept {
	if subject == lineSubject {
		return kept{h.lines, h.linesEpoch, &h.live.lines}
	}
	return kept{h.log, h.epoch, &h.live.ring}
}

// append stores a record and returns the event once listeners can have it. It
// ends the claim as put does.
func (h *Hub) append(ctx context.Context, subject string, data record, ttl time.Duration, c *claim) (e Event, duplicate bool, err error) {
	data.Version = recordVersion
	rec, duplicate, err := h.put(ctx, subject, data, ttl, c)
	if err != nil {
		return Event{}, false, err
	}
	h.live.await(ctx, rec.Seq)
	e, err = h.decode(rec)
	return e, duplicate, err
}

// put stores data as JSON under a subject. It ends the claim; with one, the
// record may be that which an earlier call stored, of which duplicate tells.
func (h *Hub) put(ctx context.Context, subject string, data any, ttl time.Duration, c *claim) (r Record, duplicate bool, err error) {
	encoded, err := json.Marshal(data)
	if err != nil {
		h.keys.end(c)
		return Record{}, false, fmt.Errorf("encode a record: %w", err)
	}
	log := h.logOf(subject)
	e := Entry{Subject: subject, Data: encoded, TTL: ttl}
	var before uint64 // what is not after it was there before
	if c != nil {
		e.ID = c.key
		before = h.live.headOf(log.ring)
	}
	r, err = log.Append(ctx, e)
	if err != nil {
		h.keys.end(c)
		return Record{}, false, storeError(err)
	}
	h.settle(ctx, c, cursor{log.epoch, r.Seq}.String(), timeOf(r.Time))
	if duplicate = r.Seq <= before; !duplicate {
		h.observer.Stored(storedAs(subject))
	}
	return r, duplicate, nil
}

// read reads one record of a subject for an actor. ok tells whether it is there.
func (h *Hub) read(ctx context.Context, a Actor, subject string, seq uint64) (e Event, ok bool, err error) {
	if seq == 0 {
		return Event{}, false, nil
	}
	release, err := h.looks.take(ctx, a)
	if err != nil {
		return Event{}, false, err
	}
	defer release()
	records, err := h.logOf(subject).Read(ctx, Range{Subjects: []string{subject}, After: seq - 1, Before: seq + 1, Limit: 1})
	if err != nil || len(records) == 0 {
		return Event{}, false, storeError(err)
	}
	if subject == lineSubject {
		e, err = h.decodeLine(records[0])
	} else {
		e, err = h.decode(records[0])
	}
	return e, err == nil, err
}

// decode reads a record of the log as an event. Its errors do not quote it.
func (h *Hub) decode(r Record) (Event, error) {
	e, _, err := h.decodeRights(r)
	return e, err
}

// decodeRights is decode, and the revision of its room that a message was sent
// under.
func (h *Hub) decodeRights(r Record) (e Event, rights uint64, err error) {
	var rec record
	switch err := json.Unmarshal(r.Data, &rec); {
	case err != nil:
		return Event{}, 0, errors.New("it is not as a record should be")
	case rec.Version != recordVersion:
		return Event{}, 0, fmt.Errorf("it has version %d, and this is known up to %d", rec.Version, recordVersion)
	}
	room, isRoom := strings.CutPrefix(r.Subject, roomSubject)
	user, isUser := strings.CutPrefix(r.Subject, userSubject)
	if r.Subject == allSubject {
		user, isUser = "", true
	}
	switch {
	case rec.Type == typeMessage && isRoom:
		return Event{Message: h.composeMessage(r, room, rec), frames: &frames{}}, rec.Rights, nil
	case rec.Type == typeNotification && isUser:
		return Event{Notification: h.composeNotification(r, user, rec), frames: &frames{}}, 0, nil
	}
	return Event{}, 0, errors.New("it is neither a message of a room nor a notification of a user")
}
