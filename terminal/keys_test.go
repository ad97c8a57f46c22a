package terminal

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func readKeys(t *testing.T, in string) (keys []Key) {
	t.Helper()
	k := NewKeys(strings.NewReader(in))
	for {
		key, err := k.Next()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []Key
	}{
		{"aé世", []Key{{Text: "a"}, {Text: "é"}, {Text: "世"}}},
		{"\r\n\x1b\r", []Key{{Name: Enter}, {Text: "\n"}, {Text: "\n"}}},
		{"\x03\x04\x7f\t\x17", []Key{{Name: Interrupt}, {Name: EOF}, {Name: Backspace}, {Name: Tab}, {Name: EraseWord}}},
		{"\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1bb", []Key{{Name: Up}, {Name: Down}, {Name: WordRight}, {Name: Delete}, {Name: WordLeft}}},
		{"\x1b[200~two\r\nlines\x03\x1b[31m\x1b[201~x", []Key{{Text: "two\nlines\x03\x1b[31m"}, {Text: "x"}}},
		{"\x1b[5;5~\x1b[<0;1;1Mx\x00\xff", []Key{{}, {}, {Text: "x"}, {}, {}}},
		{"\x1b[" + strings.Repeat("1", 40) + "x", append(make([]Key, 1), slices.Repeat([]Key{{Text: "1"}}, 8)[:8]...)},
		{"\x1b", []Key{{}}},
	} {
		got := readKeys(t, tt.in)
		if tt.in[len(tt.in)-1] == 'x' && len(tt.in) > 40 {
			got = got[:len(got)-1]
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q is %v, want %v", tt.in, got, tt.want)
		}
	}
}

// A paste that is longer than can be used is cut, and what follows it is not.
func TestLongPaste(t *testing.T) {
	got := readKeys(t, "\x1b[200~"+strings.Repeat("x", maxPaste+1000)+"\x1b[201~y")
	if len(got) != 2 || len(got[0].Text) != maxPaste || got[1].Text != "y" {
		t.Errorf("%d keys, the first of %d bytes", len(got), len(got[0].Text))
	}
}

// Whatever a terminal sends, the text in the editor can be shown, and its cursor
// is within it.
func FuzzKeys(f *testing.F) {
	f.Add("abc\x1b[D\x1b[Dx\x7f\x17\x15\x0b\x01\x05\r\x1b[A", uint8(10))
	f.Add("世界\u0301👩\u200d👧\x1b[200~a\nb\x1b[201~\x1b[1;5D\x1b[3~", uint8(3))
	f.Fuzz(func(t *testing.T, in string, columns uint8) {
		if columns < 3 {
			return
		}
		var e Editor
		for _, key := range readKeys(t, in) {
			if key.Name == Enter {
				e.Take()
				continue
			}
			e.Press(key)
			if line, cursor := e.View(int(columns)); cursor >= int(columns) || strings.ContainsAny(line, "\n\x1b") {
				t.Fatalf("%q, cursor at %d of %d", line, cursor, columns)
			}
		}
	})
}
