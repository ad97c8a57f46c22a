package tools

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"wigwag/hub"
)

// listener is what a user gets to see of everything that is not a message.
type listener struct{ *hub.Listener }

func (h *host) listener(t *testing.T, user string) listener {
	t.Helper()
	l, err := h.hub.Listen(t.Context(), hub.Actor{Name: user}, hub.ListenOptions{Types: []string{"notification", "log"}, LineLevel: hub.LineDebug})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return listener{l}
}

// next waits for the next n events.
func (l listener) next(t *testing.T, n int) (notifications []hub.Notification, lines []hub.LogLine) {
	t.Helper()
	for n > 0 {
		events, err := l.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch {
			case e.Notification != nil:
				notifications = append(notifications, *e.Notification)
			case e.Line != nil:
				lines = append(lines, *e.Line)
			}
			n--
		}
	}
	return notifications, lines
}

// sameText checks that the text of a result is a line for each of the facts
// after what its first line says.
func sameText(t *testing.T, r result, head string, facts ...string) {
	t.Helper()
	if want := head + "\n" + strings.Join(facts, "\n"); r.text != want {
		t.Errorf("text %q, want %q", r.text, want)
	}
}

func TestNotify(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	alice.token = "token"
	bob, carol := h.listener(t, "bob"), h.listener(t, "carol")

	toBob := alice.must(t, "notify", `{"to":"bob","level":"success","title":"Build","message":"done","progress":0,"key":"build-42"}`)
	toAll := alice.must(t, "notify", `{"level":"warning","message":"The disk is filling up."}`)
	var one, all notified
	toBob.bind(t, &one)
	toAll.bind(t, &all)
	sender := hub.Sender{Name: "alice", Via: "Test"}
	if one.To != "bob" || one.ID == "" || one.Sender != sender || all.To != "" || all.Sender != sender {
		t.Errorf("results %+v, %+v", one, all)
	}
	sameText(t, toBob, "Notified.", "to: bob", "id: "+one.ID, "time: "+one.Time.String(), `sender: alice via "Test"`, "duplicate: false")
	sameText(t, toAll, "Everybody is notified.", "id: "+all.ID, "time: "+all.Time.String(), `sender: alice via "Test"`, "duplicate: false")

	seen, _ := bob.next(t, 2)
	first := seen[0]
	if first.ID != one.ID || first.To != "bob" || first.Level != hub.LevelSuccess || first.Title != "Build" || first.Message != "done" ||
		first.Progress == nil || *first.Progress != 0 || first.Key != "build-42" || first.Sender != sender {
		t.Errorf("bob saw %+v", first)
	}
	if second := seen[1]; second.ID != all.ID || second.Level != hub.LevelWarning || second.Progress != nil || second.Key != "" {
		t.Errorf("bob saw %+v", second)
	}
	if seen, _ := carol.next(t, 1); len(seen) != 1 || seen[0].ID != all.ID {
		t.Errorf("carol saw %+v", seen)
	}
	// A notification is no message.
	if page := h.client("bob").read(t, "read_messages", `{"after":"0"}`); len(page.Messages) != 0 {
		t.Errorf("messages %+v", page.Messages)
	}
}

// repeated is how the text of a duplicate's result begins.
const repeated = "An earlier call with this idempotency_key had already done it; this is its answer."

func TestNotifyOnce(t *testing.T) {
	h := newHost(t)
	alice, bob := h.client("alice"), h.listener(t, "bob")
	var first, again, last notified
	const call = `{"level":"info","message":"once","idempotency_key":"k"}`
	alice.must(t, "notify", call).bind(t, &first)
	r := alice.must(t, "notify", call)
	r.bind(t, &again)
	sameText(t, r, repeated, "id: "+first.ID, "time: "+first.Time.String(), `sender: alice via "Test"`, "duplicate: true")
	if first.Duplicate || !again.Duplicate {
		t.Errorf("duplicate %t, then %t", first.Duplicate, again.Duplicate)
	}
	again.Duplicate = false
	if first != again {
		t.Errorf("the first answer was %+v, the second %+v", first, again)
	}
	// The key of one tool is not that of another.
	alice.must(t, "send_message", `{"message":"once","idempotency_key":"k"}`)
	for _, other := range []string{`"message":"twice"`, `"message":"once","progress":1`, `"message":"once","to":"bob"`} {
		r, err := alice.call(t.Context(), t, "notify", `{"level":"info","idempotency_key":"k",`+other+`}`)
		if err != nil || !r.isError || !strings.HasPrefix(r.text, "idempotency_key: ") {
			t.Errorf("%s with the same key: %+v, %v", other, r, err)
		}
	}
	alice.must(t, "notify", `{"level":"info","message":"the end"}`).bind(t, &last)
	if seen, _ := bob.next(t, 2); seen[0].ID != first.ID || seen[1].ID != last.ID {
		t.Errorf("bob saw %+v", seen)
	}
}

