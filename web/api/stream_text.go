package api

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// decoder makes text of bytes that come in pieces: valid UTF-8 without NUL. Each
// byte that is no part of such a text becomes U+FFFD. How the bytes were cut
// into pieces makes no difference.
type decoder struct {
	begun []byte // of a character of which more has to come; at most 3
}

// text returns the characters that are whole with the next piece.
func (d *decoder) text(piece []byte) string {
	if len(d.begun) > 0 {
		piece = append(d.begun, piece...)
	}
	whole := len(piece) - unfinished(piece)
	text := toText(piece[:whole])
	d.begun = bytes.Clone(piece[whole:])
	return text
}

// rest returns what is left when no more comes.
func (d *decoder) rest() string {
	text := toText(d.begun)
	d.begun = nil
	return text
}

// unfinished is how many bytes at the end begin a character that needs more.
func unfinished(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

func toText(p []byte) string {
	if utf8.Valid(p) && bytes.IndexByte(p, 0) < 0 {
		return string(p)
	}
	var text strings.Builder
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		if r == 0 {
			r = utf8.RuneError
		}
		text.WriteRune(r)
		p = p[size:]
	}
	return text.String()
}
