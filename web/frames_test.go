package web

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"wigwag/hub"
)

// FuzzDeltas: whichever steps of a text a stream is given, what it is given
// adds up to each of them, and in the end to the message.
func FuzzDeltas(f *testing.F) {
	f.Add("one two three", []byte{3, 7}, "one two three")
	f.Add("日本語のテキスト", []byte{1, 1, 30}, "日本語")
	f.Add("a", []byte{}, "b")
	f.Fuzz(func(t *testing.T, text string, steps []byte, final string) {
		if !utf8.ValidString(text) || !utf8.ValidString(final) {
			return
		}
		frames := newFrames(func(_, _ string, v any) []byte { return marshal(v) }, true)
		soFar := ""
		join := func(frame []byte, want string, complete bool) {
			t.Helper()
			var v struct {
				Offset   int
				Delta    string
				Complete bool `json:"isComplete"`
			}
			if err := json.Unmarshal(frame, &v); err != nil || v.Offset > len(soFar) {
				t.Fatalf("%v: %s after %q", err, frame, soFar)
			}
			if soFar = soFar[:v.Offset] + v.Delta; soFar != want || v.Complete != complete {
				t.Fatalf("%q, complete %t; want %q", soFar, v.Complete, want)
			}
		}
		end, given := 0, false
		for _, step := range steps {
			for end = min(end+int(step), len(text)); end < len(text) && !utf8.RuneStart(text[end]); end++ {
			}
			given = true
			join(frames.of(hub.Event{Partial: &hub.Partial{StreamID: "s", Message: text[:end]}}), text[:end], false)
		}
		last := frames.last(hub.Event{Message: &hub.Message{StreamID: "s", Message: final}})
		if given != (last != nil) {
			t.Fatalf("given parts: %t, a last one: %s", given, last)
		}
		if given {
			join(last, final, true)
		}
		if len(frames.given) != 0 {
			t.Errorf("left: %q", frames.given)
		}
	})
}
