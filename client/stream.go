package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// maxPart is the largest part of a text that is read at a time, in bytes.
const maxPart = 16 << 10

// ErrInterrupted is behind the error of a [Client.Stream] that broke off after
// its text had begun to be read. What the server had by then it keeps, marked as
// interrupted.
var ErrInterrupted = errors.New("interrupted")

// Stream sends a text as it comes: the room sees every part that a Read returns
// as it arrives, and at the end of the text it is stored. It takes as long as
// the text does, at most an hour. It is tried again only until the first Read;
// after that it fails with [ErrInterrupted]. When Stream returns an error, a Read
// of text may still be going on; it is the last.
func (c *Client) Stream(ctx context.Context, t Target, text io.Reader) (Streamed, error) {
	path, err := t.path()
	if err != nil {
		return Streamed{}, err
	}
	var s Streamed
	err = c.again(ctx, func() (err error) {
		s, err = c.streamOnce(ctx, path+"/stream", text)
		return err
	})
	return s, err
}

// streamOnce sends a text. Its error is a passing one only if nothing of the text
// was read.
func (c *Client) streamOnce(ctx context.Context, path string, text io.Reader) (s Streamed, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body := &upload{text: text}
	res, err := c.open(ctx, func() (*http.Request, error) {
		if !body.withdraw() { // by the request whose token was refused
			return nil, errors.New("the server wants another token")
		}
		body = &upload{
			text: text, done: ctx.Done(), closed: make(chan struct{}), parts: make(chan part),
			stall: time.AfterFunc(answerWithin, func() { cancel(errNoAnswer) }),
		}
		conn := &httptrace.ClientTrace{GotConn: body.goesBy}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, conn), http.MethodPost, c.server+path, body)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
		req.Header.Set("Expect", "100-continue") // so that a refusal comes before the text is read
		return req, nil
	})
	if err == nil {
		defer res.Body.Close()
		err = take(ctx, res, &s)
	}
	if err == nil || body.withdraw() {
		return s, err
	}
	if _, answered := errors.AsType[*Error](err); answered && !passing(err) {
		return s, err // which says what is wrong with the text
	}
	return s, &interruptedError{body.taken.Load(), err}
}

// interruptedError is a text that broke off on its way.
type interruptedError struct {
	taken int64 // bytes read of it, not all of which need have arrived
	err   error
}

func (e *interruptedError) Error() string {
	return fmt.Sprintf("%v after %d bytes: %v", ErrInterrupted, e.taken, e.err)
}
func (e *interruptedError) Unwrap() []error { return []error{ErrInterrupted, e.err} }

// upload is a text on its way. Its reading is not for ever: a Read of the text
// may be, so that is the business of a goroutine.
type upload struct {
	text  io.Reader
	stall *time.Timer // runs while what was read is being sent, and ends that

	// Whatever ends a request, a transport of HTTP/1.1 tells only after the Read
	// that it is in, so that has to know.
	done   <-chan struct{} // closed when the request is over
	gone   <-chan struct{} // closed when its connection is; nil if that cannot be known
	closed chan struct{}   // closed by Close
	once   sync.Once

	state atomic.Int32
	taken atomic.Int64 // bytes
	parts chan part
	rest  part // taken from parts, not yet given
}

// part is what one Read of a text returned.
type part struct {
	text []byte
	err  error
}

// States of an upload.
const (
	untouched int32 = iota
	begun           // text is being read, or was
	withdrawn       // text is not read any more
)

var errWithdrawn = errors.New("the request was given up")

func (u *upload) Read(p []byte) (int, error) {
	if u.state.CompareAndSwap(untouched, begun) {
		go u.pump() // until the text ends, or the first Read after the request
	}
	if u.state.Load() != begun {
		return 0, errWithdrawn
	}
	u.stall.Stop()
	defer u.stall.Reset(answerWithin)
	if len(u.rest.text) == 0 && u.rest.err == nil {
		select {
		case u.rest = <-u.parts:
		case <-u.done:
			return 0, errWithdrawn
		case <-u.gone:
			return 0, errWithdrawn
		case <-u.closed:
			return 0, errWithdrawn
		}
	}
	n := copy(p, u.rest.text)
	if u.rest.text = u.rest.text[n:]; len(u.rest.text) > 0 {
		return n, nil
	}
	return n, u.rest.err
}

// pump reads the text.
func (u *upload) pump() {
	for buf := make([]byte, maxPart); ; {
		n, err := u.text.Read(buf)
		u.taken.Add(int64(n))
		select {
		case u.parts <- part{bytes.Clone(buf[:n]), err}:
		case <-u.done:
			return
		}
		if err != nil {
			return
		}
	}
}

// goesBy notes the connection, which comes before the first Read.
func (u *upload) goesBy(info httptrace.GotConnInfo) {
	conn := info.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if watched, ok := conn.(*watchedConn); ok {
		u.gone = watched.gone
	}
}

// Close ends the reading. The text itself is the caller's.
func (u *upload) Close() error {
	u.once.Do(func() { close(u.closed) })
	return nil
}

// withdraw tells that the text was not touched, and makes that last.
func (u *upload) withdraw() bool {
	if u.stall != nil {
		u.stall.Stop()
	}
	return u.state.CompareAndSwap(untouched, withdrawn) || u.state.Load() == withdrawn
}
