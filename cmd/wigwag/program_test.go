package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a running "wigwag serve".
type program struct {
	url    string
	cancel context.CancelFunc
	exited chan struct{}
	code   int // valid once exited is closed

	mu  sync.Mutex
	log bytes.Buffer // standard error
}

// Write takes what the program writes to standard error.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *program) logs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop ends the program as SIGTERM does and returns its exit code.
func (p *program) stop() int {
	p.cancel()
	<-p.exited
	return p.code
}

// waitFor waits until the pattern is in what the program wrote, and returns its
// first group.
func (p *program) waitFor(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if m := re.FindStringSubmatch(p.logs()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-tick.C:
		case <-p.exited:
			t.Fatalf("the program ended with %d before it wrote %q:\n%s", p.code, pattern, p.logs())
		case <-deadline:
			t.Fatalf("the program did not write %q within a minute:\n%s", pattern, p.logs())
		}
	}
}

// start runs "wigwag serve" on a free port until the test ends, with a data
// folder of its own unless args name one.
func start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	if !slices.Contains(args, "--data") && !slices.Contains(args, "--memory") {
		args = append(args, "--data", t.TempDir())
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{cancel: cancel, exited: make(chan struct{})}
	go func() { // ends with stop
		defer close(p.exited)
		p.code = run(ctx, append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json"}, args...), env, io.Discard, p)
	}()
	t.Cleanup(func() { p.stop() })
	p.findURL(t)
	return p
}

// runMain makes the test's own binary the program.
const runMain = "WIGWAG_TEST_RUN_MAIN"

// spawn is start in a process of its own, for what is about signals and memory.
// Ending it is a SIGTERM.
func spawn(t *testing.T, env []string, args ...string) (*program, *os.Process) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return spawnFrom(t, self, env, args...)
}

// spawnFrom is spawn from a binary of the program.
func spawnFrom(t *testing.T, binary string, env []string, args ...string) (*program, *os.Process) {
	t.Helper()
	if !slices.Contains(args, "--data") && !slices.Contains(args, "--memory") {
		args = append(args, "--data", t.TempDir())
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json"}, args...)...) //nolint:gosec // the program
	cmd.Env = append(append(os.Environ(), runMain+"=1"), env...)
	p := &program{exited: make(chan struct{})}
	cmd.Stderr = p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.cancel = func() { _ = cmd.Process.Signal(syscall.SIGTERM) } // it may have ended
	go func() {                                                   // ends with the process
		defer close(p.exited)
		_ = cmd.Wait() // the state is looked at below
		p.code = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		p.cancel()
		select {
		case <-p.exited:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			<-p.exited
			t.Errorf("the program did not end within a minute:\n%s", p.logs())
		}
	})
	p.findURL(t)
	return p, cmd.Process
}

// findURL waits until the program listens.
func (p *program) findURL(t *testing.T) {
	t.Helper()
	line := p.waitFor(t, `(?m)^(.*"msg":"listening".*)$`)
	var entry struct{ URL string }
	if err := json.Unmarshal([]byte(line), &entry); err != nil || !strings.HasPrefix(entry.URL, "http") {
		t.Fatalf("%s: %v", line, err)
	}
	p.url = entry.URL
}

// inOrder wants all of the texts, one after the other.
func inOrder(t *testing.T, name, all string, texts ...string) {
	t.Helper()
	rest := all
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			t.Errorf("%s does not have %q in order: %s", name, texts, all)
			return
		}
		rest = after
	}
}

// eventually calls done until it is true, for a minute.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("within a minute it did not happen that %s", what)
		}
	}
}
