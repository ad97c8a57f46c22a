package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// frames turns events into frames for one stream. What it returns is shared by
// all streams that want the same.
type frames struct {
	encode func(id, name string, v any) []byte // encodeFrame, which a test counts
	deltas bool
	given  map[string]int // with deltas: how many bytes of each message on its way were given, by stream ID
}

func newFrames(encode func(id, name string, v any) []byte, deltas bool) frames {
	return frames{encode: encode, deltas: deltas, given: map[string]int{}}
}

// of returns the frame of an event.
func (f *frames) of(ev hub.Event) []byte {
	switch {
	case ev.Message != nil:
		delete(f.given, ev.Message.StreamID)
		return f.shared(ev, ev.Message.ID, eventMessage, ev.Message)
	case ev.Notification != nil:
		return f.shared(ev, ev.Notification.ID, eventNotification, ev.Notification)
	case ev.Partial != nil && f.deltas:
		return f.delta(ev)
	case ev.Partial != nil:
		return f.shared(ev, "", eventPartial, ev.Partial)
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
	return ev.Frame("event", func() []byte { return f.encode(id, name, v) })
}

// deltaPartial is a partial message as what it adds to the one before it.
type deltaPartial struct {
	StreamID   string     `json:"stream_id"`
	Room       string     `json:"room"`
	Sender     hub.Sender `json:"sender"`
	Time       hub.Time   `json:"time"`
	Offset     int        `json:"offset"` // where delta begins, in bytes of UTF-8: how much this stream has given before
	Delta      string     `json:"delta"`
	Progress   int        `json:"progress"`
	IsComplete bool       `json:"isComplete"`
	Cancelled  bool       `json:"cancelled,omitempty"`
}

// delta returns the frame with what a partial adds to the last one of the same
// message that this stream was given, if any. Most streams were given the same
// one, so the frame is shared, too.
func (f *frames) delta(ev hub.Event) []byte {
	p := ev.Partial
	offset := min(f.given[p.StreamID], len(p.Message))
	if f.given[p.StreamID] = len(p.Message); p.IsComplete {
		delete(f.given, p.StreamID)
	}
	return ev.Frame("delta "+strconv.Itoa(offset), func() []byte {
		return f.encode("", eventPartial, deltaPartial{
			StreamID: p.StreamID, Room: p.Room, Sender: p.Sender, Time: p.Time,
			Offset: offset, Delta: p.Message[offset:],
			Progress: p.Progress, IsComplete: p.IsComplete, Cancelled: p.Cancelled,
		})
	})
}

// note is what the server itself has to say.
type note struct {
	Type    string   `json:"type,omitempty"`
	Message string   `json:"message,omitempty"`
	Time    hub.Time `json:"time"`
}

func now() hub.Time { return hub.Time{Time: time.Now()} }

// greeting is the first frame of every stream.
func greeting() sse.Event {
	return sse.Event{Name: eventSystem, Retry: spread(reconnectAfter, 0.5), Data: marshal(note{Type: "info", Message: "connected", Time: now()})}
}

func ping() sse.Event { return sse.Event{Name: eventPing, Data: marshal(note{Time: now()})} }

// farewell is the last frame of a stream that does not end in the normal way.
func farewell(name, message string) sse.Event {
	return sse.Event{Name: name, Retry: spread(reconnectAfter, 0.5), Data: marshal(note{Message: message, Time: now()})}
}

// reset says that the cursor did not work, and which is the oldest that does.
func reset(lost *hub.Error) sse.Event {
	return sse.Event{Name: eventReset, Data: marshal(struct {
		Oldest string `json:"oldest"`
		Reason string `json:"reason"`
	}{lost.Oldest, lost.Reason})}
}

func encodeFrame(id, name string, v any) []byte {
	return sse.Append(nil, sse.Event{ID: id, Name: name, Data: marshal(v)})
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
