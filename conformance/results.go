package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// A check is one line of a scenario's checks.json.
type check struct {
	ID      string `json:"id"`
	Status  status `json:"status"`
	Message string `json:"errorMessage"`
}

type status string

// The suite also writes INFO, which says what it saw and judges nothing.
const (
	success status = "SUCCESS"
	info    status = "INFO"
	warning status = "WARNING"
	failure status = "FAILURE"
	skipped status = "SKIPPED"
)

// A scenario is the result of one scenario: its checks, none if it broke off.
type scenario struct {
	name   string
	checks []check
}

// resultFolder is how the suite names the folder of a scenario's results.
var resultFolder = regexp.MustCompile(`^(?:authorization-)?server-(.+)-\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}-\d{3}Z$`)

// readResults reads what the suite wrote into dir, in the order of the names.
func readResults(dir string) ([]scenario, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var scenarios []scenario
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		name := resultFolder.FindStringSubmatch(entry.Name())
		if name == nil {
			return nil, fmt.Errorf("%s: want a name like server-<scenario>-<time>", filepath.Join(dir, entry.Name()))
		}
		checks, err := readChecks(filepath.Join(dir, entry.Name(), "checks.json"))
		if err != nil {
			return nil, err
		}
		scenarios = append(scenarios, scenario{name: name[1], checks: checks})
	}
	return scenarios, nil
}

// readChecks reads a checks.json; there is none if the scenario broke off or ran out of time.
func readChecks(file string) ([]check, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the file is the suite's, in the results folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var checks []check
	if err := json.Unmarshal(data, &checks); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return checks, nil
}

// A tally counts checks. What should have been checked and was not counts as a failure.
type tally struct {
	passed, warnings, failures int
}

func (t *tally) add(other tally) {
	t.passed += other.passed
	t.warnings += other.warnings
	t.failures += other.failures
}

func (t tally) failed() int { return t.warnings + t.failures }

// judge counts the checks of a scenario and says in words what is wrong with it.
func (s scenario) judge() (t tally, problems []string) {
	fail := func(format string, args ...any) {
		t.failures++
		problems = append(problems, fmt.Sprintf(format, args...))
	}
	succeeded := map[string]bool{}
	for _, c := range s.checks {
		switch c.Status {
		case success:
			t.passed++
			succeeded[c.ID] = true
		case info:
		case warning:
			t.warnings++
			problems = append(problems, fmt.Sprintf("%s %s: %s", c.Status, c.ID, c.Message))
		case failure, skipped:
			fail("%s %s: %s", c.Status, c.ID, c.Message)
		default:
			fail("%s: unknown status %q", c.ID, c.Status)
		}
	}
	if t == (tally{}) {
		fail("nothing was checked")
	}
	for _, id := range required(s.name) {
		if !succeeded[id] {
			fail("%s has to succeed, and did not", id)
		}
	}
	return t, problems
}