// What a waiting agent gets are messages: a notification neither ends the wait
// nor is lost for those who listen.
func TestNotifyEndsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice, bob := h.client("alice"), h.client("bob")
		before := alice.read(t, "wait_for_messages", `{"timeout_s":0}`)
		bob.must(t, "notify", `{"to":"alice","level":"info","message":"psst"}`)
		page := alice.read(t, "wait_for_messages", `{"after":"`+before.Next+`","timeout_s":1}`)
		if len(page.Messages) != 0 || page.More {
			t.Errorf("page %+v", page)
		}
		h.fill(t, hub.Target{}, "hello")
		if page := alice.read(t, "wait_for_messages", `{"after":"`+page.Next+`"}`); len(page.Messages) != 1 {
			t.Errorf("page %+v", page)
		}
	})
}

func TestWriteLog(t *testing.T) {
	h := newHost(t)
	alice, bob := h.client("alice"), h.listener(t, "bob")
	r := alice.must(t, "write_log", `{"level":"warn","message":"slow","logger":"build","fields":{"n":9007199254740993,"x":1.50,"files":["a.go"],"ok":null}}`)
	var p posted
	r.bind(t, &p)
	if p.ID == "" || p.Sender != (hub.Sender{Name: "alice", Via: "Test"}) {
		t.Errorf("result %+v", p)
	}
	sameText(t, r, "Written.", "id: "+p.ID, "time: "+p.Time.String(), `sender: alice via "Test"`, "duplicate: false")
	alice.must(t, "write_log", `{"level":"debug","message":"plain"}`)
	_, lines := bob.next(t, 2)
	line := lines[0]
	if line.ID != p.ID || line.Level != hub.LineWarn || line.Logger != "build" || line.Message != "slow" ||
		string(line.Fields) != `{"files":["a.go"],"n":9007199254740993,"ok":null,"x":1.50}` {
		t.Errorf("bob saw %+v, fields %s", line, line.Fields)
	}
	if line := lines[1]; line.Level != hub.LineDebug || line.Logger != "" || line.Fields != nil {
		t.Errorf("bob saw %+v", line)
	}
}

func TestWriteLogOnce(t *testing.T) {
	h := newHost(t)
	alice, bob := h.client("alice"), h.listener(t, "bob")
	var first, again, last posted
	alice.must(t, "write_log", `{"level":"info","message":"once","fields":{"a":1,"b":2},"idempotency_key":"k"}`).bind(t, &first)
	r := alice.must(t, "write_log", `{"level":"info","message":"once","fields":{"b":2,"a":1},"idempotency_key":"k"}`)
	r.bind(t, &again)
	sameText(t, r, repeated, "id: "+first.ID, "time: "+first.Time.String(), `sender: alice via "Test"`, "duplicate: true")
	if again.Duplicate = !again.Duplicate; first != again {
		t.Errorf("the first answer was %+v, the second %+v", first, again)
	}
	other, err := alice.call(t.Context(), t, "write_log", `{"level":"info","message":"once","idempotency_key":"k"}`)
	if err != nil || !other.isError || !strings.HasPrefix(other.text, "idempotency_key: ") {
		t.Errorf("other fields with the same key: %+v, %v", other, err)
	}
	alice.must(t, "write_log", `{"level":"info","message":"the end"}`).bind(t, &last)
	if _, lines := bob.next(t, 2); lines[0].ID != first.ID || lines[1].ID != last.ID {
		t.Errorf("bob saw %+v", lines)
	}
}

// A call that is cancelled, or a hub that is closed, tells nothing untrue.
func TestNotifyFails(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	h.hub.Close()
	for _, call := range [][2]string{
		{"notify", `{"level":"info","message":"a"}`},
		{"write_log", `{"level":"info","message":"a"}`},
	} {
		if r, err := alice.call(context.Background(), t, call[0], call[1]); err == nil && !r.isError {
			t.Errorf("%s on a closed hub: %s", call[0], r.text)
		}
	}
}
