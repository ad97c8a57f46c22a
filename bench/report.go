package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// result is what was measured of one target in one scenario.
type result struct {
	target    string
	ours      bool
	rates     []float64 // units per CPU-second, by round
	requests  int
	arrived   int
	lost      int
	latencies []time.Duration
}

// add puts in a round. A round without CPU time was too short to say anything.
func (r *result) add(t tally, cpu time.Duration) {
	rate := math.NaN()
	if cpu > 0 {
		rate = float64(t.arrived) / cpu.Seconds()
	}
	r.rates = append(r.rates, rate)
	r.requests += t.requests
	r.arrived += t.arrived
	r.lost += t.lost
	r.latencies = append(r.latencies, t.latencies...)
}

// writeTable writes the results of a scenario as a Markdown table. The floor is
// the result of that name, if it is among them.
func writeTable(w io.Writer, s *scenario, results []*result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s (`%s`)\n\n", s.title, s.name)
	fmt.Fprintf(&b, "| target | %s per CPU-second | of the floor | rounds from … to | p50 | p99 | lost |\n|---|---|---|---|---|---|---|\n", s.unit)
	var base []float64
	if i := slices.IndexFunc(results, func(r *result) bool { return r.target == floorName }); i >= 0 {
		base = results[i].rates
	}
	for _, r := range results {
		all := ratios(r.rates, base)
		if r.target == floorName { // with itself there is nothing to compare but its rounds
			all = ratios(r.rates, slices.Repeat([]float64{median(r.rates)}, len(r.rates)))
		}
		slices.Sort(r.latencies)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.target, thousands(median(r.rates)), hundredths(median(all)), spread(all),
			milliseconds(percentile(r.latencies, 50)), milliseconds(percentile(r.latencies, 99)), share(r.lost, r.arrived+r.lost))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// median is NaN of nothing, and where a round was too short.
func median(values []float64) float64 {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// ratios compares round by round, so that what slows a whole round down counts
// on both sides.
func ratios(values, base []float64) []float64 {
	var out []float64
	for i := range min(len(values), len(base)) {
		out = append(out, values[i]/base[i])
	}
	return out
}

// percentile is the smallest value that so many of 100 do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// spread is the smallest and the largest.
func spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return hundredths(slices.Min(values)) + " … " + hundredths(slices.Max(values))
}

func hundredths(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	return fmt.Sprintf("%.2f", f)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// thousands writes 12,300: three figures are all that is meant.
func thousands(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	step := 1.0
	for f/step >= 1000 {
		step *= 10
	}
	digits := fmt.Sprintf("%.0f", math.Round(f/step)*step)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func share(part, of int) string {
	if part == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f %% (%d)", 100*float64(part)/float64(of), part)
}
