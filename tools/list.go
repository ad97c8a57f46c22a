package tools

import (
	"encoding/json"
	"fmt"
	"strings"
)

// listed is an item of a list that is sorted by a key, which is never empty.
type listed interface {
	key() string
	line() string // the item as text, with a line break at the end
}

// listing is as much of a list as a result may hold.
type listing[T listed] struct {
	items []T
	next  string // the key to go on after; empty: that is all
	lines strings.Builder
}

// list takes the items after a key, as many as fit but at least one.
func list[T listed](all []T, after string) (*listing[T], error) {
	l := &listing[T]{items: []T{}}
	size := 0
	for _, item := range all {
		if item.key() <= after {
			continue
		}
		line := item.line()
		structured, err := json.Marshal(item)
		if err != nil {
			return nil, err
		}
		size += len(line) + len(structured)
		if size > resultBytes && len(l.items) > 0 {
			l.next = l.items[len(l.items)-1].key()
			break
		}
		l.items = append(l.items, item)
		l.lines.WriteString(line)
	}
	return l, nil
}

// text is the list as text; what says what it lists.
func (l *listing[T]) text(what string) string {
	head := fmt.Sprintf("%s: %d\nmore: %t\n", what, len(l.items), l.next != "")
	if l.next != "" {
		head += "next: " + l.next + "\n"
	}
	return head + l.lines.String()
}
