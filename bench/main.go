// Command bench compares wigwag with its peers and with the least that a server
// on net/http can do, by what a request costs the server's processor.
//
// Every target is a process of its own: this program, started again, or wigwag
// as it is built. One load generator drives them all over keep-alive
// connections, in rounds in which the targets take turns, each beginning with
// another one. What counts is units per CPU-second of the server's process, and
// the ratio to the floor in the same round: unlike the time on the clock, both
// bear a machine that has other things to do.
//
// It ends with 1 if a target of wigwag loses something, or any answers wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if name := os.Getenv(targetEnv); name != "" {
		err = serveTarget(ctx, name, os.Getenv(profileEnv), os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what a run is made of.
type options struct {
	targets     []target
	scenarios   []scenario
	rounds      int
	duration    time.Duration // of one target in one round
	requests    int           // of one connection in one round, at most
	connections int
	procs       int
	wigwag      string // the program
	profiles    string // folder for CPU profiles
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	o := &options{}
	allTargets, allScenarios := targets(), scenarios()
	chosenTargets := flags.String("targets", "", "comma-separated `names` (default: all: "+strings.Join(names(allTargets, targetName), ",")+")")
	chosenScenarios := flags.String("scenarios", "", "comma-separated `names` (default: all: "+strings.Join(names(allScenarios, scenarioName), ",")+")")
	quick := flags.Bool("quick", false, "about one minute: 3 rounds of 0.8 s, unless -rounds and -duration say otherwise")
	flags.IntVar(&o.rounds, "rounds", 0, "rounds, after one that is not counted (default 7)")
	flags.DurationVar(&o.duration, "duration", 0, "of one target in one round (default 2.5s)")
	flags.IntVar(&o.requests, "requests", math.MaxInt, "most requests of one connection in one round")
	flags.IntVar(&o.connections, "connections", 8, "connections, each with one request at a time")
	flags.IntVar(&o.procs, "procs", runtime.NumCPU(), "GOMAXPROCS of every target")
	flags.StringVar(&o.wigwag, "wigwag", "../bin/wigwag", "`path` of the wigwag program, for the targets serve-…")
	flags.StringVar(&o.profiles, "cpuprofile", "", "`folder` for CPU profiles of all targets but serve-…, as target-scenario.pprof")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q: there are no arguments, only flags", flags.Arg(0))
	}
	rounds, duration := 7, 2500*time.Millisecond
	if *quick {
		rounds, duration = 3, 800*time.Millisecond
	}
	if o.rounds == 0 {
		o.rounds = rounds
	}
	if o.duration == 0 {
		o.duration = duration
	}
	if o.rounds < 1 || o.duration < 0 || o.requests < 1 || o.connections < 1 || o.connections > 32 || o.procs < 1 {
		return nil, errors.New("-rounds, -duration, -requests and -procs must be more than zero, -connections from 1 to 32")
	}
	var err error
	if o.targets, err = choose("targets", allTargets, *chosenTargets, targetName); err != nil {
		return nil, err
	}
	o.scenarios, err = choose("scenarios", allScenarios, *chosenScenarios, scenarioName)
	return o, err
}

func targetName(t target) string     { return t.name }
func scenarioName(s scenario) string { return s.name }

func names[T any](all []T, name func(T) string) []string {
	var out []string
	for _, v := range all {
		out = append(out, name(v))
	}
	return out
}

// choose returns those of all that are named, in the order of all; all of them
// if none is.
func choose[T any](flag string, all []T, chosen string, name func(T) string) ([]T, error) {
	if chosen == "" {
		return all, nil
	}
	wanted := strings.Split(chosen, ",")
	for _, w := range wanted {
		if !slices.Contains(names(all, name), w) {
			return nil, fmt.Errorf("-%s: there is no %q; allowed are %s", flag, w, strings.Join(names(all, name), ", "))
		}
	}
	return slices.DeleteFunc(all, func(v T) bool { return !slices.Contains(wanted, name(v)) }), nil
}

// run measures and writes the tables. It is all of the program but its exit
// code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o750); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(stdout, "%s, GOMAXPROCS=%d and GOGC=400 for every target, %d connections, %d rounds of %v.\n",
		runtime.Version(), o.procs, o.connections, o.rounds, o.duration); err != nil {
		return err
	}
	lost := 0
	for i := range o.scenarios {
		s := &o.scenarios[i]
		results, err := measure(ctx, s, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if len(results) == 0 {
			continue // none of the chosen targets serves it
		}
		if err := writeTable(stdout, s, results); err != nil {
			return err
		}
		for _, r := range results {
			if r.ours {
				lost += r.lost
			}
		}
	}
	if lost > 0 {
		return fmt.Errorf("wigwag lost %d notifications", lost)
	}
	return nil
}

// measure runs all rounds of a scenario.
func measure(ctx context.Context, s *scenario, o *options) (results []*result, err error) {
	var loads []load
	for i := range o.targets {
		t := &o.targets[i]
		if !slices.Contains(t.scenarios, s.name) {
			continue
		}
		p, err := t.start(ctx, s, o)
		if err != nil {
			return nil, err
		}
		defer func() {
			if stopErr := p.stop(); stopErr != nil {
				err = errors.Join(err, fmt.Errorf("%s, told to stop: %w", t.name, stopErr))
			}
		}()
		l, err := newLoad(ctx, s, p, o.connections)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		loads = append(loads, l)
		results = append(results, &result{target: t.name, ours: t.ours})
	}
	for i, l := range loads { // caches and pools fill
		if _, _, err := l.round(ctx, o.duration/4, o.requests); err != nil {
			return nil, fmt.Errorf("%s: %w", results[i].target, err)
		}
	}
	for round := range o.rounds {
		for turn := range loads {
			i := (round + turn) % len(loads)
			t, cpu, err := loads[i].round(ctx, o.duration, o.requests)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", results[i].target, err)
			}
			results[i].add(t, cpu)
		}
	}
	return results, nil
}
