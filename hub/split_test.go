package hub

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		by   ChunkBy
		text string
		want string // parts joined by |
	}{
		{Word, "", ""},
		{Word, "one", "one"},
		{Word, "one two  three\nfour", "one |two  |three\n|four"},
		{Word, "  one two ", "  one |two "},
		{Word, " \n\t ", " \n\t "},
		{Word, "don't e-mail me@x.org, please!", "don't |e-mail |me@x.org, |please!"},
		{Word, "https://example.org/a?b=c#d", "https://example.org/a?b=c#d"},
		{Word, "a\u00a0b\u3000c", "a\u00a0|b\u3000|c"},
		{Word, "你好 世界", "你|好 |世|界"},
		{Word, "hello世界ok", "hello|世|界|ok"},
		{Word, "カタカナの本", "カタカナ|の|本"},
		{Word, "น้ำ", "น้ำ"}, // SARA AM belongs to the grapheme before it
		{Word, "👨‍👩‍👧‍👦👍🏽 🇩🇪🇯🇵 ❤️", "👨‍👩‍👧‍👦👍🏽 |🇩🇪🇯🇵 |❤️"},
		{Word, "שלום עולם", "שלום |עולם"},
		{Word, "e\u0301 \u0301x y", "e\u0301 \u0301x |y"}, // a space that carries an accent is no space
		{Word, "a \r\n b", "a \r\n |b"},

		{Sentence, "", ""},
		{Sentence, "One. Two? Three", "One. |Two? |Three"},
		{Sentence, "It is 3.14. Right!  Yes.\nNo.", "It is 3.14. |Right!  |Yes.\n|No."},
		{Sentence, "First of all, e.g. this.", "First of all, e.g. this."},
		{Sentence, "これは本です。それも本です。", "これは本です。|それも本です。"},
		{Sentence, "你好！你是谁？", "你好！|你是谁？"},
		{Sentence, "One." + strings.Repeat(" ", 100) + "Two.", "One." + strings.Repeat(" ", 100) + "|Two."},
		{Sentence, strings.Repeat(" ", 100), strings.Repeat(" ", 100)},
		{Sentence, strings.Repeat("-", 100) + " Title. Text", strings.Repeat("-", 100) + " |Title. |Text"},
		{Sentence, "End." + strings.Repeat(")", 100), "End." + strings.Repeat(")", 100)},

		{Line, "", ""},
		{Line, "one", "one"},
		{Line, "one\ntwo\r\nthree\rfour\u2028five\u0085six\n", "one\n|two\r\n|three\r|four\u2028|five\u0085|six\n"},
		{Line, "\n\n\n", "\n|\n|\n"},
		{Line, "one two. three.", "one two. three."},

		{"letter", "one two", "one two"},
	} {
		if got := strings.Join(Split(test.text, test.by, 200), "|"); got != test.want {
			t.Errorf("%s of %q: %q, want %q", test.by, test.text, got, test.want)
		}
	}
}

func TestSplitEvenly(t *testing.T) {
	text := strings.Repeat("x ", 1001)
	for _, limit := range []int{-1, 0, 1, 2, 3, 200, 1000, 1001, 1002} {
		parts := Split(text, Word, limit)
		want := min(max(limit, 1), 1001)
		if len(parts) != want || strings.Join(parts, "") != text {
			t.Errorf("limit %d: %d parts", limit, len(parts))
		}
		shortest, longest := len(text), 0
		for _, p := range parts {
			shortest, longest = min(shortest, len(p)), max(longest, len(p))
		}
		if longest-shortest > len("x ") {
			t.Errorf("limit %d: parts of %d to %d bytes", limit, shortest, longest)
		}
	}
}

// TestSplitHostile: the time to split is linear in the text, whatever it is.
// Were it not, this test would take minutes.
func TestSplitHostile(t *testing.T) {
	for _, unit := range []string{
		" ", ")", ". ", "a.", ".)", ")1", ") ", ".) ", "\u0301", "'", "1,", "\u200d", "🇩", "👩\u200d", "ก\u0e33", "世", "世 ", "\n", "\r", "\u2028", "\"", "0",
		".\u0301", ")\u0301", " \u0301", "-", "\u00ad", " \u200b", "\"1", "a", "A",
	} {
		for _, start := range []string{"a.", "1"} {
			for _, by := range []ChunkBy{Word, Sentence, Line} {
				text := start + strings.Repeat(unit, (MaxText/4-len(start))/len(unit))
				if got := strings.Join(Split(text, by, 200), ""); got != text {
					t.Errorf("%s of %q and many %q is another text", by, start, unit)
				}
			}
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, text := range scripts {
		f.Add(text, 200)
	}
	f.Add("One. Two? "+strings.Repeat(" .)", 40)+" x. y", 3)
	f.Add(" a \u0301b", 2)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		var graphemes []int
		for g := uniseg.NewGraphemes(text); g.Next(); {
			_, end := g.Positions()
			graphemes = append(graphemes, end)
		}
		for _, by := range []ChunkBy{Word, Sentence, Line} {
			parts := Split(text, by, limit)
			if strings.Join(parts, "") != text || len(parts) > max(limit, 1) {
				t.Fatalf("%s: %q", by, parts)
			}
			offset := 0
			for i, p := range parts {
				offset += len(p)
				if p == "" || utf8.ValidString(text) && !utf8.ValidString(p) {
					t.Errorf("%s: part %q", by, p)
				}
				if _, whole := slices.BinarySearch(graphemes, offset); !whole {
					t.Errorf("%s: a grapheme is cut after %q", by, p)
				}
				if i > 0 && len(parts) < max(limit, 1) && by == Word && strings.TrimFunc(p, unicode.IsSpace) == "" && !strings.ContainsFunc(text, isUnspaced) {
					t.Errorf("%s: part %q is only space", by, p)
				}
			}
		}
	})
}

// TestFirstMessage: a long text is cut at a line's end, or at least not within
// what people see as one character.
func TestFirstMessage(t *testing.T) {
	fill := func(n int) string { return strings.Repeat("x", n) }
	family := "👨‍👩‍👧‍👦"
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"one byte more":           {fill(MaxText + 1), MaxText},
		"its line ends behind":    {fill(MaxText) + "\n", MaxText},
		"a line that just fits":   {fill(MaxText-1) + "\nx", MaxText},
		"the last line that fits": {"a\nb\n" + fill(MaxText) + "\n", 4},
		"lines end by two signs":  {"a\r\n" + fill(MaxText), 3},
		"lines of nothing":        {"\r\n \n" + fill(MaxText), MaxText},
		"nothing but lines":       {strings.Repeat(" \n", MaxText), MaxText},
		"two signs on the limit":  {fill(MaxText-1) + "\r\n", MaxText - 1},
		"an accent":               {fill(MaxText) + "\u0301", MaxText - 1},
		"an emoji of several":     {fill(MaxText-5) + family, MaxText - 5},
		"an emoji that fits":      {fill(MaxText-len(family)) + family + "x", MaxText},
		"flags":                   {"x" + strings.Repeat("🇩🇪", MaxText/8), MaxText - 7},
		"marks without end":       {strings.Repeat("\u0301", MaxText), MaxText},
		"a letter before them":    {"ab" + strings.Repeat("\u0301", MaxText), 1},
		"within a character":      {strings.Repeat("\u20dd", MaxText), MaxText - MaxText%3},
	} {
		if got := FirstMessage(test.text); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
