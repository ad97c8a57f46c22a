package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   string
	}{
		{nil, "NaN"},
		{[]float64{3}, "3"},
		{[]float64{9, 1, 3}, "3"},
		{[]float64{4, 1, 3, 100}, "3.5"},
		{[]float64{1, math.NaN(), 3}, "NaN"},
	} {
		if got := fmt.Sprint(median(tt.values)); got != tt.want {
			t.Errorf("median of %v is %s, want %s", tt.values, got, tt.want)
		}
	}
}

func TestRatios(t *testing.T) {
	for _, tt := range []struct {
		values, base []float64
		want         string
	}{
		{[]float64{1, 4, 9}, []float64{2, 2, 3}, "[0.5 2 3]"},
		{[]float64{1, 2}, nil, "[]"}, // the floor was not chosen
	} {
		if got := fmt.Sprint(ratios(tt.values, tt.base)); got != tt.want {
			t.Errorf("%v of %v: %s, want %s", tt.values, tt.base, got, tt.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, tt := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 50, 0}, {hundred[:1], 99, 1}, {hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred[:3], 50, 2}, {hundred[:10], 99, 10},
	} {
		if got := percentile(tt.sorted, tt.p); got != tt.want {
			t.Errorf("percentile %d of %d values is %d, want %d", tt.p, len(tt.sorted), got, tt.want)
		}
	}
}

func TestFigures(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 999.4: "999", 1234: "1,230", 53849: "53,800", 415499: "415,000", 2_345_678: "2,350,000", math.Inf(1): "–"} {
		if got := thousands(f); got != want {
			t.Errorf("thousands(%v) is %s, want %s", f, got, want)
		}
	}
	if got := share(0, 0); got != "0" {
		t.Errorf("nothing of nothing is %s", got)
	}
	if got := share(3, 8); got != "37.5 % (3)" {
		t.Errorf("3 of 8 is %s", got)
	}
}

// TestTable takes a floor, a target that costs twice as much, and one that had
// no time to cost anything.
func TestTable(t *testing.T) {
	least, ours, short := &result{target: floorName}, &result{target: "wigwag"}, &result{target: "short"}
	for _, cpu := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		least.add(tally{requests: 1000, arrived: 1000, latencies: []time.Duration{time.Millisecond}}, cpu)
		ours.add(tally{requests: 1000, arrived: 900, lost: 100, latencies: []time.Duration{2 * time.Millisecond}}, 2*cpu)
		short.add(tally{requests: 1, arrived: 1}, 0)
	}
	var b strings.Builder
	if err := writeTable(&b, &scenario{name: "plain", title: "Calls", unit: "requests"}, []*result{least, ours, short}); err != nil {
		t.Fatal(err)
	}
	const want = `
Calls (` + "`plain`" + `)

| target | requests per CPU-second | of the floor | rounds from … to | p50 | p99 | lost |
|---|---|---|---|---|---|---|
| floor | 500 | 1.00 | 0.50 … 2.00 | 1.00 ms | 1.00 ms | 0 |
| wigwag | 225 | 0.45 | 0.45 … 0.45 | 2.00 ms | 2.00 ms | 10.0 % (300) |
| short | – | – | – … – | 0.00 ms | 0.00 ms | 0 |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}

func TestParseStat(t *testing.T) {
	const stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 200 0 0 70 30 5 5 20 0 9 0 1234 1000 100\n"
	if ticks, err := parseStat(stat); ticks != 100 || err != nil {
		t.Errorf("%d ticks, %v", ticks, err)
	}
	for _, bad := range []string{"", "42 (a) S 1 2", strings.Replace(stat, " 70 ", " x ", 1)} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
