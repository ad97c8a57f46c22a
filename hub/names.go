package hub

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a caller may give, in bytes.
const (
	MaxText   = 65_536 // of a message
	MaxNotice = 8_192  // of the text of a notification or a log line
	maxName   = 64     // of a room or a user
	maxTopic  = 256    // of a room, and of a notification's title
	maxLogger = 64
	maxKey    = 128 // of an idempotency key, and of a notification's
	maxVia    = 64  // of a client's name; a longer one is cut
)

// directPrefix begins the name of every direct room and of no other.
const directPrefix = "dm/"

// nameRule tells callers what a name is.
const nameRule = "1 to 64 of a-z, 0-9, _ and -, beginning with a letter or a digit"

// validName reports whether s can be the name of a user, or of a public or
// private room.
func validName(s string) bool {
	return s != "" && len(s) <= maxName && s[0] != '_' && s[0] != '-' &&
		strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz_-") == ""
}

// directName is the name of the direct room of two users.
func directName(a, b string) string {
	return directPrefix + min(a, b) + "/" + max(a, b)
}

// directParties returns the two parties of a direct room, sorted. ok is false
// when the name is not that of a direct room.
func directParties(room string) (a, b string, ok bool) {
	pair, ok := strings.CutPrefix(room, directPrefix)
	if !ok {
		return "", "", false
	}
	a, b, _ = strings.Cut(pair, "/")
	return a, b, validName(a) && validName(b) && a < b
}

// checkRoomName accepts the name of a room of any kind.
func checkRoomName(arg, s string) error {
	if _, _, direct := directParties(s); direct || validName(s) {
		return nil
	}
	return refuse(Invalid, arg, "%s is not the name of a room: %s; or dm/ and two users, sorted (dm/alice/bob)", quote(s), nameRule)
}

// checkText accepts the text of a message.
func checkText(s string) error { return checkTextOf(s, MaxText) }

// checkTextOf accepts a text of at most so many bytes.
func checkTextOf(s string, most int) error {
	switch {
	case s == "":
		return refuse(Invalid, "message", "is empty; give 1 to %d bytes", most)
	case len(s) > most:
		return refuse(Invalid, "message", "is %d bytes long; at most %d are allowed", len(s), most)
	case !utf8.ValidString(s):
		return refuse(Invalid, "message", "is not valid UTF-8")
	case strings.ContainsRune(s, 0):
		return refuse(Invalid, "message", "contains a NUL character")
	}
	return nil
}

// checkLine accepts a short text on one line, or none: a topic, a title.
func checkLine(arg, s string, most int) error {
	if len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return refuse(Invalid, arg, "give at most %d bytes of UTF-8, on one line, without control characters", most)
	}
	return nil
}

// checkKey accepts an idempotency key or that of a notification, or none.
func checkKey(arg, s string) error {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if len(s) > maxKey || strings.ContainsFunc(s, unprintable) {
		return refuse(Invalid, arg, "give 1 to %d printable ASCII characters", maxKey)
	}
	return nil
}

// cleanVia makes a client's own name for itself fit to be stored with each of
// its messages and shown beside them: one short line without invisible or
// direction-changing characters.
func cleanVia(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > maxVia {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}
