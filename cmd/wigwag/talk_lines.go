package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"wigwag/client"
	"wigwag/terminal"
)

// indent is what the lines of an event begin with, but for the first.
const indent = 4

// lineStyle is how events look as lines of text.
type lineStyle struct {
	colour bool
	// columns a terminal has. 0 is a file or a pipe: there an event is one line.
	columns int
	zone    *time.Location
}

// colours decides whether there are colours on out.
func colours(mode string, env environment, out io.Writer) bool {
	return mode == "always" || mode == "auto" && env["NO_COLOR"] == "" && env["TERM"] != "dumb" && terminal.Is(out)
}

// The colours, of what stands before a text.
const (
	faint  = "\x1b[2m"
	bold   = "\x1b[1m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	normal = "\x1b[0m"
)

// head is what stands before a text: its words, in their colours.
type head struct{ text, painted string }

func (h *head) add(colour, word string) {
	if word = terminal.Line(word); word == "" {
		return
	}
	if h.text != "" {
		h.text, h.painted = h.text+" ", h.painted+" "
	}
	h.text += word
	if colour == "" {
		h.painted += word
	} else {
		h.painted += colour + word + normal
	}
}

// event returns an event as lines; none for one that is not shown. now is what
// day it is.
func (s lineStyle) event(ev client.Event, now time.Time) []string {
	var h head
	at := func(t time.Time) { h.add(faint, s.clock(t, now)) }
	switch {
	case ev.Message != nil:
		m := ev.Message
		text := m.Message
		if m.Interrupted {
			text += " [interrupted]"
		}
		at(m.Time)
		h.add(faint, m.Room)
		h.add(bold, senderName(m.Sender)+":")
		return s.lines(h, text)
	case ev.Partial != nil:
		p := ev.Partial
		at(p.Time)
		h.add(faint, p.Room)
		h.add(bold, senderName(p.Sender))
		h.add(faint, partialState(p)+":")
		return s.lines(h, p.Message)
	case ev.Notification != nil:
		n := ev.Notification
		at(n.Time)
		h.add(levelColour(n.Level), "["+n.Level+"]")
		to := ""
		if n.To != "" {
			to = " to " + n.To
		}
		h.add(bold, senderName(n.Sender)+to+":")
		text := n.Message
		if n.Title != "" {
			text = n.Title + ": " + text
		}
		if n.Progress != nil {
			text += fmt.Sprintf(" (%d %%)", *n.Progress)
		}
		return s.lines(h, text)
	case ev.Line != nil:
		l := ev.Line
		at(l.Time)
		h.add(levelColour(l.Level), l.Level)
		h.add(faint, l.Logger)
		h.add(bold, senderName(l.Sender)+":")
		return s.lines(h, strings.TrimSpace(l.Message+" "+string(l.Fields)))
	case ev.Presence != nil:
		at(ev.Presence.Time)
		return s.lines(h, ev.Presence.User+map[bool]string{true: " is here", false: " has left"}[ev.Presence.Online])
	case ev.Typing != nil:
		at(ev.Typing.Time)
		h.add(faint, ev.Typing.Room)
		return s.lines(h, ev.Typing.User+" is writing")
	}
	return nil
}

// lines are a head and a text.
func (s lineStyle) lines(h head, text string) []string {
	if !s.colour {
		h.painted = h.text
	}
	if s.columns == 0 {
		return []string{h.painted + " " + strings.TrimSpace(terminal.Line(text))}
	}
	lines := terminal.Wrap(h.text+" "+strings.TrimRight(terminal.Text(text), " \n"), s.columns, indent)
	if rest, whole := strings.CutPrefix(lines[0], h.text); whole {
		lines[0] = h.painted + rest
	}
	return lines
}

// clock is a time as short as it can be.
func (s lineStyle) clock(t, now time.Time) string {
	t, now = t.In(s.zone), now.In(s.zone)
	if t.Format(dateOnly) == now.Format(dateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

func senderName(s client.Sender) string {
	if s.Via == "" {
		return s.Name
	}
	return s.Name + " (via " + s.Via + ")"
}

func partialState(p *client.Partial) string {
	switch {
	case p.Cancelled:
		return "broke off"
	case p.IsComplete:
		return "has written"
	case p.Progress == 0:
		return "is writing"
	}
	return fmt.Sprintf("is writing (%d %%)", p.Progress)
}

// ending is a text that is being written without what so many characters on a
// terminal have no place for: it is drawn often, and may be long.
func ending(p *client.Partial, places int) *client.Partial {
	cut := *p
	if most := places * utf8.UTFMax; len(cut.Message) > most {
		cut.Message = "…" + cut.Message[len(cut.Message)-most:]
	}
	return &cut
}

func levelColour(level string) string {
	return map[string]string{"warning": yellow, "warn": yellow, "error": red}[level]
}

// eventJSON is an event as a line of JSON says it; ok is false for what is not
// of the server's.
func eventJSON(ev client.Event) (named struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}, ok bool,
) {
	switch {
	case ev.Message != nil:
		named.Event, named.Data = "message", ev.Message
	case ev.Partial != nil:
		named.Event, named.Data = "partial-message", ev.Partial
	case ev.Notification != nil:
		named.Event, named.Data = "notification", ev.Notification
	case ev.Line != nil:
		named.Event, named.Data = "log", ev.Line
	case ev.Presence != nil:
		named.Event, named.Data = "presence", ev.Presence
	case ev.Typing != nil:
		named.Event, named.Data = "typing", ev.Typing
	case ev.Reset != nil:
		named.Event, named.Data = "reset", ev.Reset
	}
	return named, named.Event != ""
}

// trouble is what is to be said of an event beside what is shown of it, such as
// a connection that was lost; or nothing.
func trouble(ev client.Event) string {
	switch s := ev.State; {
	case s != nil && s.State == client.Reconnecting && s.Err != nil:
		return fmt.Sprintf("no connection, trying again in %v (attempt %d): %s", cmp.Or(s.RetryIn.Round(time.Second), time.Second), s.Attempt, oneLine(s.Err.Error()))
	case ev.Reset != nil:
		return "messages may be missing here: " + oneLine(ev.Reset.Reason)
	case ev.System != nil && ev.System.Type == "warning":
		return oneLine(ev.System.Message)
	}
	return ""
}
