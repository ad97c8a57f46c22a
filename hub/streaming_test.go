package hub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
	"weak"
)

func begin(t *testing.T, h *Hub, a Actor, d Draft) *Streaming {
	t.Helper()
	s, duplicate, err := h.Stream(t.Context(), a, d)
	if err != nil || duplicate != nil || s.ID() == "" {
		t.Fatalf("Stream: %+v, %v", duplicate, err)
	}
	return s
}

func TestStreaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		answered := send(t, h, bob, General, "question")
		l := listen(t, h, bob, ListenOptions{})
		s := begin(t, h, alice, Draft{ReplyTo: answered.ID})
		nothing(t, l)
		s.Part("one ", 1, 3)
		p := drain(t, l)[0].Partial
		want := Partial{
			StreamID: s.ID(), Room: General, Sender: Sender{"alice", "Claude Code"},
			Time: timeOf(time.Now()), Message: "one ", Progress: 33,
		}
		if p == nil || *p != want {
			t.Errorf("the first partial is %+v, want %+v", p, want)
		}
		pass(partialEvery)
		s.Part("two ", 2, 3)
		wantEvents(t, l, "one two …")
		wantEvents(t, listen(t, h, carol, ListenOptions{}), "one two …") // a late joiner
		pass(partialEvery)
		s.Part("three", 3, 3)
		wantEvents(t, l, "one two three…")

		m, err := s.Finish(t.Context())
		if err != nil || m.Message != "one two three" || m.StreamID != s.ID() || m.ReplyTo != answered.ID || m.ID != h.Head() {
			t.Fatalf("%+v, %v", m, err)
		}
		s.Part("too late", 3, 3)
		s.Cancel()
		_, err = s.Finish(t.Context())
		wantCode(t, err, Conflict, "")
		events := next(t, l)
		if len(events) != 1 || events[0].Message == nil || *events[0].Message != m {
			t.Errorf("at the end came %s", show(events))
		}
		pass(time.Hour)
		nothing(t, l)
		nothing(t, listen(t, h, carol, ListenOptions{}))
		if page, _ := h.History(t.Context(), bob, HistoryQuery{}); texts(page) != "question|one two three" {
			t.Errorf("stored: %q", texts(page))
		}
		h.Close()
	})
}

