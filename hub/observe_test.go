package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// notes is an observer that counts what it is told.
type notes struct {
	mu   sync.Mutex
	told map[string]int
	lags []time.Duration
}

func (n *notes) note(what string, times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told == nil {
		n.told = map[string]int{}
	}
	n.told[what] += times
}

func (n *notes) Stored(what string)                 { n.note("stored "+what, 1) }
func (n *notes) FellBehind()                        { n.note("fell behind", 1) }
func (n *notes) StoreFailed(operation, kind string) { n.note(operation+" "+kind, 1) }

func (n *notes) Replayed(records int) {
	n.note("pages", 1)
	n.note("records", records)
}

func (n *notes) Delivered(lag time.Duration) {
	n.note("delivered", 1)
	n.lags = append(n.lags, lag)
}

// want checks what was told since the last time.
func (n *notes) want(t *testing.T, want map[string]int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !maps.Equal(n.told, want) {
		t.Errorf("told %v, want %v", n.told, want)
	}
	n.told = nil
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{}
		h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Observer: n})
		defer h.Close()
		l := listen(t, h, bob, ListenOptions{})
		nothing(t, l)
		if got := h.Stats(); got != (Stats{Listeners: 1}) {
			t.Errorf("stats %+v", got)
		}
		d := Draft{Text: "x", Key: "k"}
		for range 2 { // the second is not stored
			if _, _, err := h.Send(t.Context(), alice, d); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		wantEvents(t, l, "x")
		n.want(t, map[string]int{"stored message": 1, "delivered": 1})
		if !slices.Equal(n.lags, []time.Duration{time.Second}) {
			t.Errorf("it took %v", n.lags)
		}

		notify(t, h, alice, "", "x")
		if _, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "x"}); err != nil {
			t.Fatal(err)
		}
		s := begin(t, h, alice, Draft{})
		if got := h.Stats(); got != (Stats{Listeners: 1, Streams: 1}) {
			t.Errorf("stats %+v", got)
		}
		s.Cancel()
		drain(t, l)
		n.want(t, map[string]int{"stored notification": 1, "stored log": 1})

		// One of 16 is looked at.
		for i := range 2 * sampleEvery {
			send(t, h, alice, General, fmt.Sprint(i))
			drain(t, l)
		}
		n.want(t, map[string]int{"stored message": 2 * sampleEvery, "delivered": 2})

		// Who resumes was not late, and who fell off the ring has fallen once.
		from := h.Head()
		h.live.ring.max = 60 * smallEntry
		for i := range 3 * replayLimit {
			send(t, h, alice, General, fmt.Sprint(i))
		}
		n.told = nil
		drain(t, listen(t, h, carol, ListenOptions{After: from}))
		told := n.told
		if told["fell behind"] != 0 || told["delivered"] != 0 || told["pages"] < 2 || told["records"] < replayLimit {
			t.Errorf("resuming: %v", told)
		}
		n.told = nil
		drain(t, l)
		n.want(t, map[string]int{"fell behind": 1, "pages": told["pages"], "records": told["records"]})
	})
}

func TestObserverOfErrors(t *testing.T) {
	internal := errors.New("internal")
	for kind, err := range map[string]error{
		"full": memoryFullError(1), "unavailable": noAnswerError{}, "other": internal,
		"timeout": context.DeadlineExceeded, "": context.Canceled,
	} {
		n := &notes{}
		log := &oddLog{Log: NewMemoryLog(1 << 20)}
		h := newHubWith(t, Options{Log: log, Rooms: failingBucket{NewMemoryBucket(1 << 20), err}, Observer: n})
		log.append = func(context.Context) error { return err }
		log.read = func([]Record, error) ([]Record, error) { return nil, err }
		for _, failed := range []error{
			second(h.Send(t.Context(), alice, Draft{Text: "x"})),
			outcome(h.History(t.Context(), alice, HistoryQuery{})),
			second(h.OpenRoom(t.Context(), alice, RoomSpec{Name: "x"})),
		} {
			if failed == nil {
				t.Errorf("%v is no error", err)
			}
		}
		want := map[string]int{"append " + kind: 1, "read " + kind: 1, "put " + kind: 1}
		if kind == "" {
			want = nil
		}
		n.want(t, want)
	}
}
