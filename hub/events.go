package hub

import (
	"slices"
	"sync"
)

// Event is something that happened, as a listener gets it: exactly one of its
// pointers is set. What they point to is shared by all listeners and must not
// be changed.
type Event struct {
	Message      *Message
	Notification *Notification
	Partial      *Partial
	Line         *LogLine
	Presence     *Presence
	Typing       *Typing

	frames *frames
}

// Frame returns the event as encode makes it, called once for all listeners of
// the hub that ask for the same format. The bytes are shared and must not be
// changed. encode must not call the hub.
func (e Event) Frame(format string, encode func() []byte) []byte {
	if e.frames == nil { // not of a hub
		return encode()
	}
	return e.frames.frame(format, encode)
}

// maxFormats bounds how many encodings of one event are kept. More are made,
// each time anew.
const maxFormats = 8

// frames are an event's encodings, so that their cost does not grow with the
// listeners.
type frames struct {
	mu   sync.Mutex // held while one is made: others that want it wait for it
	made []frame    // at most maxFormats
}

type frame struct {
	format string
	data   []byte
}

func (f *frames) frame(format string, encode func() []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, made := range f.made {
		if made.format == format {
			return made.data
		}
	}
	data := encode()
	if len(f.made) < maxFormats {
		f.made = append(f.made, frame{format, data})
	}
	return data
}

// kinds is a set of kinds of events.
type kinds uint8

const (
	messages kinds = 1 << iota
	partials
	notifications
	lines
	presences
	typings

	allKinds = messages | partials | notifications | lines | presences | typings
)

// kindNames are the kinds by their names on the wire.
var kindNames = []string{typeMessage, "partial-message", typeNotification, "log", "presence", "typing"}

// parseKinds reads the names of kinds; nil is all of them.
func parseKinds(names []string) (kinds, error) {
	if names == nil {
		return allKinds, nil
	}
	var k kinds
	for _, name := range names {
		i := slices.Index(kindNames, name)
		if i < 0 {
			return 0, refuse(Invalid, "types", "there is no type %s; %q are allowed", quote(name), kindNames)
		}
		k |= 1 << i
	}
	return k, nil
}

// entry is a record of a log as listeners need it. The event of one that nobody
// may see is empty.
type entry struct {
	seq    uint64
	stored int64 // when, in Unix nanoseconds; of an entry in the ring
	bytes  int   // of its record
	room   *room // of a message
	event  Event
}

// sender is who sent a stored event.
func (e Event) sender() string {
	switch {
	case e.Message != nil:
		return e.Message.Sender.Name
	case e.Notification != nil:
		return e.Notification.Sender.Name
	case e.Line != nil:
		return e.Line.Sender.Name
	}
	return ""
}

// time is when an event was stored.
func (e Event) time() Time {
	switch {
	case e.Message != nil:
		return e.Message.Time
	case e.Notification != nil:
		return e.Notification.Time
	case e.Line != nil:
		return e.Line.Time
	}
	return Time{}
}

// size is about what an entry takes in memory, with one or two encodings, in
// bytes.
func (e entry) size() int {
	const fixed = 512
	return fixed + 3*e.bytes
}

// isFor is where it is decided who is given a stored event. It takes no lock,
// for it is asked for every event and every listener.
func (e entry) isFor(a Actor) bool {
	switch n := e.event.Notification; {
	case e.event.Message != nil:
		return e.room.admits(a)
	case n != nil:
		return a.isUser() && (n.To == "" || n.To == a.Name || n.Sender.Name == a.Name)
	}
	return false
}
