package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"wigwag/client"
	"wigwag/hub"
	"wigwag/terminal"
)

// Bounds of what a chat shows below what was said.
const (
	maxWriting = 5 // texts that are being written
	maxUnsent  = 100
)

// chatModel is what a chat on a terminal shows: a function of what has happened
// and what was typed.
type chatModel struct {
	style         lineStyle
	columns, rows int

	room    string // empty: none yet
	opening string // the room that is being gone to, or empty
	state   client.State
	retryAt time.Time // of the state Reconnecting
	writing []client.Partial
	unsent  int // messages that the server has not acknowledged
	editor  terminal.Editor

	above []string // lines since the last frame
}

// What is to be done after a key.
type chatAction struct {
	kind chatKind
	arg  string // a text, a room or a user
}

type chatKind int

const (
	nothing chatKind = iota
	sendText
	goToRoom
	goToUser
	leave    // once all is acknowledged
	leaveNow // whatever is not
)

const chatHelp = "/room NAME goes to a room, /to USER to the room that you have with a user, /quit leaves. Ctrl-C leaves at once.\n" +
	"Alt-Enter, or a paste, makes a message of several lines. // at the beginning is a / of yours."

// press takes a key.
func (m *chatModel) press(k terminal.Key) chatAction {
	switch k.Name {
	case terminal.Interrupt:
		return chatAction{kind: leaveNow}
	case terminal.EOF:
		if m.editor.Text() == "" {
			return chatAction{kind: leave}
		}
		m.editor.Press(terminal.Key{Name: terminal.Delete})
	case terminal.Tab:
	case terminal.Enter:
		return m.enter()
	default:
		m.editor.Press(k)
	}
	return chatAction{}
}

func (m *chatModel) enter() chatAction {
	text := strings.TrimSpace(m.editor.Text())
	command, arg, _ := strings.Cut(text, " ")
	arg = strings.TrimSpace(arg)
	switch {
	case text == "":
		return chatAction{}
	case strings.HasPrefix(text, "//"):
		text = text[1:]
	case command == "/quit":
		return chatAction{kind: leave}
	case command == "/help":
		m.editor.Take()
		m.say(chatHelp)
		return chatAction{}
	case (command == "/room" || command == "/to") && arg != "":
		m.editor.Take()
		m.opening = arg
		if command == "/to" {
			return chatAction{goToUser, arg}
		}
		return chatAction{goToRoom, arg}
	case strings.HasPrefix(text, "/"):
		m.say(fmt.Sprintf("There is no %s that could be done. /help says what there is.", text))
		return chatAction{}
	}
	switch {
	case m.room == "":
		m.say("There is no connection yet.")
		return chatAction{}
	case len(text) > hub.MaxText:
		m.say(fmt.Sprintf("A message has at most %d bytes; this is %d.", hub.MaxText, len(text)))
		return chatAction{}
	case m.unsent == maxUnsent:
		m.say("Too many messages wait to be sent.")
		return chatAction{}
	}
	m.editor.Take()
	m.unsent++
	return chatAction{sendText, text}
}

// say shows something of the program's own.
func (m *chatModel) say(text string) {
	for _, line := range terminal.Wrap(terminal.Text(text), m.width()-2, 0) {
		m.above = append(m.above, m.faint("* "+line))
	}
}

// opened is that a room was gone to; with its last messages.
func (m *chatModel) opened(room string, last []client.Message, now time.Time) {
	m.room, m.opening, m.writing = room, "", nil
	m.say("This is " + room + ". /help says what can be done.")
	for _, message := range last {
		m.event(client.Event{Message: &message}, now)
	}
}

// notOpened is that a room could not be gone to.
func (m *chatModel) notOpened(err error) {
	m.opening = ""
	m.say(err.Error())
}

// sent is that the server has acknowledged a message, or will not.
func (m *chatModel) sent(text string, err error) {
	if m.unsent--; err != nil {
		m.say(fmt.Sprintf("Not sent: %v\n%s", err, text))
	}
}

