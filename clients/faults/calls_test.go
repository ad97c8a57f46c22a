package faults

import (
	"errors"
	"slices"
	"testing"
	"time"

	"wigwag/client"
)

// TestCalls: every call gets from the program what it takes it for, and what it
// causes is heard.
func TestCalls(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.start()
	c, ctx := r.clients[0], r.ctx
	began := time.Now().Add(-time.Minute) // by whatever clock

	if s, err := c.Session(ctx); err != nil || s.Username != "admin" || s.Scopes == "" || s.Expires.Before(time.Now()) {
		t.Errorf("session: %+v, %v", s, err)
	}
	if rooms, err := c.Rooms(ctx); err != nil || !slices.ContainsFunc(rooms, func(room client.Room) bool { return room.Name == "general" && room.Kind == "public" }) {
		t.Errorf("rooms: %+v, %v", rooms, err)
	}
	for _, room := range []string{"", "general"} {
		if people, err := c.People(ctx, room); err != nil || !slices.ContainsFunc(people, func(p client.Person) bool { return p.Name == "admin" && p.Online }) {
			t.Errorf("people of %q: %+v, %v", room, people, err)
		}
	}

	first, err := c.Send(ctx, client.Target{Room: "general"}, client.Draft{Text: "first", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Send(ctx, client.Target{Room: "general"}, client.Draft{Text: "first", Key: "k"}); err != nil || again != first {
		t.Errorf("sent again: %+v, %v, first %+v", again, err, first)
	}
	second, err := c.Send(ctx, client.Target{}, client.Draft{Text: "second", ReplyTo: first.ID})
	if err != nil || second.ReplyTo != first.ID {
		t.Errorf("a reply: %+v, %v", second, err)
	}
	for name, q := range map[string]client.HistoryQuery{"all": {}, "since": {Since: began}, "after": {After: "0", Limit: 100}} {
		page, err := c.History(ctx, client.Target{}, q)
		if err != nil || !slices.Equal(page.Messages, []client.Message{first, second}) || page.Next == "" || page.More {
			t.Errorf("history, %s: %+v, %v", name, page, err)
		}
	}
	notice, err := c.Notify(ctx, client.Notice{To: "admin", Level: "warning", Title: "Disk", Message: "full", Progress: new(int), Key: "disk"})
	if err != nil || notice.Progress == nil || notice.Sender.Name != "admin" {
		t.Errorf("a notification: %+v, %v", notice, err)
	}

	for name, test := range map[string]struct {
		call func() error
		want client.Error // without the detail
	}{
		"no such room": {func() error {
			_, err := c.Send(ctx, client.Target{Room: "none"}, client.Draft{Text: "x"})
			return err
		}, client.Error{Status: 404, Code: "not_found", Argument: "room"}},
		"no such user": {func() error {
			return c.Typing(ctx, client.Target{To: "none"})
		}, client.Error{Status: 404, Code: "not_found", Argument: "to"}},
		"no text": {func() error {
			_, err := c.Send(ctx, client.Target{}, client.Draft{})
			return err
		}, client.Error{Status: 400, Code: "invalid", Argument: "message"}},
		"another text": {func() error {
			_, err := c.Send(ctx, client.Target{}, client.Draft{Text: "x", Key: "k"})
			return err
		}, client.Error{Status: 409, Code: "conflict", Argument: "idempotency_key"}},
		"another log": {func() error {
			_, err := c.History(ctx, client.Target{}, client.HistoryQuery{After: "other-1"})
			return err
		}, client.Error{Status: 410, Code: "reset", Argument: "after", Oldest: "0", Reason: "the cursor is of another log"}},
	} {
		err := test.call()
		got, ok := errors.AsType[*client.Error](err)
		if !ok || got.Detail == "" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if test.want.Detail = got.Detail; *got != test.want {
			t.Errorf("%s: %+v, want %+v", name, *got, test.want)
		}
	}

	var heard []client.Event
	for ev, err := range c.Listen(ctx, client.ListenOptions{After: first.ID, LogLevel: "debug"}) {
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, ev)
		if ev.Notification != nil { // so that what was missed has come
			if line, err := c.WriteLog(ctx, client.Line{Level: "debug", Logger: "tests", Message: "here", Fields: map[string]any{"n": 1}}); err != nil || string(line.Fields) != `{"n":1}` {
				t.Errorf("a log line: %+v, %v", line, err)
			}
		}
		if ev.Line != nil {
			if err := c.Typing(ctx, client.Target{}); err != nil {
				t.Errorf("typing: %v", err)
			}
			break
		}
	}
	messages := slices.DeleteFunc(slices.Clone(heard), func(ev client.Event) bool { return ev.Message == nil })
	if len(messages) != 1 || *messages[0].Message != second {
		t.Errorf("after the first came %d messages", len(messages))
	}
	for _, ev := range heard {
		if n := ev.Notification; n != nil && (n.ID != notice.ID || n.Title != "Disk" || n.Key != "disk") {
			t.Errorf("the notification %+v", n)
		}
		if l := ev.Line; l != nil && (l.Logger != "tests" || l.Message != "here") {
			t.Errorf("the line %+v", l)
		}
	}
	if ctx.Err() != nil {
		t.Errorf("waited in vain; what came is %+v", heard)
	}
}