// TestStreamingKnownText: with the text known from the start, that is what is
// stored.
func TestStreamingKnownText(t *testing.T) {
	h := newHub(t)
	s := begin(t, h, alice, Draft{Text: "the whole text"})
	s.Part("the ", 1, 3)
	if m, err := s.Finish(t.Context()); err != nil || m.Message != "the whole text" {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestFinalEndsStream: with the final message a stream is over for everybody,
// also while Finish has not returned yet.
func TestFinalEndsStream(t *testing.T) {
	log := NewMemoryLog(1 << 20)
	h := newHubOver(t, log)
	l := listen(t, h, bob, ListenOptions{})
	s := begin(t, h, alice, Draft{})
	s.Part("text so far", 1, 2)
	wantEvents(t, l, "text so far…")
	data := fmt.Sprintf(`{"v":1,"type":"message","sender":{"name":"alice"},"message":"final","stream_id":%q}`, s.ID())
	rec, err := log.Append(t.Context(), Entry{Subject: "room.general", Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	h.live.await(t.Context(), rec.Seq)
	wantEvents(t, l, "final")
	nothing(t, l)
	nothing(t, listen(t, h, carol, ListenOptions{}))
}

// TestFinishAt: of a text that was shown, the beginning is stored.
func TestFinishAt(t *testing.T) {
	h := newHub(t)
	l := listen(t, h, bob, ListenOptions{})
	s := begin(t, h, alice, Draft{Key: "k"})
	s.Part("one\ntwo", 0, 0)
	wantEvents(t, l, "one\ntwo…")
	m, err := s.FinishAt(t.Context(), len("one\n"))
	if err != nil || m.Message != "one\n" || m.StreamID != s.ID() {
		t.Fatalf("%+v, %v", m, err)
	}
	if events := next(t, l); len(events) != 1 || events[0].Message == nil || *events[0].Message != m {
		t.Errorf("at the end came %s", show(events))
	}
	_, err = s.FinishAt(t.Context(), 1)
	wantCode(t, err, Conflict, "")
	if _, first, err := h.Stream(t.Context(), alice, Draft{Key: "k"}); err != nil || first == nil || *first != m {
		t.Errorf("with the same key: %+v, %v", first, err)
	}
}

func TestStreamingTooLong(t *testing.T) {
	h := newHub(t)
	for _, parts := range [][]string{
		{strings.Repeat("x", MaxText), "x"},
		{strings.Repeat("x", 10*MaxText)},
		{"a\x00b"},
		{"ok so far \xff", "x"},
		{},
		{"", ""},
	} {
		s := begin(t, h, alice, Draft{})
		l := listen(t, h, bob, ListenOptions{})
		for i, p := range parts {
			s.Part(p, i+1, len(parts))
		}
		_, err := s.Finish(t.Context())
		wantCode(t, err, Invalid, "message")
		if s.text.Cap() > 3*MaxText {
			t.Errorf("%d bytes are held", s.text.Cap())
		}
		for _, e := range drain(t, l) {
			if !e.Partial.Cancelled || !utf8.ValidString(e.Partial.Message) || strings.Contains(e.Partial.Message, "\x00") {
				t.Errorf("a listener got %+.80v", *e.Partial)
			}
		}
	}
	if h.Head() != h.id(0) {
		t.Error("something was stored")
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l, late := listen(t, h, bob, ListenOptions{}), listen(t, h, carol, ListenOptions{})
		s := begin(t, h, alice, Draft{})
		s.Part("shown", 1, 4)
		s.Part(" and not yet shown", 2, 4)
		wantEvents(t, l, "shown…")
		s.Cancel()
		s.Cancel()
		p := next(t, l)[0].Partial
		if p.Message != "shown and not yet shown" || !p.IsComplete || !p.Cancelled || p.Progress != 50 {
			t.Errorf("the last partial is %+v", p)
		}
		s.Part(" more", 3, 4)
		if s.text.String() != p.Message {
			t.Errorf("after its end it has the text %q", s.text.String())
		}
		pass(time.Hour)
		_, err := s.Finish(t.Context())
		wantCode(t, err, Conflict, "")
		nothing(t, l)
		nothing(t, late) // it was never shown a beginning
		if h.Head() != h.id(0) {
			t.Error("a cancelled message was stored")
		}
		begin(t, h, alice, Draft{}).Cancel() // nothing shown, nothing to take back
		nothing(t, l)
		h.Close()
	})
}

// TestSilence: a stream whose sender is gone is shown as interrupted, and
// nothing of it is left.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		c := collect(t, h, bob)
		start := time.Now()
		s := begin(t, h, alice, Draft{})
		pass(silentFor - time.Second)
		s.Part("one", 1, 9)
		pass(silentFor - time.Millisecond)
		s.Part("", 1, 9) // a sign of life
		pass(silentFor - time.Millisecond)
		if events, _ := c.all(); show(events) != "one…" {
			t.Fatalf("listeners got %q", show(events))
		}
		pass(time.Millisecond)
		events, times := c.all()
		if at := times[len(times)-1].Sub(start); show(events) != "one…|one×" || at != 3*silentFor-time.Second-time.Millisecond {
			t.Errorf("listeners got %q, the last at %v", show(events), at)
		}
		s.Part("two", 2, 9)
		_, err := s.Finish(t.Context())
		wantCode(t, err, Conflict, "")
		s.Cancel()
		pass(time.Hour)
		if events, _ := c.all(); len(events) != 2 || h.Head() != h.id(0) {
			t.Errorf("after its end: %q, head %s", show(events), h.Head())
		}
		h.Close()
	})
}

// TestDroppedStream: a stream that its owner forgets is freed.
func TestDroppedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := listen(t, h, bob, ListenOptions{})
		drop := func() weak.Pointer[Streaming] {
			s := begin(t, h, alice, Draft{Key: "k"})
			s.Part("x", 0, 0)
			return weak.Make(s)
		}
		gone := drop()
		wantEvents(t, l, "x…")
		pass(silentFor)
		wantEvents(t, l, "x×")
		if len(h.live.streams)+len(h.live.streamsOf)+h.live.shown.Len()+len(h.keys.running)+len(l.open) != 0 {
			t.Error("something of it is left")
		}
		runtime.GC()
		if gone.Value() != nil {
			t.Error("it is still referred to")
		}
		h.Close()
	})
}

func TestStreamBounds(t *testing.T) {
	h := newHub(t)
	full := func(a Actor) {
		t.Helper()
		_, _, err := h.Stream(t.Context(), a, Draft{Key: "k"})
		wantCode(t, err, Full, "")
		if len(h.keys.running) != 0 {
			t.Error("the key of a stream that was not begun is in use")
		}
	}
	var streams []*Streaming
	for range maxUserStreams {
		streams = append(streams, begin(t, h, alice, Draft{}))
	}
	full(alice)
	for i := 0; len(streams) < maxStreams; i++ {
		streams = append(streams, begin(t, h, Actor{Name: fmt.Sprint("u", i/maxUserStreams)}, Draft{}))
	}
	full(bob)
	streams[0].Cancel()
	streams[0].Cancel() // frees one place, not two
	begin(t, h, alice, Draft{})
	full(alice)
	full(bob)
	if _, err := streams[1].Finish(t.Context()); err == nil {
		t.Error("a stream without text was finished")
	}
	streams[2].Part("x", 1, 1)
	if _, err := streams[2].Finish(t.Context()); err != nil {
		t.Error(err)
	}
	begin(t, h, alice, Draft{})
	begin(t, h, bob, Draft{})
	full(bob)
}

