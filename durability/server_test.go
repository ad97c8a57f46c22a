//go:build linux

package durability_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wigwag/clients/servertest"
)

var (
	full = flag.Bool("durability.full", false, "test in full size: 20,000 messages, 10,000 listeners")
	seed = flag.Uint64("durability.seed", 0, "seed of what is random; 0: another one each time")
)

const (
	password = servertest.Password
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
	*servertest.Process
	t *testing.T
}

// launch runs wigwag serve on a free port. It returns once the server listens,
// or has ended instead: then listens is false.
func launch(t *testing.T, args ...string) (s *server, listens bool) {
	t.Helper()
	p, listens, err := servertest.Launch(t.Context(), append([]string{"--call-rate=0", "--send-rate=0"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of wigwag serve %s:\n%s", strings.Join(args, " "), p.Logs())
		}
	})
	return &server{p, t}, listens
}

// start is launch for a server that has to listen.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	s, listens := launch(t, args...)
	if !listens {
		t.Fatalf("wigwag serve ended with %d:\n%s", s.Code, s.Logs())
	}
	return s
}

// stop ends the server as its operator does. It must exit with 0.
func (s *server) stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		s.t.Fatalf("%v:\n%s", err, s.Logs())
	}
}
