package client

import (
	"encoding/json"
	"time"
)

// Sender is the author of what was sent: a user, and the client that acted for
// the user, if one did.
type Sender struct {
	Name string `json:"name"`
	Via  string `json:"via,omitempty"`
}

// Message is a stored message. Its ID is a cursor: a place in the one order of
// all messages and notifications.
type Message struct {
	ID          string    `json:"id"`
	Type        string    `json:"type"` // "message"
	Room        string    `json:"room"`
	Sender      Sender    `json:"sender"`
	Message     string    `json:"message"`
	Time        time.Time `json:"time"`
	ReplyTo     string    `json:"reply_to,omitempty"`
	StreamID    string    `json:"stream_id,omitempty"`   // of the partial messages that led to it
	Interrupted bool      `json:"interrupted,omitempty"` // its sender broke off: this is what had arrived
}

// Partial is one step of a message that arrives in parts. Partial messages are
// live only: after a gap comes the newest of each. The last one of a stream is
// complete, also when it was cancelled; unless it was, the message itself
// follows.
type Partial struct {
	StreamID   string    `json:"stream_id"`
	Room       string    `json:"room"`
	Sender     Sender    `json:"sender"`
	Time       time.Time `json:"time"`
	Message    string    `json:"message"`  // the text so far
	Progress   int       `json:"progress"` // 0 to 100
	IsComplete bool      `json:"isComplete"`
	Cancelled  bool      `json:"cancelled,omitempty"`
}

// Notification is a stored notification. Its ID is a cursor, as a [Message]'s.
type Notification struct {
	ID       string    `json:"id"`
	Level    string    `json:"level"` // info, success, warning, error
	Title    string    `json:"title,omitempty"`
	Message  string    `json:"message"`
	To       string    `json:"to,omitempty"` // the addressee; empty: everybody
	Sender   Sender    `json:"sender"`
	Time     time.Time `json:"time"`
	Progress *int      `json:"progress,omitempty"` // 0 to 100
	Key      string    `json:"key,omitempty"`      // it takes the place of an earlier one of the same sender and key
}

// LogLine is a stored log line. Log lines have an order of their own, so the ID
// is no cursor.
type LogLine struct {
	ID      string          `json:"id"`
	Level   string          `json:"level"` // debug, info, warn, error
	Logger  string          `json:"logger,omitempty"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"` // an object
	Sender  Sender          `json:"sender"`
	Time    time.Time       `json:"time"`
}

// Presence tells that a user has come or gone.
type Presence struct {
	User   string    `json:"user"`
	Online bool      `json:"online"`
	Via    string    `json:"via,omitempty"`
	Time   time.Time `json:"time"`
}

// Typing tells that a user is writing a message.
type Typing struct {
	Room string    `json:"room"`
	User string    `json:"user"`
	Time time.Time `json:"time"`
}

// Note is what the server itself has to say.
type Note struct {
	Type    string    `json:"type,omitempty"` // info, warning
	Message string    `json:"message"`
	Time    time.Time `json:"time"`
}

// Reset tells that the place to go on from is not there any more: something may
// have been missed, which only [Client.History] can tell. Oldest is the oldest
// cursor that works.
type Reset struct {
	Oldest string `json:"oldest"`
	Reason string `json:"reason"`
}

// Room is a place messages go to.
type Room struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // public, private, direct
	Topic   string   `json:"topic,omitempty"`
	Members []string `json:"members,omitempty"` // of private and direct rooms
	// MemberCount is how many members there are, where Members are only some of
	// them; [Client.People] has all.
	MemberCount int    `json:"member_count,omitempty"`
	Last        string `json:"last,omitempty"` // ID of the newest message
}

// Person is a user as others see it.
type Person struct {
	Name   string `json:"name"`
	Online bool   `json:"online"`
	Via    string `json:"via,omitempty"`
}

// Session is who asks, and what the token is good for.
type Session struct {
	Username string    `json:"username"`
	Role     string    `json:"role,omitempty"`
	Kind     string    `json:"kind,omitempty"`   // of the token
	Client   string    `json:"client,omitempty"` // what acts for the user, if something does
	Scopes   string    `json:"scopes"`           // with spaces between them
	Expires  time.Time `json:"expires,omitzero"` // of the token
}

// Page is a run of messages, in order, and where to go on: Next is the cursor
// to give as After, or as Before where Before was given. It is set even when
// there are no messages. More tells that there is something there already.
type Page struct {
	Messages []Message `json:"messages"`
	Next     string    `json:"next"`
	More     bool      `json:"more"`
}

// Streamed is what became of a text that was sent by [Client.Stream]: one
// message or, if it was longer than one may be, several, each a reply to the one
// before. Their texts are not repeated.
type Streamed struct {
	Messages    []Message `json:"messages"`
	Interrupted bool      `json:"interrupted"`
}
