package sse_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"wigwag/transport/sse"
)

func TestAppend(t *testing.T) {
	tests := []struct {
		name string
		ev   sse.Event
		want string
	}{
		{"message", sse.Event{Data: []byte(`{"a":1}`)}, "data: {\"a\":1}\n\n"},
		{"all fields", sse.Event{ID: "s-1", Name: "message", Retry: 1500 * time.Millisecond, Data: []byte("x")}, "id: s-1\nevent: message\nretry: 1500\ndata: x\n\n"},
		{"ID with empty data", sse.Event{ID: "s-0", Data: []byte{}}, "id: s-0\ndata: \n\n"},
		{"retry alone", sse.Event{Retry: time.Second}, "retry: 1000\n\n"},
		{"line ends in data", sse.Event{Data: []byte("a\nb\r\nc\rd\n")}, "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"},
		{"forged lines in names", sse.Event{ID: "1\ndata: evil", Name: "x\r\nid: 2", Data: []byte("y")}, "id: 1\nevent: x\ndata: y\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(sse.Append(nil, tt.ev)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got, want := string(sse.AppendComment(nil, "a\ndata: evil")), ": a\n\n"; got != want {
		t.Errorf("comment: got %q, want %q", got, want)
	}
}

func TestReader(t *testing.T) {
	tests := []struct {
		name   string
		stream string
		want   []sse.Event
	}{
		{"LF", "data: a\n\ndata: b\n\n", []sse.Event{{Data: []byte("a")}, {Data: []byte("b")}}},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", []sse.Event{{Data: []byte("a")}, {Data: []byte("b")}}},
		{"CR", "data: a\r\rdata: b\r\r", []sse.Event{{Data: []byte("a")}, {Data: []byte("b")}}},
		{"mark, comment, unknown field", "\xef\xbb\xbfdata: a\n: beat\nfoo: bar\n\n", []sse.Event{{Data: []byte("a")}}},
		{"comment only", ": beat\n\ndata: a\n\n", []sse.Event{{Data: []byte("a")}}},
		{"no space, no colon", "data:a\ndata\n\n", []sse.Event{{Data: []byte("a\n")}}},
		{"ID with NUL, bad retry", "id: a\x00b\nretry: 1x\ndata: a\n\n", []sse.Event{{Data: []byte("a")}}},
		{"priming", "id: s-0\ndata: \n\n", []sse.Event{{ID: "s-0", Data: []byte{}}}},
		{"cut off", "data: a\n\ndata: b\n", []sse.Event{{Data: []byte("a")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(strings.NewReader(tt.stream), 100)
			if !errors.Is(err, io.EOF) {
				t.Fatalf("err = %v, want EOF", err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestReaderLimit(t *testing.T) {
	for name, stream := range map[string]string{
		"one line":   "data: " + strings.Repeat("x", 100) + "\n\n",
		"many lines": strings.Repeat("data: x\n", 20) + "\n",
		"no end":     strings.Repeat("x", 1000),
		"comments":   strings.Repeat(": x\n", 40),
	} {
		if _, err := readAll(strings.NewReader(stream), 100); !errors.Is(err, sse.ErrTooLarge) {
			t.Errorf("%s: err = %v, want ErrTooLarge", name, err)
		}
	}
}

// FuzzRoundTrip: what Append writes, Reader reads back, and nothing in a field
// can make a second event or another field of it.
func FuzzRoundTrip(f *testing.F) {
	f.Add("s-1", "message", []byte("a\nb"), []byte("data: {}\r\n\r\nid: 1\n\n"))
	f.Add("a\nb", "x\ry", []byte("\r\r\n\n"), []byte("\xef\xbb\xbf: x\rdata"))
	f.Fuzz(func(t *testing.T, id, name string, data, raw []byte) {
		if data == nil {
			data = []byte{}
		}
		frame := sse.Append(nil, sse.Event{ID: id, Name: name, Data: data})
		got, err := readAll(bytes.NewReader(frame), len(frame)+1)
		if !errors.Is(err, io.EOF) || len(got) != 1 {
			t.Fatalf("read %+v, %v from %q", got, err, frame)
		}
		want := sse.Event{ID: upToLineEnd(id), Name: upToLineEnd(name), Data: lineFeeds(data)}
		if !reflect.DeepEqual(got[0], want) {
			t.Fatalf("got %+v, want %+v from %q", got[0], want, frame)
		}
		// Any bytes at all end in an error, never in a panic or a hang.
		if _, err := readAll(bytes.NewReader(raw), 1<<10); err == nil {
			t.Fatal("no error at the end of a stream")
		}
	})
}

func readAll(r io.Reader, limit int) ([]sse.Event, error) {
	rd := sse.NewReader(r, limit)
	var got []sse.Event
	for {
		ev, err := rd.Next()
		if err != nil {
			return got, err
		}
		got = append(got, ev)
	}
}

func upToLineEnd(s string) string {
	if i := strings.IndexAny(s, "\r\n\x00"); i >= 0 {
		return s[:i]
	}
	return s
}

func lineFeeds(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
}
