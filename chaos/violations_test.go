package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sound is a history in which everything holds: two writers, two rooms,
// listeners, a session and its stream.
func sound() *history {
	h := &history{
		calls: []call{
			{"1", answered, ""},
			{"2", refused, "draining"},
			{"3", lost, "connection reset"},
		},
		sessions: []session{{name: "s"}},
		streams:  []stream{{name: "s", events: []streamEvent{{"a-1", "x"}, {"a-2", "x"}, {"b-1", "y"}}, told: true}},
	}
	for i := range 4 {
		writer, room := fmt.Sprint("w", i%2), fmt.Sprint("room", i%2)
		text := fmt.Sprintf("%s says %d", writer, i/2)
		m := message{ID: fmt.Sprintf("e-%d", 2*i+1), Room: room, Text: text}
		h.stored = append(h.stored, m)
		h.sends = append(h.sends, send{writer: writer, n: i / 2, room: room, text: text, tries: 1 + i%2, id: m.ID, duplicate: i%2 > 0})
	}
	h.listeners = []listener{
		{name: "all", after: "0", heard: slices.Clone(h.stored)},
		{name: "late", heard: slices.Clone(h.stored[2:])},
		{name: "from 3", after: "e-3", heard: slices.Clone(h.stored[2:])},
	}
	slices.Reverse(h.stored) // pages of rooms come in any order
	return h
}

