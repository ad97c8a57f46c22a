package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// needs skips a test when a program of the system is missing, or fails it where
// it is known to be there.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("WIGWAG_REQUIRE_TOOLS") == "1" {
		t.Fatalf("%s is missing", program)
	}
	t.Skipf("%s is missing", program)
}

// shellOf returns the commands that a page shows, with what stands there for the
// reader to fill in replaced: each once.
func shellOf(t *testing.T, page string, filledIn map[string]string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", page)) //nolint:gosec // the test names it
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)\n```\n").FindAllSubmatch(text, -1) {
		script.Write(block[1])
		script.WriteString("\n")
	}
	commands := script.String()
	for shown, real := range filledIn {
		if strings.Count(commands, shown) != 1 {
			t.Fatalf("%s does not have %q once, as this test expects", page, shown)
		}
		commands = strings.Replace(commands, shown, real, 1)
	}
	return commands
}

// runShell runs commands in one shell, and checks that what a reader is told to
// see is in what they print, in this order.
func runShell(t *testing.T, commands string, wants ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eu")
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, "what is printed", string(out), wants...)
}

// TestReadme runs the README's commands, exactly, but for where the server is and
// what its password is.
func TestReadme(t *testing.T) {
	needs(t, "curl")
	needs(t, "bash")
	p := start(t, withPassword)
	runShell(t, shellOf(t, "README.md", map[string]string{
		"URL=http://127.0.0.1:8080\n":       "URL=" + p.url + "\n",
		"PASSWORD=the-password-you-chose\n": "PASSWORD='" + password + "'\n",
	}),
		`"protocolVersion":"2025-11-25"`,
		`"message":"Word "`, `"message":"arrives."`, `"message":"Word by word it arrives."`, // the parts, then the result
		`"message":"eight"`, `"message":"one two three four five six seven eight"`, // resumed
		`notifications/resources/updated`,
		`"supportedVersions":["2026-07-28"`,
		`"message":"stateless "`, `"message":"Hello from the stateless side."`,
		`notifications/subscriptions/acknowledged`, `notifications/resources/updated`,
		`event: endpoint`, `"protocolVersion":"2024-11-05"`, `Hello from the stateless side.`,
		`Everybody sees it grow.`, `event: system`, `"message":"Said meanwhile"`,
		`"message":"Now over REST"`, `"interrupted":false`, `"message":"Now over REST"`,
	)
}

// TestRESTPage runs what docs/rest.md shows, exactly, but for where the server is
// and the token.
func TestRESTPage(t *testing.T) {
	needs(t, "curl")
	needs(t, "bash")
	data := t.TempDir()
	p := start(t, withPassword, "--data", data)
	if out, code := command(t, "user", "add", "bob", "--data", data); code != 0 {
		t.Fatal(out)
	}
	token, code := command(t, "token", "create", "page", "--user", "admin", "--data", data, "--scope", "chat:read chat:write notify logs:read logs:write")
	if code != 0 {
		t.Fatal(token)
	}
	runShell(t, shellOf(t, "docs/rest.md", map[string]string{
		"URL=http://127.0.0.1:8080\n":         "URL=" + p.url + "\n",
		"TOKEN=pat_the-token-that-you-made\n": "TOKEN=" + regexp.MustCompile(`(?m)^pat_\w+$`).FindString(token) + "\n",
	}),
		`"members":["admin","bob"]`, `{"rooms":[`, `{"members":[{"name":"admin","online":true},{"name":"bob","online":false}]}`,
		`"message":"Hello, all."`, `"room":"dm/admin/bob"`, `"message":"Release 1.4 is out."`, `Idempotency-Replayed: true`,
		`"more":false`, `"Release 1.4 is out."`, `"Release 1.4 is out."`, `"cut":false`,
		`"bytes":15}],"interrupted":false}`,
		`"progress":50,"key":"deploy"`, `"unread":0`, `"read_to":`,
		`"logger":"db"`, `{"lines":[`, `{"people":[`, `"username":"admin"`, `"message":"Hello, all."`, `"message":"half way"`, `event: system`, "\n304\n",
	)
}

// TestWelcomeLine runs the one line that serve prints to begin with.
func TestWelcomeLine(t *testing.T) {
	needs(t, "curl")
	needs(t, "bash")
	for _, auth := range []string{"oauth", "token", "none"} {
		t.Run(auth, func(t *testing.T) {
			p := start(t, nil, "--auth="+auth)
			line := p.waitFor(t, `(?m)^  (curl .*)$`)
			out, err := exec.CommandContext(t.Context(), "bash", "-euc", line).CombinedOutput() //nolint:gosec // our own line
			if err != nil || !strings.Contains(string(out), `"room":"general"`) {
				t.Fatalf("%s: %v: %s", line, err, out)
			}
		})
	}
}
