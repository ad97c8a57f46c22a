package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// ErrTooLarge is returned for an event over the reader's limit. The stream
// cannot be read on.
var ErrTooLarge = errors.New("sse: event exceeds the size limit")

// Reader takes events off a stream as a browser's EventSource does: CR, LF and
// CRLF end lines, comments and unknown fields are skipped, an event that the
// stream's end cuts off is dropped.
type Reader struct {
	r      *bufio.Reader
	max    int
	begun  bool // a byte order mark can no longer come
	skipLF bool // the last line ended in CR: a LF that follows belongs to it
	line   []byte
}

// NewReader reads events of at most limit bytes each, comments included.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{r: bufio.NewReader(r), max: limit}
}

// Next returns the next event that has data, an ID or a retry. Its Data is
// never nil when there was a data line. It returns io.EOF at the end of the
// stream and [ErrTooLarge] for an event over the limit.
func (r *Reader) Next() (Event, error) {
	var (
		ev   Event
		size int
	)
	for {
		line, err := r.readLine()
		if err != nil {
			return Event{}, err
		}
		if size += len(line); size > r.max {
			return Event{}, ErrTooLarge
		}
		if len(line) > 0 {
			ev.set(line)
			continue
		}
		if ev.Data != nil || ev.ID != "" || ev.Retry > 0 {
			return ev, nil
		}
		ev, size = Event{}, 0
	}
}

func (ev *Event) set(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		if ev.Data == nil {
			ev.Data = append([]byte{}, value...)
			return
		}
		ev.Data = append(append(ev.Data, '\n'), value...)
	case "event":
		ev.Name = string(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			ev.ID = string(value)
		}
	case "retry":
		ms, err := strconv.ParseUint(string(value), 10, 32)
		if err == nil {
			ev.Retry = time.Duration(ms) * time.Millisecond
		}
	}
}

// readLine returns a line without its end. The result is valid until the next
// call.
func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		b, err := r.r.ReadByte()
		if err != nil {
			return nil, err // a last line without its end is dropped
		}
		switch {
		case b == '\n' && r.skipLF && len(r.line) == 0:
			r.skipLF = false
			continue
		case b == '\n', b == '\r':
			r.skipLF = b == '\r'
			return r.withoutBOM(), nil
		}
		r.skipLF = false
		if r.line = append(r.line, b); len(r.line) > r.max {
			return nil, ErrTooLarge
		}
	}
}

func (r *Reader) withoutBOM() []byte {
	if r.begun {
		return r.line
	}
	r.begun = true
	return bytes.TrimPrefix(r.line, []byte("\xef\xbb\xbf"))
}
