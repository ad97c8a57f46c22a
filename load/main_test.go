// Package load checks what must hold under load and under attack: that nothing
// is lost and nothing mixed up, that a client can neither block others, nor
// use up the server's memory or file descriptors, nor touch what is another's.
//
// Servers run as processes of their own: wigwag serve as it is built, and,
// where a test needs tools, users or limits that wigwag has not, the same
// transport in the test binary itself, started a second time (see
// runTestServer). Nothing is timed. The sizes are small by default;
//
//	go test ./load -load.full
//
// runs the full ones, and the checks that wait for long time-outs.
package load

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"wigwag/clients/servertest"
)

var full = flag.Bool("load.full", false, "run at full size, which takes minutes")

// patience bounds every wait. It only has to be longer than the slowest
// machine takes.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if limits := os.Getenv(testServerEnv); limits != "" {
		os.Exit(runTestServer(limits))
	}
	os.Exit(servertest.Main(m))
}

// size is how much of something a test does.
func size(small, large int) int {
	if *full {
		return large
	}
	return small
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// poll asks until the answer is yes, or fails with what state says.
func poll(t *testing.T, what string, yes func() bool, state func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !yes(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %v: %s", what, patience, state())
		}
	}
}
