// Package terminal is what a conversation on a terminal needs: text of others
// made fit to be shown, a line editor, and a few live lines below what scrolls
// away.
package terminal

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// steering are the sequences by which text steers a terminal (ECMA-48): of
// control (colours, the cursor), of the operating system (titles, links,
// clipboards), strings, and the short ones. One that has no end is left to be
// taken apart, for it hides what follows.
var steering = regexp.MustCompile("(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]" +
	"|(?:\x1b\\]|\u009d)[^\x07\x1b\u009c]*(?:\x07|\x1b\\\\|\u009c)" +
	"|(?:\x1b[PX^_]|[\u0090\u0098\u009e\u009f])[^\x1b\u009c]*(?:\x1b\\\\|\u009c)" +
	"|\x1b[ -/]+[0-~]|\x1b[0-OQ-WYZ\\\\`-~]")

// maxMarks is how many marks may stand on one character. With more, text grows
// into the lines above and below it.
const maxMarks = 8

// Line is text of somebody else as it may stand on one line of a terminal:
// without what steers it, is not seen or changes the direction of what follows.
// What is left is as wide on every terminal.
func Line(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' {
			return ' '
		}
		return c
	}, Text(s))
}

// Text is [Line], but for the ends of lines, which stay.
func Text(s string) string {
	s = steering.ReplaceAllString(strings.ToValidUTF8(s, ""), "")
	s = strings.NewReplacer("\r\n", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(s)
	marks := 0
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 0xfe00 && c <= 0xfe0f, c >= 0xe0100 && c <= 0xe01ef, c == '\u200d':
			return -1 // variants and joins, which terminals do not agree on
		case unicode.Is(unicode.M, c):
			if marks++; marks > maxMarks {
				return -1
			}
			return c
		}
		marks = 0
		if c != '\n' && !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
}

// Wrap cuts what [Line] or [Text] returned into lines of at most so many columns,
// at spaces where there are some. What follows the first line is indented, so
// that nobody's text can look like the beginning of another's.
func Wrap(s string, columns, indent int) []string {
	indent = min(indent, columns/2)
	var lines []string
	for paragraph := range strings.SplitSeq(s, "\n") {
		var line string
		var width, begin int // of the line, and where its text begins
		next := func() { line, width, begin = strings.Repeat(" ", indent), indent, indent }
		end := func() { lines = append(lines, strings.TrimRight(line, " ")) }
		if len(lines) > 0 {
			next()
		}
		state := -1
		for paragraph != "" {
			var segment string
			segment, paragraph, _, state = uniseg.FirstLineSegmentInString(paragraph, state)
			word := uniseg.StringWidth(strings.TrimRight(segment, " "))
			if width > begin && width+word > columns {
				end()
				next()
			}
			for width+word > columns { // longer than a line
				head := Cut(segment, columns-width)
				line, segment = line+head, segment[len(head):]
				word -= uniseg.StringWidth(head)
				end()
				next()
			}
			line, width = line+segment, width+uniseg.StringWidth(segment)
		}
		end()
	}
	return lines
}

// Cut returns as much of the beginning of s as fits into so many columns, and at
// least one character.
func Cut(s string, columns int) string {
	taken, width, state := 0, 0, -1
	for rest := s; rest != ""; {
		var cluster string
		var w int
		cluster, rest, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if width += w; width > columns && taken > 0 {
			break
		}
		taken += len(cluster)
	}
	return s[:taken]
}
