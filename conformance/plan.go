package main

import "strings"

// A suite is one version of the official suite: the name under which package.json installs it, and the version it pins.
type suite struct {
	installed, version string
}

// A trial is one thing to run: a server of its own, and the suite against it.
type trial struct {
	suite suite
	// authorization runs the suite for authorization servers, against wigwag serve. The one for MCP servers runs against
	// cmd/conformance-server.
	authorization bool
	// revision limits the suite to the scenarios of a revision of the protocol. Without one it runs all it has, each in the
	// newest revision the scenario is for: only so do the extensions' scenarios run.
	revision string
	// scenario is the only one to run; empty means all.
	scenario string
	// times is how often in a row the suite is started.
	times int
	// scenarios is how many there are each time. It is pinned as the versions are, for a suite that lost some would pass.
	scenarios int
}

// String names a trial and its folder.
func (t trial) String() string {
	parts := []string{t.suite.version, t.revision}
	if t.revision == "" {
		parts[1] = "newest"
	}
	if t.authorization {
		parts = append(parts, "authorization")
	}
	if t.scenario != "" {
		parts = append(parts, t.scenario)
	}
	return strings.Join(parts, " ")
}

// plan returns all trials, the long ones first.
func plan() []trial {
	stable := suite{"conformance-stable", "0.1.16"}
	preview := suite{"conformance-preview", "0.2.0-alpha.12"}
	trials := []trial{
		{suite: preview, revision: "2026-07-28", times: 1, scenarios: 40},
		{suite: preview, revision: "2025-11-25", times: 1, scenarios: 33},
		{suite: preview, revision: "2025-06-18", times: 1, scenarios: 27},
		{suite: preview, revision: "2025-03-26", times: 1, scenarios: 1},
		{suite: preview, times: 1, scenarios: 65},
		{suite: stable, revision: "2025-11-25", times: 1, scenarios: 32},
	}
	// What is sent just before a result is what a server loses, once in a while. (2026-07-28 has no scenario with log messages
	// left.)
	const inARow = 20
	often := func(s suite, revision, scenario string) {
		trials = append(trials, trial{suite: s, revision: revision, scenario: scenario, times: inARow, scenarios: 1})
	}
	for _, revision := range []string{"2025-06-18", "2025-11-25", "2026-07-28"} {
		often(preview, revision, "tools-call-with-progress")
		if revision != "2026-07-28" {
			often(preview, revision, "tools-call-with-logging")
		}
	}
	often(stable, "2025-11-25", "tools-call-with-progress")
	often(stable, "2025-11-25", "tools-call-with-logging")
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		trials = append(trials, trial{suite: preview, authorization: true, revision: revision, times: 1, scenarios: 2})
	}
	return trials
}

// required returns the checks of a scenario that have to succeed. The suite is content when a server never closes the
// connection and so has nothing to resume: it then only says so.
func required(scenario string) []string {
	if scenario == "server-sse-polling" {
		return []string{"server-sse-priming-event", "server-sse-retry-field", "server-sse-disconnect-resume"}
	}
	return nil
}
