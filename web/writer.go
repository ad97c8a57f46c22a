package web

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"wigwag/transport/sse"
)

const (
	// writeChunk is how much goes out under one write deadline, so that a slow
	// reader is told from one that has stopped.
	writeChunk = 64 << 10
	// keptBuffer is what a stream keeps of its buffer while it sleeps.
	keptBuffer = 4 << 10
)

// errGone tells that there is nobody left to write to.
var errGone = errors.New("the client is gone, or does not read")

// writer is the one writer of a stream.
type writer struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	buf     []byte // at most writeChunk and one frame
}

// startSSE sends the header of a stream with the first flush.
func startSSE(w http.ResponseWriter, timeout time.Duration) *writer {
	h := w.Header()
	h.Set("Content-Type", sse.ContentType)
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx must not gather what is sent
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	return &writer{w: w, rc: http.NewResponseController(w), timeout: timeout}
}

// frame adds a frame to what the next flush sends, or sends what there is when
// that is enough for a write.
func (o *writer) frame(frame []byte) error {
	o.buf = append(o.buf, frame...)
	if len(o.buf) < writeChunk {
		return nil
	}
	return o.flush()
}

// event is frame for an event that nobody else gets.
func (o *writer) event(ev sse.Event) error { return o.frame(sse.Append(nil, ev)) }

// flush writes what was added, or returns errGone. The deadline is lifted
// afterwards: on HTTP/2 it would end a stream that sleeps.
func (o *writer) flush() error {
	for buf := o.buf; len(buf) > 0; {
		n := min(len(buf), writeChunk)
		if o.write(buf[:n]) != nil {
			return errGone
		}
		buf = buf[n:]
	}
	o.buf = o.buf[:0]
	if cap(o.buf) > keptBuffer {
		o.buf = nil
	}
	if o.rc.SetWriteDeadline(time.Time{}) != nil {
		return errGone
	}
	return nil
}

func (o *writer) write(chunk []byte) error {
	if err := o.rc.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return err
	}
	if _, err := o.w.Write(chunk); err != nil {
		return err
	}
	return o.rc.Flush()
}

// spread gives d or up to a share more or less, so that clients do not come,
// or go, all at once.
func spread(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1))) //nolint:gosec // not a secret
}
