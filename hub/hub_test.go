package hub

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The actors of most tests. Dave is a user like them, but "nobody" is not.
var (
	alice = Actor{Name: "alice", Via: "Claude Code"}
	bob   = Actor{Name: "bob"}
	carol = Actor{Name: "carol"}
)

type userSet []string

func (u userSet) Exists(name string) bool { return slices.Contains(u, name) }

func (u userSet) Names() []string { return u }

var people = userSet{"alice", "bob", "carol", "dave"}

// newHub makes a hub over an in-memory log.
func newHub(t *testing.T) *Hub {
	t.Helper()
	return newHubOver(t, NewMemoryLog(64<<20))
}

func newHubOver(t *testing.T, log Log) *Hub {
	t.Helper()
	return newHubWith(t, Options{Log: log})
}

// newHubWith makes a hub and lets it learn its rooms.
func newHubWith(t *testing.T, o Options) *Hub {
	t.Helper()
	o.Users, o.Logger = people, slog.New(slog.DiscardHandler)
	h, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	<-h.learned
	return h
}

// bobSays is what the log is given when bob sends a text to General.
func bobSays(text string) Entry {
	data, err := json.Marshal(record{Version: 1, Type: typeMessage, Sender: Sender{Name: "bob"}, Message: text})
	if err != nil {
		panic(err)
	}
	return Entry{Subject: "room." + General, Data: data}
}

// seeded is the same random numbers again with every run.
func seeded(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test that fails must fail again
}

func send(t *testing.T, h *Hub, a Actor, room, text string) Message {
	t.Helper()
	m, duplicate, err := h.Send(t.Context(), a, Draft{Target: Target{Room: room}, Text: text})
	if err != nil || duplicate {
		t.Fatalf("Send to %s: %v, duplicate %t", room, err, duplicate)
	}
	return m
}

func open(t *testing.T, h *Hub, a Actor, spec RoomSpec) Room {
	t.Helper()
	r, _, err := h.OpenRoom(t.Context(), a, spec)
	if err != nil {
		t.Fatalf("OpenRoom %s: %v", spec.Name, err)
	}
	return r
}

