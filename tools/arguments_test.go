package tools

import (
	"strings"
	"testing"
)

func TestArgumentErrors(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	for _, tt := range []struct {
		tool, args string
		want       []string // all of them in the answer
	}{
		{"send_message", `{}`, []string{"message: ", "required"}},
		{"send_message", `null`, []string{"message: ", "required"}},
		{"send_message", `[]`, []string{"arguments: ", "object"}},
		{"send_message", `"hello"`, []string{"arguments: ", "object"}},
		{"send_message", `{"message":""}`, []string{"message: ", "required"}},
		{"send_message", `{"message":null}`, []string{"message: ", "required"}},
		{"send_message", `{"message":["a"]}`, []string{"message: ", "string"}},
		{"send_message", `{"message":"a","text":"b"}`, []string{`"text": `, "unknown", "message", "reply_to", "room"}},
		{"send_message", `{"message":"a","Room":"general"}`, []string{`"Room": `, "unknown"}},
		{"send_message", `{"message":"a","room":"general","to":"bob"}`, []string{"to: ", "not both"}},
		{"send_message", `{"message":"a","room":"nowhere"}`, []string{"room: ", `"nowhere"`}},
		{"send_message", `{"message":"a","room":"dm/bob/carol"}`, []string{"room: ", `"dm/bob/carol"`}},
		{"send_message", `{"message":"a","to":"nobody"}`, []string{"to: ", `"nobody"`}},
		{"send_message", `{"message":"a","to":"alice"}`, []string{"to: "}},
		{"send_message", `{"message":"a","reply_to":"1"}`, []string{"reply_to: "}},
		{"send_message", `{"message":"a\u0000"}`, []string{"message: ", "NUL"}},
		{"send_message", `{"message":"` + strings.Repeat("é", 40_000) + `"}`, []string{"message: ", "80000", "65536"}},
		{"stream_message", `{"message":"a","interval_ms":2001}`, []string{"interval_ms: ", "2001", "0 to 2000"}},
		{"stream_message", `{"message":"a","chunk_by":"letter"}`, []string{"chunk_by: ", `"letter"`, "word, sentence, line"}},
		{"stream_message", `{"message":"a","reply_to":"1"}`, []string{`"reply_to": `, "unknown"}},
		{"read_messages", `{"after":"0","before":"0"}`, []string{"before"}},
		{"read_messages", `{"after":"yesterday"}`, []string{"after: ", `"yesterday"`}},
		{"read_messages", `{"before":"zzz-9"}`, []string{"before: ", "oldest"}},
		{"read_messages", `{"limit":101}`, []string{"limit: ", "101", "1 to 100"}},
		{"read_messages", `{"limit":"ten"}`, []string{"limit: ", `"ten"`, "1 to 100"}},
		{"read_messages", `{"max_chars":0}`, []string{"max_chars: ", "1 to 100000"}},
		{"wait_for_messages", `{"timeout_s":51}`, []string{"timeout_s: ", "51", "0 to 50"}},
		{"wait_for_messages", `{"rooms":["general","nowhere"]}`, []string{"rooms: ", `"nowhere"`}},
		{"wait_for_messages", `{"room":"general"}`, []string{`"room": `, "unknown", "rooms"}},
		{"list_rooms", `{"all":true}`, []string{`"all": `, "unknown"}},
		{"open_room", `{}`, []string{"room: ", "required"}},
		{"list_people", `{"room":"nowhere"}`, []string{"room: ", `"nowhere"`}},
		{"list_people", `{"room":"dm/bob/carol"}`, []string{"room: ", `"dm/bob/carol"`}},
		{"list_people", `{"to":"bob"}`, []string{`"to": `, "unknown", "after, room"}},
		{"notify", `{"message":"a"}`, []string{"level: ", "required", "info, success, warning, error"}},
		{"notify", `{"level":"warn","message":"a"}`, []string{"level: ", `"warn"`, "info, success, warning, error"}},
		{"notify", `{"level":"info"}`, []string{"message: ", "required"}},
		{"notify", `{"level":"info","message":"` + strings.Repeat("é", 5_000) + `"}`, []string{"message: ", "10000", "8192"}},
		{"notify", `{"level":"info","message":"a","to":"nobody"}`, []string{"to: ", `"nobody"`}},
		{"notify", `{"level":"info","message":"a","title":"a\nb"}`, []string{"title: ", "256"}},
		{"notify", `{"level":"info","message":"a","progress":101}`, []string{"progress: ", "101", "0 to 100"}},
		{"notify", `{"level":"info","message":"a","progress":0.5}`, []string{"progress: ", "0.5", "0 to 100"}},
		{"notify", `{"level":"info","message":"a","key":"ключ"}`, []string{"key: ", "ASCII"}},
		{"notify", `{"level":"info","message":"a","idempotency_key":"ключ"}`, []string{"idempotency_key: ", "ASCII"}},
		{"notify", `{"level":"info","message":"a","room":"general"}`, []string{`"room": `, "unknown", "to"}},
		{"write_log", `{"message":"a"}`, []string{"level: ", "required", "debug, info, warn, error"}},
		{"write_log", `{"level":"warning","message":"a"}`, []string{"level: ", `"warning"`, "debug, info, warn, error"}},
		{"write_log", `{"level":"info","message":"a\u0000"}`, []string{"message: ", "NUL"}},
		{"write_log", `{"level":"info","message":"a","logger":"a\tb"}`, []string{"logger: ", "64"}},
		{"write_log", `{"level":"info","message":"a","fields":["a"]}`, []string{"fields: ", "object"}},
		{"write_log", `{"level":"info","message":"a","fields":{"a":"` + strings.Repeat("x", 8_192) + `"}}`, []string{"fields: ", "8192"}},
		{"write_log", `{"level":"info","message":"a","fields":` + strings.Repeat(`{"a":`, 9) + `{}` + strings.Repeat(`}`, 9) + `}`, []string{"fields: ", "8 deep"}},
		{"open_room", `{"room":"Plans"}`, []string{"room: ", `"Plans"`, "a-z"}},
		{"open_room", `{"room":"plans","invite":["bob"]}`, []string{"invite: ", "private"}},
		{"open_room", `{"room":"plans","private":true,"invite":["nobody"]}`, []string{"invite: ", "nobody"}},
		{"open_room", `{"room":"plans","topic":"a\nb"}`, []string{"topic: "}},
		{"open_room", `{"room":"plans","\u001b[31m\u202eevil":1}`, []string{`\x1b[31m\u202eevil`, "unknown"}},
		{"open_room", `{"room":"plans","` + strings.Repeat("x", 9999) + `":1}`, []string{"xxx…", "unknown"}},
	} {
		r, err := alice.call(t.Context(), t, tt.tool, tt.args)
		if err != nil {
			t.Errorf("%s %.80s: %v", tt.tool, tt.args, err)
			continue
		}
		if !r.isError {
			t.Errorf("%s %.80s: accepted: %.200s", tt.tool, tt.args, r.text)
		}
		for _, want := range tt.want {
			if !strings.Contains(r.text, want) {
				t.Errorf("%s %.80s: %q lacks %q", tt.tool, tt.args, r.text, want)
			}
		}
		if len(r.text) > 500 {
			t.Errorf("%s %.80s: the answer has %d bytes", tt.tool, tt.args, len(r.text))
		}
	}
	if n := len(alice.must(t, "read_messages", `{"after":"0"}`).structured["messages"].([]any)); n != 0 {
		t.Errorf("%d messages were stored", n)
	}
}

