package servertest

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is what a [Proxy] does to one connection. The zero value does nothing.
type Fault struct {
	Delay time.Duration // before anything is passed on, each way
	After int           // bytes of the server that pass before Then
	Then  Ending
}

// Ending is how a [Proxy] ends a connection before its time.
type Ending int

const (
	// Never ends it before its time.
	Never Ending = iota
	// Reset gives both sides a reset.
	Reset
	// HalfOpen lets nothing pass any more either way and tells neither side:
	// to each it looks as if the other had vanished. After [Proxy.Silence] both
	// get a reset.
	HalfOpen
	// Unavailable has the proxy answer the first request itself with 503, as one
	// does that cannot reach its server. After does not count.
	Unavailable
)

// Proxy stands in front of a server and gets in the way of its connections.
type Proxy struct {
	URL     string        // of the server, through the proxy
	Silence time.Duration // of connections that are [HalfOpen]; set it before the first

	fault    func(n int) Fault
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	target string                // host and port; guarded by mu
	conns  map[*proxied]struct{} // guarded by mu
	closed chan struct{}         // closed when the test ends
}

// NewProxy starts a proxy in front of the server at a URL, which need not run
// yet, and which [Proxy.Forward] may name later. fault tells what becomes of the nth connection, from 0; it is called by
// one goroutine.
func NewProxy(t *testing.T, server string, fault func(n int) Fault) *Proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		URL: "http://" + listener.Addr().String(), Silence: patience,
		fault: fault, listener: listener, target: strings.TrimPrefix(server, "http://"),
		conns: make(map[*proxied]struct{}), closed: make(chan struct{}),
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		close(p.closed)
		_ = listener.Close() // accept notices
		p.running.Wait()
	})
	return p
}

// Addr is where the proxy listens, as a Host header names it.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Forward has the connections to come passed on to another server, by its host
// and port.
func (p *Proxy) Forward(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Vanish makes all connections that there are [HalfOpen].
func (p *Proxy) Vanish() {
	for _, c := range p.now() {
		c.end(HalfOpen)
	}
}

// Cut resets all connections that there are, each once so many more bytes of
// the server have passed: in the middle of whatever they belong to.
func (p *Proxy) Cut(after int) {
	for _, c := range p.now() {
		c.cut(after)
	}
}

// now are the connections that there are.
func (p *Proxy) now() []*proxied {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.conns))
}

func (p *Proxy) accept() {
	for n := 0; ; n++ {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		fault := p.fault(n)
		p.running.Go(func() { p.serve(client, fault) })
	}
}

// serve has one connection until both sides are done.
func (p *Proxy) serve(client net.Conn, fault Fault) {
	defer client.Close() // again, where it has been reset
	if fault.Then == Unavailable {
		unavailable(client)
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	dialing, cancel := context.WithTimeout(context.Background(), patience)
	server, err := new(net.Dialer).DialContext(dialing, "tcp", target)
	cancel()
	if err != nil {
		reset(client) // as if it had dialled in vain
		return
	}
	defer server.Close()
	c := &proxied{client: client, server: server, delay: fault.Delay, left: fault.After, then: fault.Then}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { c.pass(server, client, false) })
	both.Go(func() { c.pass(client, server, true) })
	done := make(chan struct{})
	p.running.Go(func() { both.Wait(); close(done) })
	select {
	case <-done:
	case <-p.closed:
		c.end(Reset)
		<-done
	}
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	if c.ended() == HalfOpen {
		timer := time.NewTimer(p.Silence)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.closed:
		}
	}
	if c.ended() != Never {
		reset(client)
		reset(server)
	}
}

// proxied is a connection on both its sides.
type proxied struct {
	client, server net.Conn
	delay          time.Duration

	mu   sync.Mutex
	left int    // bytes of the server that pass before then; guarded by mu
	then Ending // to come; guarded by mu
	how  Ending // of the proxy's making; guarded by mu
}

// pass hands on what one side sends until it ends or the proxy makes an end.
func (c *proxied) pass(to, from net.Conn, answers bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if c.delay > 0 && n > 0 {
			<-time.After(c.delay)
		}
		if answers {
			if passing, then := c.answered(n); then != Never {
				_, _ = to.Write(buf[:passing]) // cut in mid-air
				c.end(then)
				return
			}
		}
		if c.ended() != Never {
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil {
			c.end(Reset)
			return
		}
		if err == nil {
			continue
		}
		if tcp, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) && c.ended() == Never {
			_ = tcp.CloseWrite() // the other direction goes on
			return
		}
		c.end(Reset)
		return
	}
}

// answered counts bytes of the server. If the end is due, it tells how many of
// them still pass, and how it ends.
func (c *proxied) answered(n int) (passing int, then Ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.then != Never && n >= c.left {
		return c.left, c.then
	}
	c.left -= n
	return n, Never
}

// cut ends the connection by a reset after so many more bytes of the server.
func (c *proxied) cut(after int) {
	c.mu.Lock()
	c.left, c.then = after, Reset
	c.mu.Unlock()
	if after == 0 {
		c.end(Reset) // whatever it waits for
	}
}

// end stops both directions. The first end counts.
func (c *proxied) end(how Ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.how != Never {
		return
	}
	c.how = how
	past := time.Unix(1, 0)
	_ = c.client.SetDeadline(past) // pass returns; both are closed by serve
	_ = c.server.SetDeadline(past)
}

func (c *proxied) ended() Ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.how
}

// reset closes a connection without a proper end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// unavailable answers a request with 503.
func unavailable(client net.Conn) {
	_ = client.SetDeadline(time.Now().Add(time.Second)) // it is a fault anyway
	buf := make([]byte, 16<<10)
	_, _ = client.Read(buf)
	_, _ = io.WriteString(client, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nunavailable\n")
	if tcp, ok := client.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	for err := error(nil); err == nil; { // so that the answer is not overtaken by the reset
		_, err = client.Read(buf)
	}
}
