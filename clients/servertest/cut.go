package servertest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// A Cut says how a [Cutter] ends an answer before its time.
type Cut int

const (
	// Break drops the connection in the middle of an event.
	Break Cut = iota
	// End ends the answer properly after an event, as a server may that wants
	// its client to come back.
	End
)

// Cutter is a proxy that cuts one answer of a server short.
type Cutter struct {
	URL     string       // of the server, through the proxy
	Resumed atomic.Int32 // requests seen with a Last-Event-ID
	done    atomic.Bool
}

// Cut starts a proxy in front of the server. It cuts the first answer to a POST
// that is an SSE stream of more than n messages, after the nth. Everything else
// passes.
func (s *Server) Cut(t *testing.T, n int, how Cut) *Cutter {
	t.Helper()
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	cutter := &Cutter{}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if r.In.Header.Get("Last-Event-ID") != "" {
				cutter.Resumed.Add(1)
			}
		},
		ModifyResponse: func(res *http.Response) error {
			mediaType, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
			if res.Request.Method == http.MethodPost && mediaType == "text/event-stream" {
				res.Body = &shears{
					Closer: res.Body, lines: bufio.NewReader(res.Body),
					left: n, how: how, claim: cutter.claim,
				}
			}
			return nil
		},
		FlushInterval: -1,                         // at once
		ErrorLog:      log.New(io.Discard, "", 0), // it reports every cut
	})
	t.Cleanup(proxy.Close)
	cutter.URL = proxy.URL
	return cutter
}

// Done reports whether the cut was made.
func (c *Cutter) Done() bool { return c.done.Load() }

// claim takes the one cut there is.
func (c *Cutter) claim() bool { return c.done.CompareAndSwap(false, true) }

// shears is a stream of events that ends early.
type shears struct {
	io.Closer
	lines *bufio.Reader
	left  int // messages still to pass
	how   Cut
	claim func() bool // whether this stream is the one to cut

	event bytes.Buffer // read from lines, not yet from shears
	end   error        // what Read returns after event
}

func (s *shears) Read(p []byte) (int, error) {
	for s.event.Len() == 0 {
		if s.end != nil {
			return 0, s.end
		}
		s.next()
	}
	return s.event.Read(p)
}

// next reads one event and decides whether it is the end.
func (s *shears) next() {
	message := false
	for line := ""; line != "\n" && s.end == nil; {
		line, s.end = s.lines.ReadString('\n')
		s.event.WriteString(line)
		message = message || strings.HasPrefix(line, "data: {")
	}
	if !message || s.end != nil {
		return
	}
	if s.left > 0 {
		s.left--
		return
	}
	if !s.claim() {
		return
	}
	switch s.how {
	case Break:
		s.event.Truncate(s.event.Len() / 2)
		s.end = errors.New("cut")
	case End:
		s.event.Reset()
		s.end = io.EOF
	}
}
