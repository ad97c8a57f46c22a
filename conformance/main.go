// Conformance runs the official MCP conformance suite, in both versions that package.json pins, against
// cmd/conformance-server in every revision of the protocol, and the part of it that is for authorization servers against
// wigwag serve. It fails where the suite itself would not: for warnings, for checks that were skipped, for scenarios that
// are missing.
//
//	go run ./conformance [-jobs n] [-timeout duration] [-node program]
//
// It is started in the root of the repository, after `npm ci` in conformance/. What is run is told by plan.go, what may fail
// and why by excused.go. What the suite and the servers wrote is kept in conformance/results until the next time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"wigwag/clients/servertest"
)

// Where the packages are installed and the results go, from the root of the repository.
const (
	packagesFolder = "conformance/node_modules"
	resultsFolder  = "conformance/results"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	jobs := flags.Int("jobs", 2, "`number` of runs at a time")
	timeout := flags.Duration("timeout", 10*time.Minute, "`duration` after which everything is stopped")
	node := flags.String("node", "", "Node 22 `program`; by default the one npm installed, else node")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *jobs < 1 {
		return fmt.Errorf("-jobs %d: want at least 1", *jobs)
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()

	program, err := findNode(ctx, *node)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(resultsFolder); err != nil {
		return err
	}
	programs, err := build(ctx)
	if err != nil {
		return err
	}
	if err := os.Setenv(servertest.BinaryEnv, filepath.Join(programs, "wigwag")); err != nil {
		return err
	}
	lab := lab{node: program, packages: packagesFolder, programs: programs, results: resultsFolder}
	return report(stdout, lab.all(ctx, plan(), *jobs), excused())
}

// all makes every trial, jobs at a time, and returns the outcomes in the order of the plan.
func (l lab) all(ctx context.Context, trials []trial, jobs int) []outcome {
	outcomes := make([]outcome, len(trials))
	free := make(chan struct{}, jobs)
	var working sync.WaitGroup
	for i, t := range trials {
		free <- struct{}{}
		working.Go(func() {
			defer func() { <-free }()
			outcomes[i] = l.conduct(ctx, t)
		})
	}
	working.Wait()
	return outcomes
}
