package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Types and flags of frames, and the settings and errors used here (RFC 9113,
// sections 6 and 7).
const (
	frameData         = 0
	frameHeaders      = 1
	frameResetStream  = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4

	settingInitialWindow = 4
	errorCancel          = 8
)

// h2Conn is a client's HTTP/2 connection that is written and read by hand, for
// what no proper client does. Server frames are read only as asked for, so its
// windows are only as large as the client said at the beginning.
type h2Conn struct {
	net.Conn
	in     *bufio.Reader
	newest uint32 // the last stream opened
	err    error  // of writing
}

// dialH2 connects, with TLS where the server has it, and lets the server send
// at most window bytes on each stream.
func dialH2(t *testing.T, p *process, window uint32) *h2Conn {
	t.Helper()
	raw := dialRaw(t, p)
	c := &h2Conn{Conn: raw, in: raw.in}
	if p.roots != nil {
		secure := tls.Client(raw.TCPConn, &tls.Config{RootCAs: p.roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(bounded(t)); err != nil {
			t.Fatal(err)
		}
		c.Conn, c.in = secure, bufio.NewReader(secure)
	}
	c.write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	c.frame(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, settingInitialWindow}, window))
	c.frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30)) // of the connection
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c
}

func (c *h2Conn) write(b []byte) {
	if c.err == nil {
		_, c.err = c.Write(b)
	}
}

// frame writes a frame. What goes wrong is kept in err.
func (c *h2Conn) frame(kind, flags byte, stream uint32, payload []byte) {
	n := len(payload)
	b := append(make([]byte, 0, 9+n), byte(n>>16&0xff), byte(n>>8&0xff), byte(n&0xff), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	c.write(append(b, payload...))
}

// request opens a stream with a request and returns its number.
func (c *h2Conn) request(req *http.Request) uint32 {
	c.newest += 2
	id := c.newest - 1 // odd
	path := req.URL.RequestURI()
	block := field(nil, ":method", req.Method)
	block = field(block, ":scheme", req.URL.Scheme)
	block = field(block, ":path", path)
	block = field(block, ":authority", req.URL.Host)
	for name, values := range req.Header {
		for _, value := range values {
			block = field(block, strings.ToLower(name), value)
		}
	}
	var body []byte
	if req.GetBody != nil {
		r, err := req.GetBody()
		if err == nil {
			body, err = io.ReadAll(r)
		}
		if err != nil && c.err == nil {
			c.err = err
		}
	}
	if len(body) == 0 {
		c.frame(frameHeaders, flagEndHeaders|flagEndStream, id, block)
		return id
	}
	c.frame(frameHeaders, flagEndHeaders, id, block)
	c.frame(frameData, flagEndStream, id, body)
	return id
}

// reset cancels a stream.
func (c *h2Conn) reset(stream uint32) {
	c.frame(frameResetStream, 0, stream, binary.BigEndian.AppendUint32(nil, errorCancel))
}

// field appends a header field as a literal without indexing (RFC 7541, section
// 6.2.2).
func field(block []byte, name, value string) []byte {
	block = append(block, 0)
	return literal(literal(block, name), value)
}

func literal(block []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		block = append(block, byte(n))
	} else {
		block = binary.AppendUvarint(append(block, 127), uint64(n-127))
	}
	return append(block, s...)
}

// h2Frame is one that the server sent.
type h2Frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (f h2Frame) String() string {
	return fmt.Sprintf("frame of type %d, flags %#x, stream %d: %.60q", f.kind, f.flags, f.stream, f.payload)
}

// next reads frames up to one of the wanted types. It answers settings and
// pings.
func (c *h2Conn) next(kinds ...byte) (h2Frame, error) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return h2Frame{}, err
		}
		f := h2Frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:])}
		f.payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c.in, f.payload); err != nil {
			return h2Frame{}, err
		}
		if bytes.IndexByte(kinds, f.kind) >= 0 {
			return f, nil
		}
		if (f.kind == frameSettings || f.kind == framePing) && f.flags&flagAck == 0 {
			answer := f.payload
			if f.kind == frameSettings {
				answer = nil
			}
			c.frame(f.kind, flagAck, 0, answer)
			if c.err != nil {
				return h2Frame{}, c.err
			}
		}
	}
}

// waitForAnswer waits until there is something to read, and reads none of it.
func (c *h2Conn) waitForAnswer(t *testing.T) {
	t.Helper()
	if _, err := c.in.Peek(1); err != nil {
		t.Fatal(err)
	}
}

// ping checks that the connection still serves.
func (c *h2Conn) ping(t *testing.T) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c.frame(framePing, 0, 0, []byte("are you?"))
	for c.err == nil {
		f, err := c.next(framePing)
		if err != nil {
			t.Fatalf("ping: %v", err)
		}
		if f.flags&flagAck != 0 {
			return
		}
	}
	t.Fatalf("ping: %v", c.err)
}
