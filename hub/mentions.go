package hub

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mentions reports whether a message is for a user in particular: it is
// direct, or its text has @name as a whole word.
func mentions(e entry, user string) bool {
	return e.room.kind == Direct || user != "" && hasMention(e.event.Message.Message, user)
}

// hasMention finds @name, in any case, as a whole word. Languages that write
// without spaces may have their letters right before and after it.
func hasMention(text, user string) bool {
	for {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			return false
		}
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		rest := text[at+1:]
		end := strings.IndexFunc(rest, func(r rune) bool { return !inWord(r) })
		if end < 0 {
			end = len(rest)
		}
		// A name can end in - or _, but so does @name in a dash or in emphasis.
		word := rest[:end]
		if !isLatin(before) && (equalFold(word, user) || equalFold(strings.TrimRight(word, "-_"), user)) {
			return true
		}
		text = rest
	}
}

// inWord reports whether a rune after @ is part of the same name, or makes it a
// longer word.
func inWord(r rune) bool {
	return r == '-' || r == '_' || isLatin(r) || unicode.IsMark(r)
}

// isLatin reports whether a rune right before @ makes it a mail address.
func isLatin(r rune) bool { return '0' <= r && r <= '9' || unicode.Is(unicode.Latin, r) }

// equalFold ignores the case of a-z only: names are ASCII.
func equalFold(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(a, b)
}
