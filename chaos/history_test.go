package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// history is what everybody saw of a run.
type history struct {
	stored    []message // all that the rooms hold in the end, in no order
	sends     []send
	calls     []call
	sessions  []session
	listeners []listener
	streams   []stream
	complaint []string // what a client found wrong by itself
}

// message is one as it is read or heard.
type message struct {
	ID   string
	Room string
	Text string `json:"message"`
}

// send is a message that a writer wanted to have sent. It tried, always with the
// same idempotency key, until it was acknowledged.
type send struct {
	writer     string
	n          int // the writer's first message is 0
	room, text string
	tries      int
	id         string // as it was acknowledged; "" if it never was
	duplicate  bool   // the acknowledgement said so
	last       string // what the last try that failed came to
}

// call is one try, as the client sees it: outcome is what it came to.
type call struct {
	name    string
	outcome outcome
	detail  string
}

type outcome int

const (
	answered outcome = iota // with a result
	refused                 // with an error that says what was wrong
	lost                    // the connection ended, and the call cannot be resumed
	silent                  // nothing came in all the time there was
	garbled                 // what came is not an answer
)

func (o outcome) String() string {
	return [...]string{"answered", "refused", "lost", "silent", "garbled"}[o]
}

// session is one of an earlier revision.
type session struct {
	name string
	gone string // the answer that said it was not there any more; "" if none did
	last string // how its last request, after the last restart, failed; "" if it did not
}

// listener followed the messages of all rooms.
type listener struct {
	name   string
	after  string // the cursor it began after: "0" is the beginning, "" whatever came first
	heard  []message
	resets []string
}

// stream is a session's own, which tells of changed rooms.
type stream struct {
	name   string
	events []streamEvent
	told   bool // of the last message of the run
}

type streamEvent struct{ id, data string }

// violations are the promises that the server has not kept, each with what
// shows it.
func (h *history) violations() []string {
	v := &violations{}
	for _, c := range h.complaint {
		v.add("%s", c)
	}
	stored := v.storedInOrder(h.stored)
	v.acknowledged(stored, h.sends)
	for _, l := range h.listeners {
		v.heard(stored, l)
	}
	for _, c := range h.calls {
		if c.outcome == silent || c.outcome == garbled {
			v.add("call %s is %s: %s", c.name, c.outcome, c.detail)
		}
	}
	for _, s := range h.sessions {
		if s.gone != "" {
			v.add("session %s is gone: %s", s.name, s.gone)
		}
		if s.last != "" {
			v.add("session %s does not go on: %s", s.name, s.last)
		}
	}
	for _, s := range h.streams {
		v.streamed(s)
	}
	return v.found
}

type violations struct{ found []string }

func (v *violations) add(format string, args ...any) {
	v.found = append(v.found, fmt.Sprintf(format, args...))
}

// storedInOrder sorts what is stored. It is of one epoch, no place is taken
// twice and no text is there twice.
func (v *violations) storedInOrder(all []message) []message {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b message) int {
		_, x, _ := place(a.ID)
		_, y, _ := place(b.ID)
		return cmp.Compare(x, y)
	})
	texts := make(map[string]string, len(all))
	for i, m := range all {
		epoch, seq, ok := place(m.ID)
		if !ok {
			v.add("stored: %q is not the ID of a message", m.ID)
			continue
		}
		if i > 0 {
			before, last, _ := place(all[i-1].ID)
			if epoch != before {
				v.add("stored: %s is of another epoch than %s", m.ID, all[i-1].ID)
			}
			if seq == last {
				v.add("stored: %s is the ID of %q and of %q", m.ID, all[i-1].Text, m.Text)
			}
		}
		if first, twice := texts[m.Text]; twice {
			v.add("stored: %q is there twice, as %s and %s", m.Text, first, m.ID)
		}
		texts[m.Text] = m.ID
	}
	return all
}

// acknowledged compares what was sent with what is stored.
func (v *violations) acknowledged(stored []message, sends []send) {
	there := make(map[string]message, len(stored))
	for _, m := range stored {
		there[m.Text] = m
	}
	sent := make(map[string]bool, len(sends))
	newest := make(map[string]send) // of each writer
	for _, s := range sends {
		sent[s.text] = true
		m, found := there[s.text]
		switch {
		case s.id == "":
			v.add("send %q was never acknowledged in %d tries, the last: %s", s.text, s.tries, s.last)
		case !found:
			v.add("send %q was acknowledged as %s and is lost", s.text, s.id)
		case m.ID != s.id:
			v.add("send %q was acknowledged as %s and is stored as %s", s.text, s.id, m.ID)
		case m.Room != s.room:
			v.add("send %q went to %s and is stored in %s", s.text, s.room, m.Room)
		}
		if s.duplicate && s.tries == 1 {
			v.add("send %q was sent once and answered as a duplicate", s.text)
		}
		if before, ok := newest[s.writer]; ok && s.id != "" && before.id != "" {
			_, x, _ := place(before.id)
			_, y, _ := place(s.id)
			if s.n > before.n && y <= x || s.n < before.n && y >= x {
				v.add("%s sent message %d as %s and message %d as %s, which is not their order", s.writer, before.n, before.id, s.n, s.id)
			}
		}
		newest[s.writer] = s
	}
	for _, m := range stored {
		if !sent[m.Text] {
			v.add("stored: %s is %q, which nobody has sent", m.ID, m.Text)
		}
	}
}

// heard compares what a listener heard with what is stored: all from where it
// began, each once and in order.
func (v *violations) heard(stored []message, l listener) {
	for _, r := range l.resets {
		v.add("listener %s got a reset: %s", l.name, r)
	}
	want := stored
	switch {
	case len(l.heard) == 0:
		v.add("listener %s heard nothing", l.name)
		return
	case l.after == "":
		i := slices.Index(stored, l.heard[0])
		if i < 0 {
			v.add("listener %s first heard %s %q, which is not stored", l.name, l.heard[0].ID, l.heard[0].Text)
			return
		}
		want = stored[i:]
	case l.after != "0":
		i := slices.IndexFunc(stored, func(m message) bool { return m.ID == l.after })
		want = stored[i+1:]
	}
	for i := range max(len(want), len(l.heard)) {
		switch {
		case i >= len(l.heard):
			v.add("listener %s heard nothing after %s, and %d messages are stored after it, first %s", l.name, l.heard[i-1].ID, len(want)-i, want[i].ID)
			return
		case i >= len(want):
			v.add("listener %s heard %s %q after the last message", l.name, l.heard[i].ID, l.heard[i].Text)
			return
		case l.heard[i] != want[i]:
			v.add("listener %s heard %s %q in %s as its message %d, where %s %q in %s is stored",
				l.name, l.heard[i].ID, l.heard[i].Text, l.heard[i].Room, i, want[i].ID, want[i].Text, want[i].Room)
			return
		}
	}
}

// streamed checks that no event of a session's stream came twice, and that it
// still tells of changes in the end.
func (v *violations) streamed(s stream) {
	seen := make(map[string]string, len(s.events))
	for _, ev := range s.events {
		if before, twice := seen[ev.id]; twice {
			v.add("stream %s: the event %s came twice: %s and %s", s.name, ev.id, before, ev.data)
		}
		seen[ev.id] = ev.data
	}
	if !s.told {
		v.add("stream %s was not told of the last message; %d events came", s.name, len(s.events))
	}
}

// place splits the ID of a message into its epoch and sequence.
func place(id string) (epoch string, seq int, ok bool) {
	epoch, number, _ := strings.Cut(id, "-")
	seq, err := strconv.Atoi(number)
	return epoch, seq, err == nil && epoch != ""
}
