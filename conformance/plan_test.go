package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"
)

// The versions in the plan are those that package.json installs, and all are exact: a suite that changes under us would
// change what passing means.
func TestPins(t *testing.T) {
	data, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var pkg struct{ Dependencies, OptionalDependencies map[string]string }
	if err := json.Unmarshal(data, &pkg); err != nil {
		t.Fatal(err)
	}
	exact := regexp.MustCompile(`^(npm:@modelcontextprotocol/conformance@)?\d+\.\d+\.\d+(-alpha\.\d+)?$`)
	for _, pins := range []map[string]string{pkg.Dependencies, pkg.OptionalDependencies} {
		if len(pins) == 0 {
			t.Error("package.json pins nothing")
		}
		for name, version := range pins {
			if !exact.MatchString(version) {
				t.Errorf("package.json: %s %s is not an exact version", name, version)
			}
		}
	}
	for _, trial := range plan() {
		want := "npm:@modelcontextprotocol/conformance@" + trial.suite.version
		if have := pkg.Dependencies[trial.suite.installed]; have != want {
			t.Errorf("package.json has %q as %s, want %q", have, trial.suite.installed, want)
		}
	}
}

// A lock file with addresses in it installs from the registry of the machine it was made on, or not at all.
func TestLockFileHasNoAddresses(t *testing.T) {
	data, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(`"resolved"`)) {
		t.Error("package-lock.json has download addresses; make it anew with the .npmrc beside it")
	}
	if !bytes.Contains(data, []byte(`"integrity"`)) {
		t.Error("package-lock.json has no hashes")
	}
}

// Trials run at the same time, each in the folder of its name.
func TestTrialNames(t *testing.T) {
	seen := map[string]bool{}
	for _, trial := range plan() {
		if seen[trial.String()] {
			t.Errorf("two trials are named %s", trial)
		}
		seen[trial.String()] = true
		if trial.times < 1 || trial.scenarios < 1 {
			t.Errorf("%s: runs %d scenarios, %d times", trial, trial.scenarios, trial.times)
		}
	}
}

// Only the scenarios of extensions are excused.
func TestExcuses(t *testing.T) {
	extension := regexp.MustCompile(`^(tasks-|sep-2640-skills-)`)
	for name, reason := range excused() {
		if !extension.MatchString(name) {
			t.Errorf("%s is not of an extension", name)
		}
		if reason == "" {
			t.Errorf("%s has no reason", name)
		}
	}
}
