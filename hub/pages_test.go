package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// paged is what one way of paging gives: the IDs of a page, where to go on, and
// whether there is more.
type paged struct {
	ids  []string
	next string
	more bool
}

// pagers are the ways there are, for alice.
func pagers(h *Hub) map[string]func(ctx context.Context, after, before string, limit int) (paged, error) {
	return map[string]func(ctx context.Context, after, before string, limit int) (paged, error){
		"messages": func(ctx context.Context, after, before string, limit int) (paged, error) {
			page, err := h.History(ctx, alice, HistoryQuery{After: after, Before: before, Limit: limit})
			return paged{messageIDs(page.Messages), page.Next, page.More}, err
		},
		"notifications": func(ctx context.Context, after, before string, limit int) (paged, error) {
			page, err := h.Notifications(ctx, alice, NotificationQuery{After: after, Before: before, Limit: limit})
			p := paged{next: page.Next, more: page.More}
			for _, n := range page.Notifications {
				p.ids = append(p.ids, n.ID)
			}
			return p, err
		},
		"lines": func(ctx context.Context, after, before string, limit int) (paged, error) {
			page, err := h.Lines(ctx, alice, LineQuery{Level: LineWarn, After: after, Before: before, Limit: limit})
			p := paged{next: page.Next, more: page.More}
			for _, n := range page.Lines {
				p.ids = append(p.ids, n.ID)
			}
			return p, err
		},
		"search": func(ctx context.Context, _, before string, limit int) (paged, error) {
			page, err := h.Search(ctx, alice, SearchQuery{Text: "even", Before: before, Limit: limit})
			slices.Reverse(page.Messages) // as all others are
			return paged{messageIDs(page.Messages), page.Next, page.More}, err
		},
	}
}

func messageIDs(messages []Message) (ids []string) {
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

// TestPagesMeanwhile: whoever pages through anything while more of it comes gets
// all of it once, in order, forwards and backwards.
func TestPagesMeanwhile(t *testing.T) {
	const rounds = 150 // below maxSent
	h := newHubWith(t, Options{Log: NewMemoryLog(64 << 20), MaxReadsPerUser: -1})
	want := map[string][]string{}
	var written atomic.Bool
	var write, read sync.WaitGroup
	write.Go(func() {
		defer written.Store(true)
		note := func(what, id string) { want[what] = append(want[what], id) }
		for i := range rounds {
			odd := []string{"even", "odd"}[i%2]
			m := send(t, h, bob, General, odd)
			note("messages", m.ID)
			if odd == "even" {
				note("search", m.ID)
			}
			note("notifications", notify(t, h, alice, "bob", "sent").ID)
			notify(t, h, bob, "carol", "not for alice")
			note("notifications", notify(t, h, carol, []string{"", "alice"}[i%2], "got").ID)
			level := []LineLevel{LineInfo, LineError}[i%2]
			line, _, err := h.WriteLog(t.Context(), bob, LineDraft{Level: level, Message: "x"})
			if err != nil {
				t.Error(err)
			}
			if level == LineError {
				note("lines", line.ID)
			}
		}
	})
	type result struct {
		way         string
		got         []string
		isBackwards bool
	}
	results := make(chan result, 1_000)
	for way, ask := range pagers(h) {
		read.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(len(way)))) //nolint:gosec // of a test
			for isLast := false; !isLast; {                   // again and again, and once with all that there is
				isLast = written.Load()
				var back []string
				for before, more := "", true; more; {
					p, err := ask(t.Context(), "", before, 1+rng.IntN(20))
					if err != nil {
						t.Error(err)
						return
					}
					back = slices.Concat(p.ids, back)
					if before, more = p.next, p.more; len(p.ids) > 0 { // the latest are the only page of which next is for what follows
						before, more = p.ids[0], true
					}
				}
				results <- result{way, back, true}
			}
		})
		if way == "search" {
			continue
		}
		read.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(len(way)))) //nolint:gosec // of a test
			var all []string
			p := paged{next: fromStart}
			for isLast := false; !isLast || p.more; {
				isLast = written.Load()
				var err error
				if p, err = ask(t.Context(), p.next, "", 1+rng.IntN(20)); err != nil {
					t.Error(err)
					return
				}
				all = append(all, p.ids...)
			}
			results <- result{way, all, false}
		})
	}
	go func() {
		read.Wait()
		close(results)
	}()
	var all []result
	for r := range results {
		all = append(all, r)
	}
	write.Wait()
	whole := map[string]bool{}
	for _, r := range all {
		wanted := want[r.way]
		slices.SortFunc(wanted, compareIDs)
		isWhole := slices.Equal(r.got, wanted)
		if !isWhole && !r.isBackwards || len(r.got) > len(wanted) || !slices.Equal(r.got, wanted[:min(len(r.got), len(wanted))]) {
			t.Errorf("%s, backwards %t: %d of %d, or not in order", r.way, r.isBackwards, len(r.got), len(wanted))
		}
		if isWhole {
			whole[fmt.Sprint(r.way, r.isBackwards)] = true
		}
	}
	if len(whole) != 7 {
		t.Errorf("whole were %v", whole)
	}
}
