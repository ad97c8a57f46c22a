package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"wigwag/transport/sse"
)

// command runs wigwag with arguments and returns what it wrote and its code.
func command(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), args, nil, &b, &b)
	return b.String(), code
}

// Users and rooms are managed the same way whether a server runs or not.
func TestPeopleAndRooms(t *testing.T) {
	dir := t.TempDir()
	manage := func(t *testing.T, who string) {
		for _, tt := range []struct {
			args string
			code int
			want string
		}{
			{"user add " + who, 0, "/signin?link=" + who + "."},
			{"user add " + who, 1, "exists already"},
			{"user add No", 1, "a-z"},
			{"user passwd " + who, 0, "The password of " + who},
			{"user passwd nobody", 1, "no user of that name"},
			{"user add other --role root", 1, "role: must be admin or member"},
			{"user link " + who, 0, "/signin?link=" + who + "."},
			{"user link nobody", 1, "no user of that name"},
			{"user role " + who + " admin", 0, who + " is now admin"},
			{"user role " + who + " root", 1, "role: must be admin or member"},
			{"user list", 0, "  admin  active"},
			{"user disable " + who, 0, who + " is disabled"},
			{"user list", 0, "disabled"},
			{"user list --json", 0, `"username": "` + who + `"`},
			{"user enable " + who, 0, who + " is enabled"},
			{"room list", 0, "general  public"},
			{"room add general " + who, 1, "private"},
			{"room remove nowhere " + who, 1, "nowhere"},
		} {
			out, code := command(t, append(strings.Fields(tt.args), "--data", dir)...)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("%s: %d, %q; want %d, %q", tt.args, code, out, tt.code, tt.want)
			}
		}
	}
	t.Run("no server", func(t *testing.T) { manage(t, "alice") })
	t.Run("server", func(t *testing.T) {
		p := start(t, nil, "--data", dir)
		manage(t, "bob")
		if out, code := command(t, "serve", "--addr=127.0.0.1:0", "--data", dir); code == 0 || !strings.Contains(out, "another wigwag is running") {
			t.Errorf("a second server: %d, %q", code, out)
		}
		p.stop()
	})
}

// Messages, users and tokens outlive the process.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	client := newClient(t)
	p := start(t, withPassword, "--data", dir)
	auth := login(t, client, p)
	request(t, client, "POST", p.url+"/mcp", call(1, "send_message", `{"message":"kept"}`), auth)
	request(t, client, "POST", p.url+"/mcp", call(2, "open_room", `{"room":"den","private":true}`), auth)
	addr := strings.TrimPrefix(p.url, "http://")
	p.stop()

	p = start(t, withPassword, "--data", dir, "--addr", addr) // the same address is the same issuer
	if got := body(t, request(t, client, "POST", p.url+"/mcp", call(1, "read_messages", `{}`), auth)); !strings.Contains(got, `"message":"kept"`) {
		t.Errorf("the message is gone, or the token: %s", got)
	}
	if got := body(t, request(t, client, "POST", p.url+"/mcp", call(2, "list_rooms", `{}`), auth)); !strings.Contains(got, `"den"`) {
		t.Errorf("the room is gone: %s", got)
	}
}

// A user who is disabled is out at once: the token, and what is open with it.
func TestDisabledIsOut(t *testing.T) {
	dir := t.TempDir()
	client := newClient(t)
	p := start(t, withPassword, "--data", dir)
	auth := login(t, client, p)
	events := request(t, client, "GET", p.url+"/events", "", auth, "Accept: text/event-stream")
	older := request(t, client, "GET", p.url+"/sse", "", auth, "Accept: text/event-stream")
	for _, r := range []io.Reader{events.Body, older.Body} {
		if _, err := sse.NewReader(r, 1<<20).Next(); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := command(t, "user", "disable", "admin", "--data", dir); code != 0 {
		t.Fatal(out)
	}
	body(t, events) // they end
	body(t, older)
	if resp := request(t, client, "POST", p.url+"/mcp", call(1, "list_rooms", `{}`), auth); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token is answered with %d", resp.StatusCode)
	}
}

// What is not a command is refused, at whatever depth.
func TestUnknownCommands(t *testing.T) {
	for _, args := range []string{"nonsense", "user nonsense", "serve nonsense"} {
		if out, code := command(t, strings.Fields(args)...); code != exitUsage || !strings.Contains(out, `"nonsense"`) {
			t.Errorf("%s: %d, %q", args, code, out)
		}
	}
}

// A list of nothing is a list.
func TestEmptyLists(t *testing.T) {
	dir := t.TempDir()
	if out, code := command(t, "user", "add", "alice", "--data", dir); code != 0 {
		t.Fatal(out)
	}
	for _, args := range []string{"invite list", "token list --user alice"} {
		if out, code := command(t, append(strings.Fields(args), "--json", "--data", dir)...); code != 0 || out != "[]\n" {
			t.Errorf("%s: %d, %q", args, code, out)
		}
	}
}
