package tools

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"wigwag/hub"
)

// people calls list_people and checks that the text says the same.
func (c *client) people(t *testing.T, arguments string) people {
	t.Helper()
	r := c.must(t, "list_people", arguments)
	var p people
	r.bind(t, &p)
	want := fmt.Sprintf("people: %d\nmore: %t\n", len(p.People), p.More)
	if p.More {
		want += "next: " + p.Next + "\n"
	}
	for _, who := range p.People {
		want += "- " + who.Name + map[bool]string{true: " (online)", false: " (offline)"}[who.Online]
		if who.Via != "" {
			want += fmt.Sprintf(" via %q", who.Via)
		}
		want += "\n"
	}
	if r.text != want {
		t.Errorf("text %q, want %q", r.text, want)
	}
	if r.bytes > 32_000 {
		t.Errorf("%d people in %d bytes", len(p.People), r.bytes)
	}
	return p
}

// online are those who are here.
func (p people) online() string {
	var names []string
	for _, who := range p.People {
		if who.Online {
			names = append(names, who.Name)
		}
	}
	return strings.Join(names, ", ")
}

func TestListPeople(t *testing.T) {
	h := newHost(t)
	alice := h.client("alice")
	alice.must(t, "open_room", `{"room":"plans","private":true,"invite":["bob"]}`)
	for _, tt := range []struct{ args, want string }{
		{`{}`, "alice bob carol"},
		{`{"room":"general"}`, "alice bob carol"},
		{`{"room":"plans"}`, "alice bob"},
		{`{"room":"dm/alice/carol"}`, "alice carol"},
		{`{"after":"alice"}`, "bob carol"},
		{`{"after":"zoe"}`, ""},
	} {
		p := alice.people(t, tt.args)
		var names []string
		for _, who := range p.People {
			names = append(names, who.Name)
		}
		if got := strings.Join(names, " "); got != tt.want || p.More || p.Next != "" {
			t.Errorf("%s: %+v, want %s", tt.args, p, tt.want)
		}
	}
	if r, err := h.client("carol").call(t.Context(), t, "list_people", `{"room":"plans"}`); err != nil || !r.isError || strings.Contains(r.text, "bob") {
		t.Errorf("carol sees who is in plans: %+v, %v", r, err)
	}
}

// A program's name for itself is somebody's text.
func TestListPeopleHostile(t *testing.T) {
	h := newHost(t)
	mallory := h.client("carol")
	mallory.actor.Via = "x\"\n- admin (online) \u202e\x1b[31m"
	mallory.must(t, "list_rooms", `{}`)
	if p := h.client("alice").people(t, `{}`); p.online() != "alice, carol" {
		t.Errorf("people %+v", p)
	}
}

// Who calls a tool is here, while the call lasts and for a minute after it.
func TestCallersAreHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		alice, bob := h.client("alice"), h.client("bob")
		check := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := alice.people(t, `{}`).online(); got != want {
				t.Errorf("online: %s, want %s", got, want)
			}
		}
		inBackground := func(tool, arguments string) {
			go func() {
				if r, err := bob.call(t.Context(), t, tool, arguments); err != nil || r.isError {
					t.Errorf("%s: %s, %v", tool, r.text, err)
				}
			}()
		}
		check("alice")
		bob.must(t, "list_rooms", `{}`)
		check("alice, bob")
		<-time.After(59 * time.Second)
		check("alice, bob")
		<-time.After(2 * time.Second)
		check("alice")

		inBackground("wait_for_messages", `{"timeout_s":50}`)
		<-time.After(49 * time.Second)
		check("alice, bob")
		<-time.After(59 * time.Second) // 58 after the wait has ended
		check("alice, bob")
		<-time.After(3 * time.Second)
		check("alice")

		inBackground("stream_message", `{"message":"`+strings.Repeat("w ", 200)+`","interval_ms":2000}`)
		<-time.After(89 * time.Second)
		check("alice, bob")
		<-time.After(2 * time.Second)
		check("alice")

		// So does who makes a mistake, and a listener as long as it listens.
		if r, err := bob.call(t.Context(), t, "send_message", `{}`); err != nil || !r.isError {
			t.Error(r.text, err)
		}
		check("alice, bob")
		h.listener(t, "carol")
		<-time.After(time.Hour)
		check("alice, carol")
	})
}

// crowd are users who all exist.
type crowd []string

func (c crowd) Exists(name string) bool { return slices.Contains(c, name) }

func (c crowd) Names() []string { return c }

// However many people there are: pages stay small, and all come once.
func TestListManyPeople(t *testing.T) {
	var users crowd
	for i := range 2000 {
		users = append(users, fmt.Sprintf("%s-%04d", strings.Repeat("u", 40), i))
	}
	h, err := hub.New(t.Context(), hub.Options{Log: hub.NewMemoryLog(1 << 20), Users: users, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	s := server.NewMCPServer("test", "0", server.WithOutputSchemaValidation())
	s.AddTools(New(h, actorOf)...)
	alice := (&host{s, h}).client("alice")
	for _, name := range users[:1000] {
		h.Seen(hub.Actor{Name: name, Via: strings.Repeat("字", 20)})
	}
	var names []string
	online := 0
	for p, next := (people{More: true}), ""; p.More; next = p.Next {
		p = alice.people(t, `{"after":`+quoted(next)+`}`)
		if len(p.People) == 0 {
			t.Fatalf("an empty page after %q", next)
		}
		for _, who := range p.People {
			names = append(names, who.Name)
			if who.Online {
				online++
			}
		}
	}
	if !slices.Equal(names, users) || online != 1000 {
		t.Errorf("%d people, %d online", len(names), online)
	}
}
