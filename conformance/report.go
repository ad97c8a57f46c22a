package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// errFailed is told after the report, which has the details.
var errFailed = errors.New("the transport does not conform")

// report prints a table of the outcomes, all that is wrong, and as its last line how many checks passed and failed. The error
// is not nil if any did. Scenarios with an excuse are counted apart; an excuse that is not needed is a failure.
func report(w io.Writer, outcomes []outcome, excuses map[string]string) error {
	var (
		total    tally
		problems = newLines()
		needed   = map[string]bool{}
	)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "scenarios\tpassed\twarnings\tfailures\texcused\ttime\t  suite")
	for _, o := range outcomes {
		var (
			sum     tally
			excused int
		)
		for _, s := range o.scenarios {
			t, wrong := s.judge()
			if _, ok := excuses[s.name]; ok && len(wrong) > 0 {
				needed[s.name] = true
				excused++
				continue
			}
			sum.add(t)
			for _, problem := range wrong {
				problems.add("%s, %s: %s", o.trial, s.name, problem)
			}
		}
		if o.err != nil {
			sum.failures++
			problems.add("%s: %v", o.trial, o.err)
		}
		total.add(sum)
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%s\t  %s\n",
			len(o.scenarios), sum.passed, sum.warnings, sum.failures, excused, o.elapsed.Round(100*time.Millisecond), o.trial)
	}
	for _, name := range slices.Sorted(maps.Keys(excuses)) {
		if !needed[name] {
			total.failures++
			problems.add("%s: excused, but it passes or is not there any more", name)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	problems.print(w)
	fmt.Fprintf(w, "%d passed, %d failed\n", total.passed, total.failed())
	if total.failed() > 0 {
		return errFailed
	}
	return nil
}

// lines are told once each, in the order in which they first came, with how often they came.
type lines struct {
	order []string
	times map[string]int
}

func newLines() *lines { return &lines{times: map[string]int{}} }

func (l *lines) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if l.times[line] == 0 {
		l.order = append(l.order, line)
	}
	l.times[line]++
}

func (l *lines) print(w io.Writer) {
	for _, line := range l.order {
		if n := l.times[line]; n > 1 {
			line = fmt.Sprintf("%s (%d times)", line, n)
		}
		fmt.Fprintln(w, line)
	}
}
