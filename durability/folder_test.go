//go:build linux

package durability_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFolder starts serve on folders that it cannot use: it says why.
func TestFolder(t *testing.T) {
	running := t.TempDir()
	start(t, "--data", running)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	newer := t.TempDir()
	start(t, "--data", newer).stop()
	write(t, filepath.Join(newer, "store.json"), `{"format": 1000000, "streams": {}}`)
	garbage := t.TempDir()
	write(t, filepath.Join(garbage, "store.json"), `{"format`)

	for _, test := range []struct{ name, dir, want string }{
		{"another runs on it", running, "another wigwag is running on it"},
		{"below a file", filepath.Join(file, "data"), "not a directory"},
		{"a file", file, "not a directory"},
		{"of a newer version", newer, "newer wigwag"},
		{"garbage", garbage, "damaged: store.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, listens := launch(t, "--data", test.dir)
			if listens {
				t.Fatal("it listens")
			}
			if said := s.Logs(); s.Code <= 0 || !strings.Contains(said, "data folder "+test.dir) || !strings.Contains(said, test.want) {
				t.Errorf("it ended with %d; it should speak of the folder and say %q:\n%s", s.Code, test.want, said)
			}
		})
	}

	t.Run("commands", func(t *testing.T) {
		for _, dir := range []string{filepath.Join(file, "data"), newer, garbage} {
			if out, code := wigwag(t, "", "user", "list", "--data", dir); code <= 0 || !strings.Contains(out, "data folder "+dir) {
				t.Errorf("user list of %s ended with %d: %s", dir, code, out)
			}
		}
	})
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSettings runs the program with the settings that change how it stores.
func TestSettings(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		home := t.TempDir()
		t.Setenv("HOME", home)
		t.Setenv("XDG_DATA_HOME", home)
		s := start(t, "--memory")
		first := s.as("admin", password).send(t, "general", "kept in memory")
		if m := s.as("admin", password).history(t, "general"); len(m) != 1 || m[0].ID != first {
			t.Errorf("there is %v", m)
		}
		s.stop()
		if names := files(t, home); len(names) > 0 {
			t.Errorf("it has written %v", names)
		}
		s = start(t, "--memory")
		user := s.as("admin", password)
		if m := user.history(t, "general"); len(m) > 0 {
			t.Errorf("after a restart there is %v", m)
		}
		user.lost(t, first)
	})

	t.Run("sync at intervals", func(t *testing.T) {
		dir := t.TempDir()
		s := start(t, "--data", dir, "--sync=interval")
		first := s.as("admin", password).send(t, "general", "first")
		s.stop()
		s = start(t, "--data", dir, "--sync=interval")
		second := s.as("admin", password).send(t, "general", "second")
		before, _ := place(t, first)
		if epoch, _ := place(t, second); epoch != before {
			t.Errorf("after a clean end the epoch is %s, and was %s", epoch, before)
		}
		s.Kill()
		s = start(t, "--data", dir, "--sync=interval")
		user := s.as("admin", password)
		if m := user.history(t, "general"); len(m) != 2 {
			t.Errorf("after kill -9 there is %v", m) // the kernel has it all
		}
		if epoch, _ := place(t, user.send(t, "general", "third")); epoch == before {
			t.Error("after an unclean end the epoch is the same")
		}
		user.lost(t, second)
	})
}

