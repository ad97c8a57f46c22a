package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestReplaysAtATime: however many fall off the ring at once, the log is read
// for some of them at a time; all get everything in order, and who asks for
// history does not queue behind them.
func TestReplaysAtATime(t *testing.T) {
	const readers, stored = 10 * maxReplays, 250 // three pages for each
	synctest.Test(t, func(t *testing.T) {
		log := &oddLog{Log: NewMemoryLog(1 << 20)}
		h := newHubOver(t, log)
		shrinkRing(h)
		for i := range stored {
			send(t, h, alice, General, fmt.Sprint(i))
		}
		var reading, most atomic.Int64
		log.read = func(r []Record, err error) ([]Record, error) {
			now := reading.Add(1)
			for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
			}
			<-time.After(10 * time.Millisecond)
			reading.Add(-1)
			return r, err
		}
		var wg sync.WaitGroup
		for i := range readers {
			wg.Go(func() {
				l := listen(t, h, Actor{Name: people[i%len(people)]}, ListenOptions{After: "0"})
				defer l.Close()
				for n := 0; n < stored; {
					events, err := l.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					for _, e := range events {
						if e.Message.Message != fmt.Sprint(n) {
							t.Errorf("got %q, want %d", e.Message.Message, n)
						}
						n++
					}
				}
			})
		}
		pass(15 * time.Millisecond)
		began := time.Now()
		if page, err := h.History(t.Context(), carol, HistoryQuery{}); err != nil || len(page.Messages) != defaultPage {
			t.Errorf("history meanwhile: %d messages, %v", len(page.Messages), err)
		}
		if took := time.Since(began); took != 10*time.Millisecond {
			t.Errorf("history meanwhile took %v", took)
		}
		wg.Wait()
		if most.Load() != maxReplays+1 { // and the history
			t.Errorf("%d read the log at a time, want %d", most.Load(), maxReplays)
		}
		if len(h.replays.held) != 0 || len(h.looks.held) != 0 || len(h.replays.shares) != 0 || len(h.looks.shares) != 0 {
			t.Errorf("%d and %d turns were not given back", len(h.replays.held), len(h.looks.held))
		}
		h.Close()
	})
}

// TestTurnsOfOneUser: however much one user resumes, the log is read for a few
// of that user's listeners at a time, and others do not queue behind them.
func TestTurnsOfOneUser(t *testing.T) {
	const read = 10 * time.Millisecond
	for name, test := range map[string]struct{ share, most int }{
		"a share":    {0, maxUserTurns},
		"a set one":  {2, 2},
		"all as one": {-1, maxReplays},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &oddLog{Log: NewMemoryLog(1 << 20)}
				h := newHubWith(t, Options{Log: log, MaxReadsPerUser: test.share})
				shrinkRing(h)
				send(t, h, alice, General, "1")
				log.read = func(r []Record, err error) ([]Record, error) {
					<-time.After(read)
					return r, err
				}
				var many sync.WaitGroup
				for range 10 * maxReplays {
					many.Go(func() { wantEvents(t, listen(t, h, bob, ListenOptions{After: "0"}), "1") })
					many.Go(func() {
						if _, err := h.History(t.Context(), guest, HistoryQuery{}); err != nil {
							t.Error(err)
						}
					})
				}
				pass(read / 2)
				if got := [2]int{len(h.replays.held), len(h.looks.held)}; got != [2]int{test.most, test.most} {
					t.Errorf("%d turns are held, want %d of each", got, test.most)
				}
				began := time.Now()
				wantEvents(t, listen(t, h, carol, ListenOptions{After: "0"}), "1")
				if _, err := h.History(t.Context(), carol, HistoryQuery{}); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != 2*read && test.share >= 0 {
					t.Errorf("another user's two readings took %v, want %v", took, 2*read)
				}
				many.Wait()
				h.Close()
			})
		})
	}
}

