package hub

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewFails(t *testing.T) {
	broken := errors.New("broken")
	for name, log := range map[string]*oddLog{
		"state": {state: func(State) (State, error) { return State{}, broken }},
		"epoch": {state: func(s State) (State, error) { s.Epoch = "A-1"; return s, nil }},
	} {
		log.Log = NewMemoryLog(1 << 20)
		h, err := New(t.Context(), Options{Log: log, Users: people, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || name != "epoch" && !errors.Is(err, broken) {
			t.Errorf("%s: New returned %v, %v", name, h, err)
		}
	}
}

// TestLearnFails: a log that cannot be read is read again, and until then all
// else works.
func TestLearnFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemoryLog(1 << 20)
		first := newHubOver(t, mem)
		direct := send(t, first, alice, "dm/alice/bob", "psst")
		first.Close()
		var mended atomic.Bool
		log := &oddLog{Log: mem, read: func(r []Record, err error) ([]Record, error) {
			if !mended.Load() {
				return nil, errors.New("broken")
			}
			return r, err
		}}
		h, err := New(t.Context(), Options{Log: log, Users: people, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l := listen(t, h, bob, ListenOptions{})
		start := time.Now()
		if rooms, err := h.Rooms(t.Context(), bob); err != nil || len(rooms) != 1 || time.Since(start) != learnWithin {
			t.Errorf("rooms are %+v, %v, after %v", rooms, err, time.Since(start))
		}
		newest := send(t, h, alice, "dm/alice/carol", "psst")
		send(t, h, alice, General, "hello")
		wantEvents(t, l, "hello")
		mended.Store(true)
		if rooms, err := h.Rooms(t.Context(), alice); err != nil || len(rooms) != 3 || rooms[0].Last != direct.ID || rooms[1].Last != newest.ID {
			t.Errorf("rooms are %+v, %v", rooms, err)
		}
		h.Close()
	})
}

// oddLog is a log that can be made to behave oddly.
type oddLog struct {
	Log
	state  func(State) (State, error)
	read   func([]Record, error) ([]Record, error)
	append func(ctx context.Context) error
}

func (l *oddLog) State(ctx context.Context) (State, error) {
	s, err := l.Log.State(ctx)
	if l.state == nil || err != nil {
		return s, err
	}
	return l.state(s)
}

func (l *oddLog) Read(ctx context.Context, r Range) ([]Record, error) {
	if l.read == nil {
		return l.Log.Read(ctx, r)
	}
	return l.read(l.Log.Read(ctx, r))
}

func (l *oddLog) Append(ctx context.Context, e Entry) (Record, error) {
	if l.append != nil {
		if err := l.append(ctx); err != nil {
			return Record{}, err
		}
	}
	return l.Log.Append(ctx, e)
}

// TestOverOldLog: a hub that starts over a log with messages has all of them,
// also when more come while it starts.
func TestOverOldLog(t *testing.T) {
	log := NewMemoryLog(64 << 20)
	first := newHubOver(t, log)
	var last Message
	for i := range learnPage + 10 {
		last = send(t, first, alice, General, fmt.Sprint(i))
	}
	direct := send(t, first, alice, "dm/alice/bob", "psst")

	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 50 {
				if _, _, err := first.Send(t.Context(), carol, Draft{Text: fmt.Sprint(w, "-", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	h := newHubOver(t, log)
	l := listen(t, h, bob, ListenOptions{After: direct.ID})
	wg.Wait()
	end := send(t, first, alice, General, "end")

	var ids []string
	for len(ids) == 0 || ids[len(ids)-1] != end.ID {
		for _, e := range next(t, l) {
			ids = append(ids, e.Message.ID)
		}
	}
	if len(ids) != 101 || !slices.IsSortedFunc(ids, compareIDs) {
		t.Errorf("the listener got %d messages, want 101 in order: %v", len(ids), ids)
	}
	if r, err := h.Room(t.Context(), bob, Target{To: "alice"}); err != nil || r.Last != direct.ID {
		t.Errorf("the direct room is %+v, %v", r, err)
	}
	if rooms, _ := h.Rooms(t.Context(), bob); len(rooms) != 2 || rooms[0].Name != "dm/alice/bob" {
		t.Errorf("rooms are %+v", rooms)
	}
	if page, err := h.History(t.Context(), bob, HistoryQuery{Before: direct.ID, Limit: 1}); err != nil || page.Messages[0] != last {
		t.Errorf("history is %+v, %v", page, err)
	}
}

// TestStartWhileAppending: what is stored while a hub starts follows what it
// has read, whether the log's bounds include it or not.
func TestStartWhileAppending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &oddLog{Log: NewMemoryLog(1 << 20)}
		add := func() {
			if _, err := log.Append(t.Context(), bobSays("x")); err != nil {
				t.Error(err)
			}
		}
		log.state = func(s State) (State, error) {
			log.state = nil
			add()
			synctest.Wait() // the follower has been given it
			return s, nil
		}
		h := newHubOver(t, log)
		synctest.Wait()
		if h.Head() != h.id(1) {
			t.Errorf("head is %s", h.Head())
		}
		wantEvents(t, listen(t, h, alice, ListenOptions{After: h.id(0)}), "x")
		h.Close()
	})
	lazy := &lazyLog{MemoryLog: NewMemoryLog(1 << 20)}
	var records []Record
	for range 2 {
		r, err := lazy.Append(t.Context(), bobSays("x"))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	h := newHubOver(t, lazy)
	lazy.deliver(records[0])
	if h.Head() != h.id(2) {
		t.Errorf("head went back to %s", h.Head())
	}
	nothing(t, listen(t, h, alice, ListenOptions{}))
}

func compareIDs(a, b string) int {
	x, _ := parseCursor(a)
	y, _ := parseCursor(b)
	return cmp.Compare(x.seq, y.seq)
}

// TestForeignRecords: records that are not messages, or of rooms that do not
// exist, are shown to nobody and stop nothing; the log line has no text.
func TestForeignRecords(t *testing.T) {
	var logged bytes.Buffer
	log := NewMemoryLog(1 << 20)
	h, err := New(t.Context(), Options{Log: log, Users: people, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, h, alice, ListenOptions{})
	message := string(bobSays("secret text").Data)
	unreadable := []Entry{
		{Subject: "room.general", Data: []byte("secret text")},
		{Subject: "room.general", Data: []byte(`{"v":1,"type":"other","message":"secret text"}`)},
		{Subject: "room.general", Data: []byte(strings.Replace(message, `"v":1`, `"v":2`, 1))},
		{Subject: "room.general", Data: []byte(`{"v":1,"type":"message","message":["secret text"]}`)},
		{Subject: "room.general", Data: []byte(`{"v":1,"type":"notification","message":"secret text"}`)},
		{Subject: "user.alice", Data: []byte(message)},
		{Subject: "all", Data: []byte(`{"v":1,"type":"notification","message":["secret text"]}`)},
		{Subject: "general", Data: []byte(message)},
	}
	for _, e := range append(unreadable,
		Entry{Subject: "room.nowhere", Data: []byte(message)},
		Entry{Subject: "room.dm/a", Data: []byte(message)},
		Entry{Subject: "room.dm/bob/carol", Data: []byte(message)},
		Entry{Subject: "user.bob", Data: []byte(`{"v":1,"type":"notification","message":"secret text"}`)},
	) {
		if _, err := log.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	send(t, h, bob, General, "hello")
	wantEvents(t, l, "hello")
	late := listen(t, h, alice, ListenOptions{After: "0"})
	h.live.mu.Lock()
	h.live.ring.max = 0 // late reads the log
	h.live.mu.Unlock()
	send(t, h, bob, General, "again")
	wantEvents(t, late, "hello|again")
	page, err := h.History(t.Context(), alice, HistoryQuery{})
	if err != nil || texts(page) != "hello|again" {
		t.Errorf("history is %q, %v", texts(page), err)
	}
	h.Close()
	if s := logged.String(); strings.Count(s, "level=ERROR") != len(unreadable) || !strings.Contains(s, "seq=") || strings.Contains(s, "secret") {
		t.Errorf("logged: %s", s)
	}
}