// TestOperator manages users and rooms on the command line, while the server
// runs and while it does not.
func TestOperator(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "serve")
	run := func(input string, args ...string) string {
		t.Helper()
		out, code := wigwag(t, input, append(args, "--data", dir)...)
		if code != 0 {
			t.Fatalf("wigwag %s ended with %d: %s", strings.Join(args, " "), code, out)
		}
		return out
	}
	users := func() map[string]bool { // name: may log in
		t.Helper()
		var list []struct {
			Name     string `json:"username"`
			Disabled bool   `json:"disabled"`
		}
		if err := json.Unmarshal([]byte(run("", "user", "list", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		active := make(map[string]bool)
		for _, u := range list {
			active[u.Name] = !u.Disabled
		}
		return active
	}
	members := func(room string) string {
		t.Helper()
		var list []struct {
			Name    string
			Members []string
		}
		if err := json.Unmarshal([]byte(run("", "room", "list", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Name == room {
				return strings.Join(r.Members, " ")
			}
		}
		return "there is no such room"
	}

	s := start(t, "--data", dir)
	for name, want := range map[string]os.FileMode{".": 0o700, "admin.sock": 0o600, "store.json": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, not of the mode %v (%v)", name, info, want, err)
		}
	}
	admin := s.as("admin", password)
	admin.open(t, "secret", true)
	run("first password of bob", "user", "add", "bob", "--password-stdin")
	if out, code := wigwag(t, "another password", "user", "add", "bob", "--password-stdin", "--data", dir); code <= 0 || !strings.Contains(out, "exists already") {
		t.Errorf("adding bob again ended with %d: %s", code, out)
	}
	bob := s.as("bob", "first password of bob")

	// A room's member hears it, from when he is one until he is not.
	heard := bob.follow(t)
	run("", "room", "add", "secret", "bob")
	if got := members("secret"); got != "admin bob" {
		t.Errorf("members of secret: %s", got)
	}
	admin.send(t, "secret", "bob may know this")
	heard.expect(t, "bob may know this")
	run("", "room", "remove", "secret", "bob")
	if got := members("secret"); got != "admin" {
		t.Errorf("members of secret: %s", got)
	}
	admin.send(t, "secret", "bob may not know this")
	admin.send(t, "general", "all may know this")
	heard.expect(t, "all may know this")

	// Who gets another password is out, and comes in with the new one only.
	run("second password of bob", "user", "passwd", "bob", "--password-stdin")
	heard.expectEnd(t)
	bob.expectRefused(t)
	if _, err := login(t.Context(), s.URL, "bob", "first password of bob"); !isUnauthorized(err) {
		t.Errorf("logging in with the old password: %v", err)
	}
	bob = s.as("bob", "second password of bob")

	// Who is disabled is out.
	heard = bob.follow(t)
	run("", "user", "disable", "bob")
	heard.expectEnd(t)
	bob.expectRefused(t)
	if _, err := login(t.Context(), s.URL, "bob", "second password of bob"); !isUnauthorized(err) {
		t.Errorf("a disabled user logging in: %v", err)
	}
	if active := users(); len(active) != 2 || !active["admin"] || active["bob"] {
		t.Errorf("users: %v", active)
	}

	// The same without a server, which then finds it so.
	s.stop()
	if active := users(); len(active) != 2 || !active["admin"] || active["bob"] {
		t.Errorf("users: %v", active)
	}
	run("", "user", "enable", "bob")
	run("third password of bob", "user", "passwd", "bob", "--password-stdin")
	run("", "user", "add", "carol")
	_, made, _ := strings.Cut(run("", "user", "passwd", "carol"), ": ")
	run("", "user", "add", "dave")
	run("", "user", "disable", "dave")
	run("", "room", "add", "secret", "carol")
	run("", "room", "add", "secret", "bob")
	run("", "room", "remove", "secret", "bob")
	s = start(t, "--data", dir)
	bob = s.as("bob", "third password of bob")
	if err := bob.call(t.Context(), "read_messages", map[string]any{"room": "secret"}, new(any)); err == nil {
		t.Error("bob, who is no member, reads secret")
	}
	if m := s.as("carol", strings.TrimSpace(made)).history(t, "secret"); len(m) != 2 {
		t.Errorf("carol, a member, reads %v in secret", m)
	}
	if active := users(); len(active) != 4 || active["dave"] || !active["bob"] {
		t.Errorf("users: %v", active)
	}
	if _, code := wigwag(t, "", "room", "add", "secret", "nobody", "--data", dir); code <= 0 {
		t.Error("nobody became a member")
	}

	// Killed, the server leaves a socket behind that nobody answers.
	s.Kill()
	if active := users(); len(active) != 4 {
		t.Errorf("after kill -9, users: %v", active)
	}
}

// expectRefused checks that a token is worth nothing.
func (c *client) expectRefused(t *testing.T) {
	t.Helper()
	if err := c.call(t.Context(), "list_rooms", map[string]any{}, new(any)); !isUnauthorized(err) {
		t.Errorf("a tool called with a token that has ended: %v", err)
	}
	if err := c.listen(t.Context(), "", func(event) bool { return false }); !isUnauthorized(err) {
		t.Errorf("/events with a token that has ended: %v", err)
	}
}

// following is a stream of /events that is being read.
type following struct {
	texts chan string // of messages
	ended chan error
}

// follow listens. It returns when the stream has begun.
func (c *client) follow(t *testing.T) *following {
	t.Helper()
	f := &following{texts: make(chan string, 100), ended: make(chan error, 1)}
	began := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	go func() { // ends with ctx
		f.ended <- c.listen(ctx, "", func(ev event) bool {
			switch ev.kind {
			case "system":
				close(began)
			case "message":
				var m message
				_ = json.Unmarshal([]byte(ev.data), &m) // its text is missed then
				f.texts <- m.Message
			}
			return true
		})
	}()
	select {
	case <-began:
	case err := <-f.ended:
		t.Fatalf("/events: %v", err)
	}
	return f
}

// expect checks which message comes next.
func (f *following) expect(t *testing.T, text string) {
	t.Helper()
	select {
	case got := <-f.texts:
		if got != text {
			t.Errorf("heard %q, not %q", got, text)
		}
	case err := <-f.ended:
		t.Fatalf("the stream has ended before %q: %v", text, err)
	}
}

// expectEnd checks that the server ends the stream.
func (f *following) expectEnd(t *testing.T) {
	t.Helper()
	if err := <-f.ended; err != io.EOF { //nolint:errorlint // anything else is not an end
		t.Errorf("the stream has ended with %v", err)
	}
}