// TestViolations tries the checker itself: on a history in which all holds it
// finds nothing, and on each that was tampered with it finds what is wrong, and
// nothing else.
func TestViolations(t *testing.T) {
	if found := sound().violations(); len(found) > 0 {
		t.Fatalf("a sound history: %q", found)
	}
	heard := func(h *history) *[]message { return &h.listeners[0].heard }
	for name, test := range map[string]struct {
		tamper func(h *history)
		want   []string // part of each of the violations
	}{
		"an acknowledged message is lost": {
			func(h *history) {
				h.stored = slices.Delete(h.stored, 3, 4) // the first
				*heard(h) = (*heard(h))[1:]
			},
			[]string{`"w0 says 0" was acknowledged as e-1 and is lost`},
		},
		"a message is stored twice": {
			func(h *history) {
				twice := message{"e-8", "room1", "w1 says 1"}
				h.stored = append(h.stored, twice)
				for i := range h.listeners {
					h.listeners[i].heard = append(h.listeners[i].heard, twice)
				}
			},
			[]string{`"w1 says 1" is there twice, as e-7 and e-8`, "acknowledged as e-7 and is stored as e-8"},
		},
		"an ID is given twice": {
			func(h *history) {
				h.stored[0].ID = "e-5" // was e-7
				h.sends[3].id = "e-5"
				for i := range h.listeners {
					l := h.listeners[i].heard
					l[len(l)-1].ID = "e-5"
					l[len(l)-1], l[len(l)-2] = l[len(l)-2], l[len(l)-1]
				}
			},
			[]string{"e-5 is the ID of"},
		},
		"the epoch changes": {
			func(h *history) {
				h.stored[0].ID = "f-7"
				h.sends[3].id = "f-7"
				for i := range h.listeners {
					l := h.listeners[i].heard
					l[len(l)-1].ID = "f-7"
				}
			},
			[]string{"f-7 is of another epoch than e-5"},
		},
		"an ID is none": {
			func(h *history) {
				h.stored[3].ID, h.sends[0].id, (*heard(h))[0].ID = "-1", "-1", "-1"
			},
			[]string{`"-1" is not the ID of a message`, "e-3 is of another epoch than -1"},
		},
		"a message moves": {
			func(h *history) { h.sends[0].id = "e-2" },
			[]string{"acknowledged as e-2 and is stored as e-1"},
		},
		"a message is in another room": {
			func(h *history) { h.sends[0].room = "room1" },
			[]string{"went to room1 and is stored in room0"},
		},
		"a writer's messages swap": {
			func(h *history) {
				h.sends[0].id, h.sends[2].id = h.sends[2].id, h.sends[0].id
				h.stored[3].Text, h.stored[1].Text = h.stored[1].Text, h.stored[3].Text
				h.listeners = nil
			},
			[]string{"w0 sent message 0 as e-5 and message 1 as e-1"},
		},
		"a send is never acknowledged": {
			func(h *history) { h.sends[1].id, h.sends[1].last = "", "503" },
			[]string{`"w1 says 0" was never acknowledged in 2 tries, the last: 503`},
		},
		"an only try is called a duplicate": {
			func(h *history) { h.sends[0].duplicate = true },
			[]string{`"w0 says 0" was sent once and answered as a duplicate`},
		},
		"a message comes from nowhere": {
			func(h *history) {
				ghost := message{"e-9", "room0", "boo"}
				h.stored = append(h.stored, ghost)
				for i := range h.listeners {
					h.listeners[i].heard = append(h.listeners[i].heard, ghost)
				}
			},
			[]string{`e-9 is "boo", which nobody has sent`},
		},
		"a listener misses one": {
			func(h *history) { *heard(h) = slices.Delete(*heard(h), 1, 2) },
			[]string{`listener all heard e-5 "w0 says 1" in room0 as its message 1, where e-3`},
		},
		"a listener misses the first": {
			func(h *history) { *heard(h) = (*heard(h))[1:] },
			[]string{"listener all heard e-3"},
		},
		"a listener misses the last": {
			func(h *history) { *heard(h) = (*heard(h))[:3] },
			[]string{"listener all heard nothing after e-5, and 1 messages are stored after it, first e-7"},
		},
		"a listener hears one twice": {
			func(h *history) { *heard(h) = slices.Insert(*heard(h), 1, (*heard(h))[0]) },
			[]string{"listener all heard e-1"},
		},
		"a listener hears the last twice": {
			func(h *history) { *heard(h) = append(*heard(h), (*heard(h))[3]) },
			[]string{`listener all heard e-7 "w1 says 1" after the last message`},
		},
		"a listener hears two in the wrong order": {
			func(h *history) { (*heard(h))[1], (*heard(h))[2] = (*heard(h))[2], (*heard(h))[1] },
			[]string{"listener all heard e-5"},
		},
		"a listener hears another text": {
			func(h *history) { (*heard(h))[1].Text = "else" },
			[]string{`listener all heard e-3 "else"`},
		},
		"a listener hears what was never stored": {
			func(h *history) { h.listeners[1].heard = []message{{"e-6", "room0", "gone"}} },
			[]string{`listener late first heard e-6 "gone", which is not stored`},
		},
		"a late listener has a gap": {
			func(h *history) { h.listeners[1].heard = slices.Insert(h.listeners[1].heard, 0, h.stored[3]) },
			[]string{"listener late heard e-5"},
		},
		"a listener hears from before its cursor": {
			func(h *history) { h.listeners[2].heard = slices.Insert(h.listeners[2].heard, 0, h.stored[3]) },
			[]string{"listener from 3 heard e-1"},
		},
		"a listener hears nothing": {
			func(h *history) { h.listeners[1].heard = nil },
			[]string{"listener late heard nothing"},
		},
		"a listener is reset": {
			func(h *history) { h.listeners[0].resets = []string{"is of another log"} },
			[]string{"listener all got a reset: is of another log"},
		},
		"a call stays without an answer": {
			func(h *history) { h.calls = append(h.calls, call{"4", silent, "1m0s"}) },
			[]string{"call 4 is silent: 1m0s"},
		},
		"an answer is none": {
			func(h *history) { h.calls = append(h.calls, call{"4", garbled, "<html>"}) },
			[]string{"call 4 is garbled: <html>"},
		},
		"a session is gone": {
			func(h *history) { h.sessions[0].gone = "404" },
			[]string{"session s is gone: 404"},
		},
		"a session does not go on": {
			func(h *history) { h.sessions[0].last = "500" },
			[]string{"session s does not go on: 500"},
		},
		"an event comes twice": {
			func(h *history) { h.streams[0].events = append(h.streams[0].events, streamEvent{"a-2", "z"}) },
			[]string{"stream s: the event a-2 came twice: x and z"},
		},
		"a subscription is forgotten": {
			func(h *history) { h.streams[0].told = false },
			[]string{"stream s was not told of the last message"},
		},
		"a client complains": {
			func(h *history) { h.complaint = []string{"503 without Retry-After"} },
			[]string{"503 without Retry-After"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := sound()
			test.tamper(h)
			found := h.violations()
			for _, part := range test.want {
				if !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, part) }) {
					t.Errorf("nothing speaks of %s", part)
				}
			}
			if len(found) != len(test.want) {
				t.Errorf("%d violations, want %d: %q", len(found), len(test.want), found)
			}
		})
	}
}
