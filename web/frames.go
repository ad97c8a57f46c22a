package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// frames turns events into frames for one stream.
type frames struct {
	deltas bool
	given  map[string]int // how much of each message on its way was given, in bytes, by stream ID; nil without deltas
}

func newFrames(deltas bool) frames {
	f := frames{deltas: deltas}
	if deltas {
		f.given = map[string]int{}
	}
	return f
}

// of returns the frame of an event, which is shared.
func (f *frames) of(ev hub.Event) []byte {
	switch {
	case ev.Message != nil:
		return encode(ev.Message.ID, eventMessage, ev.Message)
	case ev.Partial != nil && f.deltas:
		return f.delta(ev.Partial)
	case ev.Partial != nil:
		return encode("", eventPartial, ev.Partial)
	}
	return nil
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

// delta is the frame with what a partial adds to the last one of the same
// message that this stream was given, of which there may be none.
func (f *frames) delta(p *hub.Partial) []byte {
	offset := f.given[p.StreamID]
	f.given[p.StreamID] = len(p.Message)
	if p.IsComplete {
		delete(f.given, p.StreamID)
	}
	return encode("", eventPartial, deltaPartial{
		StreamID: p.StreamID, Room: p.Room, Sender: p.Sender, Time: p.Time,
		Offset: offset, Delta: p.Message[offset:],
		Progress: p.Progress, IsComplete: p.IsComplete, Cancelled: p.Cancelled,
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
	}{lost.Arg, lost.Msg})}
}

func encode(id, name string, v any) []byte {
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
