package transport

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"wigwag/transport/sse"
)

// writeChunk is how much goes out under one write deadline, so that a slow
// reader is told from one that has stopped.
const writeChunk = 64 << 10

// writer is the one writer of an SSE response.
type writer struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	buf     []byte
}

// startSSE sends the header of an SSE response.
func (s *Server) startSSE(w http.ResponseWriter) (*writer, error) {
	h := w.Header()
	h.Set("Content-Type", sse.ContentType)
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx must not gather what is sent
	out := &writer{w: w, rc: http.NewResponseController(w), timeout: s.limits.WriteTimeout}
	w.WriteHeader(http.StatusOK)
	return out, out.flush()
}

// errGone tells that there is nobody left to answer.
var errGone = errors.New("the client is gone, or does not read")

// event adds an event to what the next flush sends.
func (o *writer) event(ev sse.Event) { o.buf = sse.Append(o.buf, ev) }

// flush writes what was added, or returns errGone. The deadline is lifted afterwards: on HTTP/2 it
// would end an idle stream.
func (o *writer) flush() error {
	buf := o.buf
	for {
		n := min(len(buf), writeChunk)
		if err := o.write(buf[:n]); err != nil {
			return errGone
		}
		if buf = buf[n:]; len(buf) == 0 {
			break
		}
	}
	o.buf = o.buf[:0]
	if cap(o.buf) > writeChunk {
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

func (o *writer) items(st *stream, items []item) {
	size, id := 0, st.id()
	for _, it := range items {
		size += len(it.data) + len(id) + 64 // what stands around it
	}
	o.buf = slices.Grow(o.buf, size)
	for _, it := range items {
		ev := sse.Event{Name: "message", Data: it.data}
		if id != "" {
			ev.ID = eventID(id, it)
		}
		o.event(ev)
	}
}

// prime adds an event that has an ID and no message, from which a client can
// resume before it has got anything (2025-11-25).
func (o *writer) prime(st *stream) {
	o.event(sse.Event{ID: st.prime(), Data: []byte{}})
}

// ending says why a connection stopped serving its stream.
type ending int

const (
	finished     ending = iota // the stream has ended and is written
	disconnected               // the client is gone, or does not read
	released                   // the stream goes on, this connection does not
)

// pump writes a stream to a connection until one of them ends. A connection
// that listens also ends with its lifetime and with the server's drain, after
// telling the client when to come back.
func (s *Server) pump(r *http.Request, out *writer, st *stream, conn chan struct{}, lifetime <-chan time.Time, drain <-chan struct{}) ending {
	beat := time.NewTicker(s.limits.Heartbeat)
	defer beat.Stop()
	for {
		items, done := st.take(conn)
		if len(items) > 0 {
			out.items(st, items)
			if out.flush() != nil {
				return disconnected
			}
			beat.Reset(s.limits.Heartbeat)
		}
		if done && drain != nil && s.isDraining() { // the session ended with the server
			return out.comeBack(jitter(2 * time.Second))
		}
		switch {
		case done && st.allWritten(conn):
			return finished
		case done:
			return released
		}
		select {
		case <-st.wake:
			continue
		case <-beat.C:
			out.buf = sse.AppendComment(out.buf, "keep-alive")
			if out.flush() != nil {
				return disconnected
			}
			continue
		case <-r.Context().Done():
			return disconnected
		case <-s.base.Done():
			if !st.over() {
				return released
			}
		case <-conn:
			return released
		case retry := <-st.hangUp:
			return out.comeBack(retry)
		case <-lifetime:
			return out.comeBack(jitter(time.Second))
		case <-drain:
			return out.comeBack(jitter(2 * time.Second))
		}
	}
}

// comeBack tells the client when to reconnect.
func (o *writer) comeBack(after time.Duration) ending {
	o.event(sse.Event{Retry: after})
	if o.flush() != nil {
		return disconnected
	}
	return released
}

// jitter spreads d over 80 to 120 %, so that clients do not come all at once.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // not a secret
}

// lifetime is when a listening connection has to end: give or take 20 %, and
// never later than its owner's token.
func (s *Server) lifetime(owner Owner) time.Duration {
	d := jitter(s.limits.StreamLifetime)
	if !owner.Expires.IsZero() {
		d = min(d, max(0, time.Until(owner.Expires)))
	}
	return d
}
