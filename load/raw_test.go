package load

import (
	"bufio"
	"net"
	"net/http"
	"testing"
	"time"
)

// rawConn is a client's connection that is written and read by hand.
type rawConn struct {
	*net.TCPConn
	in *bufio.Reader
}

// dialRaw connects with a receive buffer that stays small, so that a reader that
// stops is soon felt. The connection is closed with the test.
func dialRaw(t *testing.T, p *process) *rawConn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(bounded(t), "tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T is not a TCP connection", conn)
	}
	if err := tcp.SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	if err := tcp.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	return &rawConn{TCPConn: tcp, in: bufio.NewReaderSize(tcp, 1<<10)}
}

// response reads the header of an answer, which must be 200. The body can be
// read on.
func (c *rawConn) response(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(c.in, req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", req.Method, req.URL.Path, res.Status, drain(res))
	}
	return res
}
