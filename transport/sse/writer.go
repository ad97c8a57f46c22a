// Package sse writes and reads Server-Sent Events, the frame format of
// text/event-stream (HTML Living Standard, section 9.2).
package sse

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of an event stream.
const ContentType = "text/event-stream"

// Event is one event of a stream. The zero value of a field leaves it out,
// with one exception: Data that is empty but not nil is written as an empty
// data line, which an event that carries only an ID needs to be dispatched.
type Event struct {
	ID    string
	Name  string
	Data  []byte
	Retry time.Duration // rounded down to milliseconds
}

// Append appends the frame of an event to dst. Data may hold line ends: it is
// written as several data lines, and a reader gets LF for each of them. ID and
// Name end at their first CR, LF or NUL, so that no value can forge a line.
func Append(dst []byte, ev Event) []byte {
	if ev.ID != "" {
		dst = appendField(dst, "id: ", ev.ID)
	}
	if ev.Name != "" {
		dst = appendField(dst, "event: ", ev.Name)
	}
	if ev.Retry > 0 {
		dst = append(dst, "retry: "...)
		dst = strconv.AppendInt(dst, ev.Retry.Milliseconds(), 10)
		dst = append(dst, '\n')
	}
	if ev.Data != nil {
		dst = appendData(dst, ev.Data)
	}
	return append(dst, '\n')
}

// AppendComment appends a comment, which keeps a connection alive and which
// readers skip.
func AppendComment(dst []byte, text string) []byte {
	return append(appendField(dst, ": ", text), '\n')
}

func appendField(dst []byte, name, value string) []byte {
	if i := strings.IndexAny(value, "\r\n\x00"); i >= 0 {
		value = value[:i]
	}
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

func appendData(dst, data []byte) []byte {
	for {
		i := lineEnd(data)
		line := data
		if i >= 0 {
			line = data[:i]
		}
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
		if i < 0 {
			return dst
		}
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
}

// lineEnd is bytes.IndexAny(data, "\r\n"), quickly where there is none.
func lineEnd(data []byte) int {
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return -1
	}
	return bytes.IndexAny(data, "\r\n")
}
