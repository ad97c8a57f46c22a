package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	var (
		trial1 = trial{suite: suite{version: "1.0"}, revision: "2026-07-28"}
		trial2 = trial{suite: suite{version: "1.0"}, revision: "2025-11-25", scenario: "ping"}
		good   = scenario{"ping", []check{{"pong", success, ""}}}
		bad    = scenario{"ping", []check{{"pong", failure, "silence"}}}
		doubt  = scenario{"ping", []check{{"pong", warning, "late"}}}
		tasks  = scenario{"tasks", []check{{"x", success, ""}, {"y", failure, "no"}}}
		noTask = map[string]string{"tasks": "not offered"}
	)
	const head = "  scenarios  passed  warnings  failures  excused  time  suite\n"
	tests := []struct {
		title    string
		outcomes []outcome
		excuses  map[string]string
		want     string
		err      error
	}{
		{
			title:    "all well",
			outcomes: []outcome{{trial: trial1, scenarios: []scenario{good}, elapsed: 1234 * time.Millisecond}},
			want: head +
				"          1       1         0         0        0  1.2s  1.0 2026-07-28\n" +
				"\n1 passed, 0 failed\n",
		},
		{
			title: "a failure, a warning, an excuse",
			outcomes: []outcome{
				{trial: trial1, scenarios: []scenario{bad, doubt, tasks}},
				{trial: trial2, scenarios: []scenario{good, bad, bad}},
			},
			excuses: noTask,
			want: head +
				"          3       0         1         1        1    0s  1.0 2026-07-28\n" +
				"          3       1         0         2        0    0s  1.0 2025-11-25 ping\n" +
				"\n1.0 2026-07-28, ping: FAILURE pong: silence\n" +
				"1.0 2026-07-28, ping: WARNING pong: late\n" +
				"1.0 2025-11-25 ping, ping: FAILURE pong: silence (2 times)\n" +
				"1 passed, 4 failed\n",
			err: errFailed,
		},
		{
			title:    "an excuse for nothing",
			outcomes: []outcome{{trial: trial1, scenarios: []scenario{good}}},
			excuses:  map[string]string{"ping": "x", "gone": "x"},
			want: head +
				"          1       1         0         0        0    0s  1.0 2026-07-28\n" +
				"\ngone: excused, but it passes or is not there any more\n" +
				"ping: excused, but it passes or is not there any more\n" +
				"1 passed, 2 failed\n",
			err: errFailed,
		},
		{
			title: "passes in one revision, needs its excuse in another",
			outcomes: []outcome{
				{trial: trial1, scenarios: []scenario{tasks}},
				{trial: trial2, scenarios: []scenario{{"tasks", []check{{"x", success, ""}}}}},
			},
			excuses: noTask,
			want: head +
				"          1       0         0         0        1    0s  1.0 2026-07-28\n" +
				"          1       1         0         0        0    0s  1.0 2025-11-25 ping\n" +
				"\n1 passed, 0 failed\n",
		},
		{
			title:    "a trial that was not made to its end",
			outcomes: []outcome{{trial: trial1, scenarios: []scenario{good}, err: errors.New("no server")}},
			want: head +
				"          1       1         0         1        0    0s  1.0 2026-07-28\n" +
				"\n1.0 2026-07-28: no server\n" +
				"1 passed, 1 failed\n",
			err: errFailed,
		},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			var out strings.Builder
			err := report(&out, tt.outcomes, tt.excuses)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("printed\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
