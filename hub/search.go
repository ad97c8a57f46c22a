package hub

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSearch is the length of the text of a search, in bytes.
const maxSearch = 256

// defaultFound is how many messages a search returns if it does not say.
const defaultFound = 20

// SearchQuery asks for messages that contain words.
type SearchQuery struct {
	// Text is words of at most 256 bytes together. A message is found that has
	// each of them somewhere, also within a longer word; case is of no account,
	// in any script (simple case folding).
	Text string
	// Target is where to search; empty: in every room the actor may see.
	Target
	Sender string // who sent it; empty: whoever
	// Before is a cursor: only older messages. Empty: from the newest on.
	Before string
	// Limit is 1 to 100; 0 means 20. Of long messages there are fewer.
	Limit int
}

// SearchPage is what was found, newest first.
type SearchPage struct {
	Messages []Message
	// Next is the cursor to pass as Before to go on. It is set even when
	// Messages is empty.
	Next string
	// More tells that there may be more before Next, and Cut that the search
	// stopped there because it had looked at as much of the log as one may.
	More, Cut bool
}

// Search looks through the log for messages that the actor may see, from the
// newest back: at 20,000 records or 8 MiB of them, and goes on from Next.
func (h *Hub) Search(ctx context.Context, a Actor, q SearchQuery) (SearchPage, error) {
	limit, err := limitOf(q.Limit, defaultFound)
	if err != nil {
		return SearchPage{}, err
	}
	words, err := searchWords(q.Text)
	if err != nil {
		return SearchPage{}, err
	}
	if q.Sender != "" && !validName(q.Sender) {
		return SearchPage{}, refuse(Invalid, "sender", "%s is not the name of a user: %s", quote(q.Sender), nameRule)
	}
	var subjects []string // all
	if q.Target != (Target{}) {
		r, err := h.find(a, q.Target)
		if err != nil {
			return SearchPage{}, err
		}
		subjects = []string{roomSubject + r.name}
	}
	part, err := h.spanOf(ctx, a, h.logOf(""), bounds{before: q.Before})
	if err != nil {
		return SearchPage{}, err
	}
	var text []byte // of one message, folded
	wanted := func(rec Record) (entry, bool) {
		name, isRoom := strings.CutPrefix(rec.Subject, roomSubject)
		if !isRoom || !h.May(a, name) {
			return entry{}, false
		}
		e := h.entry(rec)
		m := e.event.Message
		if m == nil || q.Sender != "" && m.Sender.Name != q.Sender {
			return entry{}, false
		}
		text = appendFolded(text[:0], m.Message)
		return e, !slices.ContainsFunc(words, func(word []byte) bool { return !bytes.Contains(text, word) })
	}
	got, err := h.scanLog(ctx, a, h.logOf(""), part, subjects, limit, wanted)
	if err != nil {
		return SearchPage{}, err
	}
	page := SearchPage{Next: h.id(got.next), More: got.more, Cut: got.cut}
	for _, e := range got.found {
		page.Messages = append(page.Messages, *e.event.Message)
	}
	return page, h.checkSeen(a, &page)
}

// checkSeen takes out what the actor may not see any more, for searching takes
// its time; it fails while that is not known.
func (h *Hub) checkSeen(a Actor, page *SearchPage) error {
	if h.ready() != nil && slices.ContainsFunc(page.Messages, func(m Message) bool { return h.isPrivate(Event{Message: &m}) }) {
		*page = SearchPage{}
		return errUnavailable() // rights may have been lost unheard
	}
	page.Messages = slices.DeleteFunc(page.Messages, func(m Message) bool { return !h.May(a, m.Room) })
	return nil
}

// searchWords are the words of a search, folded.
func searchWords(text string) ([][]byte, error) {
	if len(text) > maxSearch {
		return nil, refuse(Invalid, "q", "is %d bytes long; at most %d are allowed", len(text), maxSearch)
	}
	if !utf8.ValidString(text) {
		return nil, refuse(Invalid, "q", "is not valid UTF-8")
	}
	words := bytes.Fields(appendFolded(nil, text))
	if len(words) == 0 {
		return nil, refuse(Invalid, "q", "has no word; give 1 to %d bytes", maxSearch)
	}
	return words, nil
}

// appendFolded appends a text so that two are equal if they differ in case only.
func appendFolded(to []byte, text string) []byte {
	for _, r := range text {
		switch {
		case r >= utf8.RuneSelf:
			r = foldRune(r)
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		}
		to = utf8.AppendRune(to, r)
	}
	return to
}

// foldRune is one for all runes that differ in case only: the least of them, or
// of ASCII the lower case.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if least < utf8.RuneSelf {
		return unicode.ToLower(least)
	}
	return least
}
