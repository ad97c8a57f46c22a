package hub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestInterrupt: of a sender that breaks off, what has arrived is stored and
// says so, for listeners, in history, and on the wire.
func TestInterrupt(t *testing.T) {
	h := newHub(t)
	first := send(t, h, bob, General, "tell me")
	l := listen(t, h, bob, ListenOptions{})
	s := begin(t, h, alice, Draft{ReplyTo: first.ID})
	s.Part("half a tho", 1, 2)
	wantEvents(t, l, "half a tho…")
	m, stored, err := s.Interrupt(t.Context())
	if err != nil || !stored || !m.Interrupted || m.Message != "half a tho" || m.StreamID != s.ID() || m.ReplyTo != first.ID || m.Sender.Name != "alice" {
		t.Fatalf("%+v, %t, %v", m, stored, err)
	}
	if events := next(t, l); len(events) != 1 || events[0].Message == nil || *events[0].Message != m {
		t.Errorf("at the end came %s", show(events))
	}
	page, err := h.History(t.Context(), bob, HistoryQuery{After: first.ID})
	if err != nil || len(page.Messages) != 1 || page.Messages[0] != m {
		t.Errorf("stored: %+v, %v", page, err)
	}
	if data, err := json.Marshal(m); err != nil || !strings.Contains(string(data), `"interrupted":true`) {
		t.Errorf("on the wire: %s, %v", data, err)
	}
	if data, err := json.Marshal(first); err != nil || strings.Contains(string(data), "interrupted") {
		t.Errorf("on the wire, whole: %s, %v", data, err)
	}
	s.Part("too late", 1, 1)
	s.Cancel()
	_, _, err = s.Interrupt(t.Context())
	wantCode(t, err, Conflict, "")
	_, err = s.Finish(t.Context())
	wantCode(t, err, Conflict, "")
	nothing(t, l)
}

// TestInterruptStores: what of the text is stored.
func TestInterruptStores(t *testing.T) {
	h := newHub(t)
	for name, test := range map[string]struct{ known, arrived, want string }{
		"nothing":              {arrived: ""},
		"white space":          {arrived: " \r\n\t\u3000"},
		"part of a character":  {arrived: "né"[:2], want: "n"},
		"only such a part":     {arrived: "é"[:1]},
		"what has arrived":     {known: "all of it", arrived: "all", want: "all"},
		"known, none arrived":  {known: "all of it"},
		"space is kept":        {arrived: " x\n", want: " x\n"},
		"more than is allowed": {arrived: strings.Repeat("é", MaxText), want: strings.Repeat("é", MaxText/2)},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, h, bob, ListenOptions{Types: []string{"message"}})
			defer l.Close()
			s := begin(t, h, alice, Draft{Text: test.known})
			s.Part(test.arrived, 0, 0)
			m, stored, err := s.Interrupt(t.Context())
			if err != nil || stored != (test.want != "") || m.Message != test.want || m.Interrupted != stored {
				t.Errorf("%.20q stored %t, %v", m.Message, stored, err)
			}
			wantNow(t, l, test.want)
			if n := h.Stats().Streams; n != 0 {
				t.Errorf("%d streams are left", n)
			}
		})
	}
}

// TestInterruptCannot: where what has arrived cannot be stored, the stream is
// cancelled.
func TestInterruptCannot(t *testing.T) {
	h := newHub(t)
	l := listen(t, h, bob, ListenOptions{})
	s := begin(t, h, alice, Draft{Key: "k"})
	s.Part("fine", 0, 0)
	wantEvents(t, l, "fine…")
	s.Part(" \xff not", 0, 0)
	_, stored, err := s.Interrupt(t.Context())
	wantCode(t, err, Invalid, "message")
	if stored {
		t.Error("it was stored")
	}
	wantEvents(t, l, "fine×")
	if _, _, err := h.Send(t.Context(), alice, Draft{Text: "whole", Key: "k"}); err != nil {
		t.Errorf("its key: %v", err)
	}
}

// TestInterruptFreesKey: who was cut off can send the whole under the same key,
// and it is after what was cut off.
func TestInterruptFreesKey(t *testing.T) {
	for _, arrived := range []string{"ha", ""} {
		t.Run(arrived, func(t *testing.T) {
			h := newHub(t)
			s := begin(t, h, alice, Draft{Key: "k"})
			s.Part(arrived, 0, 0)
			if _, _, err := s.Interrupt(t.Context()); err != nil {
				t.Fatal(err)
			}
			again := begin(t, h, alice, Draft{Key: "k"})
			again.Part("whole", 0, 0)
			whole, err := again.Finish(t.Context())
			if err != nil || whole.Interrupted || whole.Message != "whole" {
				t.Errorf("%+v, %v", whole, err)
			}
			want := strings.TrimPrefix(arrived+"|whole", "|")
			if page, err := h.History(t.Context(), bob, HistoryQuery{}); err != nil || texts(page) != want {
				t.Errorf("stored: %q, %v", texts(page), err)
			}
		})
	}
}

// TestAlive: a sender that gives signs of life is not silent, and they show
// nothing; without them it is.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := listen(t, h, bob, ListenOptions{})
		s := begin(t, h, alice, Draft{})
		s.Part("wait", 0, 0)
		wantNow(t, l, "wait…")
		for range 30 {
			pass(silentFor - time.Second)
			s.Alive()
			nothing(t, l)
		}
		pass(silentFor - time.Second)
		nothing(t, l)
		pass(time.Second)
		wantNow(t, l, "wait×")
		s.Alive()
		pass(2 * silentFor)
		nothing(t, l)
		finished := begin(t, h, alice, Draft{})
		finished.Part("done", 0, 0)
		if _, err := finished.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		finished.Alive()
		if n := h.Stats().Streams; n != 0 {
			t.Error(fmt.Sprint(n, " streams are left"))
		}
		h.Close()
	})
}