// TestTurns: who waits for a turn in vain is told so, but a listener that has
// begun goes on waiting; and a listener whose reader is slow holds none.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		shrinkRing(h)
		first := send(t, h, alice, General, "1")
		begun, slow := listen(t, h, bob, ListenOptions{After: "0"}), listen(t, h, bob, ListenOptions{After: "0"})
		wantEvents(t, slow, "1")
		if len(h.replays.held) != 0 {
			t.Errorf("%d turns are held while nothing is read", len(h.replays.held))
		}
		var releases []func()
		for _, all := range []*turns{h.replays, h.looks} {
			for i := range cap(all.held) {
				release, err := all.take(t.Context(), Actor{Name: fmt.Sprint(i)})
				if err != nil {
					t.Fatal(err)
				}
				releases = append(releases, release)
			}
		}
		for name, ask := range map[string]func(context.Context) error{
			"History":       func(ctx context.Context) error { return outcome(h.History(ctx, bob, HistoryQuery{})) },
			"History after": func(ctx context.Context) error { return outcome(h.History(ctx, bob, HistoryQuery{After: first.ID})) },
			"Listen":        func(ctx context.Context) error { return outcome(h.Listen(ctx, bob, ListenOptions{After: first.ID})) },
			"Wait":          func(ctx context.Context) error { return outcome(h.Wait(ctx, bob, WaitQuery{After: "0"})) },
			"Send":          func(ctx context.Context) error { return second(h.Send(ctx, bob, Draft{Text: "x", ReplyTo: first.ID})) },
		} {
			began := time.Now()
			wantCode(t, ask(t.Context()), Unavailable, "")
			if took := time.Since(began); took != turnWithin {
				t.Errorf("%s gave up after %v, want %v", name, took, turnWithin)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.History(cancelled, bob, HistoryQuery{}); !errors.Is(err, context.Canceled) {
			t.Errorf("History, cancelled: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), 3*turnWithin/2)
		defer cancel()
		if events, err := begun.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next: %s, %v", show(events), err)
		}
		time.AfterFunc(3*turnWithin, func() {
			for _, release := range releases {
				release()
			}
		})
		wantEvents(t, begun, "1")
		h.Close()
	})
}

// TestPagesOfLongMessages: what is read at a time is bounded by bytes, and
// whoever pages through gets everything once, and is told the truth about what
// is left.
func TestPagesOfLongMessages(t *testing.T) {
	h := newHub(t)
	shrinkRing(h)
	var want []string
	for i := range 40 {
		text := fmt.Sprint(i, " ", strings.Repeat("x", 20_000+i%3*20_000))
		want = append(want, send(t, h, alice, General, text).ID)
	}
	check := func(what string, pages [][]Message, want []string) {
		t.Helper()
		var ids []string
		for _, page := range pages {
			size := 0 // before the last one
			for _, m := range page {
				if size >= pageBytes {
					t.Errorf("%s: a page of %d messages", what, len(page))
				}
				size += len(m.Message)
				ids = append(ids, m.ID)
			}
		}
		if !slices.Equal(ids, want) || len(pages) < 5 {
			t.Errorf("%s: %d pages with %q, want %q", what, len(pages), ids, want)
		}
	}
	read := func(ask func(from string) (Page, error)) (pages [][]Message) {
		for from := "0"; ; {
			page, err := ask(from)
			if err != nil || len(page.Messages) == 0 {
				t.Fatalf("a page of %d messages, %v", len(page.Messages), err)
			}
			pages = append(pages, page.Messages)
			if from = page.Next; !page.More {
				return pages
			}
		}
	}
	check("History", read(func(from string) (Page, error) {
		return h.History(t.Context(), bob, HistoryQuery{After: from, Limit: maxPage})
	}), want)
	check("Wait", read(func(from string) (Page, error) {
		return h.Wait(t.Context(), bob, WaitQuery{After: from, Limit: maxPage})
	}), want)
	newest := len(want) - 1
	before := slices.Clone(want[:newest])
	slices.Reverse(before)
	check("History backwards", read(func(from string) (Page, error) {
		if from == "0" {
			from = want[newest]
		}
		page, err := h.History(t.Context(), bob, HistoryQuery{Before: from, Limit: maxPage})
		slices.Reverse(page.Messages)
		return page, err
	}), before)

	l := listen(t, h, bob, ListenOptions{After: "0"})
	for n := 0; n < len(want); {
		size := 0
		for _, e := range next(t, l) {
			if size >= replayBytes {
				t.Errorf("%d bytes at a time", size+len(e.Message.Message))
			}
			size += len(e.Message.Message)
			if e.Message.ID != want[n] {
				t.Fatalf("a listener got %s, want %s", e.Message.ID, want[n])
			}
			n++
		}
	}
}
