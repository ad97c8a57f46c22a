package hub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// collector takes all events of a listener as they come.
type collector struct {
	mu     sync.Mutex
	events []Event
	times  []time.Time
}

func (c *collector) all() ([]Event, []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events), slices.Clone(c.times)
}

func collect(t *testing.T, h *Hub, a Actor) *collector {
	t.Helper()
	var c collector
	l := listen(t, h, a, ListenOptions{})
	go func() { // ends with the test or the hub
		for {
			events, err := l.Next(t.Context())
			if err != nil {
				return
			}
			c.mu.Lock()
			for _, e := range events {
				c.events = append(c.events, e)
				c.times = append(c.times, time.Now())
			}
			c.mu.Unlock()
		}
	}()
	pass(partialEvery) // so that its coming delays no partial
	return &c
}

// TestSlowListenerOfStream skips to the newest text.
func TestSlowListenerOfStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := listen(t, h, bob, ListenOptions{})
		a, b := begin(t, h, alice, Draft{}), begin(t, h, carol, Draft{})
		for i := range 10 {
			a.Part(fmt.Sprint(i), i+1, 10)
			pass(partialEvery)
			b.Part(fmt.Sprint(9-i), i+1, 10)
			pass(partialEvery)
		}
		wantEvents(t, l, "0123456789…|9876543210…")
		a.Part("!", 10, 10)
		wantEvents(t, l, "0123456789!…")
		b.Cancel()
		if _, err := a.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantEvents(t, l, "0123456789!|9876543210×")
		h.Close()
	})
}

// TestThrottle: at most 25 partials a second, the newest of all, and the last
// one is not forgotten.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		c := collect(t, h, bob)
		s := begin(t, h, alice, Draft{})
		start := time.Now()
		for range 3000 { // a part each millisecond
			s.Part("x", 0, 0)
			pass(time.Millisecond)
		}
		pass(time.Second)
		events, times := c.all()
		for i, e := range events {
			if e.Partial == nil || i > 0 && times[i].Sub(times[i-1]) < partialEvery {
				t.Fatalf("event %d at %v: %+v", i, times[i].Sub(start), e)
			}
			// What it shows is the newest of its time.
			if n, want := len(e.Partial.Message), int(times[i].Sub(start)/time.Millisecond); n != want && n != want+1 {
				t.Errorf("at %v the text has %d parts", times[i].Sub(start), n)
			}
		}
		if n := len(events); n < 70 || n > 76 {
			t.Errorf("%d partials in 3 seconds", n)
		}
		if last := events[len(events)-1].Partial; len(last.Message) != 3000 {
			t.Errorf("the last partial has %d parts", len(last.Message))
		}
		s.Cancel()
		h.Close()
	})
}

// TestPartialBytes: all partials of a message together stay below a MiB and
// 32 KiB a second, however it arrives, and a short message is shown in every
// step.
func TestPartialBytes(t *testing.T) {
	for _, test := range []struct {
		parts, size int
		fewest      int
	}{
		{200, 6, 190},
		{200, MaxText / 200, 20},
		{MaxText, 1, 30},
		{2, MaxText / 2, 2},
		{1, MaxText, 1},
		{40, 2 * MaxText, 0},
	} {
		t.Run(fmt.Sprint(test.parts, "×", test.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHub(t)
				c := collect(t, h, bob)
				began := time.Now()
				s := begin(t, h, alice, Draft{})
				for i := range test.parts {
					s.Part(strings.Repeat("x", test.size), i+1, test.parts)
					pass(partialEvery)
				}
				s.Cancel()
				synctest.Wait()
				most := partialBytes + int(time.Since(began)*partialRate/time.Second)
				sum, longest := 0, 0
				events, _ := c.all()
				for _, e := range events {
					sum += len(e.Partial.Message)
					longest = max(longest, len(e.Partial.Message))
				}
				if sum > most || longest > MaxText || len(events) < test.fewest {
					t.Errorf("%d partials are %d bytes together, the longest %d", len(events), sum, longest)
				}
				h.Close()
			})
		})
	}
}

// TestPartialsOfLongText: however long the text is by now, what has arrived is
// shown after two seconds, and no more has to come for that.
func TestPartialsOfLongText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		c := collect(t, h, bob)
		s := begin(t, h, alice, Draft{})
		for n := 100; n < MaxText; n += 100 {
			s.Part(strings.Repeat("x", 99)+"\n", 0, 0)
			pass(time.Second / 2)
			if n%10_000 != 0 {
				continue
			}
			pass(2 * time.Second)
			events, _ := c.all()
			if got := len(events[len(events)-1].Partial.Message); got != n {
				t.Errorf("of %d bytes %d are shown", n, got)
			}
		}
		s.Cancel()
		h.Close()
	})
}

// TestPartialsAfterQuiet: who has said little for long may not show more at once
// for it.
func TestPartialsAfterQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		c := collect(t, h, bob)
		s := begin(t, h, alice, Draft{})
		s.Part(strings.Repeat("x", MaxText-1_000), 0, 0)
		for range 60 {
			pass(silentFor - time.Second)
			s.Alive()
		}
		earlier, _ := c.all()
		began := time.Now()
		for range 500 {
			s.Part("x", 0, 0)
			pass(partialEvery)
		}
		pass(time.Minute)
		sum, most := 0, partialBytes+int(time.Since(began)*partialRate/time.Second)
		events, _ := c.all()
		for _, e := range events[len(earlier):] {
			sum += len(e.Partial.Message)
		}
		if last := events[len(events)-1].Partial; sum > most || len(last.Message) != MaxText-500 {
			t.Errorf("%d partials are %d bytes together, at most %d are allowed; the last has %d", len(events)-len(earlier), sum, most, len(last.Message))
		}
		s.Cancel()
		h.Close()
	})
}

func TestWholeRunes(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "é": "é", "a\xc3": "a", "\xe4": "", "\xe4\xb8": "", "a\xe4\xb8": "a", "世": "世",
		"a\xf0": "a", "a\xf0\x9f": "a", "a\xf0\x9f\x91": "a", "a👍": "a👍", "a\xff": "a\xff", "a\x80": "a\x80",
	} {
		if got := wholeRunes(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
