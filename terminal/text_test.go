package terminal

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/rivo/uniseg"
)

func TestText(t *testing.T) {
	for _, tt := range []struct{ name, in, line, text string }{
		{"plain", "Grüße, 世界 🙂", "Grüße, 世界 🙂", "Grüße, 世界 🙂"},
		{"lines", "a\r\nb\nc\u2028d\u0085e", "a b c d e", "a\nb\nc\nd\ne"},
		{"carriage return", "safe\rrm -rf", "safe rm -rf", "safe rm -rf"},
		{"tab", "a\tb", "a b", "a b"},
		{"colours", "\x1b[1;31mred\x1b[0m", "red", "red"},
		{"8 bit", "\u009b31mred\u009b0m", "red", "red"},
		{"cursor", "\x1b[2J\x1b[H\x1b7gone\x1b8", "gone", "gone"},
		{"title", "\x1b]0;owned\x07text", "text", "text"},
		{"link", "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\", "here", "here"},
		{"clipboard", "\x1b]52;c;cm0gLXJm\x07x", "x", "x"},
		{"device control", "\x1bP+q544e\x1b\\x", "x", "x"},
		{"character set", "\x1b(0lqk\x1b(B", "lqk", "lqk"},
		{"without an end", "\x1b]0;all that follows", " ]0;all that follows", " ]0;all that follows"},
		{"half", "a\x1b[", "a [", "a ["},
		{"backspace, bell, NUL, DEL", "a\b\a\x00\x7f", "a    ", "a    "},
		{"bidi", "a\u202eb\u2066c\u200fd", "a b c d", "a b c d"},
		{"not seen", "a\u200bb\ufeffc\u00add\u00a0e", "a b c d e", "a b c d e"},
		{"tags", "a\U000e0041b", "a b", "a b"},
		{"joined", "👩\u200d👧 ❤\ufe0f", "👩👧 ❤", "👩👧 ❤"},
		{"marks", "Z" + strings.Repeat("\u0301", 50) + "e\u0301", "Z" + strings.Repeat("\u0301", 8) + "e\u0301", "Z" + strings.Repeat("\u0301", 8) + "e\u0301"},
		{"not UTF-8", "a\xff\xc3b", "ab", "ab"},
	} {
		if got := Line(tt.in); got != tt.line {
			t.Errorf("%s: Line is %q, want %q", tt.name, got, tt.line)
		}
		if got := Text(tt.in); got != tt.text {
			t.Errorf("%s: Text is %q, want %q", tt.name, got, tt.text)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		in      string
		columns int
		indent  int
		want    []string
	}{
		{"", 10, 2, []string{""}},
		{"short", 10, 2, []string{"short"}},
		{"one two three four", 10, 2, []string{"one two", "  three", "  four"}},
		{"a\n\nb", 10, 2, []string{"a", "", "  b"}},
		{"abcdefghijklmno", 6, 2, []string{"abcdef", "  ghij", "  klmn", "  o"}},
		{"12:00 bob: x" + strings.Repeat(" ", 20) + "12:01 eve: y", 16, 2, []string{"12:00 bob: x", "  12:01 eve: y"}},
		{"世界世界世界", 5, 1, []string{"世界", " 世界", " 世界"}},
		{"one\n12:00 eve: two", 80, 2, []string{"one", "  12:00 eve: two"}},
		{"wide", 1, 4, []string{"w", "i", "d", "e"}},
		{"ab xyzuv", 5, 2, []string{"ab", "  xyz", "  uv"}},
	} {
		if got := Wrap(tt.in, tt.columns, tt.indent); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %d columns is %q, want %q", tt.in, tt.columns, got, tt.want)
		}
	}
}

// Whatever somebody writes, nothing of it steers a terminal, and it stays
// within its columns.
func FuzzText(f *testing.F) {
	f.Add("a\x1b[31mb\u202e\r\n世界\u0301", uint8(10), uint8(2))
	f.Add("\x1b\x1b[[\u009b\u009d;\x07", uint8(2), uint8(9))
	f.Fuzz(func(t *testing.T, s string, columns, indent uint8) {
		text := Text(s)
		for _, c := range text {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Fatalf("%q of %q", c, s)
			}
		}
		if strings.Contains(Line(s), "\n") {
			t.Fatalf("two lines of %q", s)
		}
		if columns < 2 {
			return
		}
		for _, line := range Wrap(text, int(columns), int(indent)) {
			if uniseg.StringWidth(line) > int(columns) && len(line) > len(Cut(strings.TrimLeft(line, " "), 1))+int(indent) {
				t.Fatalf("%q is wider than %d", line, columns)
			}
		}
	})
}

// What is as long as a message can be, without a space, is wrapped in a moment.
func BenchmarkWrap(b *testing.B) {
	long := strings.Repeat("x", 65_536)
	for b.Loop() {
		Wrap(Text(long), 80, 2)
	}
}
