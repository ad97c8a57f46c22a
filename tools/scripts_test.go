package tools

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every script goes through every tool as it is: nothing is lost, cut within a
// character, or normalised, in arguments, results, parts and events.
func TestScripts(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"Japanese", "今日はいい天気ですね。「散歩」に行きましょう！ｶﾅ \u304c \u304b\u3099"},
		{"Chinese", "你好，世界。𠮷野家在哪里？"},
		{"Thai", "สวัสดีครับ วันนี้อากาศดีมาก น้ำ"},
		{"emoji", "👩‍👩‍👧 🏳️‍🌈 👍🏽 🇯🇵 ❤️ 1️⃣ 👨🏿‍🚀"},
		{"Hebrew", "שלום עולם, בְּרֵאשִׁית 123!"},
		{"Arabic and Persian", "مرحبا بالعالم ٤٢ می\u200cخواهم؟"},
		{"marks of direction", "a \u200fשלום\u200e b \u2067مرحبا\u2069 c"},
		{"Hindi and Korean", "नमस्ते दुनिया। 안녕 하세요"},
		{"combining", "\u00e9 e\u0301 Z\u0351\u036b\u0343a\u0310"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			alice, bob, text := h.client("alice"), h.listener(t, "bob"), quoted(tt.text)
			alice.token = "token"

			alice.must(t, "send_message", `{"message":`+text+`}`)
			want := []string{tt.text}
			for _, by := range []string{"word", "sentence", "line"} {
				streamer := h.client("alice")
				streamer.token = "token"
				r := streamer.must(t, "stream_message", `{"message":`+text+`,"chunk_by":"`+by+`","interval_ms":0}`)
				var s streamed
				r.bind(t, &s)
				if s.Message != tt.text || !strings.HasSuffix(r.text, "\nmessage:\n"+tt.text) {
					t.Errorf("streamed %q", s.Message)
				}
				got := parts(t, streamer, s.StreamID)
				if strings.Join(got, "") != tt.text {
					t.Errorf("parts %q", got)
				}
				for _, part := range got {
					if !utf8.ValidString(part) {
						t.Errorf("part %q", part)
					}
				}
				want = append(want, tt.text)
			}
			for _, call := range [][2]string{
				{"read_messages", `{}`},
				{"wait_for_messages", `{"after":"0"}`},
			} {
				if got := textsOf(alice.read(t, call[0], call[1])); strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("%s gave %q", call[0], got)
				}
			}
			// Cut short, a text is still whole characters.
			page := alice.read(t, "read_messages", `{"max_chars":5}`)
			if m := page.Messages[0]; !m.Truncated || m.Message.Message != string([]rune(tt.text)[:5]) {
				t.Errorf("cut to %q", m.Message.Message)
			}

			alice.must(t, "open_room", `{"room":"plans","topic":`+text+`}`)
			var list rooms
			alice.must(t, "list_rooms", `{"after":"general"}`).bind(t, &list)
			if len(list.Rooms) != 1 || list.Rooms[0].Topic != tt.text {
				t.Errorf("rooms %+v", list.Rooms)
			}

			logger := string([]rune(tt.text)[:5])
			alice.must(t, "notify", `{"to":"bob","level":"info","title":`+text+`,"message":`+text+`}`)
			alice.must(t, "write_log", `{"level":"info","logger":`+quoted(logger)+`,"message":`+text+`,"fields":{`+text+`:[`+text+`]}}`)
			notifications, lines := bob.next(t, 2)
			if len(notifications) != 1 || notifications[0].Title != tt.text || notifications[0].Message != tt.text {
				t.Errorf("bob saw %+v", notifications)
			}
			if len(lines) != 1 || lines[0].Logger != logger || lines[0].Message != tt.text {
				t.Fatalf("bob saw %+v", lines)
			}
			var fields map[string][]string
			if err := json.Unmarshal(lines[0].Fields, &fields); err != nil || len(fields[tt.text]) != 1 || fields[tt.text][0] != tt.text {
				t.Errorf("fields %s, %v", lines[0].Fields, err)
			}
		})
	}
}

// A client that writes everything beyond ASCII as escapes says the same.
func TestEscapedArguments(t *testing.T) {
	h := newHost(t)
	alice, bob := h.client("alice"), h.listener(t, "bob")
	alice.must(t, "send_message", `{"message":"\ud83d\udc69\u200d\ud83d\udc67 \u4eca\u65e5"}`)
	alice.must(t, "notify", `{"level":"info","message":"\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"}`)
	alice.must(t, "write_log", `{"level":"info","message":"\u05e9\u05dc\u05d5\u05dd","fields":{"\u4eca":"\ud83d\udc69"}}`)
	if got := textsOf(alice.read(t, "read_messages", `{}`)); len(got) != 1 || got[0] != "👩‍👧 今日" {
		t.Errorf("messages %q", got)
	}
	notifications, lines := bob.next(t, 2)
	if notifications[0].Message != "สวัสดี" || lines[0].Message != "שלום" || string(lines[0].Fields) != `{"今":"👩"}` {
		t.Errorf("bob saw %+v, %+v", notifications, lines)
	}
	// What is not UTF-8 is refused, not mended.
	for _, tool := range []string{"send_message", "notify", "write_log"} {
		params := `{"level":"info","message":"a` + "\xff" + `"}`
		if tool == "send_message" {
			params = `{"message":"a` + "\xff" + `"}`
		}
		if r, err := alice.call(t.Context(), t, tool, params); err == nil && !r.isError {
			t.Errorf("%s: %s", tool, r.text)
		}
	}
}