// event takes what has arrived.
func (m *chatModel) event(ev client.Event, now time.Time) {
	m.style.columns = m.width()
	if ev.Reset != nil || ev.System != nil {
		if said := trouble(ev); said != "" {
			m.say(said)
		}
		return
	}
	if s := ev.State; s != nil {
		m.state, m.retryAt = *s, now.Add(s.RetryIn)
		if s.State != client.Connected && s.Err != nil {
			m.writing = nil // what becomes of them is not known any more
		}
		return
	}
	if p := ev.Partial; p != nil && (!p.IsComplete || !p.Cancelled) {
		m.write(p)
		return
	}
	if p := ev.Partial; p != nil {
		m.forget(p.StreamID)
	}
	if message := ev.Message; message != nil {
		m.forget(message.StreamID)
	}
	m.above = append(m.above, m.style.event(ev, now)...)
}

// write takes a step of a text that is being written. The last one stays until
// the message comes that it is.
func (m *chatModel) write(p *client.Partial) {
	i := slices.IndexFunc(m.writing, func(w client.Partial) bool { return w.StreamID == p.StreamID })
	switch {
	case i >= 0:
		m.writing[i] = *p
	case len(m.writing) < maxWriting:
		m.writing = append(m.writing, *p)
	}
}

func (m *chatModel) forget(stream string) {
	m.writing = slices.DeleteFunc(m.writing, func(w client.Partial) bool { return stream != "" && w.StreamID == stream })
}

// frame returns what the terminal is to show, and begins the next.
func (m *chatModel) frame(now time.Time) terminal.Frame {
	f := terminal.Frame{Above: m.above}
	m.above = nil
	style := m.style
	style.columns = m.width()
	free := max(0, m.rows-3) // for texts that are being written
	for i, p := range m.writing {
		lines := style.event(client.Event{Partial: ending(&p, m.columns*m.rows)}, now)
		most := free / (len(m.writing) - i)
		f.Live = append(f.Live, lines[max(0, len(lines)-most):]...)
		free -= min(most, len(lines))
	}
	f.Live = append(f.Live, m.faint(terminal.Cut(m.status(now), m.width())))
	line, cursor := m.editor.View(max(2, m.width()-len(prompt)))
	f.Live = append(f.Live, prompt+line)
	f.Row, f.Column = len(f.Live)-1, len(prompt)+cursor
	return f
}

const prompt = "> "

// status says where one is, and how the connection is.
func (m *chatModel) status(now time.Time) string {
	var parts []string
	if m.room != "" {
		parts = append(parts, m.room)
	}
	if m.opening != "" {
		parts = append(parts, "going to "+terminal.Line(m.opening))
	}
	if m.unsent > 0 {
		parts = append(parts, fmt.Sprintf("sending %d", m.unsent))
	}
	return "-- " + strings.Join(append(parts, m.connection(now)), " | ")
}

func (m *chatModel) connection(now time.Time) string {
	switch m.state.State {
	case client.Connected:
		return "connected"
	case client.Reconnecting:
		wait := max(0, m.retryAt.Sub(now).Round(time.Second))
		why := ""
		if m.state.Err != nil {
			why = ": " + oneLine(m.state.Err.Error())
		}
		return fmt.Sprintf("reconnecting in %v (attempt %d)%s", wait, m.state.Attempt, why)
	case client.Disconnected:
		refused, answered := errors.AsType[*client.Error](m.state.Err)
		_, ended := errors.AsType[signedOutError](m.state.Err)
		if ended || answered && refused.Status == http.StatusUnauthorized {
			return "signed out: wigwag login signs in again"
		}
		return "disconnected: " + oneLine(fmt.Sprint(m.state.Err))
	}
	return "connecting"
}

// width leaves the last column free, at which terminals do not agree when to
// begin a line.
func (m *chatModel) width() int { return max(10, m.columns-1) }

func (m *chatModel) faint(s string) string {
	if !m.style.colour {
		return s
	}
	return faint + s + normal
}
