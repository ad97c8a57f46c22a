package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"wigwag/transport/sse"
)

// Event is something that happened, as [Client.Listen] gives it: exactly one of
// its pointers is set.
type Event struct {
	State        *State        `json:"state,omitempty"`
	Message      *Message      `json:"message,omitempty"`
	Partial      *Partial      `json:"partial,omitempty"`
	Notification *Notification `json:"notification,omitempty"`
	Line         *LogLine      `json:"line,omitempty"`
	Presence     *Presence     `json:"presence,omitempty"`
	Typing       *Typing       `json:"typing,omitempty"`
	System       *Note         `json:"system,omitempty"`
	Reset        *Reset        `json:"reset,omitempty"`
}

// States of a listener. The first is Connecting. Connected follows once the
// server has said something; Reconnecting before every wait for the next
// attempt; Disconnected at the end, unless ctx made it.
const (
	Connecting   = "connecting"
	Connected    = "connected"
	Reconnecting = "reconnecting"
	Disconnected = "disconnected"
)

// State is how the connection of a listener is, and what is next.
type State struct {
	State string // Connecting, Connected, Reconnecting or Disconnected
	// Of Reconnecting: the attempt that comes, from 1 after every Connected, and
	// how long until then.
	Attempt int
	RetryIn time.Duration
	// Err is what went wrong, of Reconnecting and Disconnected; nil if the
	// server has ended the stream in the normal way, as it does from time to
	// time.
	Err error
}

// decode returns what the server's event says; ok is false for one that is of no
// type known here. Of "ping", "shutdown" and "stream-error" it is a note.
func decode(ev sse.Event) (out Event, ok bool, err error) {
	var into any
	switch ev.Name {
	case "message", "":
		into = &out.Message
	case "partial-message":
		into = &out.Partial
	case "notification":
		into = &out.Notification
	case "log":
		into = &out.Line
	case "presence":
		into = &out.Presence
	case "typing":
		into = &out.Typing
	case "reset":
		into = &out.Reset
	case "system", "ping", "shutdown", "stream-error":
		into = &out.System
	default:
		return Event{}, false, nil
	}
	err = json.Unmarshal(ev.Data, into)
	if err == nil && out == (Event{}) {
		err = errors.New("it is null")
	}
	if err != nil {
		return Event{}, false, fmt.Errorf("the server sent a %s that cannot be read: %w", strconv.Quote(ev.Name), err)
	}
	return out, true, nil
}

// place is where an event is in the one order of all.
type place struct {
	epoch string
	seq   uint64
}

// placeOf reads a cursor; of anything else it returns the zero place.
func placeOf(cursor string) place {
	epoch, digits, _ := strings.Cut(cursor, "-")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return place{}
	}
	return place{epoch, seq}
}

// reaches tells that other is p or before it, as far as they can be compared.
func (p place) reaches(other place) bool {
	return p.epoch != "" && p.epoch == other.epoch && p.seq >= other.seq
}
