package terminal

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// Key is something that was typed: text, or else a key that has a name.
type Key struct {
	Text string // of a paste it may be long, and hold ends of lines
	Name KeyName
}

// KeyName is a key that types nothing.
type KeyName int

// The keys that matter here. Several keys share a name where they do the same.
const (
	Unknown KeyName = iota
	Enter
	Interrupt // Ctrl-C
	EOF       // Ctrl-D
	Backspace
	Delete
	Left
	Right
	Up
	Down
	Home
	End
	WordLeft
	WordRight
	EraseWord  // Ctrl-W
	EraseLeft  // Ctrl-U
	EraseRight // Ctrl-K
	Tab
)

// Bounds of what a terminal may send, in bytes: more is not what it was taken for.
const (
	maxSequence = 32
	maxPaste    = 256 << 10 // more is left out
)

// controls are the keys of single bytes.
var controls = map[rune]Key{
	0x01: {Name: Home}, 0x02: {Name: Left}, 0x03: {Name: Interrupt}, 0x04: {Name: EOF}, 0x05: {Name: End}, 0x06: {Name: Right}, 0x08: {Name: Backspace},
	'\t': {Name: Tab}, '\n': {Text: "\n"}, 0x0b: {Name: EraseRight}, '\r': {Name: Enter}, 0x0e: {Name: Down}, 0x10: {Name: Up},
	0x15: {Name: EraseLeft}, 0x17: {Name: EraseWord}, 0x7f: {Name: Backspace},
}

// sequences are the keys of sequences: without ESC and [ or O.
var sequences = map[string]Key{
	"A": {Name: Up}, "B": {Name: Down}, "C": {Name: Right}, "D": {Name: Left}, "H": {Name: Home}, "F": {Name: End},
	"1~": {Name: Home}, "7~": {Name: Home}, "4~": {Name: End}, "8~": {Name: End}, "3~": {Name: Delete},
	"1;5C": {Name: WordRight}, "1;3C": {Name: WordRight}, "1;5D": {Name: WordLeft}, "1;3D": {Name: WordLeft},
}

// afterEscape are the keys typed with Alt.
var afterEscape = map[byte]Key{
	'\r': {Text: "\n"}, 'b': {Name: WordLeft}, 'f': {Name: WordRight}, 0x7f: {Name: EraseWord},
}

// Keys reads what is typed on a terminal in raw mode.
type Keys struct{ in *bufio.Reader }

// NewKeys reads from in.
func NewKeys(in io.Reader) *Keys { return &Keys{bufio.NewReader(in)} }

// Next waits for the next key. A sequence it does not know is one Unknown key.
func (k *Keys) Next() (Key, error) {
	c, size, err := k.in.ReadRune()
	switch {
	case err != nil:
		return Key{}, err
	case c == 0x1b:
		return k.escape()
	case c < ' ' || c == 0x7f:
		return controls[c], nil
	case c == utf8.RuneError && size == 1:
		return Key{}, nil
	}
	return Key{Text: string(c)}, nil
}

// escape reads what follows ESC. A terminal sends a sequence at once: with
// nothing there yet it was the key.
func (k *Keys) escape() (Key, error) {
	if k.in.Buffered() == 0 {
		return Key{}, nil
	}
	c, err := k.in.ReadByte()
	if err != nil || c != '[' && c != 'O' {
		return afterEscape[c], err
	}
	var sequence strings.Builder
	for sequence.Len() < maxSequence {
		b, err := k.in.ReadByte()
		if err != nil {
			return Key{}, err
		}
		sequence.WriteByte(b)
		if b >= '@' && b <= '~' {
			break
		}
	}
	if sequence.String() == "200~" {
		return k.paste()
	}
	return sequences[sequence.String()], nil
}

// paste reads what was pasted (bracketed paste).
func (k *Keys) paste() (Key, error) {
	const end = "\x1b[201~"
	var text []byte
	for tail := ""; tail != end; {
		b, err := k.in.ReadByte()
		if err != nil {
			return Key{}, err
		}
		if tail += string([]byte{b}); len(tail) > len(end) {
			tail = tail[1:]
		}
		if len(text) < maxPaste+len(end) {
			text = append(text, b)
		}
	}
	pasted := strings.TrimSuffix(string(text), end)
	return Key{Text: strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(pasted[:min(len(pasted), maxPaste)], ""))}, nil
}
