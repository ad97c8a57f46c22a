package main

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Above nine tenths nothing new is let in until eight are left, looked at no more
// often than every 10 ms, and each episode is logged once.
func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			log                bytes.Buffer
			m                  memory
			looks, collections int
		)
		p := newPressure(1000, slog.New(slog.NewTextHandler(&log, nil)))
		p.read = func() memory { looks++; return m }
		p.collect = func() { collections++; m.cycles++ }
		for i, step := range []struct {
			live, other, garbage uint64
			want                 bool
		}{
			{100, 100, 0, false},
			{100, 100, 800, false}, // garbage may fill what there is
			{700, 200, 0, false},
			{700, 201, 0, true},
			{600, 200, 0, true}, // not yet
			{599, 200, 0, false},
			{600, 200, 0, false}, // no more
			{950, 0, 0, true},
			{0, 950, 0, true},
			{100, 100, 800, false},
			{100, 100, 801, true}, // and no more
			{100, 100, 801, true},
			{100, 100, 800, false},
		} {
			m.live, m.other, m.objects = step.live, step.other, step.live+step.garbage
			before := looks
			for range 10 {
				if got := p.overloaded(); got != step.want {
					t.Errorf("step %d: overloaded is %t", i, got)
				}
			}
			if looks != before+1 {
				t.Errorf("step %d: %d looks within 10 ms", i, looks-before)
			}
			<-time.After(pressureEvery)
		}
		if n := strings.Count(log.String(), "memory is short"); n != 3 {
			t.Errorf("three episodes were logged %d times:\n%s", n, log.String())
		}
		if n := strings.Count(log.String(), "no longer short"); n != 3 {
			t.Errorf("three ends were logged %d times:\n%s", n, log.String())
		}
	})
}

// Where it matters what a collection leaves, one is started when the last is a
// second old: near the limit, and while memory is short.
func TestPressureCollects(t *testing.T) {
	for name, tt := range map[string]struct {
		m      memory
		cycles bool // the runtime collects all the time
		want   int  // collections in ten seconds
	}{
		"plenty":       {memory{live: 800, objects: 890}, false, 0},
		"garbage":      {memory{live: 100, objects: 950}, false, 10},
		"short":        {memory{live: 950, objects: 950}, false, 10},
		"other":        {memory{other: 950}, false, 10},
		"by itself":    {memory{live: 950, objects: 950}, true, 0},
		"short before": {memory{live: 850, objects: 850}, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			collections := 0
			m := tt.m
			p := newPressure(1000, slog.New(slog.DiscardHandler))
			p.read = func() memory {
				if tt.cycles {
					m.cycles++
				}
				return m
			}
			p.collect = func() { collections++; m.cycles++ }
			for range 1000 {
				p.overloaded()
				<-time.After(pressureEvery)
			}
			if collections > tt.want || collections < tt.want*8/10 {
				t.Errorf("%s: %d collections in ten seconds, want %d", name, collections, tt.want)
			}
		})
	}
}

func TestNoLimitNoPressure(t *testing.T) {
	p := newPressure(0, slog.New(slog.DiscardHandler))
	p.read = func() memory { t.Error("memory is looked at"); return memory{} }
	if p.overloaded() {
		t.Error("overloaded without a limit")
	}
}

// What the runtime tells adds up.
func TestReadMemory(t *testing.T) {
	kept := bytes.Repeat([]byte{1}, 64<<20)
	runtime.GC()
	m := readMemory()
	if m.live < 64<<20 || m.objects < 64<<20 || m.other == 0 || m.other > 1<<30 || m.cycles == 0 {
		t.Errorf("with 64 MiB in use: %+v", m)
	}
	runtime.KeepAlive(kept)
	before := m
	runtime.GC()
	if m = readMemory(); m.live > before.live-60<<20 || m.cycles <= before.cycles {
		t.Errorf("with 64 MiB given back: %+v, before %+v", m, before)
	}
}
