package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBackupAndRestore: what is saved under a running server, and without one,
// is what a server on the restored folder has: messages, rooms, users, and the
// keys, so tokens work. Cursors of the first are void.
func TestBackupAndRestore(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	client := newClient(t)
	p := start(t, withPassword, "--data", dir)
	auth := login(t, client, p)
	request(t, client, "POST", p.url+"/mcp", call(1, "send_message", `{"message":"saved"}`), auth)
	request(t, client, "POST", p.url+"/mcp", call(2, "open_room", `{"room":"den","private":true}`), auth)
	addr := strings.TrimPrefix(p.url, "http://")
	sent := body(t, request(t, client, "POST", p.url+"/mcp", call(3, "read_messages", `{}`), auth))
	cursor := regexp.MustCompile(`"id":"([a-z0-9]+-\d+)"`).FindStringSubmatch(sent)
	if cursor == nil {
		t.Fatalf("no message in %s", sent)
	}
	running := filepath.Join(out, "running.tar.gz")
	if text, code := command(t, "backup", running, "--data", dir); code != 0 || !strings.Contains(text, "1 messages, ") {
		t.Fatalf("%d %s", code, text)
	}
	request(t, client, "POST", p.url+"/mcp", call(4, "send_message", `{"message":"too late"}`), auth)
	if text, code := command(t, "restore", running, "--data", dir); code == 0 || !strings.Contains(text, "another wigwag is running") {
		t.Errorf("restoring under a running server: %d %s", code, text)
	}
	p.stop()
	stopped := filepath.Join(out, "stopped.tar")
	if text, code := command(t, "backup", stopped, "--data", dir); code != 0 || !strings.Contains(text, "2 messages, ") {
		t.Fatalf("%d %s", code, text)
	}
	for _, file := range []string{running, stopped} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
		into := filepath.Join(out, filepath.Base(file)+".data")
		if text, code := command(t, "restore", file, "--data", into); code != 0 || !strings.Contains(text, into+" is what there was") {
			t.Fatalf("%d %s", code, text)
		}
		p := start(t, withPassword, "--data", into, "--addr", addr) // the same address is the same issuer
		got := body(t, request(t, client, "POST", p.url+"/mcp", call(1, "read_messages", `{}`), auth))
		if !strings.Contains(got, `"message":"saved"`) || strings.Contains(got, "too late") != (file == stopped) || strings.Contains(got, cursor[1]) {
			t.Errorf("%s: messages: %s", file, got)
		}
		if got := body(t, request(t, client, "POST", p.url+"/mcp", call(2, "list_rooms", `{}`), auth)); !strings.Contains(got, `"den"`) {
			t.Errorf("%s: rooms: %s", file, got)
		}
		events := request(t, client, "GET", p.url+"/events?last_event_id="+cursor[1], "", auth, "Accept: text/event-stream")
		lines := bufio.NewScanner(events.Body)
		for lines.Scan() && lines.Text() != "event: reset" {
			if lines.Text() == "event: message" {
				t.Fatalf("%s: an old cursor is taken for one of this log", file)
			}
		}
		if lines.Text() != "event: reset" {
			t.Errorf("%s: an old cursor gets no reset", file)
		}
		_ = events.Body.Close()
		p.stop()
	}
	left, err := os.ReadDir(out)
	if err != nil || len(left) != 4 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestBackupRefusals: what is wrong is said, and nothing is left behind.
func TestBackupRefusals(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	if text, code := command(t, "user", "add", "alice", "--data", dir); code != 0 {
		t.Fatal(text)
	}
	good := filepath.Join(out, "good.tar")
	if text, code := command(t, "backup", good, "--data", dir); code != 0 {
		t.Fatal(text)
	}
	data, err := os.ReadFile(good) //nolint:gosec // of the test
	if err != nil {
		t.Fatal(err)
	}
	cut, none := filepath.Join(out, "cut.tar"), filepath.Join(out, "none.tar")
	for name, data := range map[string][]byte{cut: data[:len(data)/2], none: []byte("not a backup")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ args, want string }{
		{"backup " + good + " --data " + dir, "is there already"},
		{"backup " + out + "/x.zip --data " + dir, ".tar or .tar.gz"},
		{"backup " + out + "/x.tar --data " + out + "/nowhere", "no data folder"},
		{"restore " + good + " --data " + dir, "it is not empty"},
		{"restore " + cut + " --data " + out + "/new", "it is damaged"},
		{"restore " + none + " --data " + out + "/new", "it is damaged"},
		{"restore " + out + "/missing.tar --data " + out + "/new", "no such file"},
	} {
		if text, code := command(t, strings.Fields(test.args)...); code != 1 || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %s, want %q", test.args, code, text, test.want)
		}
	}
	if left, err := os.ReadDir(filepath.Join(out, "new")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if left, err := filepath.Glob(filepath.Join(out, "*.part")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if text, code := command(t, "user", "list", "--json", "--data", dir); code != 0 || !json.Valid([]byte(text)) || !strings.Contains(text, "alice") {
		t.Errorf("the folder was changed: %d %s", code, text)
	}
}
