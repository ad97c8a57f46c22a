package hub

import (
	"math"
	"time"
	"unicode/utf8"
)

// Bounds of what is shown of a message on its way.
const (
	// partialEvery is the shortest time between two partials of a message.
	partialEvery = time.Second / 25
	// partialBytes bounds what the partials of one message are together in any
	// time, and partialRate what they may be beyond that for every second of it:
	// so what has arrived is shown after two seconds at most, however long the
	// text is and whether or not more comes.
	partialBytes = 1 << 20
	partialRate  = 32 << 10
)

// Partial is one step of a message that arrives in parts. It is live only.
type Partial struct {
	StreamID   string `json:"stream_id"`
	Room       string `json:"room"`
	Sender     Sender `json:"sender"`
	Time       Time   `json:"time"`
	Message    string `json:"message"`  // the text so far
	Progress   int    `json:"progress"` // 0 to 100
	IsComplete bool   `json:"isComplete"`
	Cancelled  bool   `json:"cancelled,omitempty"`
}

// showPending shows what came since the last partial.
func (s *Streaming) showPending() {
	l := s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.state == running && !s.finishing {
		s.pending = nil
		s.showLocked(time.Now())
	}
}

// showLocked makes the text so far the newest partial, if it is one: not when
// it has no new character, and later when it would be too much in all by now.
func (s *Streaming) showLocked(now time.Time) {
	s.triedAt = now
	text := s.textSoFarLocked()
	if text == "" || s.newest != nil && s.newest.Message == text {
		return
	}
	regained := int(now.Sub(s.spentAt).Seconds() * partialRate)
	spent := max(0, s.spent-regained) + len(text)
	if over := spent - allowance(len(text)); over > 0 {
		s.pending = time.AfterFunc(time.Duration(over)*time.Second/partialRate, s.showPending)
		return
	}
	s.spent, s.spentAt = spent, now
	s.publishLocked(&Partial{Message: text, Time: timeOf(now)})
}

// textSoFarLocked returns what of the text can be shown: whole characters. One
// that could not be stored is not shown either, nor is anything once its sender
// may not see the room any more.
func (s *Streaming) textSoFarLocked() string {
	text := wholeRunes(s.text.String())
	if checkText(text) != nil || !s.room.admits(s.actor) {
		return ""
	}
	return text
}

// publishLocked shows a partial to all who may see it, after it got what all
// partials of the stream share.
func (s *Streaming) publishLocked(p *Partial) {
	l := s.hub.live
	p.StreamID, p.Room, p.Sender, p.Progress = s.id, s.room.name, s.sender, s.progress
	s.newest, s.frames = p, &frames{}
	l.partialStep++
	s.step = l.partialStep
	if s.element == nil {
		s.element = l.shown.PushBack(s)
	} else {
		l.shown.MoveToBack(s.element)
	}
	l.wakeSoonLocked(s.room, partials)
}

// shownSinceLocked returns the running streams whose newest partial is newer
// than a step, in order.
func (l *live) shownSinceLocked(step uint64) []*Streaming {
	e := l.shown.Back()
	for e != nil && e.Value.(*Streaming).step > step {
		e = e.Prev()
	}
	// e is the last one that is not newer.
	if e == nil {
		e = l.shown.Front()
	} else {
		e = e.Next()
	}
	var found []*Streaming
	for ; e != nil; e = e.Next() {
		found = append(found, e.Value.(*Streaming))
	}
	return found
}

// allowance is how many bytes the partials of a message may be together at once
// by the time its text has n bytes. It lets parts grow with the text: short texts are
// shown part by part, and at MaxText, with a last partial in reserve for a
// cancellation, the sum is partialBytes.
func allowance(n int) int {
	const most = partialBytes - MaxText
	return int(most * math.Sqrt(float64(n)/MaxText))
}

// wholeRunes cuts off a character that is not complete yet.
func wholeRunes(s string) string {
	for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
		if tail := s[len(s)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRuneInString(tail) {
				return s[:len(s)-i]
			}
			break
		}
	}
	return s
}
