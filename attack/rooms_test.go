package attack_test

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"
)

const secretText = "the safe opens with 4711"

// attempt is something to ask of what is alice's, and of what is not there: %s
// is its name.
type attempt struct {
	name         string
	method, tool string // one of them
	params       string
}

func (a attempt) by(u user, name string) answer {
	u.lab.t.Helper()
	params := strings.ReplaceAll(a.params, "%s", name)
	if a.tool != "" {
		return u.call(a.tool, params)
	}
	return u.rpc(a.method, params)
}

func onRooms() []attempt {
	return []attempt{
		{name: "read", tool: "read_messages", params: `{"room":"%s"}`},
		{name: "read backwards from a cursor", tool: "read_messages", params: `{"room":"%s","before":"0"}`},
		{name: "wait", tool: "wait_for_messages", params: `{"room":"%s","after":"0","timeout_seconds":1}`},
		{name: "send", tool: "send_message", params: `{"room":"%s","message":"let me in"}`},
		{name: "stream", tool: "stream_message", params: `{"room":"%s","message":"let me in"}`},
		{name: "list people", tool: "list_people", params: `{"room":"%s"}`},
		{name: "read the resource", method: "resources/read", params: `{"uri":"wigwag://rooms/%s"}`},
		{name: "prompt", method: "prompts/get", params: `{"name":"catch_up","arguments":{"room":"%s"}}`},
		{name: "complete a prompt's argument", method: "completion/complete", params: `{"ref":{"type":"ref/prompt","name":"catch_up"},"argument":{"name":"room","value":"%s"}}`},
		{name: "complete a resource", method: "completion/complete", params: `{"ref":{"type":"ref/resource","uri":"wigwag://rooms/{room}"},"argument":{"name":"room","value":"%s"}}`},
	}
}

// Attack: mallory uses the name of a room that is private. It is as if there
// were no such room; its name, its text and its members are nowhere.
func TestPrivateRoom(t *testing.T) {
	l := start(t)
	l.alice.must("open_room", `{"room":"vault","private":true,"invite":["bob"],"topic":"what mallory may not know"}`)
	id := l.alice.must("send_message", fmt.Sprintf(`{"room":"vault","message":%q}`, secretText))["id"]
	for _, attack := range onRooms() {
		t.Run(attack.name, func(t *testing.T) {
			there, absent := attack.by(l.mallory, "vault"), attack.by(l.mallory, "attic")
			same(t, there, absent, "vault", "attic")
			if strings.Contains(there.body, "4711") {
				t.Error("the text is out")
			}
		})
	}
	for name, a := range map[string]answer{
		"list of rooms":     l.mallory.call("list_rooms", `{}`),
		"list of resources": l.mallory.rpc("resources/list", `{}`),
		"completion":        l.mallory.rpc("completion/complete", `{"ref":{"type":"ref/resource","uri":"wigwag://rooms/{room}"},"argument":{"name":"room","value":"v"}}`),
		"general":           l.mallory.call("read_messages", `{}`),
		"people":            l.mallory.call("list_people", `{}`),
		"a quote":           l.mallory.call("send_message", fmt.Sprintf(`{"message":"see this","reply_to":"%s"}`, id)),
	} {
		if a.status != 200 || strings.Contains(a.body, "vault") || strings.Contains(a.body, "4711") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}

	// A subscription is not told of what happens there either: to whom there is
	// nothing to see, all names are the same.
	session := l.mallory.session()
	there := l.mallory.rpc("resources/subscribe", `{"uri":"wigwag://rooms/vault"}`, session)
	same(t, there, l.mallory.rpc("resources/subscribe", `{"uri":"wigwag://rooms/attic"}`, session), "vault", "attic")

	// Opening it does not get mallory in, nor inviting others.
	for _, args := range []string{`{"room":"vault"}`, `{"room":"vault","private":true}`, `{"room":"vault","private":true,"invite":["mallory"]}`} {
		if a := l.mallory.call("open_room", args); !strings.Contains(a.body, `"isError":true`) || strings.Contains(a.body, "alice") || strings.Contains(a.body, "may not know") {
			t.Errorf("open_room %s: %s", args, a.body)
		}
	}
	if got := l.alice.must("read_messages", `{"room":"vault"}`)["messages"]; len(got.([]any)) != 1 {
		t.Errorf("alice finds %v", got)
	}
}

// Attack: mallory reads what alice and bob say to each other, or writes there.
func TestDirectMessages(t *testing.T) {
	l := start(t)
	l.alice.must("send_message", fmt.Sprintf(`{"to":"bob","message":%q}`, secretText))
	for _, attack := range onRooms() {
		t.Run(attack.name, func(t *testing.T) {
			there, absent := attack.by(l.mallory, "dm/alice/bob"), attack.by(l.mallory, "dm/alice/eve")
			same(t, there, absent, "dm/alice/bob", "dm/alice/eve")
			if strings.Contains(there.body, "4711") {
				t.Error("the text is out")
			}
		})
	}
	if a := l.mallory.call("list_rooms", `{}`); strings.Contains(a.body, "dm/alice") {
		t.Errorf("the list of rooms has it: %s", a.body)
	}
	// The sender is who the token says, whatever the arguments say.
	for _, args := range []string{`{"message":"hi","sender":"alice"}`, `{"message":"hi","from":"alice"}`, `{"message":"hi","user":"alice"}`} {
		a := l.mallory.call("send_message", args)
		if strings.Contains(a.body, `"name":"alice"`) {
			t.Errorf("mallory speaks as alice: %s", a.body)
		}
	}
	if a := l.alice.call("read_messages", `{}`); strings.Contains(a.body, `"name":"alice"`) {
		t.Errorf("alice said nothing in general: %s", a.body)
	}
}

