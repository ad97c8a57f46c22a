package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	// suiteTimeout bounds one start of the suite, which takes seconds.
	suiteTimeout = 3 * time.Minute
	// stopTimeout is what a process has left after it was asked to stop, before it is killed.
	stopTimeout = 10 * time.Second
)

// A lab is what trials are made with. It starts processes and stops them, and no others.
type lab struct {
	node     string // program
	packages string // folder with the suites
	programs string // folder with conformance-server and wigwag
	results  string // folder
}

// An outcome is what came of a trial. With err it was not made to its end.
type outcome struct {
	trial     trial
	scenarios []scenario
	elapsed   time.Duration
	err       error
}

// findNode returns a Node program that the suites can run on: the given one, else the one npm installed, else node.
func findNode(ctx context.Context, given string) (string, error) {
	program := given
	if program == "" {
		program = filepath.Join(packagesFolder, installedNode(), "bin", "node")
		if _, err := os.Stat(program); err != nil {
			program = "node"
		}
	}
	version, err := exec.CommandContext(ctx, program, "--version").Output() //nolint:gosec // the caller chooses the program
	if err != nil {
		return "", fmt.Errorf("%s --version: %w; run npm ci in conformance/ first", program, err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 22 {
		return "", fmt.Errorf("%s is Node %s, want 22 or newer; run npm ci in conformance/, or name one with -node", program, strings.TrimSpace(string(version)))
	}
	return program, nil
}

// installedNode names the npm package with the Node program for this machine.
func installedNode() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return "node-" + runtime.GOOS + "-" + arch
}

// build builds the servers among the results, and returns the folder they are in.
func build(ctx context.Context) (programs string, err error) {
	programs, err = filepath.Abs(filepath.Join(resultsFolder, "programs"))
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", programs+"/", "./cmd/...") //nolint:gosec // a path of our own
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(build.Args, " "), err, output)
	}
	return programs, nil
}

// conduct makes one trial.
func (l lab) conduct(ctx context.Context, t trial) outcome {
	begin := time.Now()
	o := outcome{trial: t}
	o.scenarios, o.err = l.try(ctx, t)
	o.elapsed = time.Since(begin)
	return o
}

func (l lab) try(ctx context.Context, t trial) (scenarios []scenario, err error) {
	dir := filepath.Join(l.results, strings.ReplaceAll(t.String(), " ", "_"))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	serve, start := l.serve, l.start
	if t.authorization {
		serve, start = l.serveWigwag, l.startAuthorization
	}
	url, stop, err := serve(ctx, filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for i := range t.times {
		checks := filepath.Join(dir, fmt.Sprintf("%02d", i+1))
		found, err := start(ctx, t, url, checks)
		scenarios = append(scenarios, found...)
		if err != nil {
			return scenarios, err
		}
		if len(found) != t.scenarios {
			return scenarios, fmt.Errorf("the suite ran %d scenarios, want %d; see %s.log", len(found), t.scenarios, checks)
		}
	}
	return scenarios, nil
}

// start starts the suite once and returns what it wrote into dir; dir.log has what it printed.
func (l lab) start(ctx context.Context, t trial, url, dir string) ([]scenario, error) {
	args := []string{"server", "--url", url}
	if t.scenario != "" {
		args = append(args, "--scenario", t.scenario)
	} else {
		args = append(args, "--suite", "all")
	}
	return l.run(ctx, t, dir, args, (*exec.Cmd).Run)
}

// run runs the suite with more args, which is to be started and waited for by through, and returns what it wrote into dir.
func (l lab) run(ctx context.Context, t trial, dir string, args []string, through func(*exec.Cmd) error) ([]scenario, error) {
	args = append([]string{filepath.Join(l.packages, t.suite.installed, "dist", "index.js")}, append(args, "-o", dir)...)
	if t.revision != "" {
		args = append(args, "--spec-version", t.revision)
	}
	log, err := os.Create(dir + ".log") //nolint:gosec // a file in the results folder
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(ctx, suiteTimeout)
	defer cancel()
	suite := command(ctx, l.node, args...)
	suite.Stdout, suite.Stderr = log, log
	exit := through(suite)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("stopped after %s; see %s", suiteTimeout, log.Name())
	}
	scenarios, err := readResults(dir)
	if err != nil {
		return nil, errors.Join(err, exit)
	}
	// The suite exits with 1 for its failures. When none is to be seen it means something else.
	if exit != nil && !anyFailed(scenarios) {
		return scenarios, fmt.Errorf("%w; see %s", exit, log.Name())
	}
	return scenarios, nil
}

func anyFailed(scenarios []scenario) bool {
	for _, s := range scenarios {
		if t, _ := s.judge(); t.failures > 0 {
			return true
		}
	}
	return false
}

// serve starts a server and returns its URL once it is ready. stop ends it, and reports if it did not end well.
func (l lab) serve(ctx context.Context, logFile string) (url string, stop func() error, err error) {
	log, err := os.Create(logFile) //nolint:gosec // a file in the results folder
	if err != nil {
		return "", nil, err
	}
	defer log.Close() // the process has its own descriptor
	ctx, cancel := context.WithCancel(ctx)
	program := filepath.Join(l.programs, "conformance-server")
	server := command(ctx, program, "--addr", "127.0.0.1:0")
	server.Stderr = log
	stdout, err := server.StdoutPipe()
	if err != nil {
		cancel()
		return "", nil, err
	}
	if err := server.Start(); err != nil {
		cancel()
		return "", nil, err
	}
	url, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cancel()
		return "", nil, fmt.Errorf("%s did not print its URL: %w; see %s", program, errors.Join(err, server.Wait()), logFile)
	}
	stop = func() error {
		cancel()
		err := server.Wait()
		if err == nil || errors.Is(err, context.Canceled) {
			return nil
		}
		return fmt.Errorf("%s: %w; see %s", program, err, logFile)
	}
	return strings.TrimSpace(url), stop, nil
}

// command returns a process that is interrupted when ctx ends, and killed if that does not help.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // Node or the server that was just built
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTimeout
	return cmd
}
