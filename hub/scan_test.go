package hub

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestCursorAt: after the cursor is what was stored at a time or later, and
// nothing else, also where the log has let go of its beginning and has gaps.
func TestCursorAt(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := seeded(seed)
			log := NewMemoryLog(1 << 20)
			h := newHubOver(t, log)
			began := time.Now()
			kept := 0
			var times []time.Time // of what stays
			for range 40 {
				pass(time.Duration(rng.IntN(3)) * time.Second)
				if rng.IntN(2) == 0 { // it leaves a gap
					if _, err := log.Append(t.Context(), Entry{Subject: "room." + General, Data: bobSays("gone").Data, TTL: time.Second}); err != nil {
						t.Fatal(err)
					}
					continue
				}
				send(t, h, alice, General, fmt.Sprint(kept))
				times = append(times, time.Now())
				kept++
			}
			pass(2 * time.Second)
			for at := began.Add(-time.Second); at.Before(time.Now().Add(time.Second)); at = at.Add(500 * time.Millisecond) {
				first := 0
				for first < kept && times[first].Before(at) {
					first++
				}
				after, err := h.CursorAt(t.Context(), guest, at)
				page, err2 := h.History(t.Context(), bob, HistoryQuery{After: after, Limit: maxPage})
				if err != nil || err2 != nil || len(page.Messages) != kept-first || first < kept && page.Messages[0].Message != fmt.Sprint(first) {
					t.Errorf("after %s, for %v, are %q of %d, want those from %d on; %v, %v", after, at.Sub(began), texts(page), kept, first, err, err2)
				}
				since, err := h.History(t.Context(), bob, HistoryQuery{Since: at, Limit: maxPage})
				if err != nil || texts(since) != texts(page) || len(page.Messages) > 0 && since.Next != page.Next {
					t.Errorf("since %v are %q, want %q; %v", at.Sub(began), texts(since), texts(page), err)
				}
			}
			h.Close()
		})
	}
}

// TestCursorAtReads: the log is not read through for it.
func TestCursorAtReads(t *testing.T) {
	log := &oddLog{Log: NewMemoryLog(64 << 20)}
	for range 10_000 {
		if _, err := log.Append(t.Context(), bobSays("x")); err != nil {
			t.Fatal(err)
		}
	}
	h := newHubOver(t, log)
	reads := 0
	log.read = func(r []Record, err error) ([]Record, error) {
		if reads++; len(r) > 1 {
			t.Errorf("%d records are read", len(r))
		}
		return r, err
	}
	if _, err := h.CursorAt(t.Context(), bob, time.Now().Add(-time.Duration(rand.IntN(1000))*time.Microsecond)); err != nil || reads > 15 { //nolint:gosec // any time
		t.Errorf("%d reads, %v", reads, err)
	}
}

func TestCursorAtEnds(t *testing.T) {
	h := newHub(t)
	for what, at := range map[string]time.Time{"the past": time.Unix(0, 0), "the future": time.Now().Add(time.Hour)} {
		if got, err := h.CursorAt(t.Context(), bob, at); err != nil || got != h.id(0) {
			t.Errorf("of an empty log, %s: %s, %v", what, got, err)
		}
	}
	m := send(t, h, alice, General, "x")
	if got, err := h.CursorAt(t.Context(), bob, time.Now().Add(time.Hour)); err != nil || got != m.ID {
		t.Errorf("the future: %s, %v", got, err)
	}
	if got, err := h.CursorAt(t.Context(), bob, m.Time.Time); err != nil || got != h.id(0) {
		t.Errorf("the time on the wire of the first: %s, %v", got, err)
	}
}

// TestHistorySince: a time is one of three ways to say where to begin, and it
// is read on by Next.
func TestHistorySince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		for i := range 6 {
			send(t, h, alice, General, fmt.Sprint(i))
			pass(time.Second)
		}
		q := HistoryQuery{Since: time.Now().Add(-4 * time.Second), Limit: 3}
		page, err := h.History(t.Context(), bob, q)
		if err != nil || texts(page) != "2|3|4" || !page.More {
			t.Errorf("%q, more %t, %v", texts(page), page.More, err)
		}
		page, err = h.History(t.Context(), bob, HistoryQuery{After: page.Next})
		if err != nil || texts(page) != "5" || page.More {
			t.Errorf("then %q, more %t, %v", texts(page), page.More, err)
		}
		for _, q := range []HistoryQuery{{Since: q.Since, After: "0"}, {Since: q.Since, Before: page.Next}} {
			_, err := h.History(t.Context(), bob, q)
			wantCode(t, err, Invalid, "since")
		}
		h.Close()
	})
}
