package hub

import (
	"cmp"
	"container/list"
	"context"
	"crypto/rand"
	"strings"
	"time"
)

// Bounds of messages on their way.
const (
	maxStreams     = 1_000 // running on one hub
	maxUserStreams = 32    // running for one user, where nothing else is said

	// silentFor ends a stream of whose sender nothing is heard for so long.
	silentFor = 35 * time.Second
)

// streamState is how far a stream is for listeners.
type streamState int

const (
	running   streamState = iota
	stored                // its final message is before listeners
	cancelled             // it ended without one
)

// Streaming is a message on its way, part by part. It ends by Finish, by
// Interrupt, by Cancel, or when it was silent for 35 seconds. Its methods are safe for
// concurrent use.
type Streaming struct {
	hub    *Hub
	id     string
	actor  Actor
	draft  Draft
	sender Sender
	room   *room
	claim  *claim // nil without a key

	// All below is guarded by hub.live.mu.

	state     streamState
	finishing bool // Finish or Interrupt has begun: there are no more parts
	text      strings.Builder
	progress  int

	newest  *Partial      // nil before the first
	frames  *frames       // of newest
	step    uint64        // of live.partialStep, when newest was shown
	element *list.Element // in live.shown, nil before the first
	spent   int           // of partialBytes, when newest was shown
	spentAt time.Time     // which is then

	triedAt time.Time   // when the text so far was shown, or found to be none to show
	pending *time.Timer // tries again when the time has come; nil when nothing is new
	heardAt time.Time   // when there was a part, or a sign of life
	silence *time.Timer // ends the stream
}

// Stream begins a message that arrives in parts. When the draft's key was used
// before, duplicate holds the message stored then and no stream is begun. A
// draft's text, if it has one, is what is stored at the end.
//
// The caller ends the stream by Finish, Interrupt or Cancel.
func (h *Hub) Stream(ctx context.Context, a Actor, d Draft) (s *Streaming, duplicate *Message, err error) {
	if d.Text != "" {
		if err := checkText(d.Text); err != nil {
			return nil, nil, err
		}
	}
	r, err := h.admit(ctx, a, d)
	if err != nil {
		return nil, nil, err
	}
	claim, first, err := h.claimMessage(ctx, a, d, r)
	if err != nil || first != nil {
		return nil, first, err
	}
	s = &Streaming{hub: h, id: rand.Text(), actor: a, draft: d, sender: sender(a), room: r, claim: claim}
	if err := h.live.begin(s); err != nil {
		h.keys.end(claim)
		return nil, nil, err
	}
	return s, nil, nil
}

// begin adds a stream to the running ones.
func (l *live) begin(s *Streaming) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return errClosed()
	case l.maxOf >= 0 && l.streamsOf[s.actor.Name] >= l.maxOf:
		return refuse(Full, "", "you have %d messages on their way in parts, which is as many as one user may", l.maxOf)
	case len(l.streams) >= maxStreams:
		return refuse(Full, "", "there are %d messages on their way in parts, which is as many as there may be", maxStreams)
	}
	l.streams[s.id] = s
	l.streamsOf[s.actor.Name]++
	s.heardAt = time.Now()
	s.spentAt = s.heardAt
	s.silence = time.AfterFunc(silentFor, s.endSilent)
	return nil
}

// ID is the stream ID, on every partial and on the final message.
func (s *Streaming) ID() string { return s.id }

// Part shows listeners the next piece of the text. done of total tells how far
// it is. A piece may end within a character; listeners see whole ones. Once
// the stream has ended it does nothing.
func (s *Streaming) Part(delta string, done, total int) {
	l := s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.state != running || s.finishing {
		return
	}
	now := time.Now()
	s.heardLocked(now)
	// One byte more than allowed is kept: with it Finish refuses the text.
	s.text.WriteString(delta[:min(len(delta), MaxText+1-s.text.Len())])
	if total > 0 {
		s.progress = max(s.progress, min(100, max(0, 100*done/total)))
	}
	switch wait := s.triedAt.Add(partialEvery).Sub(now); {
	case s.pending != nil:
	case wait > 0:
		s.pending = time.AfterFunc(wait, s.showPending)
	default:
		s.showLocked(now)
	}
}

// Alive tells that the sender is there, though it says nothing: its silence
// begins anew. It shows nothing. Once the stream has ended it does nothing.
func (s *Streaming) Alive() {
	l := s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.state == running && !s.finishing {
		s.heardLocked(time.Now())
	}
}

func (s *Streaming) heardLocked(now time.Time) {
	s.heardAt = now
	s.silence.Reset(silentFor)
}

