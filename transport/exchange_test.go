package transport_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"wigwag/transport/sse"
)

// exchange is one HTTP request and its answer as it arrives.
type exchange struct {
	t       testing.TB
	cancel  context.CancelFunc
	arrived chan struct{} // closed when res or err is there
	res     *http.Response
	err     error
	body    *bufio.Reader
}

// answer is a whole answer, or what there was of it.
type answer struct {
	status int
	header http.Header
	body   string
	broken bool // the connection ended before the answer did
}

// usualHeaders are sent unless a request has its own.
func usualHeaders(method string) map[string]string {
	switch method {
	case http.MethodPost:
		return map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
	case http.MethodGet:
		return map[string]string{"Accept": "text/event-stream"}
	default:
		return nil
	}
}

// send begins an exchange. Headers are lines of "Name: value", with the name
// sent as it stands there; the value "-" leaves a usual header out.
func (l *lab) send(method, path, headers, body string) *exchange {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.ctx)
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	usual := usualHeaders(method)
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		delete(usual, http.CanonicalHeaderKey(name))
		if value = strings.TrimSpace(value); value != "-" {
			req.Header[name] = append(req.Header[name], value)
		}
	}
	for name, value := range usual {
		req.Header.Set(name, value)
	}
	x := &exchange{t: l.t, cancel: cancel, arrived: make(chan struct{})}
	l.t.Cleanup(x.hangUp)
	go func() {
		defer close(x.arrived)
		if x.res, x.err = l.web.Do(req); x.err == nil {
			x.body = bufio.NewReader(x.res.Body)
		}
	}()
	return x
}

// post and get are the exchanges that most tests need.
func (l *lab) post(headers, body string) *exchange {
	return l.send(http.MethodPost, "/mcp", headers, body)
}

func (l *lab) get(headers string) *exchange {
	return l.send(http.MethodGet, "/mcp", headers, "")
}

// head waits for the status and the headers, and checks what holds for every
// answer.
func (x *exchange) head() *http.Response {
	x.t.Helper()
	<-x.arrived
	if x.err != nil {
		x.t.Fatal(x.err)
	}
	h := x.res.Header
	want := map[string]string{}
	switch {
	case x.res.StatusCode == http.StatusAccepted, x.res.StatusCode == http.StatusNoContent:
		want["Content-Type"] = ""
	case h.Get("Content-Type") == sse.ContentType:
		want["Cache-Control"], want["X-Accel-Buffering"] = "no-cache, no-transform", "no"
	default:
		want["Content-Type"], want["Cache-Control"] = "application/json", "no-store"
	}
	for name, value := range want {
		if h.Get(name) != value {
			x.t.Errorf("status %d with %s %q, want %q", x.res.StatusCode, name, h.Get(name), value)
		}
	}
	return x.res
}

// frame waits for the next SSE event or comment and returns it as it was sent,
// "" at the end of the answer.
func (x *exchange) frame() string {
	x.t.Helper()
	x.head()
	var text strings.Builder
	for {
		line, err := x.body.ReadString('\n')
		text.WriteString(line)
		if err != nil || line == "\n" {
			return text.String()
		}
	}
}

// event waits for the next event, passing over comments. ok is false at the end
// of the answer.
func (x *exchange) event() (ev sse.Event, ok bool) {
	x.t.Helper()
	for {
		frame := x.frame()
		if frame == "" {
			return sse.Event{}, false
		}
		if strings.HasPrefix(frame, ":") {
			continue
		}
		ev, err := sse.NewReader(strings.NewReader(frame), len(frame)+1).Next()
		if err != nil {
			x.t.Fatalf("%v in %q", err, frame)
		}
		return ev, true
	}
}

// finish waits for the end of the answer and returns what has not been read.
func (x *exchange) finish() answer {
	x.t.Helper()
	res := x.head()
	body, err := io.ReadAll(x.body)
	x.hangUp()
	return answer{res.StatusCode, res.Header, string(body), err != nil}
}

// hangUp ends the exchange from the client's side, which closes the connection
// unless the answer was read to its end.
func (x *exchange) hangUp() {
	x.cancel()
	<-x.arrived
	if x.res != nil {
		_ = x.res.Body.Close()
	}
}
