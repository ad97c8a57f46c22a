package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
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
