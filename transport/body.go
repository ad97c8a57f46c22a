package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 30 * time.Second

// readBody reads a body within its bounds of size and time. One that declares
// to be larger is refused unread.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, user string) ([]byte, error) {
	limit := s.limits.MaxBody
	if r.ContentLength > limit {
		closeAfterwards(w, r)
		return nil, tooLarge(limit)
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // unsupported only by test recorders
	large := &largeBody{quota: &s.quota, user: user}
	defer large.done()
	body, err := readAll(http.MaxBytesReader(w, r.Body, limit), r.ContentLength, large.admit)
	var over *http.MaxBytesError
	refused, _ := errors.AsType[*fault](err)
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case refused != nil:
		closeAfterwards(w, r)
		return nil, refused
	case err != nil:
		closeAfterwards(w, r)
		return nil, &fault{status: http.StatusBadRequest, code: mcp.PARSE_ERROR, msg: "the body did not arrive whole"}
	}
	_ = rc.SetReadDeadline(time.Time{}) // only now: the rest of another body would be waited for without end
	return body, nil
}

func tooLarge(limit int64) *fault {
	return &fault{
		status: http.StatusRequestEntityTooLarge, code: mcp.INVALID_REQUEST,
		msg: fmt.Sprintf("the body is larger than %d bytes", limit), reason: RefusedBody,
	}
}

const (
	// smallBody is how much of a body is read also while memory is short: answers
	// to what running calls have asked, cancellations. The rest of a larger one is
	// not waited for then, or the bodies of many would fill the memory before any
	// of them is a call that can be refused.
	smallBody = 16 << 10
	bodyPiece = 64 << 10
)

// largeBody is the place that a body takes from when it has turned out to be
// large until it is read: a user may have as many as calls.
type largeBody struct {
	quota   *quota
	user    string
	release func() // nil: it has none yet
}

// admit is asked before each piece of a large body.
func (b *largeBody) admit() (err error) {
	if b.quota.overloaded() {
		return overloaded()
	}
	if b.release == nil {
		b.release, err = b.quota.body(b.user)
	}
	return err
}

func (b *largeBody) done() {
	if b.release != nil {
		b.release()
	}
}

// readAll reads to the end, if admit lets it go on where there is much. It takes
// memory for what has come, in pieces, and not for what is said to come.
func readAll(r io.Reader, said int64, admit func() error) ([]byte, error) {
	if said < 0 || said > smallBody {
		said = smallBody
	}
	piece := make([]byte, 0, said+1) // one more, to see the end
	var pieces [][]byte
	for {
		if len(piece) == cap(piece) {
			pieces = append(pieces, piece)
			piece = make([]byte, 0, bodyPiece)
		}
		if len(pieces) > 0 {
			if err := admit(); err != nil {
				return nil, err
			}
		}
		n, err := r.Read(piece[len(piece):cap(piece)])
		switch piece = piece[:len(piece)+n]; {
		case errors.Is(err, io.EOF) && pieces == nil:
			return piece, nil
		case errors.Is(err, io.EOF):
			return bytes.Join(append(pieces, piece), nil), nil
		case err != nil:
			return nil, err
		}
	}
}

// closeAfterwards ends the connection with the answer, or net/http would read
// the rest of the body to save it. On HTTP/2 the connection is shared with other
// requests, and the rest is refused without it.
func closeAfterwards(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}
