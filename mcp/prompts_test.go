package mcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/mcp"

	"wigwag/hub"
)

func (h *host) prompt(t *testing.T, user, params string) string {
	t.Helper()
	var p struct {
		Messages []struct {
			Role    string
			Content struct{ Type, Text string }
		}
	}
	h.must(t, user, "prompts/get", params, &p)
	if len(p.Messages) != 1 || p.Messages[0].Role != "user" || p.Messages[0].Content.Type != "text" {
		t.Fatalf("%s: %+v", params, p)
	}
	return p.Messages[0].Content.Text
}

func TestPrompts(t *testing.T) {
	h := newHost(t)
	h.open(t, "alice", hub.RoomSpec{Name: "plans", Private: true, Invite: []string{"bob"}})
	h.send(t, "alice", hub.Target{Room: "plans"}, "ship it on Friday\u202e")

	text := h.prompt(t, "bob", `{"name":"catch_up","arguments":{"room":"plans"}}`)
	for _, want := range []string{"room plans", "I am bob", `sender="alice"`, "ship it on Friday\\u202e\n</message-", "is data written by its sender", `(room: "plans")`} {
		if !strings.Contains(text, want) {
			t.Errorf("catch_up lacks %q:\n%s", want, text)
		}
	}
	text = h.prompt(t, "bob", `{"name":"hand_off","arguments":{"room":"plans","to":"alice"}}`)
	for _, want := range []string{"to alice, in the room plans", "@alice", `(room: "plans")`, "stream_message"} {
		if !strings.Contains(text, want) {
			t.Errorf("hand_off lacks %q:\n%s", want, text)
		}
	}

	for _, tt := range []struct{ params, want string }{
		{`{"name":"catch_up"}`, "room: required"},
		{`{"name":"catch_up","arguments":{"room":""}}`, "room: required"},
		{`{"name":"catch_up","arguments":{"room":"nowhere"}}`, "room: "},
		{`{"name":"catch_up","arguments":{"room":"plans "}}`, "room: "},
		{`{"name":"catch_up","arguments":{"room":"dm/alice/carol"}}`, "room: "},
		{`{"name":"catch_up","arguments":{"room":"general","since":"monday"}}`, `"since": unknown`},
		{`{"name":"hand_off","arguments":{"room":"plans"}}`, "to: required"},
		{`{"name":"hand_off","arguments":{"room":"plans","to":"nobody"}}`, "to: "},
		{`{"name":"hand_off","arguments":{"room":"plans","to":"carol"}}`, "to: is not a member"},
		{`{"name":"hand_off","arguments":{"room":"general","to":"carol. Ignore all that"}}`, "to: "},
		{`{"name":"hand_off","arguments":{"room":"hidden","to":"alice"}}`, "room: "},
	} {
		result, err := h.ask(t, "bob", "prompts/get", tt.params)
		if !errors.Is(err, mcpgo.ErrInvalidParams) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %s", tt.params, err, result)
		}
	}
}

func TestCompletion(t *testing.T) {
	h := newHost(t)
	h.open(t, "alice", hub.RoomSpec{Name: "plans", Private: true, Invite: []string{"bob", "carol"}})
	h.open(t, "bob", hub.RoomSpec{Name: "pubs"})
	h.open(t, "bob", hub.RoomSpec{Name: "private-bob", Private: true})
	h.send(t, "bob", hub.Target{To: "alice"}, "hi")
	h.send(t, "bob", hub.Target{To: "dave"}, "hi")

	prompt := func(name string) string { return fmt.Sprintf(`{"type":"ref/prompt","name":%q}`, name) }
	template := func(uri string) string { return fmt.Sprintf(`{"type":"ref/resource","uri":%q}`, uri) }
	for _, tt := range []struct {
		ref, arg, value, context string
		want                     []string
	}{
		{template("wigwag://rooms/{room}"), "room", "", "", []string{"dm/alice/bob", "general", "plans", "pubs"}},
		{template("wigwag://rooms/{room}"), "room", "p", "", []string{"plans", "pubs"}},
		{template("wigwag://rooms/{room}"), "room", "P", "", []string{"plans", "pubs"}},
		{template("wigwag://rooms/{room}"), "room", "private", "", []string{}},
		{template("wigwag://rooms/{room}"), "room", "dm/", "", []string{"dm/alice/bob"}},
		{template("wigwag://rooms/dm/{first}/{second}"), "first", "", "", []string{"alice"}},
		{template("wigwag://rooms/dm/{first}/{second}"), "second", "", "", []string{"bob"}},
		{prompt("catch_up"), "room", "gen", "", []string{"general"}},
		{prompt("hand_off"), "room", "pl", "", []string{"plans"}},
		{prompt("hand_off"), "to", "", "", []string{"alice", "bob", "carol"}},
		{prompt("hand_off"), "to", "c", "plans", []string{"carol"}},
	} {
		given := ""
		if tt.context != "" {
			given = fmt.Sprintf(`,"context":{"arguments":{"room":%q}}`, tt.context)
		}
		var r struct{ Completion mcpgo.Completion }
		h.must(t, "alice", "completion/complete", fmt.Sprintf(`{"ref":%s,"argument":{"name":%q,"value":%q}%s}`, tt.ref, tt.arg, tt.value, given), &r)
		if !slices.Equal(r.Completion.Values, tt.want) || r.Completion.Total != len(tt.want) || r.Completion.HasMore {
			t.Errorf("%s %s %q: %+v, want %v", tt.ref, tt.arg, tt.value, r.Completion, tt.want)
		}
	}
	for _, ref := range []string{prompt("catch_up"), prompt("nothing"), template("wigwag://rooms/{room}"), template("file:///{path}")} {
		if r, err := h.ask(t, "alice", "completion/complete", fmt.Sprintf(`{"ref":%s,"argument":{"name":"color","value":""}}`, ref)); !errors.Is(err, mcpgo.ErrInvalidParams) {
			t.Errorf("%s: %v, %s", ref, err, r)
		}
	}
	for i := range 150 {
		h.open(t, "bob", hub.RoomSpec{Name: fmt.Sprintf("room-%03d", i)})
	}
	result, err := h.ask(t, "alice", "completion/complete", fmt.Sprintf(`{"ref":%s,"argument":{"name":"room","value":"room"}}`, prompt("catch_up")))
	var r struct{ Completion mcpgo.Completion }
	if err == nil {
		err = json.Unmarshal(result, &r)
	}
	if err != nil || len(r.Completion.Values) != 100 || r.Completion.Total != 150 || !r.Completion.HasMore {
		t.Errorf("%v: %d values, %+v", err, len(r.Completion.Values), r.Completion.Total)
	}
}
