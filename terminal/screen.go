package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rivo/uniseg"
	"golang.org/x/term"
)

// Is reports whether a reader or writer is a terminal.
func Is(file any) bool {
	f, ok := file.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Raw makes a terminal hand over every key at once and show none, until restore
// is called. What is pasted is marked as such.
func Raw(in, out *os.File) (restore func() error, err error) {
	const markPastes, leavePastes = "\x1b[?2004h", "\x1b[?2004l"
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	restore = func() error {
		_, _ = io.WriteString(out, leavePastes) // fails only where there is nothing left to restore
		return term.Restore(int(in.Fd()), before)
	}
	if _, err := io.WriteString(out, markPastes); err != nil {
		return nil, fmt.Errorf("%w (%v)", err, restore()) //nolint:errorlint // the first one counts
	}
	return restore, nil
}

// Size is that of a terminal, or the customary one where it does not say.
func Size(out *os.File) (columns, rows int) {
	columns, rows, err := term.GetSize(int(out.Fd()))
	if err != nil || columns < 1 || rows < 1 {
		return 80, 24
	}
	return columns, rows
}

// Frame is what is to be on a terminal next. Its lines must fit into a terminal's
// columns, and those that are live into its rows.
type Frame struct {
	Above       []string // new lines, which scroll away in time
	Live        []string // below them, in place of the live lines before
	Row, Column int      // of the cursor, in Live
}

// Screen writes frames to a terminal. It must be the only one that writes.
type Screen struct {
	out   io.Writer
	live  []string // as they were written
	row   int      // of the cursor in live
	width int      // of what stands before the cursor in its row
}

// NewScreen writes to out, on which the cursor is at the beginning of a line.
func NewScreen(out io.Writer) *Screen { return &Screen{out: out} }

// Draw shows a frame, on a terminal of so many columns.
func (s *Screen) Draw(f Frame, columns int) error {
	const begin, end = "\x1b[?2026h", "\x1b[?2026l" // shown at once, where the terminal knows how
	var b strings.Builder
	b.WriteString(begin + s.home(columns) + "\x1b[J")
	for _, line := range f.Above {
		b.WriteString(line + "\r\n")
	}
	b.WriteString(strings.Join(f.Live, "\r\n"))
	if up := len(f.Live) - 1 - f.Row; up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteString("\r")
	if f.Column > 0 {
		fmt.Fprintf(&b, "\x1b[%dC", f.Column)
	}
	b.WriteString(end)
	s.live, s.row, s.width = f.Live, f.Row, f.Column
	_, err := io.WriteString(s.out, b.String())
	return err
}

// home goes to the beginning of the live lines. A terminal that has become
// narrower has broken them.
func (s *Screen) home(columns int) string {
	up := s.width / columns
	for _, line := range s.live[:min(s.row, len(s.live))] {
		up += 1 + max(0, uniseg.StringWidth(plain(line))-1)/columns
	}
	if up == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", up)
}

// plain is a line of ours without its colours.
func plain(line string) string { return steering.ReplaceAllString(line, "") }