// listen listens to messages, notifications and partial messages if the options
// do not say what to.
func listen(t *testing.T, h *Hub, a Actor, o ListenOptions) *Listener {
	t.Helper()
	if o.Types == nil {
		o.Types = []string{"message", "notification", "partial-message"}
	}
	l, err := h.Listen(t.Context(), a, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// next is what Next returns within a bound.
func next(t *testing.T, l *Listener) []Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events, err := l.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return events
}

// pass lets time go by in a bubble of synctest, and what it sets off happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// drain takes all there is for a listener right now.
func drain(t *testing.T, l *Listener) []Event {
	t.Helper()
	var all []Event
	for {
		events, err := l.poll(t.Context())
		if err != nil {
			t.Fatalf("poll: %v", err)
		}
		if all = append(all, events...); l.idle {
			return all
		}
	}
}

// nothing checks that there is nothing for a listener right now.
func nothing(t *testing.T, l *Listener) {
	t.Helper()
	if events := drain(t, l); len(events) > 0 {
		t.Errorf("listener got %q, want nothing", show(events))
	}
}

// show writes events for comparison: messages as their text, partials as
// "text…" or, ended, "text×", notifications as "level: text", log lines as
// "[level] text", and "+user", "-user", "user types".
func show(events []Event) string {
	var all []string
	for _, e := range events {
		switch set := fmt.Sprint(e.Message != nil, e.Notification != nil, e.Partial != nil, e.Line != nil, e.Presence != nil, e.Typing != nil); {
		case strings.Count(set, "true") != 1:
			all = append(all, "(not exactly one field)")
		case e.Message != nil:
			all = append(all, e.Message.Message)
		case e.Notification != nil:
			all = append(all, string(e.Notification.Level)+": "+e.Notification.Message)
		case e.Line != nil:
			all = append(all, "["+string(e.Line.Level)+"] "+e.Line.Message)
		case e.Presence != nil && e.Presence.Online:
			all = append(all, "+"+e.Presence.User)
		case e.Presence != nil:
			all = append(all, "-"+e.Presence.User)
		case e.Typing != nil:
			all = append(all, e.Typing.User+" types")
		case e.Partial.IsComplete && e.Partial.Cancelled:
			all = append(all, e.Partial.Message+"×")
		case !e.Partial.IsComplete && !e.Partial.Cancelled:
			all = append(all, e.Partial.Message+"…")
		default:
			all = append(all, "(odd partial)")
		}
	}
	return strings.Join(all, "|")
}

// wantNow checks what there is for a listener right now, however it is woken.
func wantNow(t *testing.T, l *Listener, want string) {
	t.Helper()
	if got := show(drain(t, l)); got != want {
		t.Errorf("listener got %q, want %q", got, want)
	}
}

func wantEvents(t *testing.T, l *Listener, want string) {
	t.Helper()
	if got := show(next(t, l)); got != want {
		t.Errorf("listener got %q, want %q", got, want)
	}
}

func texts(page Page) string {
	var all []string
	for _, m := range page.Messages {
		all = append(all, m.Message)
	}
	return strings.Join(all, "|")
}

// wantCode checks an error's code and argument, and that it says something.
func wantCode(t *testing.T, err error, code Code, arg string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Arg != arg || e.Msg == "" {
		t.Errorf("error is %#v, want %s of %q", err, code, arg)
	}
}

func TestError(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", refuse(NotFound, "room", "there is no room %s", quote("x\ny")))
	if !errors.Is(err, ErrNotFound) {
		t.Error("a not_found error is not ErrNotFound")
	}
	if errors.Is(refuse(Invalid, "room", "x"), ErrNotFound) || errors.Is(err, refuse(NotFound, "room", "x")) {
		t.Error("Is holds for what it should not")
	}
	if got, want := err.Error(), `wrapped: room: there is no room "x\ny"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := refuse(Full, "", "no %d", 1).Error(), "no 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := quote(strings.Repeat("x", 1<<20)); len(got) > 200 {
		t.Errorf("an error would quote %d bytes", len(got))
	}
}

func TestTime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	for want, in := range map[string]time.Time{
		"2026-01-02T03:04:05.000Z": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T02:04:05.120Z": time.Date(2026, 1, 2, 3, 4, 5, 120_999_999, zone),
	} {
		data, err := json.Marshal(struct {
			T Time            `json:"t"`
			M map[Time]string `json:"m"`
		}{timeOf(in), map[Time]string{timeOf(in): "x"}})
		if want := fmt.Sprintf(`{"t":%q,"m":{%q:"x"}}`, want, want); err != nil || string(data) != want {
			t.Errorf("%v is %s (%v), want %s", in, data, err, want)
		}
		var back Time
		if err := json.Unmarshal([]byte(`"`+want+`"`), &back); err != nil || !back.Equal(in.Truncate(time.Millisecond)) {
			t.Errorf("%s came back as %v (%v)", want, back, err)
		}
	}
}

func TestHead(t *testing.T) {
	h := newHub(t)
	if c, ok := parseCursor(h.Head()); !ok || c.seq != 0 {
		t.Errorf("the head of an empty log is %q", h.Head())
	}
	m := send(t, h, alice, General, "one")
	if h.Head() != m.ID {
		t.Errorf("head is %q after message %q", h.Head(), m.ID)
	}
}

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

func TestOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		var got []Change
		h.OnChange(func(c Change) {
			// Everything a callback could want of the hub works.
			if c.Room == "den" {
				if _, err := h.Rooms(t.Context(), alice); err != nil || !h.May(alice, "den") {
					t.Errorf("in the callback: %v", err)
				}
				if c.New && len(got) == 0 {
					send(t, h, alice, General, "from the callback")
				}
			}
			got = append(got, c)
		})
		open(t, h, alice, RoomSpec{Name: "den", Private: true})
		send(t, h, alice, "den", "1")
		synctest.Wait()
		open(t, h, alice, RoomSpec{Name: "den", Topic: "new"}) // nobody sees it who did not before
		open(t, h, alice, RoomSpec{Name: "den", Invite: []string{"bob"}})
		synctest.Wait()
		send(t, h, alice, "dm/alice/bob", "2")
		synctest.Wait()
		send(t, h, alice, "dm/alice/bob", "3")
		synctest.Wait()

		of := func(room string) (changes []Change) {
			for _, c := range got {
				if c.Room == room {
					changes = append(changes, c)
				}
			}
			return changes
		}
		for room, want := range map[string][]Change{
			"den":          {{"den", true}, {"den", false}, {"den", true}},
			"dm/alice/bob": {{"dm/alice/bob", true}, {"dm/alice/bob", false}, {"dm/alice/bob", false}},
			General:        {{General, false}},
		} {
			if !slices.Equal(of(room), want) {
				t.Errorf("changes of %s are %v, want %v", room, of(room), want)
			}
		}
		h.Close()
	})
}

// TestChangesAreBounded: while the callback is busy, equal changes are told
// once.
func TestChangesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		var got []Change
		busy := make(chan struct{})
		h.OnChange(func(c Change) {
			got = append(got, c)
			<-busy
		})
		send(t, h, alice, General, "first")
		synctest.Wait()
		for i := range 50 {
			send(t, h, alice, General, fmt.Sprint(i))
		}
		synctest.Wait() // a message is told of a moment after it is stored
		close(busy)
		synctest.Wait()
		if len(got) != 2 {
			t.Errorf("told %d times, want 2", len(got))
		}
		h.Close()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		l := listen(t, h, bob, ListenOptions{})
		s, _, err := h.Stream(t.Context(), alice, Draft{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := h.Wait(t.Context(), alice, WaitQuery{})
			wantCode(t, err, Unavailable, "")
		})
		wg.Go(func() {
			_, err := l.Next(t.Context())
			wantCode(t, err, Unavailable, "")
		})
		synctest.Wait()
		h.Close()
		h.Close()
		wg.Wait()

		s.Part("x", 1, 1)
		_, err = s.Finish(t.Context())
		wantCode(t, err, Conflict, "")
		_, _, err = h.Send(t.Context(), alice, Draft{Text: "x"})
		wantCode(t, err, Unavailable, "")
		_, _, err = h.Stream(t.Context(), alice, Draft{Text: "x"})
		wantCode(t, err, Unavailable, "")
		_, err = h.Wait(t.Context(), alice, WaitQuery{})
		wantCode(t, err, Unavailable, "")
		_, err = h.Listen(t.Context(), alice, ListenOptions{})
		wantCode(t, err, Unavailable, "")
	})
}
