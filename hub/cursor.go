package hub

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// maxEpoch is the length of the longest epoch.
const maxEpoch = 16

// fromStart is the cursor that is older than everything, in every epoch.
const fromStart = "0"

// cursor is a place in the log's one order: right behind the event that has it
// as its ID. The wire form is "<epoch>-<sequence>".
type cursor struct {
	epoch string
	seq   uint64 // below 1<<63; 0 is before the first event
}

func (c cursor) String() string { return c.epoch + "-" + strconv.FormatUint(c.seq, 10) }

// parseCursor reads exactly what String writes.
func parseCursor(s string) (c cursor, ok bool) {
	epoch, digits, _ := strings.Cut(s, "-")
	seq, err := strconv.ParseUint(digits, 10, 63)
	c = cursor{epoch, seq}
	return c, err == nil && validEpoch(epoch) && c.String() == s
}

func validEpoch(s string) bool {
	return s != "" && len(s) <= maxEpoch && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

// newEpoch returns eight random characters of base 36.
func newEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	// The top bit makes it 13 digits long, of which the last ones are as good
	// as even.
	return strconv.FormatUint(binary.NativeEndian.Uint64(b[:])|1<<63, 36)[5:]
}

// seqOf resolves a cursor that a caller gave as arg: 0 for the beginning, or
// the sequence to continue after. An actor may come from a node that is ahead
// of this one, so it is the log that knows where the head is: that takes a turn.
func (h *Hub) seqOf(ctx context.Context, a Actor, t *turns, arg, s string) (uint64, error) {
	return h.seqIn(ctx, a, t, h.logOf(""), arg, s)
}

// seqIn is seqOf for any of the logs.
func (h *Hub) seqIn(ctx context.Context, a Actor, t *turns, log kept, arg, s string) (uint64, error) {
	if s == fromStart {
		return 0, nil
	}
	c, ok := parseCursor(s)
	if !ok {
		return 0, refuse(Invalid, arg, `%s is not a cursor: give the id of a message, the "next" of an earlier answer, or "0" for the beginning`, quote(s))
	}
	state, err := stateOf(ctx, a, t, log)
	if err != nil {
		return 0, err
	}
	var reason string
	switch {
	case c.epoch != log.epoch:
		reason = "is of another log"
	case c.seq > max(state.Last, h.live.headOf(log.ring)):
		reason = "is ahead of the newest event"
	case c.seq+1 < state.First:
		reason = "has expired"
	default:
		return c.seq, nil
	}
	return 0, reset(arg, s, reason, state)
}

// stateOf is where a log stands; to ask for it takes a turn.
func stateOf(ctx context.Context, a Actor, t *turns, log Log) (State, error) {
	release, err := t.take(ctx, a)
	if err != nil {
		return State{}, err
	}
	defer release()
	state, err := log.State(ctx)
	return state, storeError(err)
}

// reset is the answer to a cursor that does not work, with one that does.
func reset(arg, s, reason string, state State) error {
	oldest := fromStart
	if state.First > 1 {
		oldest = cursor{state.Epoch, state.First - 1}.String()
	}
	return &Error{
		Code: Reset, Arg: arg, Oldest: oldest, Reason: "the cursor " + reason,
		Msg: fmt.Sprintf("%s %s; the oldest cursor that works is %q", quote(s), reason, oldest),
	}
}
