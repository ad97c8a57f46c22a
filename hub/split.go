package hub

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// ChunkBy is what one part of a text is.
type ChunkBy string

const (
	Word     ChunkBy = "word"     // a run of non-space with the space after it
	Sentence ChunkBy = "sentence" // by UAX #29
	Line     ChunkBy = "line"     // with its line break
)

// Split cuts a text into at most limit parts, none of them empty, that are
// the text when joined. A text with more words (or sentences, or lines) than
// that has several in a part, evenly. Nothing is cut within a grapheme.
//
// Space at the start belongs to the first word. Where a script is written
// without spaces (Chinese, Japanese, Thai and others), words are those of UAX
// #29. An unknown way to cut gives the text in one part.
func Split(text string, by ChunkBy, limit int) []string {
	var ends []int
	switch by {
	case Word:
		ends = wordEnds(text)
	case Sentence:
		ends = sentenceEnds(text)
	case Line:
		ends = lineEnds(text)
	}
	ends = wholeGraphemes(text, append(ends, len(text)))
	n := min(len(ends), max(limit, 1))
	parts := make([]string, 0, n)
	start := 0
	for i := range n {
		end := ends[(i+1)*len(ends)/n-1]
		parts = append(parts, text[start:end])
		start = end
	}
	return parts
}

// FirstMessage returns how many bytes of a text that is longer than a message
// may be, more than [MaxText], make a first message: up to the end of a line if
// one with something on it is there, else of a grapheme, else of a character.
// The text is valid UTF-8.
func FirstMessage(text string) int {
	if line := strings.LastIndexByte(text[:MaxText], '\n') + 1; strings.TrimSpace(text[:line]) != "" {
		return line
	}
	first := 0
	for end := range graphemeEnds(text) {
		if end > MaxText {
			break
		}
		first = end
	}
	if first == 0 { // of marks on one letter without end
		return len(wholeRunes(text[:MaxText]))
	}
	return first
}

// graphemeEnds gives where the graphemes of a text end.
func graphemeEnds(text string) iter.Seq[int] {
	return func(yield func(int) bool) {
		state, rest := -1, text
		for rest != "" {
			_, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
			if !yield(len(text) - len(rest)) {
				return
			}
		}
	}
}

// wholeGraphemes keeps, of rising offsets into a text, those that are behind
// a grapheme, each once.
func wholeGraphemes(text string, ends []int) []int {
	var kept []int
	for end := range graphemeEnds(text) {
		for len(ends) > 0 && ends[0] < end {
			ends = ends[1:]
		}
		if len(ends) > 0 && ends[0] == end {
			kept = append(kept, end)
		}
	}
	return kept
}

// wordEnds returns where words end.
func wordEnds(text string) []int {
	var ends []int
	run := len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace))
	for run < len(text) {
		end := indexFunc(text, run, unicode.IsSpace)
		ends = append(ends, unspacedEnds(text, run, end)...)
		run = indexFunc(text, end, func(r rune) bool { return !unicode.IsSpace(r) })
		ends = append(ends, run)
	}
	return ends
}

// unspaced are the scripts that are written without spaces between words.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// unspacedEnds returns where words end within a run of non-space, text[start:end]:
// beside letters of a script without spaces.
func unspacedEnds(text string, start, end int) []int {
	if !strings.ContainsFunc(text[start:end], isUnspaced) {
		return nil
	}
	var ends []int
	state, rest := -1, text[start:end]
	for {
		var word string
		word, rest, state = uniseg.FirstWordInString(rest, state)
		if rest == "" {
			return ends
		}
		before, _ := utf8.DecodeLastRuneInString(word)
		after, _ := utf8.DecodeRuneInString(rest)
		if isUnspaced(before) || isUnspaced(after) {
			ends = append(ends, end-len(rest))
		}
	}
}

func isUnspaced(r rune) bool { return unicode.In(r, unspaced...) }

// sentenceEnds returns where sentences end.
//
// To tell where one ends, the algorithm of UAX #29 looks ahead from every space
// and bracket after a full stop, which on a long run of these is quadratic. So
// a run without letters and digits is cut short for it, and ends a sentence if
// it is longer than maxBetween.
func sentenceEnds(text string) []int {
	var ends []int
	start, between := 0, 0
	block := func(end, next int) { // text[end:next] is the rest of a long run
		state, rest := -1, text[start:end]
		for rest != "" {
			_, rest, state = uniseg.FirstSentenceInString(rest, state)
			ends = append(ends, end-len(rest))
		}
		ends[len(ends)-1] = next
		start = next
	}
	cut := 0
	for i, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) {
			if between++; between == maxBetween {
				cut = i
			}
			continue
		}
		if between > maxBetween {
			block(cut, i)
		}
		between = 0
	}
	switch {
	case between > maxBetween:
		block(cut, len(text))
	case start < len(text):
		block(len(text), len(text))
	}
	return ends
}

// maxBetween is how many signs in a row, neither letters nor digits, are
// looked at to find the end of a sentence.
const maxBetween = 32

// lineEnds returns where lines end.
func lineEnds(text string) []int {
	var ends []int
	for i, r := range text {
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) {
			ends = append(ends, i+utf8.RuneLen(r))
		}
	}
	return ends
}

// indexFunc is where, from an offset on, the first rune is for which f holds,
// or the end.
func indexFunc(text string, from int, f func(rune) bool) int {
	if i := strings.IndexFunc(text[from:], f); i >= 0 {
		return from + i
	}
	return len(text)
}
