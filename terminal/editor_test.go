package terminal

import (
	"strings"
	"testing"
)

func TestEditor(t *testing.T) {
	for _, tt := range []struct {
		name, typed, before, after string
	}{
		{"insert", "ac\x1b[Db", "ab", "c"},
		{"characters as readers see them", "👩\u200d👧e\u0301\x1b[D\x1b[Dx", "x", "👩\u200d👧e\u0301"},
		{"backspace", "ae\u0301\x7f", "a", ""},
		{"backspace at the beginning", "a\x01\x7f", "", "a"},
		{"delete", "ab\x01\x1b[3~", "", "b"},
		{"delete at the end", "ab\x1b[3~", "ab", ""},
		{"home and end", "bc\x01a\x05d", "abcd", ""},
		{"words", "one two three\x1bb\x1bb", "one ", "two three"},
		{"words forward", "one two\x01\x1bf", "one", " two"},
		{"the last word forward", "one two\x01\x1bf\x1bf\x1bf", "one two", ""},
		{"erase a word", "one two  \x17", "one ", ""},
		{"erase left and right", "abcd\x02\x02\x15x\x0b", "x", ""},
		{"history", "one\rtwo\rnew\x1b[A\x1b[A", "one", ""},
		{"history and back", "one\rnew\x1b[A\x1b[B", "new", ""},
		{"history has an end", "one\r\x1b[A\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B", "", ""},
		{"the same twice", "one\rone\r\x1b[A\x1b[A", "one", ""},
		{"control characters", "a\x1b[200~b\x1b[31mc\x07\u202ed\te\x1b[201~", "ab[31mcd\te", ""},
	} {
		var e Editor
		for _, key := range readKeys(t, tt.typed) {
			if key.Name == Enter {
				e.Take()
				continue
			}
			e.Press(key)
		}
		if e.before != tt.before || e.after != tt.after {
			t.Errorf("%s: %q|%q, want %q|%q", tt.name, e.before, e.after, tt.before, tt.after)
		}
	}
}

func TestEditorView(t *testing.T) {
	for _, tt := range []struct {
		before, after string
		columns       int
		line          string
		cursor        int
	}{
		{"", "", 10, "", 0},
		{"abc", "de", 10, "abcde", 3},
		{"0123456789", "", 10, "123456789", 9},
		{"0123456789", "xyz", 10, "123456789x", 9},
		{"", "0123456789xyz", 10, "0123456789", 0},
		{"世界", "世界", 6, "世界世", 4},
		{"世界世", "界", 6, "界世界", 4},
		{"a\nb\tc", "", 10, "a⏎b c", 5},
	} {
		e := Editor{before: tt.before, after: tt.after}
		if line, cursor := e.View(tt.columns); line != tt.line || cursor != tt.cursor {
			t.Errorf("%q|%q in %d: %q, %d; want %q, %d", tt.before, tt.after, tt.columns, line, cursor, tt.line, tt.cursor)
		}
	}
}

// What is pasted may be long, and is shown with every key.
func BenchmarkEditorView(b *testing.B) {
	e := Editor{before: strings.Repeat("x", 65_536)}
	for b.Loop() {
		e.View(80)
	}
}
