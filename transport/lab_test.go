package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"wigwag/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test that hangs is waited for.
const patience = time.Minute

// lab is a transport over the server of tools_test.go, with a network to reach
// it by.
type lab struct {
	t   testing.TB
	srv *transport.Server
	mcp *server.MCPServer
	url string
	web *http.Client
	ctx context.Context //nolint:containedctx // bounds every wait of the test

	mu      sync.Mutex
	puppets map[string]*puppet
	down    chan struct{} // closed when Shutdown has returned; nil: it was not called
}

// newLab serves HTTP/1.1 on a port of 127.0.0.1, with direct tools as wigwag
// does.
func newLab(t testing.TB, opts transport.Options) *lab {
	t.Helper()
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	opts.DirectTools = true
	return newLabOver(t, http1, opts)
}

// newLabOver is newLab with other protocols than HTTP/1.1, and exactly these
// options.
func newLabOver(t testing.TB, protocols *http.Protocols, opts transport.Options) *lab {
	t.Helper()
	l := newTransport(t, opts)
	l.serve(protocols)
	return l
}

// newLabOf is a lab of another server than that of tools_test.go.
func newLabOf(t testing.TB, m *server.MCPServer, opts transport.Options) *lab {
	t.Helper()
	l := &lab{t: t, mcp: m, srv: transport.New(m, opts)}
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	l.serve(http1)
	return l
}

// serve serves on a port of 127.0.0.1 until the test ends.
func (l *lab) serve(protocols *http.Protocols) {
	web := httptest.NewUnstartedServer(l.routes())
	web.Config.Protocols = protocols
	web.Start()
	l.url = web.URL
	l.web = &http.Client{Transport: &http.Transport{DisableCompression: true, Protocols: protocols}}
	var cancel context.CancelFunc
	l.ctx, cancel = context.WithTimeout(context.Background(), patience)
	l.t.Cleanup(func() {
		l.cutOff()
		cancel()
		l.web.CloseIdleConnections()
		web.Close()
	})
}

// newBubble serves on pipes, so that a synctest bubble can hold both ends. Its
// clock is the bubble's.
func newBubble(t testing.TB, opts transport.Options) *lab {
	t.Helper()
	opts.DirectTools = true
	l := newTransport(t, opts)
	pipes := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	web := &http.Server{Handler: l.routes()} //nolint:gosec // its clients are the tests
	served := make(chan struct{})
	go func() { defer close(served); _ = web.Serve(pipes) }()
	l.url = "http://lab"
	l.ctx = context.Background() // a bubble knows when it hangs
	l.web = &http.Client{Transport: &http.Transport{DisableCompression: true, DialContext: pipes.dial}}
	t.Cleanup(func() {
		l.cutOff()
		l.web.CloseIdleConnections()
		_ = web.Close()
		<-served
	})
	return l
}

// newTransport makes the transport. Who comes is said by the header User.
func newTransport(t testing.TB, opts transport.Options) *lab {
	l := &lab{t: t, puppets: make(map[string]*puppet)}
	l.mcp = newMCPServer(l)
	if opts.Owner == nil {
		opts.Owner = func(r *http.Request) transport.Owner {
			return transport.Owner{User: r.Header.Get("User"), Key: r.Header.Get("User")}
		}
	}
	opts.Subscribable = func(user, uri string) bool { return uri != hiddenURI || user == "alice" }
	l.srv = transport.New(l.mcp, opts)
	return l
}

func (l *lab) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/mcp", l.srv.ServeMCP)
	mux.HandleFunc("/sse", l.srv.ServeSSE)
	mux.HandleFunc("/messages", l.srv.ServeMessages)
	return mux
}

// cutOff shuts the transport down without waiting for anybody.
func (l *lab) cutOff() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.srv.Shutdown(ctx) // what it cut off is the tests'
	if l.down != nil {
		<-l.down
	}
}

// shutDown begins a shutdown that waits for running calls; l.down tells when it
// is over. It returns when no new work is taken any more.
func (l *lab) shutDown() {
	l.down = make(chan struct{})
	go func() {
		defer close(l.down)
		_ = l.srv.Shutdown(context.Background())
	}()
	l.until("the server refuses new work", func() bool {
		a := l.post("User: nobody", `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		return a.finish().status == http.StatusServiceUnavailable
	})
}

// until asks again and again, until the answer is yes.
func (l *lab) until(what string, yes func() bool) {
	l.t.Helper()
	for !yes() {
		if l.ctx.Err() != nil {
			l.t.Fatal("waited in vain until " + what)
		}
	}
}

// pipeListener is a net.Listener whose connections are net.Pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, srv := net.Pipe()
	select {
	case p.conns <- srv:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
