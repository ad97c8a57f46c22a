package hub

import (
	"fmt"
	"slices"
	"testing"
)

func TestHistory(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "other"})
	open(t, h, alice, RoomSpec{Name: "empty"})
	if page, err := h.History(t.Context(), alice, HistoryQuery{After: "0"}); err != nil || len(page.Messages) != 0 || page.Next != h.id(0) || page.More {
		t.Errorf("with nothing stored: %+v, %v", page, err)
	}
	// general has 1, 3, 5, 7, 9; other has 2, 4, 6, 8, 10.
	for i := 1; i <= 10; i += 2 {
		send(t, h, alice, General, fmt.Sprint(i))
		send(t, h, bob, "other", fmt.Sprint(i+1))
	}
	for _, test := range []struct {
		room, after, before string
		limit               int
		texts               string
		next                uint64
		more                bool
	}{
		{texts: "1|3|5|7|9", next: 9},
		{limit: 5, texts: "1|3|5|7|9", next: 9},
		{limit: 2, texts: "7|9", next: 9},
		{room: "other", limit: 1, texts: "10", next: 10},
		{room: "empty", next: 10},

		{after: "0", texts: "1|3|5|7|9", next: 9},
		{after: "0", limit: 5, texts: "1|3|5|7|9", next: 9},
		{after: "0", limit: 4, texts: "1|3|5|7", next: 7, more: true},
		{after: "7", limit: 1, texts: "9", next: 9},
		{after: "6", limit: 1, texts: "7", next: 7, more: true},
		{after: "9", next: 9},
		{after: "10", next: 10},
		{room: "empty", after: "0", next: 0},
		{room: "empty", after: "4", next: 4},
		{room: "other", after: "9", limit: 100, texts: "10", next: 10},

		{before: "10", texts: "1|3|5|7|9", next: 1},
		{before: "9", texts: "1|3|5|7", next: 1},
		{before: "9", limit: 4, texts: "1|3|5|7", next: 1},
		{before: "9", limit: 3, texts: "3|5|7", next: 3, more: true},
		{before: "3", limit: 1, texts: "1", next: 1},
		{before: "1", next: 1},
		{before: "0", next: 0},
		{room: "empty", before: "10", next: 10},
		{room: "other", before: "2", next: 2},
	} {
		name := fmt.Sprintf("%+v", test)
		q := HistoryQuery{Target: Target{Room: test.room}, Limit: test.limit}
		if test.after != "" {
			q.After = h.epoch + "-" + test.after
		}
		if test.before != "" {
			q.Before = h.epoch + "-" + test.before
		}
		page, err := h.History(t.Context(), carol, q)
		if err != nil || texts(page) != test.texts || page.Next != h.id(test.next) || page.More != test.more {
			t.Errorf("%s: %s, next %s, more %t, %v", name, texts(page), page.Next, page.More, err)
		}
		// "0" is the same as the cursor of the beginning.
		if test.after == "0" {
			q.After = "0"
		}
		if test.before == "0" {
			q.Before = "0"
		}
		if again, err := h.History(t.Context(), carol, q); err != nil || texts(again) != test.texts || again.Next != page.Next {
			t.Errorf("%s with %q and %q: %+v, %v", name, q.After, q.Before, again, err)
		}
	}
}

func TestHistoryRefuses(t *testing.T) {
	h := newHub(t)
	for arg, q := range map[string]HistoryQuery{
		"limit":  {Limit: maxPage + 1},
		"before": {After: "0", Before: "0"},
		"after":  {After: "x"},
		"to":     {Target: Target{Room: General, To: "bob"}},
		"room":   {Target: Target{Room: "A"}},
	} {
		_, err := h.History(t.Context(), alice, q)
		wantCode(t, err, Invalid, arg)
	}
	_, err := h.History(t.Context(), alice, HistoryQuery{Limit: -1})
	wantCode(t, err, Invalid, "limit")
}

// TestHistoryPages: going through a room page by page, either way, gives every
// message once.
func TestHistoryPages(t *testing.T) {
	h := newHub(t)
	rng := seeded(3)
	open(t, h, alice, RoomSpec{Name: "other"})
	var all []Message
	for i := range 120 {
		room := []string{General, "other"}[rng.IntN(2)]
		if m := send(t, h, alice, room, fmt.Sprint(i)); room == General {
			all = append(all, m)
		}
	}
	for _, limit := range []int{1, 2, 7, len(all) - 1, len(all), len(all) + 1, maxPage} {
		limit = min(limit, maxPage)
		for _, backwards := range []bool{false, true} {
			q := HistoryQuery{Limit: limit, After: "0"}
			if backwards {
				q.After, q.Before = "", h.Head()
			}
			var got []Message
			pages := 0
			for more := true; more; pages++ {
				page, err := h.History(t.Context(), bob, q)
				if err != nil || len(page.Messages) > limit || page.More && len(page.Messages) != limit {
					t.Fatalf("%+v: %d messages, more %t, %v", q, len(page.Messages), page.More, err)
				}
				if backwards {
					got = append(page.Messages, got...)
					q.Before = page.Next
				} else {
					got = append(got, page.Messages...)
					q.After = page.Next
				}
				more = page.More
			}
			want := all
			if backwards && all[len(all)-1].ID == h.Head() {
				want = all[:len(all)-1]
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d, backwards %t: %d of %d messages", limit, backwards, len(got), len(want))
			}
			if wantPages := (len(want) + limit - 1) / limit; pages != wantPages {
				t.Errorf("limit %d, backwards %t: %d pages, want %d", limit, backwards, pages, wantPages)
			}
		}
	}
}
