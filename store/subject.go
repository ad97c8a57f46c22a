package store

import "strings"

// maxSubject bounds an encoded subject or key, in bytes: a NATS protocol line
// holds 4 KiB.
const maxSubject = 1024

// emptySubject stands for the empty string; encode makes it of nothing else.
const emptySubject = "%"

const hexDigits = "0123456789abcdef"

// encode makes one token of a NATS subject of any string: what is not a letter,
// a digit, '-', '_' or '/' becomes %xx. So names can neither be wildcards nor
// reach into each other.
func encode(name string) string {
	if name == "" {
		return emptySubject
	}
	var b strings.Builder
	b.Grow(len(name) + 8)
	for i := range len(name) {
		if c := name[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// decode is the inverse of encode. It is false for a token that encode does not
// make.
func decode(token string) (name string, ok bool) {
	if token == emptySubject {
		return "", true
	}
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '%' {
			if len(token)-i < 3 {
				return "", false
			}
			high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low) //nolint:gosec // two digits
			if isPlain(c) {
				return "", false
			}
			i += 2
		} else if !isPlain(c) {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), len(b) > 0
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/'
}
