package terminal

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

// emulated is as much of a terminal as a Screen uses: lines that scroll away
// upwards, and a cursor.
type emulated struct {
	t           *testing.T
	lines       []string // of characters one column wide
	row, column int
}

func (e *emulated) Write(p []byte) (int, error) {
	for rest := string(p); rest != ""; {
		var c string
		if at := steering.FindStringIndex(rest); at != nil && at[0] == 0 {
			c, rest = rest[:at[1]], rest[at[1]:]
		} else {
			c, rest, _, _ = uniseg.FirstGraphemeClusterInString(rest, -1)
		}
		for e.row >= len(e.lines) {
			e.lines = append(e.lines, "")
		}
		var n int
		switch final := c[len(c)-1]; {
		case c == "\r\n":
			e.row, e.column = e.row+1, 0
		case c == "\r":
			e.column = 0
		case c == "\x1b[J":
			e.lines = append(e.lines[:e.row], string([]rune(e.lines[e.row])[:e.column]))
		case strings.HasPrefix(c, "\x1b[?") && (final == 'h' || final == 'l'):
		case c[0] == 0x1b && final == 'm':
		case c[0] == 0x1b:
			if _, err := fmt.Sscanf(c[2:len(c)-1], "%d", &n); err != nil {
				e.t.Fatalf("%q", c)
			}
			switch final {
			case 'A':
				e.row -= n
			case 'C':
				e.column += n
			default:
				e.t.Fatalf("%q", c)
			}
		default:
			line := []rune(e.lines[e.row] + strings.Repeat(" ", max(0, e.column-len([]rune(e.lines[e.row])))))
			e.lines[e.row] = string(line[:e.column]) + c + string(line[min(len(line), e.column+1):])
			e.column++
		}
		if e.row < 0 {
			e.t.Fatalf("above the first line, after %q", c)
		}
	}
	return len(p), nil
}

func TestScreen(t *testing.T) {
	terminal := &emulated{t: t}
	s := NewScreen(terminal)
	for i, tt := range []struct {
		frame       Frame
		want        []string
		row, column int
	}{
		{Frame{Live: []string{"status", "> "}, Row: 1, Column: 2}, []string{"status", "> "}, 1, 2},
		{Frame{Above: []string{"first"}, Live: []string{"status", "> a"}, Row: 1, Column: 3}, []string{"first", "status", "> a"}, 2, 3},
		{Frame{Live: []string{"bob: it", "    grows", "status", "> ab"}, Row: 3, Column: 3}, []string{"first", "bob: it", "    grows", "status", "> ab"}, 4, 3},
		{Frame{Above: []string{"bob: it grew", "two"}, Live: []string{"> ab", "below"}, Row: 0, Column: 1}, []string{"first", "bob: it grew", "two", "> ab", "below"}, 3, 1},
		{Frame{Live: []string{"> "}, Row: 0, Column: 2}, []string{"first", "bob: it grew", "two", "> "}, 3, 2},
		{Frame{Above: []string{"bye"}}, []string{"first", "bob: it grew", "two", "bye", ""}, 4, 0},
	} {
		if err := s.Draw(tt.frame, 80); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(terminal.lines, tt.want) || terminal.row != tt.row || terminal.column != tt.column {
			t.Errorf("after frame %d: %q, at %d, %d; want %q, at %d, %d", i, terminal.lines, terminal.row, terminal.column, tt.want, tt.row, tt.column)
		}
	}
}

// A terminal that became narrower has broken the live lines into more.
func TestScreenNarrower(t *testing.T) {
	s := NewScreen(&emulated{t: t})
	if err := s.Draw(Frame{Live: []string{strings.Repeat("\x1b[1mx\x1b[0m", 70), strings.Repeat("y", 50)}, Row: 1, Column: 50}, 80); err != nil {
		t.Fatal(err)
	}
	if got := s.home(40); got != "\r\x1b[3A" { // two lines of x, and the first of y
		t.Errorf("%q", got)
	}
	if got := s.home(80); got != "\r\x1b[1A" {
		t.Errorf("%q", got)
	}
}
