package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// frames turns events into frames for one stream. What it returns is shared by
// all streams that want the same.
type frames struct {
	encode func(id, name string, v any) []byte // encodeFrame, which a test counts
	deltas bool
	given  map[string]string // the text so far, as this stream has given it, of each message on its way, by stream ID
}

func newFrames(encode func(id, name string, v any) []byte, deltas bool) frames {
	return frames{encode: encode, deltas: deltas, given: map[string]string{}}
}

// of returns the frame of an event.
func (f *frames) of(ev hub.Event) []byte {
	switch {
	case ev.Message != nil:
		return f.shared(ev, ev.Message.ID, eventMessage, ev.Message)
	case ev.Notification != nil:
		return f.shared(ev, ev.Notification.ID, eventNotification, ev.Notification)
	case ev.Partial != nil:
		return f.partial(ev, ev.Partial)
	case ev.Line != nil:
		return f.shared(ev, "", eventLog, ev.Line)
	case ev.Presence != nil:
		return f.shared(ev, "", eventPresence, ev.Presence)
	case ev.Typing != nil:
		return f.shared(ev, "", eventTyping, ev.Typing)
	}
	return nil // of a kind that this wire has no name for
}

func (f *frames) shared(ev hub.Event, id, name string, v any) []byte {
	return ev.Frame(name, func() []byte { return f.encode(id, name, v) })
}

// last returns the frame of the partial message that ends those which led to
// this message, or nil when this stream has given none.
func (f *frames) last(ev hub.Event) []byte {
	m := ev.Message
	if _, ok := f.given[m.StreamID]; !ok {
		return nil
	}
	return f.partial(ev, &hub.Partial{
		StreamID: m.StreamID, Room: m.Room, Sender: m.Sender, Time: m.Time,
		Message: m.Message, Progress: 100, IsComplete: true,
	})
}

// partial returns the frame of a partial message that belongs to an event. As
// a difference it depends on what this stream has given before, which is the
// same for most streams.
func (f *frames) partial(ev hub.Event, p *hub.Partial) []byte {
	before := f.given[p.StreamID]
	if f.given[p.StreamID] = p.Message; p.IsComplete {
		delete(f.given, p.StreamID)
	}
	if !f.deltas {
		return f.shared(ev, "", eventPartial, p)
	}
	offset := len(before)
	if !strings.HasPrefix(p.Message, before) {
		offset = 0
	}
	return ev.Frame("delta "+strconv.Itoa(offset), func() []byte {
		return f.encode("", eventPartial, deltaPartial{
			StreamID: p.StreamID, Room: p.Room, Sender: p.Sender, Time: p.Time,
			Offset: offset, Delta: p.Message[offset:],
			Progress: p.Progress, IsComplete: p.IsComplete, Cancelled: p.Cancelled,
		})
	})
}

// deltaPartial is a partial message as a difference: the text so far is what it
// was up to Offset, and then Delta.
type deltaPartial struct {
	StreamID   string     `json:"stream_id"`
	Room       string     `json:"room"`
	Sender     hub.Sender `json:"sender"`
	Time       hub.Time   `json:"time"`
	Offset     int        `json:"offset"` // in bytes of UTF-8; 0 for the first that a stream gives
	Delta      string     `json:"delta"`
	Progress   int        `json:"progress"`
	IsComplete bool       `json:"isComplete"`
	Cancelled  bool       `json:"cancelled,omitempty"`
}

// note is what the server itself has to say.
type note struct {
	Type    string   `json:"type,omitempty"`
	Message string   `json:"message,omitempty"`
	Time    hub.Time `json:"time"`
}

func now() hub.Time { return hub.Time{Time: time.Now()} }

// greeting is the first event of GET /events.
func greeting() sse.Event {
	return sse.Event{Name: eventSystem, Data: marshal(note{Type: "info", Message: "connected", Time: now()})}
}

func ping() sse.Event { return sse.Event{Name: eventPing, Data: marshal(note{Time: now()})} }

// farewell is the last frame of a stream that does not end in the normal way.
func farewell(name, message string) sse.Event {
	return sse.Event{Name: name, Retry: spread(reconnectAfter, 0.5), Data: marshal(note{Message: message, Time: now()})}
}

// reset says that the cursor did not work, and which is the oldest that does.
// from is the one at which the stream begins anew.
func reset(lost *hub.Error, from string) sse.Event {
	return sse.Event{ID: from, Name: eventReset, Data: marshal(struct {
		Oldest string `json:"oldest"`
		Reason string `json:"reason"`
	}{lost.Oldest, lost.Reason})}
}

func encodeFrame(id, name string, v any) []byte {
	return sse.Append(nil, Event(id, name, v))
}

// Event makes an event whose data is v as JSON. v must always encode.
func Event(id, name string, v any) sse.Event {
	return sse.Event{ID: id, Name: name, Data: marshal(v)}
}

// marshal encodes what always encodes. Characters that matter only within HTML
// stay as they are: nobody should have to read \u003c.
func marshal(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("web: %T does not encode: %v", v, err)) // a mistake in the program
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
