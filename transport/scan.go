package transport

import (
	"encoding/json"
	"strconv"
)

// maxNesting is how deep the scanner follows.
const maxNesting = 64

// scanner reads JSON in one pass, for what nearly all clients send: encoding/json
// goes over every message twice, and over every part of it again. What the
// scanner takes is valid JSON and means the same to encoding/json. It gives up,
// without saying why, on what is wrong and on what is rare, such as escapes in
// keys: then encoding/json has the word. The data has to be valid UTF-8.
type scanner struct {
	data []byte
	pos  int
}

// scanObject reads the members of an object, and nothing but white space around
// it:
//
//	o := scanObject(data)
//	for o.next() { … o.key, o.value … }
//	if !o.done { … ask encoding/json … }
type scanObject struct {
	scanner
	key   []byte // without the quotes
	value []byte // valid JSON
	begun bool
	done  bool // all of the object has been read
}

func newScanObject(data []byte) scanObject { return scanObject{scanner: scanner{data: data}} }

// next reads a member. It returns false at the end, and when it gives up.
func (o *scanObject) next() bool {
	if !o.begun {
		o.space()
		if !o.take('{') {
			return false
		}
		o.space()
	}
	if o.take('}') {
		o.space()
		o.done = o.pos == len(o.data)
		return false
	}
	if o.begun && !o.comma() {
		return false
	}
	o.begun = true
	var ok bool
	if o.key, ok = o.memberKey(); !ok {
		return false
	}
	start := o.pos
	if !o.skip(0) {
		return false
	}
	o.value = o.data[start:o.pos:o.pos]
	o.space()
	return true
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end: no JSON value has one.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// comma takes what separates two values.
func (s *scanner) comma() bool {
	ok := s.take(',')
	s.space()
	return ok
}

// memberKey takes a key without escapes, and goes on to its value.
func (s *scanner) memberKey() ([]byte, bool) {
	raw, plain := s.text()
	if !plain {
		return nil, false
	}
	s.space()
	ok := s.take(':')
	s.space()
	return raw[1 : len(raw)-1], ok
}

// text takes a string, with its quotes; nil when it gives up. plain tells that
// it has no escapes.
func (s *scanner) text() (raw []byte, plain bool) {
	if s.peek() != '"' {
		return nil, false
	}
	plain = true
	for i := s.pos + 1; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			raw = s.data[s.pos : i+1]
			s.pos = i + 1
			return raw, plain
		case c == '\\':
			n := escape(s.data[i+1:])
			if n == 0 {
				return nil, false
			}
			plain = false
			i += n
		case c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// escape is the length of an escape after its backslash, 0 if it is none.
func escape(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	switch data[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(data) < 5 {
			return 0
		}
		for _, c := range data[1:5] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0
			}
		}
		return 5
	}
	return 0
}

// number takes a number; nil when it gives up.
func (s *scanner) number() []byte {
	start := s.pos
	s.take('-')
	if !s.take('0') && !s.digits() {
		return nil
	}
	if s.take('.') && !s.digits() {
		return nil
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return nil
		}
	}
	return s.data[start:s.pos]
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return false
	}
	s.pos += len(w)
	return true
}

// skip goes past a value.
func (s *scanner) skip(depth int) bool {
	switch s.peek() {
	case '"':
		raw, _ := s.text()
		return raw != nil
	case '{', '[':
		return s.each(depth, func([]byte) bool { return s.skip(depth + 1) })
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number() != nil
	}
}

// each takes an object or an array; read takes one value of it, whose key it
// gets in an object.
func (s *scanner) each(depth int, read func(key []byte) bool) bool {
	if depth >= maxNesting {
		return false
	}
	end, object := byte(']'), s.peek() == '{'
	if object {
		end = '}'
	}
	s.pos++
	s.space()
	for first := true; !s.take(end); first = false {
		if !first && !s.comma() {
			return false
		}
		var key []byte
		if object {
			var ok bool
			if key, ok = s.memberKey(); !ok {
				return false
			}
		}
		if !read(key) {
			return false
		}
		s.space()
	}
	return true
}

// decode takes a value and returns what encoding/json makes of it in an any.
func (s *scanner) decode(depth int) (value any, ok bool) {
	switch s.peek() {
	case '"':
		raw, plain := s.text()
		if plain {
			return string(raw[1 : len(raw)-1]), true
		}
		var text string
		ok = raw != nil && json.Unmarshal(raw, &text) == nil
		return text, ok
	case '{':
		fields := map[string]any{}
		ok = s.each(depth, func(key []byte) (ok bool) {
			fields[string(key)], ok = s.decode(depth + 1)
			return ok
		})
		return fields, ok
	case '[':
		items := []any{}
		ok = s.each(depth, func([]byte) bool {
			item, ok := s.decode(depth + 1)
			items = append(items, item)
			return ok
		})
		return items, ok
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	case 'n':
		return nil, s.word("null")
	default:
		n, err := strconv.ParseFloat(string(s.number()), 64)
		return n, err == nil
	}
}

// decodeAny is json.Unmarshal into an any, of a value that is known to be valid
// JSON.
func decodeAny(raw []byte) (value any, err error) {
	s := scanner{data: raw}
	if value, ok := s.decode(0); ok && s.pos == len(raw) {
		return value, nil
	}
	err = json.Unmarshal(raw, &value)
	return value, err
}

// textOf returns what a JSON string says; ok is false for any other value.
func textOf(raw []byte) (text string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	s := scanner{data: raw}
	if _, plain := s.text(); plain && s.pos == len(raw) {
		return string(raw[1 : len(raw)-1]), true
	}
	ok = json.Unmarshal(raw, &text) == nil
	return text, ok
}
