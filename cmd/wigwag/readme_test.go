package main

import (
	"context"
	"os"
	"os/exec"
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

// TestReadme runs the README's commands, exactly, in one shell, but for the two
// lines that say where the server is and what its password is.
func TestReadme(t *testing.T) {
	needs(t, "curl")
	needs(t, "bash")
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, withPassword)
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)\n```sh\n(.*?)\n```\n").FindAllSubmatch(readme, -1) {
		script.Write(block[1])
		script.WriteString("\n")
	}
	text := strings.Replace(script.String(), "URL=http://127.0.0.1:8080\n", "URL="+p.url+"\n", 1)
	text = strings.Replace(text, "PASSWORD=the-password-you-chose\n", "PASSWORD='"+password+"'\n", 1)
	if !strings.Contains(text, p.url) || !strings.Contains(text, password) {
		t.Fatal("the README does not set URL and PASSWORD as this test expects")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eu")
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	// What a reader is told to see, in this order.
	rest := string(out)
	for _, want := range []string{
		`"protocolVersion":"2025-11-25"`,
		`"message":"Word "`, `"message":"arrives."`, `"message":"Word by word it arrives."`, // the parts, then the result
		`"message":"eight"`, `"message":"one two three four five six seven eight"`, // resumed
		`notifications/resources/updated`,
		`"supportedVersions":["2026-07-28"`,
		`"message":"stateless "`, `"message":"Hello from the stateless side."`,
		`notifications/subscriptions/acknowledged`, `notifications/resources/updated`,
		`event: endpoint`, `"protocolVersion":"2024-11-05"`, `Hello from the stateless side.`,
		`Everybody sees it grow.`, `event: system`, `"message":"Said meanwhile"`,
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q is missing, or not where it should be", want)
		}
		rest = after
	}
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
