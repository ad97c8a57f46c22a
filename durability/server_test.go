//go:build linux

package durability_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wigwag/clients/servertest"
)

var (
	full = flag.Bool("durability.full", false, "test in full size: 20,000 messages, 10,000 listeners")
	seed = flag.Uint64("durability.seed", 0, "seed of what is random; 0: another one each time")
)

const (
	password = "not-a-secret-in-tests"
	// patience bounds every wait. It only has to be longer than the slowest
	// machine takes.
	patience = 2 * time.Minute
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(servertest.Main(m))
}

// random is what a test draws from. A failure is shown with its seed.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64() //nolint:gosec // no secret
	}
	t.Logf("-durability.seed=%d", s)
	return rand.New(rand.NewPCG(s, 1)) //nolint:gosec // tests draw the same again
}

// command is the program with args. It is killed when the test ends.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv("WIGWAG_BINARY"), args...) //nolint:gosec // the program under test
	cmd.Env = append(os.Environ(), "WIGWAG_ADMIN_PASSWORD="+password)
	return cmd
}

// wigwag runs a command of the program to its end, with a line of input, and
// returns what it wrote and its exit code.
func wigwag(t *testing.T, input string, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv("WIGWAG_BINARY"), args...) //nolint:gosec // the program under test
	cmd.Stdin = strings.NewReader(input + "\n")
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("wigwag %s: %v", strings.Join(args, " "), err)
	}
	return string(out), 0
}

// server is a running wigwag serve.
type server struct {
	t     *testing.T
	url   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
	code  int           // its exit code, or -1; valid once ended is closed

	mu  sync.Mutex
	log bytes.Buffer // what it wrote on standard error; guarded by mu
}

// launch runs wigwag serve on a free port. It returns once the server listens,
// or has ended instead: then listens is false.
func launch(t *testing.T, args ...string) (s *server, listens bool) {
	t.Helper()
	s = &server{t: t, ended: make(chan struct{})}
	s.cmd = command(t, append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json"}, args...)...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := make(chan string, 1)
	go s.read(stderr, url)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("log of wigwag serve %s:\n%s", strings.Join(args, " "), s.logs())
		}
	})
	select {
	case s.url = <-url:
		return s, true
	case <-s.ended:
		return s, false
	case <-time.After(patience):
		t.Fatal("wigwag serve neither listened nor ended")
		return nil, false
	}
}

// start is launch for a server that has to listen.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	s, listens := launch(t, args...)
	if !listens {
		t.Fatalf("wigwag serve ended with %d:\n%s", s.code, s.logs())
	}
	return s
}

// read takes what the server writes until it is gone.
func (s *server) read(stderr io.Reader, url chan<- string) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		s.mu.Lock()
		s.log.WriteString(line)
		s.mu.Unlock()
		var entry struct{ Msg, URL string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
			url <- entry.URL
		}
		if err != nil {
			break
		}
	}
	_ = s.cmd.Wait() // how it ended is in its state
	s.code = s.cmd.ProcessState.ExitCode()
	close(s.ended)
}

func (s *server) logs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *server) signal(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(sig) // a process that is gone needs none
}

// kill ends the server as kill -9 does.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.ended
}

// stop ends the server as its operator does. It must exit with 0.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("wigwag serve did not end after SIGTERM")
	}
	if s.code != 0 {
		s.t.Fatalf("wigwag serve, told to stop, ended with %d:\n%s", s.code, s.logs())
	}
}

// memory is what the process holds in memory, in bytes.
func (s *server) memory() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kilobytes int
	_, err = fmt.Sscanf(rest, "%d kB", &kilobytes)
	return kilobytes << 10, err
}