// TestFinishFails: what could not be stored is taken back before listeners.
func TestFinishFails(t *testing.T) {
	broken := errors.New("broken")
	log := &oddLog{Log: NewMemoryLog(1 << 20), append: func(context.Context) error { return broken }}
	h := newHubOver(t, log)
	l := listen(t, h, bob, ListenOptions{})
	s := begin(t, h, alice, Draft{})
	s.Part("x", 1, 1)
	wantEvents(t, l, "x…")
	if _, err := s.Finish(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Finish: %v", err)
	}
	wantEvents(t, l, "x×")
	_, err := s.Finish(t.Context())
	wantCode(t, err, Conflict, "")
}

// TestFinishLosesRoom: who may no longer send may not finish either.
func TestFinishLosesRoom(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	s := begin(t, h, bob, Draft{Target: Target{Room: "den"}})
	s.Part("x", 1, 1)
	expel(t, h, "den", "bob")
	_, err := s.Finish(t.Context())
	wantCode(t, err, NotFound, "room")
	if h.Head() != h.id(0) {
		t.Error("the message was stored")
	}
}

// TestStreamingScripts: parts may end anywhere, within a character too; what is
// shown is whole and a beginning of what is stored.
func TestStreamingScripts(t *testing.T) {
	for name, text := range scripts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHub(t)
				c := collect(t, h, bob)
				s := begin(t, h, alice, Draft{Target: Target{To: "bob"}})
				for i := range len(text) {
					s.Part(text[i:i+1], i+1, len(text))
					pass(partialEvery)
				}
				m, err := s.Finish(t.Context())
				if err != nil || m.Message != text {
					t.Fatalf("%q was stored as %q, %v", text, m.Message, err)
				}
				synctest.Wait()
				events, _ := c.all()
				last := len(events) - 1
				if events[last].Message == nil || *events[last].Message != m {
					t.Errorf("the last event is %+v", events[last])
				}
				shown := ""
				for _, e := range events[:last] {
					p := e.Partial.Message
					if !utf8.ValidString(p) || !strings.HasPrefix(text, p) || len(p) <= len(shown) {
						t.Errorf("%q was shown after %q", p, shown)
					}
					shown = p
				}
				if shown != text {
					t.Errorf("in the end %q was shown of %q", shown, text)
				}
				h.Close()
			})
		})
	}
}

// TestConcurrentStreams: partials and finals of many streams never mix, none
// comes after its final, and every stream has exactly one end.
func TestConcurrentStreams(t *testing.T) {
	const streams = 40
	h := newHub(t)
	l := listen(t, h, bob, ListenOptions{})
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			a := Actor{Name: fmt.Sprint("u", i)}
			s, _, err := h.Stream(t.Context(), a, Draft{})
			if err != nil {
				t.Error(err)
				return
			}
			for n := range 50 {
				s.Part(fmt.Sprint(i, " "), n, 50)
			}
			if i%3 == 0 {
				s.Cancel()
			} else if _, err := s.Finish(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	ended := map[string]bool{}
	finals := 0
	stopped := make(chan struct{})
	go func() { wg.Wait(); close(stopped) }()
	check := func(events []Event) {
		for _, e := range events {
			var id, text, sender string
			if e.Message != nil {
				id, text, sender = e.Message.StreamID, e.Message.Message, e.Message.Sender.Name
				finals++
			} else {
				id, text, sender = e.Partial.StreamID, e.Partial.Message, e.Partial.Sender.Name
			}
			if unit := strings.TrimPrefix(sender, "u") + " "; strings.ReplaceAll(text, unit, "") != "" {
				t.Errorf("%s's text is %q", sender, text)
			}
			if ended[id] {
				t.Errorf("stream %s of %s goes on after its end", id, sender)
			}
			ended[id] = e.Message != nil || e.Partial.IsComplete
		}
	}
	for done := false; !done; {
		select {
		case <-stopped:
			done = true
		case <-l.tap.wake:
		}
		check(drain(t, l))
	}
	for id, end := range ended {
		if !end {
			t.Errorf("stream %s has no end", id)
		}
	}
	if finals != streams-(streams+2)/3 {
		t.Errorf("%d messages", finals)
	}
	if len(l.open) != 0 || h.live.shown.Len() != 0 {
		t.Error("something is left")
	}
}
