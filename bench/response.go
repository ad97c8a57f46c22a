package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
)

// Bounds of what is read: no target here answers with as much.
const (
	maxHeaders = 64
	maxBody    = 4 << 20
)

// response is one HTTP/1.1 response, as far as it matters here. Reading into
// the same one again reuses its memory.
type response struct {
	status  int
	events  bool   // the body is text/event-stream
	session string // Mcp-Session-Id
	body    []byte // valid until the next read
}

// read reads one response: a body with a length, a chunked one, or none. What
// else HTTP allows is an error: no target here uses it.
func (res *response) read(r *bufio.Reader) error {
	*res = response{body: res.body[:0]}
	line, err := readLine(r)
	if err != nil {
		return err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("%q is no status line", line)
	}
	if res.status, err = number(line[9:12], 10, 999); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	length, chunked, err := res.readHeaders(r)
	switch {
	case err != nil:
		return err
	case chunked:
		return res.readChunks(r)
	case length >= 0:
		return res.readBody(r, length)
	case res.status == 202 || res.status == 204:
		return nil
	default:
		return errors.New("the response has neither a length nor chunks")
	}
}

// readHeaders returns the body's length, -1 if it is not said.
func (res *response) readHeaders(r *bufio.Reader) (length int, chunked bool, err error) {
	length = -1
	for range maxHeaders {
		line, err := readLine(r)
		if err != nil {
			return 0, false, err
		}
		if len(line) == 0 {
			return length, chunked, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return 0, false, fmt.Errorf("%q is no header", line)
		}
		value = bytes.TrimSpace(value)
		switch len(name) { // most headers are told apart by it alone
		case len("Content-Type"):
			if bytes.EqualFold(name, []byte("Content-Type")) {
				res.events = bytes.HasPrefix(value, []byte("text/event-stream"))
			}
		case len("Content-Length"): // as long as Mcp-Session-Id
			switch {
			case bytes.EqualFold(name, []byte("Content-Length")):
				if length, err = number(value, 10, maxBody); err != nil {
					return 0, false, fmt.Errorf("Content-Length: %w", err)
				}
			case bytes.EqualFold(name, []byte("Mcp-Session-Id")):
				res.session = string(value)
			}
		case len("Transfer-Encoding"):
			if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
				if chunked = string(value) == "chunked"; !chunked {
					return 0, false, fmt.Errorf("Transfer-Encoding is %q; only chunked is known here", value)
				}
			}
		}
	}
	return 0, false, fmt.Errorf("more than %d headers", maxHeaders)
}

func (res *response) readChunks(r *bufio.Reader) error {
	for {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		size, err := number(line, 16, maxBody)
		if err != nil {
			return fmt.Errorf("size of a chunk: %w", err)
		}
		if err := res.readBody(r, size); err != nil {
			return err
		}
		end, err := readLine(r)
		switch {
		case err != nil:
			return err
		case len(end) != 0:
			return fmt.Errorf("%q after a chunk", end)
		case size == 0:
			return nil
		}
	}
}

// readBody appends n bytes to the body.
func (res *response) readBody(r *bufio.Reader, n int) error {
	have := len(res.body)
	if have+n > maxBody {
		return fmt.Errorf("the body is longer than %d bytes", maxBody)
	}
	if cap(res.body) < have+n {
		res.body = append(make([]byte, 0, 2*(have+n)), res.body...)
	}
	res.body = res.body[:have+n]
	_, err := io.ReadFull(r, res.body[have:])
	return unexpected(err)
}

// messages are the JSON-RPC messages of the body, whichever form it has. Every
// target writes the data of an event on one line; an event without any data is
// a priming one.
func (res *response) messages() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !res.events {
			if len(res.body) > 0 {
				yield(res.body)
			}
			return
		}
		for rest := res.body; len(rest) > 0; {
			line := rest
			if i := bytes.IndexByte(rest, '\n'); i >= 0 {
				line, rest = rest[:i], rest[i+1:]
			} else {
				rest = nil
			}
			data, ok := bytes.CutPrefix(line, []byte("data:"))
			if data = bytes.TrimSpace(data); ok && len(data) > 0 && !yield(data) {
				return
			}
		}
	}
}

// readLine returns a line without its end. It is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, unexpected(err)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func number(digits []byte, base, largest int) (int, error) {
	n, err := strconv.ParseUint(string(digits), base, 32)
	if err != nil || int(n) > largest {
		return 0, fmt.Errorf("%q is not a number up to %d", digits, largest)
	}
	return int(n), nil
}

// unexpected makes the end of the connection an error that says so.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
