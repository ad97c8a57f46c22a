package transport

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"strconv"
	"strings"
)

// A stream ID is random, so long, and of these letters. That of a session's own
// stream, which belongs to no request, begins with a digit that rand.Text never
// gives; that of a stream with one answer goes on with the request's ID. So a
// process that knows nothing of a stream knows what to answer when a client
// comes back for it.
const (
	streamIDLength  = 13
	streamIDLetters = "0abcdefghijklmnopqrstuvwxyz234567"
	ownStreamMark   = "0"
	maxNamedRequest = 64 // bytes of a request ID in a stream ID
)

var requestName = base32.StdEncoding.WithPadding(base32.NoPadding)

// id names the stream in event IDs; "" when its events get none. Most answers
// are plain JSON, so it is made when it is asked for first.
func (st *stream) id() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.idLocked()
}

func (st *stream) idLocked() string {
	if st.name != "" || st.history == nil {
		return st.name
	}
	st.name = strings.ToLower(rand.Text()[:streamIDLength]) // 65 bits
	switch {
	case st.own:
		st.name = ownStreamMark + st.name[1:]
	case len(st.requests) == 1 && len(st.requests[0]) <= maxNamedRequest:
		st.name += strings.ToLower(requestName.EncodeToString(st.requests[0]))
	}
	return st.name
}

// given returns the ID if anybody has asked for it.
func (st *stream) given() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.name
}

// namedRequest is the ID of the request in a stream ID, nil for none.
func namedRequest(streamID string) json.RawMessage {
	if len(streamID) <= streamIDLength || strings.HasPrefix(streamID, ownStreamMark) {
		return nil
	}
	id, err := requestName.DecodeString(strings.ToUpper(streamID[streamIDLength:]))
	if err != nil || len(id) > maxNamedRequest || !json.Valid(id) || !isID(id) {
		return nil
	}
	return id
}

// prime returns the ID of an event that carries no message. A client that
// comes back with it gets all that was taken after now.
func (st *stream) prime() (eventID string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.primed++
	return st.idLocked() + "-" + strconv.FormatUint(st.taken, 10) + "." + strconv.Itoa(st.primed)
}

// eventID is the ID of the event of a stream that carries a message.
func eventID(stream string, it item) string { return stream + "-" + strconv.FormatUint(it.seq, 10) }

// parseEventID is the reverse of both.
func parseEventID(id string) (stream string, seq uint64, ok bool) {
	stream, num, ok := strings.Cut(id, "-")
	num, nth, priming := strings.Cut(num, ".")
	seq, err := strconv.ParseUint(num, 10, 64)
	if priming && err == nil {
		_, err = strconv.ParseUint(nth, 10, 32)
	}
	return stream, seq, ok && stream != "" && err == nil && (seq > 0 || priming)
}
