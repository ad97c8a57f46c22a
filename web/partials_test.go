package web

import (
	"encoding/json"
	"strings"
	"testing"

	"wigwag/hub"
)

// texts that people write, and that attackers do.
var texts = []string{
	"こんにちは、世界。今日は良い天気ですね。",
	"你好，世界。今天天气很好。",
	"สวัสดีชาวโลก วันนี้อากาศดีมาก",
	"👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👍🏽 e\u0301",
	"שלום עולם مرحبا بالعالم \u202eevil\u202c",
	"a\nevent: shutdown\ndata: {}\n\nid: 1\n\n",
	"a\r\rdata: x\r\r\r\nretry: 1\r\n\r\n",
	"\ufeffdata: x\n\n: comment\n",
	"\u2028\u2029\u0085\v\f\x1b[31m\x7f",
	"<script>alert(1)</script> & \"quotes\" \\ \\u0000 ]]> <!--",
	" leading, trailing \n",
}

// TestTexts: every text arrives as it was sent, whole and in parts, and none
// can forge a frame.
func TestTexts(t *testing.T) {
	f := start(t, Limits{})
	for _, query := range []string{"?types=message,partial-message", "?types=message,partial-message&partials=delta"} {
		s := f.open(t, "bob", query)
		for _, text := range texts {
			sent := f.send(t, alice, hub.General, text)
			s.wantText(t, sent.ID, text)
		}
		for _, text := range texts {
			sent := f.stream(t, text)
			s.wantText(t, sent.ID, text)
		}
		s.close()
	}
	// Replayed, too.
	s := f.open(t, "bob", "?last_event_id=0")
	defer s.close()
	for range 4 {
		for _, text := range texts {
			s.wantText(t, "", text)
		}
	}
}

// stream sends a text byte by byte.
func (f *fixture) stream(t *testing.T, text string) hub.Message {
	t.Helper()
	st := f.begin(t, alice, hub.General)
	for i := range len(text) {
		st.Part(text[i:i+1], i+1, len(text))
	}
	m, err := st.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantText reads a message and its partials: what they show is a beginning of
// the text.
func (s *feed) wantText(t *testing.T, id, text string) {
	t.Helper()
	shown := ""
	for {
		ev := s.next(t)
		var v struct {
			ID, Message, Delta string
			Offset             *int
		}
		if err := json.Unmarshal(ev.Data, &v); err != nil {
			t.Fatalf("%s: %v", ev.Data, err)
		}
		switch ev.Name {
		case eventMessage:
			if v.Message != text || ev.ID != v.ID || id != "" && id != ev.ID || ev.Retry != 0 {
				t.Fatalf("got %q with ID %q, want %q with %q", v.Message, ev.ID, text, id)
			}
			return
		case eventPartial:
			if v.Offset == nil {
				shown = v.Message
			} else if *v.Offset != len(shown) {
				t.Fatalf("offset %d after %q", *v.Offset, shown)
			}
			if shown += v.Delta; !strings.HasPrefix(text, shown) || ev.ID != "" {
				t.Fatalf("the text so far is %q of %q", shown, text)
			}
		default:
			t.Fatalf("forged: %s", show(ev))
		}
	}
}

// TestPartials: joined, the differences are the message, whatever was skipped;
// a late joiner gets the text so far, first.
func TestPartials(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		full, delta := f.open(t, "bob", ""), f.open(t, "bob", "?partials=delta")
		defer full.close()
		defer delta.close()
		st := f.begin(t, alice, hub.General)
		st.Part("日本", 1, 4)
		full.want(t, "partial-message 日本")
		delta.want(t, "partial-message @0+日本")
		st.Part("語", 2, 4)
		full.want(t, "partial-message 日本語")
		delta.want(t, "partial-message @6+語")

		late, lateDelta := f.open(t, "carol", ""), f.open(t, "carol", "?partials=delta")
		defer late.close()
		defer lateDelta.close()
		late.want(t, "partial-message 日本語")
		lateDelta.want(t, "partial-message @0+日本語")

		st.Part(" ok", 4, 4)
		for _, s := range []*feed{full, late} {
			s.want(t, "partial-message 日本語 ok")
		}
		for _, s := range []*feed{delta, lateDelta} {
			s.want(t, "partial-message @9+ ok")
		}
		if _, err := st.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*feed{full, late} {
			s.want(t, "partial-message 日本語 ok .", "message 日本語 ok")
		}
		for _, s := range []*feed{delta, lateDelta} {
			s.want(t, "partial-message @12+ .", "message 日本語 ok")
		}

		st = f.begin(t, alice, hub.General)
		st.Part("half", 1, 2)
		full.want(t, "partial-message half")
		delta.want(t, "partial-message @0+half")
		st.Part(" more", 2, 2)
		st.Cancel()
		full.want(t, "partial-message half more ×")
		delta.want(t, "partial-message @4+ more ×")

		// Who does not read in time skips steps, and the text that is stored
		// need not be what was shown.
		st, _, err := f.hub.Stream(t.Context(), alice, hub.Draft{Text: "a text"})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"a ", "b", "c", "d"} {
			st.Part(part, 1, 4)
			full.want(t, "partial-message a"+map[string]string{"b": " b", "c": " bc", "d": " bcd"}[part])
			pass()
		}
		delta.want(t, "partial-message @0+a", "partial-message @2+bcd")
		if _, err := st.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		full.want(t, "partial-message a text .", "message a text")
		delta.want(t, "partial-message @0+a text .", "message a text")
	})
}

// TestPartialsOnly: who follows nothing but partial messages gets their ends,
// and no messages.
func TestPartialsOnly(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		s := f.open(t, "bob", "?types=partial-message")
		defer s.close()
		for range 2 {
			f.send(t, alice, hub.General, "not in parts")
			st := f.begin(t, alice, hub.General)
			st.Part("in parts", 1, 2)
			s.want(t, "partial-message in parts")
			if _, err := st.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.want(t, "partial-message in parts .")
		}
	})
}
