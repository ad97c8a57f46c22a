package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes a folder like those of the suite. Without checks it makes no checks.json.
func write(t *testing.T, dir, name, checks string) {
	t.Helper()
	folder := filepath.Join(dir, name)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	if checks == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, "checks.json"), []byte(checks), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadResults(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "server-tools-list-2026-01-02T03-04-05-678Z", `[
		{"id": "a", "name": "A", "status": "SUCCESS", "timestamp": "…", "specReferences": [], "details": {"x": 1}},
		{"id": "b", "status": "WARNING", "errorMessage": "hm"}]`)
	write(t, dir, "server-sep-2164-resource-not-found-2026-01-02T03-04-05-678Z", `[]`)
	write(t, dir, "authorization-server-grant-2026-01-02T03-04-05-678Z", `[{"id": "c", "status": "SUCCESS"}]`)
	write(t, dir, "server-broken-off-2026-01-02T03-04-05-678Z", "")

	scenarios, err := readResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []scenario{
		{name: "grant", checks: []check{{"c", success, ""}}},
		{name: "broken-off"},
		{name: "sep-2164-resource-not-found"},
		{name: "tools-list", checks: []check{{"a", success, ""}, {"b", warning, "hm"}}},
	}
	same := func(a, b scenario) bool { return a.name == b.name && slices.Equal(a.checks, b.checks) }
	if !slices.EqualFunc(scenarios, want, same) {
		t.Errorf("read\n%+v, want\n%+v", scenarios, want)
	}
}

func TestReadResultsErrors(t *testing.T) {
	tests := []struct{ title, folder, checks, want string }{
		{"a foreign name", "client-x-2026-01-02T03-04-05-678Z", "[]", "want a name like"},
		{"no time", "server-x", "[]", "want a name like"},
		{"no JSON", "server-x-2026-01-02T03-04-05-678Z", "oops", "checks.json"},
		{"no list", "server-x-2026-01-02T03-04-05-678Z", "{}", "checks.json"},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tt.folder, tt.checks)
			if _, err := readResults(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	if _, err := readResults(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		title    string
		scenario scenario
		tally    tally
		problems []string
	}{
		{
			"success",
			scenario{"x", []check{{"a", success, ""}, {"b", success, ""}, {"c", info, ""}}},
			tally{passed: 2},
			nil,
		},
		{
			"failure and warning",
			scenario{"x", []check{{"a", success, ""}, {"b", failure, "no"}, {"c", warning, "hm"}}},
			tally{passed: 1, failures: 1, warnings: 1},
			[]string{"FAILURE b: no", "WARNING c: hm"},
		},
		{
			"skipped counts as a failure",
			scenario{"x", []check{{"a", success, ""}, {"b", skipped, "not applicable"}}},
			tally{passed: 1, failures: 1},
			[]string{"SKIPPED b: not applicable"},
		},
		{
			"so does a status that is new",
			scenario{"x", []check{{"a", success, ""}, {"b", "PERHAPS", ""}}},
			tally{passed: 1, failures: 1},
			[]string{`b: unknown status "PERHAPS"`},
		},
		{"no checks", scenario{"x", nil}, tally{failures: 1}, []string{"nothing was checked"}},
		{"only information", scenario{"x", []check{{"a", info, ""}}}, tally{failures: 1}, []string{"nothing was checked"}},
		{
			"nothing to resume",
			scenario{"server-sse-polling", []check{
				{"server-sse-priming-event", success, ""},
				{"server-sse-retry-field", success, ""},
				{"server-sse-disconnect-resume", info, ""},
			}},
			tally{passed: 2, failures: 1},
			[]string{"server-sse-disconnect-resume has to succeed, and did not"},
		},
		{
			"resumed",
			scenario{"server-sse-polling", []check{
				{"server-sse-priming-event", success, ""},
				{"server-sse-retry-field", success, ""},
				{"server-sse-disconnect-resume", success, ""},
			}},
			tally{passed: 3},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			tally, problems := tt.scenario.judge()
			if tally != tt.tally || !slices.Equal(problems, tt.problems) {
				t.Errorf("judged %+v %q, want %+v %q", tally, problems, tt.tally, tt.problems)
			}
		})
	}
}
