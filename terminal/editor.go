package terminal

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

const maxHistory = 100

// Editor is a text being written, shown on one line. Its zero value is empty.
type Editor struct {
	before, after string // of the cursor
	history       []string
	at            int    // of history: what is shown; len(history): what is new
	kept          string // what was new when history was gone to
}

// Text returns what is written.
func (e *Editor) Text() string { return e.before + e.after }

// Take returns what is written, keeps it for the Up key, and begins anew.
func (e *Editor) Take() string {
	text := e.Text()
	if text != "" && (len(e.history) == 0 || e.history[len(e.history)-1] != text) {
		e.history = append(e.history[max(0, len(e.history)+1-maxHistory):], text)
	}
	e.Set("")
	e.at, e.kept = len(e.history), ""
	return text
}

// Set puts a text in place of what is written.
func (e *Editor) Set(text string) { e.before, e.after = text, "" }

// Press does what a key does to the text. It knows nothing of Enter, Interrupt,
// EOF and Tab.
func (e *Editor) Press(k Key) {
	switch k.Name {
	case Backspace:
		e.before = e.before[:e.lastCharacter()]
	case Delete:
		e.after = e.after[e.firstCharacter():]
	case Left:
		e.move(e.lastCharacter())
	case Right:
		e.move(len(e.before) + e.firstCharacter())
	case Home:
		e.move(0)
	case End:
		e.move(len(e.Text()))
	case WordLeft:
		e.move(e.lastWord())
	case WordRight:
		rest := strings.TrimLeftFunc(e.after, unicode.IsSpace)
		if i := strings.IndexFunc(rest, unicode.IsSpace); i >= 0 {
			rest = rest[i:]
		} else {
			rest = ""
		}
		e.move(len(e.Text()) - len(rest))
	case EraseWord:
		e.before = e.before[:e.lastWord()]
	case EraseLeft:
		e.before = ""
	case EraseRight:
		e.after = ""
	case Up:
		e.recall(e.at - 1)
	case Down:
		e.recall(e.at + 1)
	default:
		e.before += typed(k.Text)
	}
}

// move puts the cursor at a byte of the text.
func (e *Editor) move(to int) {
	text := e.Text()
	e.before, e.after = text[:to], text[to:]
}

// recall shows what was written before.
func (e *Editor) recall(at int) {
	if at < 0 || at > len(e.history) || at == e.at {
		return
	}
	if e.at == len(e.history) {
		e.kept = e.Text()
	}
	e.at = at
	if at == len(e.history) {
		e.Set(e.kept)
	} else {
		e.Set(e.history[at])
	}
}

// lastCharacter is where the character before the cursor begins, as readers see
// characters.
func (e *Editor) lastCharacter() int {
	last := ""
	for rest, state := e.before, -1; rest != ""; {
		last, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	return len(e.before) - len(last)
}

// firstCharacter is how long the character at the cursor is.
func (e *Editor) firstCharacter() int {
	first, _, _, _ := uniseg.FirstGraphemeClusterInString(e.after, -1)
	return len(first)
}

// lastWord is where the word before the cursor begins.
func (e *Editor) lastWord() int {
	before := strings.TrimRightFunc(e.before, unicode.IsSpace)
	return strings.LastIndexFunc(before, unicode.IsSpace) + 1
}

// typed is what may be in a message of a terminal's: ends of lines, tabs, and
// what is seen or joins it.
func typed(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || c == '\u200d' || unicode.IsPrint(c) {
			return c
		}
		return -1
	}, s)
}

// View returns the part of the text that is around the cursor, at most so many
// columns wide, and the cursor's column in it.
func (e *Editor) View(columns int) (line string, cursor int) {
	show := func(s string) string { return Line(strings.ReplaceAll(s, "\n", "⏎")) }
	before, after := show(e.before), show(e.after)
	cursor = uniseg.StringWidth(before)
	for state := -1; cursor > columns-1 && before != ""; {
		var width int
		_, before, width, state = uniseg.FirstGraphemeClusterInString(before, state)
		cursor -= width
	}
	if after == "" {
		return before, cursor
	}
	if first := Cut(after, columns-cursor); cursor+uniseg.StringWidth(first) <= columns {
		before += first
	}
	return before, cursor
}