// Finish stores the whole text once and returns it as a message. With a key, an
// earlier call may have stored it, unknown to Stream; the message has the
// stream ID of that one then. When it fails the stream is cancelled.
func (s *Streaming) Finish(ctx context.Context) (Message, error) {
	arrived, err := s.close()
	if err != nil {
		return Message{}, err
	}
	return s.finish(ctx, cmp.Or(s.draft.Text, arrived))
}

// FinishAt is Finish for a text that goes on in another message: only its first
// n bytes are stored, which is at most what the parts add up to.
func (s *Streaming) FinishAt(ctx context.Context, n int) (Message, error) {
	arrived, err := s.close()
	if err != nil {
		return Message{}, err
	}
	return s.finish(ctx, arrived[:min(n, len(arrived))])
}

// finish stores the text of a stream that is closed.
func (s *Streaming) finish(ctx context.Context, text string) (Message, error) {
	m, err := s.store(ctx, record{Message: text}, s.claim)
	if err != nil {
		s.end(cancelled)
		return Message{}, err
	}
	s.end(stored)
	return m, nil
}

// Interrupt ends the stream because its sender broke off. What has arrived is
// stored as a message that says so: whole characters of it, and no more than a
// message may have. Its key is free again, for who sends the whole after all.
// With nothing arrived but white space it is Cancel, and nothing is stored. When
// it fails the stream is cancelled.
func (s *Streaming) Interrupt(ctx context.Context) (m Message, isStored bool, err error) {
	arrived, err := s.close()
	if err != nil {
		return Message{}, false, err
	}
	// After what has arrived is stored, so that it is before the whole.
	defer s.hub.keys.end(s.claim)
	arrived = wholeRunes(arrived[:min(len(arrived), MaxText)])
	if strings.TrimSpace(arrived) == "" {
		s.end(cancelled)
		return Message{}, false, nil
	}
	if m, err = s.store(ctx, record{Message: arrived, Interrupted: true}, nil); err != nil {
		s.end(cancelled)
		return Message{}, false, err
	}
	s.end(stored)
	return m, true, nil
}

// close takes no more parts and returns what has arrived.
func (s *Streaming) close() (string, error) {
	l := s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.state != running || s.finishing {
		return "", refuse(Conflict, "", "the message has ended: it was finished, cancelled, or silent for %v", silentFor)
	}
	s.finishing = true
	s.stopTimersLocked()
	return s.text.String(), nil
}

// store is Send's last step, which ends the claim. Who may send is asked again,
// for time has passed. The message gets what all of the stream's have.
func (s *Streaming) store(ctx context.Context, m record, c *claim) (Message, error) {
	err := checkText(m.Message)
	if err == nil {
		err = s.hub.writable()
	}
	var r *room
	if err == nil {
		r, err = s.hub.find(s.actor, s.draft.Target)
	}
	if err != nil {
		s.hub.keys.end(c)
		return Message{}, err
	}
	m.Sender, m.ReplyTo, m.StreamID = s.sender, s.draft.ReplyTo, s.id
	sent, _, err := s.hub.store(ctx, r, m, c)
	return sent, err
}

// Cancel ends the stream with a last partial that says so; nothing is stored.
// After Finish or Interrupt it does nothing.
func (s *Streaming) Cancel() {
	l := s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.finishing {
		s.endLocked(cancelled)
	}
}

// endSilent ends a stream whose sender has gone silent.
func (s *Streaming) endSilent() {
	l := s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.finishing && time.Since(s.heardAt) >= silentFor {
		s.endLocked(cancelled)
	}
}

func (s *Streaming) end(state streamState) {
	l := s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	s.endLocked(state)
}

// endLocked ends a running stream. Listeners that have seen a partial of it
// get a last one if it was cancelled.
func (s *Streaming) endLocked(state streamState) {
	l := s.hub.live
	if s.state != running {
		return
	}
	s.stopTimersLocked()
	if !s.finishing {
		s.hub.keys.end(s.claim)
	}
	if state == cancelled && s.newest != nil {
		text := s.textSoFarLocked()
		if text == "" {
			text = s.newest.Message
		}
		s.publishLocked(&Partial{Message: text, Time: timeOf(time.Now()), IsComplete: true, Cancelled: true})
	}
	s.state = state
	if s.element != nil {
		l.shown.Remove(s.element)
	}
	delete(l.streams, s.id)
	if l.streamsOf[s.actor.Name]--; l.streamsOf[s.actor.Name] == 0 {
		delete(l.streamsOf, s.actor.Name)
	}
}

func (s *Streaming) stopTimersLocked() {
	s.silence.Stop()
	if s.pending != nil {
		s.pending.Stop()
	}
}