// What some models send and can mean only one thing is taken as that.
func TestLenientArguments(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	for _, tt := range []struct{ tool, args string }{
		{"send_message", `{"message":"a","room":null,"to":null,"idempotency_key":null}`},
		{"stream_message", `{"message":"a b","interval_ms":"0"}`},
		{"stream_message", `{"message":"a b","interval_ms":0.0}`},
		{"read_messages", `{"limit":"5","max_chars":5e2}`},
		{"wait_for_messages", `{"timeout_s":"0","mentions_only":"true","rooms":"general","after":"0"}`},
		{"list_rooms", `null`},
		{"open_room", `{"room":"plans","private":"true","invite":"bob"}`},
		{"notify", `{"level":"info","message":"a","to":null,"progress":"50","key":null}`},
		{"write_log", `{"level":"info","message":"a","fields":null}`},
		{"write_log", `{"level":"info","message":"a","fields":"{\"a\": 1}"}`},
		{"list_people", `{"room":null}`},
	} {
		alice.must(t, tt.tool, tt.args)
	}
	// Not given at all is the same as empty.
	if r, err := alice.call(t.Context(), t, "list_rooms", `{}`); err != nil || r.isError {
		t.Error(r.text, err)
	}
}

// What is not the caller's to mend stays an error, for the transport to log.
func TestNobodyAsks(t *testing.T) {
	h := newHost(t)
	nobody := h.client("")
	for _, call := range [][2]string{
		{"send_message", `{"message":"a"}`},
		{"stream_message", `{"message":"a"}`},
		{"read_messages", `{}`},
		{"open_room", `{"room":"plans"}`},
		{"notify", `{"level":"info","message":"a"}`},
		{"write_log", `{"level":"info","message":"a"}`},
	} {
		if r, err := nobody.call(t.Context(), t, call[0], call[1]); err == nil && !r.isError {
			t.Errorf("%s without an actor: %s", call[0], r.text)
		}
	}
}
