package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"
)

func TestReadResponse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, tt := range map[string]struct {
		raw  string
		want string // of shown, or of the error
	}{
		"length":           {ok + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", `200 json "" {}`},
		"lower case":       {ok + "content-length: 2\r\n\r\n{}", `200 json "" {}`},
		"session":          {ok + "Mcp-Session-Id: s1\r\nContent-Length: 0\r\n\r\n", `200 json "s1" `},
		"accepted":         {"HTTP/1.1 202 Accepted\r\n\r\n", `202 json "" `},
		"one chunk":        {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", `200 json "" {}`},
		"chunks of events": {ok + "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\nB\r\ndata: {1}\n\n\r\n6\r\ndata: \r\nA\r\n\ndata:{2}\n\r\n0\r\n\r\n", `200 events "" {1}+{2}`},
		"event without end": {
			ok + "Content-Type: text/event-stream\r\nContent-Length: 26\r\n\r\nid: 1\nevent: message\ndata: ", `200 events "" `,
		},
		"last line not ended": {ok + "Content-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: {1}", `200 events "" {1}`},
		"no HTTP":             {"SSH-2.0 hello\r\n", "is no status line"},
		"short status line":   {"HTTP/1.1 20\r\n", "is no status line"},
		"status":              {"HTTP/1.1 2x0 OK\r\n", `status: "2x0"`},
		"no body's end":       {ok + "\r\n", "neither a length nor chunks"},
		"length is negative":  {ok + "Content-Length: -1\r\n\r\n", `Content-Length: "-1"`},
		"length is too large": {ok + "Content-Length: 4194305\r\n\r\n", `Content-Length: "4194305"`},
		"header":              {ok + "nonsense\r\n\r\n", "is no header"},
		"gzip":                {ok + "Transfer-Encoding: gzip\r\n\r\n", "only chunked"},
		"many headers":        {ok + strings.Repeat("A: b\r\n", maxHeaders), "more than 64 headers"},
		"chunk size":          {ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "size of a chunk"},
		"chunk's end":         {ok + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n", "after a chunk"},
		"chunks too large":    {ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("200000\r\n"+strings.Repeat("x", 2<<20)+"\r\n", 2) + "1\r\nx\r\n", "longer than"},
		"cut in the body":     {ok + "Content-Length: 3\r\n\r\n{}", "unexpected EOF"},
		"cut in a line":       {ok + "Content-Len", "unexpected EOF"},
		"nothing":             {"", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got := shown(tt.raw)
			if got != tt.want && (strings.HasPrefix(tt.want, "2") || !strings.Contains(got, tt.want)) {
				t.Errorf("got %.200q, want %q", got, tt.want)
			}
		})
	}
}

// shown is what is read of a response, or the error.
func shown(raw string) string {
	var res response
	if err := res.read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		return err.Error()
	}
	form := "json"
	if res.events {
		form = "events"
	}
	return fmt.Sprintf("%d %s %q %s", res.status, form, res.session, bytes.Join(slices.Collect(res.messages()), []byte("+")))
}

// TestReadResponses reads several on one connection into the same response:
// nothing of one is left in the next.
func TestReadResponses(t *testing.T) {
	r := bufio.NewReader(strings.NewReader(
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: s\r\nTransfer-Encoding: chunked\r\n\r\nA\r\ndata: {1}\n\r\n0\r\n\r\n" +
			"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"))
	var res response
	for i := range 2 {
		if err := res.read(r); err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
	}
	if res.status != 404 || res.events || res.session != "" || string(res.body) != "x" {
		t.Errorf("got %+v", res)
	}
}

// FuzzResponse reads anything without harm.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nA\r\ndata: {1}\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var res response
		if res.read(bufio.NewReader(bytes.NewReader(raw))) != nil {
			return
		}
		if len(res.body) > len(raw) || res.status > 999 {
			t.Errorf("a body of %d bytes, status %d, out of %d", len(res.body), res.status, len(raw))
		}
		for m := range res.messages() {
			if len(m) == 0 {
				t.Error("an empty message")
			}
		}
	})
}

// FuzzChunks gets any body back out of any chunks.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("data: {}\n\n"), uint8(3))
	f.Fuzz(func(t *testing.T, body []byte, size uint8) {
		var raw bytes.Buffer
		raw.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		w := httputil.NewChunkedWriter(&raw)
		for chunk := range slices.Chunk(body, int(size)+1) {
			if _, err := w.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		raw.WriteString("\r\nnext")
		r := bufio.NewReader(&raw)
		var res response
		if err := res.read(r); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(r); !bytes.Equal(res.body, body) || string(rest) != "next" {
			t.Errorf("read %q and left %q, want %q and next", res.body, rest, body)
		}
	})
}