// Attack: mallory shows the ID of a message that is not for mallory's eyes,
// wherever an ID or a cursor is taken.
func TestCursors(t *testing.T) {
	l := start(t)
	l.alice.must("open_room", `{"room":"vault","private":true}`)
	id, _ := l.alice.must("send_message", fmt.Sprintf(`{"room":"vault","message":%q}`, secretText))["id"].(string)
	epoch, _, ok := strings.Cut(id, "-")
	if !ok {
		t.Fatalf("ID %q", id)
	}
	beginning := epoch + "-0"
	for _, cursor := range []string{id, beginning, "0"} {
		for name, a := range map[string]answer{
			"read after":  l.mallory.call("read_messages", fmt.Sprintf(`{"after":%q}`, cursor)),
			"read before": l.mallory.call("read_messages", fmt.Sprintf(`{"before":%q}`, cursor)),
			"wait":        l.mallory.call("wait_for_messages", fmt.Sprintf(`{"after":%q,"timeout_seconds":1}`, cursor)),
		} {
			if strings.Contains(a.body, "4711") || strings.Contains(a.body, "vault") {
				t.Errorf("%s %s: %s", name, cursor, a.body)
			}
		}
	}
	// A stream from the beginning, up to a message that mallory may see.
	l.bob.must("send_message", `{"message":"the end"}`)
	for _, query := range []string{"?last_event_id=" + beginning, "?last_event_id=" + beginning + "&rooms=general", "?last_event_id=" + id} {
		if got := l.mallory.eventsUntil("/events"+query, "the end"); strings.Contains(got, "4711") || strings.Contains(got, "vault") {
			t.Errorf("/events%s:\n%s", query, got)
		}
	}
	same(t, l.mallory.do("GET", "/events?rooms=vault", ""), l.mallory.do("GET", "/events?rooms=attic", ""), "vault", "attic")
	l.traced("request", "mallory", "GET /events 404")
}

// eventsUntil reads a stream of events until a text is in it, or it ends.
func (u user) eventsUntil(path, text string, headers ...string) string {
	u.lab.t.Helper()
	ctx, cancel := context.WithTimeout(u.lab.t.Context(), patience)
	defer cancel()
	resp, err := u.lab.open(ctx, "GET", path, "", append(headers, u.bearer(), "Accept: text/event-stream")...)
	if err != nil {
		u.lab.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all strings.Builder
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), text) {
			break
		}
	}
	return all.String()
}

// Attack: mallory was let into a room and put out again, and goes on with what
// was open: a session's subscription, a stream, a wait, a cursor.
func TestLostMembership(t *testing.T) {
	l := start(t)
	l.alice.must("open_room", `{"room":"vault","private":true,"invite":["mallory"]}`)
	first, _ := l.alice.must("send_message", `{"room":"vault","message":"welcome"}`)["id"].(string)
	l.mallory.must("read_messages", `{"room":"vault"}`)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := l.open(ctx, "GET", "/events", "", l.mallory.bearer())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() { // the stream is there
		t.Fatal(lines.Err())
	}

	l.wigwag("room", "remove", "vault", "mallory")
	l.alice.must("send_message", fmt.Sprintf(`{"room":"vault","message":%q}`, secretText))
	l.bob.must("send_message", `{"message":"the end"}`)
	for lines.Scan() && !strings.Contains(lines.Text(), "the end") {
		if strings.Contains(lines.Text(), "4711") {
			t.Error("the stream that was open goes on")
		}
	}
	for _, attack := range onRooms() {
		same(t, attack.by(l.mallory, "vault"), attack.by(l.mallory, "attic"), "vault", "attic")
	}
	audit := l.wigwag("audit")
	for _, told := range []string{
		`"action":"room.remove","target":"mallory","outcome":"ok","detail":"vault"`,
		`"action":"room.open","actor":"alice","target":"vault","remote":"127.0.0.1","outcome":"ok"`,
		`"action":"room","actor":"mallory","target":"vault","outcome":"refused","detail":"not a member"`,
		`"action":"room","actor":"mallory","target":"attic","outcome":"refused","detail":"there is no such room"`,
	} {
		if !strings.Contains(audit, told) {
			t.Errorf("the audit does not tell %s:\n%s", told, audit)
		}
	}
	for _, args := range []string{`{"room":"vault","after":%q}`, `{"after":%q}`} {
		if a := l.mallory.call("read_messages", fmt.Sprintf(args, first)); strings.Contains(a.body, "4711") {
			t.Errorf("%s: %s", args, a.body)
		}
	}
}

// Attack: notifications that are for alice, read by mallory.
func TestNotifications(t *testing.T) {
	l := start(t)
	l.bob.must("notify", fmt.Sprintf(`{"to":"alice","level":"info","message":%q}`, secretText))
	l.bob.must("send_message", `{"message":"the end"}`)
	if got := l.alice.eventsUntil("/events?last_event_id=0", "the end"); !strings.Contains(got, "4711") {
		t.Fatalf("alice does not get it either:\n%s", got)
	}
	if got := l.mallory.eventsUntil("/events?last_event_id=0", "the end"); strings.Contains(got, "4711") {
		t.Errorf("mallory gets it:\n%s", got)
	}
}
