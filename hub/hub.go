// Package hub is wigwag's domain: rooms, messages, who may see what, history,
// and live delivery. It knows no HTTP, no MCP and no storage engine.
//
// Every method takes the [Actor] that asks and checks it there, so one place
// decides who may see what. What an actor may not see does not exist for it:
// the answer is the same as for an unknown name.
package hub

import (
	"context"
	"log/slog"
	"time"
)

// General is the public room that always exists and that a message goes to
// when its sender names no other.
const General = "general"

// Actor is who asks. It always comes from a verified token, never from an
// argument.
type Actor struct {
	// Name is the user's name.
	Name string
	// Via is the client that acts for the user ("Claude Code"), empty for the
	// user in person.
	Via string
}

// Sender is the author of a message as others see it.
type Sender struct {
	Name string `json:"name"`
	Via  string `json:"via,omitempty"`
}

// Time is a moment on the wire: RFC 3339, UTC, exactly three decimals.
type Time struct{ time.Time }

// Kind says who may see a room.
type Kind string

const (
	Public  Kind = "public"  // everybody
	Private Kind = "private" // its members
	Direct  Kind = "direct"  // its two parties
)

// Room is a place messages go to.
type Room struct {
	Name    string   `json:"name"`
	Kind    Kind     `json:"kind"`
	Topic   string   `json:"topic,omitempty"`
	Members []string `json:"members,omitempty"` // of private and direct rooms, sorted
	Last    string   `json:"last,omitempty"`    // ID of the newest message
}

// RoomSpec asks for a room to be created, or joined if it exists.
type RoomSpec struct {
	Name    string
	Topic   string
	Private bool
	Invite  []string // users to add as members; only of a private room
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

// Partial is one step of a message that arrives in parts. It is live only.
type Partial struct {
	StreamID   string `json:"stream_id"`
	Room       string `json:"room"`
	Sender     Sender `json:"sender"`
	Time       Time   `json:"time"`
	Message    string `json:"message"`  // the text so far
	Progress   int    `json:"progress"` // 0 to 100
	IsComplete bool   `json:"isComplete"`
	Cancelled  bool   `json:"cancelled,omitempty"`
}

// Target names where a message goes: a room by name, or the direct room with
// another user. At most one is set; neither means [General].
type Target struct {
	Room string
	To   string
}

// Draft is a message to be sent.
type Draft struct {
	Target
	Text    string
	ReplyTo string // ID of a message in the same room
	// Tool and Key make sending idempotent per user and tool for 24 hours; no
	// Key, no idempotency. The same Key with another payload is an error.
	Tool string
	Key  string
}

// HistoryQuery asks for messages of one room. At most one of After and Before
// is set: after a cursor ("0": from the beginning), before one, or neither: the latest. The
// answer is always oldest first.
type HistoryQuery struct {
	Target
	After  string
	Before string
	Limit  int // 1 to 100; 0 means 50
}

// WaitQuery asks for what comes after a cursor in several rooms.
type WaitQuery struct {
	Rooms        []string // empty: every room the actor may see and is a party to, and all public ones
	After        string   // empty: from now on
	MentionsOnly bool     // only messages that contain @name of the actor, or that are direct
	Limit        int      // 1 to 100; 0 means 50
}

// Page is a run of messages and where to go on.
type Page struct {
	Messages []Message
	// Next is the cursor to pass as After (or Before, when reading backwards)
	// to get what follows. It is set even when Messages is empty.
	Next string
	More bool
}

// Change tells the server itself (not an actor) that a room got a message, or
// that a room came to be or changed who may see it.
type Change struct {
	Room string
	New  bool
}

// Users tells which users exist.
type Users interface {
	Exists(name string) bool
}

// Options are what a hub is made of.
type Options struct {
	Log    Log          // required
	Users  Users        // required
	Logger *slog.Logger // required
}

// Hub is the domain. Its methods are safe for concurrent use.
type Hub struct{}

// New makes a hub over a log. Close it when done.
func New(_ context.Context, _ Options) (*Hub, error) { panic("stub") }

// Close ends every wait and every listener.
func (h *Hub) Close() { panic("stub") }

// OnChange registers fn to be told of every change. It is called in order and
// must not block. Register before the first message is sent.
func (h *Hub) OnChange(_ func(Change)) { panic("stub") }

// May reports whether the actor may see the room.
func (h *Hub) May(_ Actor, _ string) bool { panic("stub") }

// OpenRoom creates a room, or joins it if it exists and the actor may.
func (h *Hub) OpenRoom(_ context.Context, _ Actor, _ RoomSpec) (room Room, created bool, err error) {
	panic("stub")
}

// Rooms returns all rooms the actor may see, by name.
func (h *Hub) Rooms(_ context.Context, _ Actor) ([]Room, error) { panic("stub") }

// Room returns one room, or [ErrNotFound].
func (h *Hub) Room(_ context.Context, _ Actor, _ Target) (Room, error) { panic("stub") }

// Send stores a message and returns it once the log has it. duplicate tells
// that an earlier call with the same key had already stored it.
func (h *Hub) Send(_ context.Context, _ Actor, _ Draft) (m Message, duplicate bool, err error) {
	panic("stub")
}

// Streaming is a message on its way, part by part.
type Streaming struct{}

// Stream begins a message that arrives in parts. When the draft's key was used
// before, duplicate holds the message stored then and no stream is begun.
func (h *Hub) Stream(_ context.Context, _ Actor, _ Draft) (s *Streaming, duplicate *Message, err error) {
	panic("stub")
}

// ID is the stream ID, on every partial and on the final message.
func (s *Streaming) ID() string { panic("stub") }

// Part shows listeners the next piece of the text. done of total tells how far
// it is.
func (s *Streaming) Part(_ string, _, _ int) { panic("stub") }

// Finish stores the whole text once and returns it as a message.
func (s *Streaming) Finish(_ context.Context) (Message, error) { panic("stub") }

// Cancel ends the stream with a last partial that says so; nothing is stored.
// After Finish it does nothing.
func (s *Streaming) Cancel() { panic("stub") }

// History reads messages of a room.
func (h *Hub) History(_ context.Context, _ Actor, _ HistoryQuery) (Page, error) { panic("stub") }

// Wait returns as soon as there is a message the query asks for, at once if
// there is one already. When ctx ends first it returns an empty page with the
// cursor to go on from, and no error.
func (h *Hub) Wait(_ context.Context, _ Actor, _ WaitQuery) (Page, error) { panic("stub") }

// Head is the cursor of the newest event, of whatever room.
func (h *Hub) Head() string { panic("stub") }
