package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCommandsPage runs what docs/commands.md shows, exactly, in one shell, but
// for where the server is, the token, and the one command that does not end.
func TestCommandsPage(t *testing.T) {
	for _, program := range []string{"bash", "make", "git"} {
		needs(t, program)
	}
	data := t.TempDir()
	p := start(t, nil, "--data", data)
	for _, user := range []string{"alice", "bob"} {
		if out, code := command(t, "user", "add", user, "--data", data); code != 0 {
			t.Fatal(out)
		}
	}
	token, code := command(t, "token", "create", "nightly", "--user", "alice", "--data", data, "--scope", "chat:read chat:write notify logs:read logs:write")
	if code != 0 {
		t.Fatal(token)
	}
	text := shellOf(t, "docs/commands.md", map[string]string{
		"WIGWAG_SERVER=https://chat.example.com\n":   "WIGWAG_SERVER=" + p.url + "\n",
		"WIGWAG_TOKEN=pat_the-token-that-you-made\n": "WIGWAG_TOKEN=" + regexp.MustCompile(`(?m)^pat_\w+$`).FindString(token) + "\n",
		"\nwigwag tail\n": "\nwigwag tail --since all --count 3\n",
	})
	// A folder with something to make, and a commit.
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	self, err := os.Executable()
	if err == nil {
		err = os.Mkdir(bin, 0o700)
	}
	if err == nil {
		err = os.Symlink(self, filepath.Join(bin, "wigwag"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "Makefile"), []byte("all:\n\t@echo made\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	setUp := "set -euo pipefail\ngit init -q .\ngit -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m 'A subject'\n"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-xc", setUp+text) //nolint:gosec // our own page
	cmd.Dir = dir
	// A make that ran this test would have the one in it say where it is.
	outside := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") })
	cmd.Env = append(outside, runMain+"=1", "HOME="+dir, "XDG_CONFIG_HOME="+dir, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, "what is printed", string(out),
		"made\n", "general alice: The build is green.\n", "dm/alice/bob alice: Have you seen it?\n", "A subject\n", "Release 1.4 is out.\n", "general alice: made\n",
		`"event":"message"`, "dm/alice/bob", `"name":"general"`, "general alice: one\n", "general alice: two\n")
}
