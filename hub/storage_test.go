package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
)

// TestNotReady: while the storage is not heard nothing is stored, and rooms
// that are not public are not given, whether they exist or not.
func TestNotReady(t *testing.T) {
	o := cluster()
	var away atomic.Bool
	o.Ready = func() error {
		if away.Load() {
			return errors.New("not heard for five seconds")
		}
		return nil
	}
	h := newHubWith(t, o)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	public, private := listen(t, h, carol, ListenOptions{}), listen(t, h, bob, ListenOptions{})
	s := begin(t, h, alice, Draft{Target: Target{Room: "den"}})
	s.Part("x", 1, 2)
	wantEvents(t, private, "x…")
	send(t, h, alice, General, "in public")
	send(t, h, alice, "den", "in private")
	cursor := private.Cursor()
	away.Store(true)

	wantEvents(t, public, "in public")
	_, err := private.Next(t.Context())
	wantCode(t, err, Unavailable, "")
	if private.Cursor() != cursor {
		t.Errorf("the cursor has moved on to %s", private.Cursor())
	}
	if page, err := h.History(t.Context(), bob, HistoryQuery{}); err != nil || texts(page) != "in public" {
		t.Errorf("history is %q, %v", texts(page), err)
	}
	for _, ask := range map[string]func(room string) error{
		"History": func(room string) error {
			_, err := h.History(t.Context(), bob, HistoryQuery{Target: Target{Room: room}})
			return err
		},
		"Wait": func(room string) error {
			_, err := h.Wait(t.Context(), bob, WaitQuery{Rooms: []string{room}})
			return err
		},
		"Listen": func(room string) error {
			_, err := h.Listen(t.Context(), bob, ListenOptions{Rooms: []string{room}})
			return err
		},
		"People": func(room string) error {
			_, err := h.People(t.Context(), bob, Target{Room: room})
			return err
		},
	} {
		for _, room := range []string{"den", "nosuch", "dm/alice/bob", "dm/bob/nobody"} {
			wantCode(t, ask(room), Unavailable, "")
		}
	}
	for name, err := range map[string]error{
		"Send":         second(h.Send(t.Context(), alice, Draft{Text: "x"})),
		"Stream":       second(h.Stream(t.Context(), alice, Draft{})),
		"Finish":       outcome(s.Finish(t.Context())),
		"OpenRoom":     second(h.OpenRoom(t.Context(), alice, RoomSpec{Name: "x"})),
		"Notify":       second(h.Notify(t.Context(), alice, NotificationDraft{Level: LevelInfo, Message: "x"})),
		"WriteLog":     second(h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "x"})),
		"RemoveMember": h.RemoveMember(t.Context(), "den", "bob"),
	} {
		var e *Error
		if !errors.As(err, &e) || e.Code != Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	away.Store(false)
	if got := show(drain(t, listen(t, h, bob, ListenOptions{After: cursor}))); got != "in public|in private" {
		t.Errorf("later came %q", got)
	}
}

func outcome[T any](_ T, err error) error { return err }

func second[T, U any](_ T, _ U, err error) error { return err }

// TestStoreErrors: of what the storage fails with, callers are told what they
// can do something about.
func TestStoreErrors(t *testing.T) {
	internal := errors.New("internal")
	for want, err := range map[Code]error{Full: fmt.Errorf("wrapped: %w", memoryFullError(1)), Unavailable: fmt.Errorf("wrapped: %w", noAnswerError{}), "": internal} {
		log := &oddLog{Log: NewMemoryLog(1 << 20), append: func(context.Context) error { return err }}
		h := newHubWith(t, Options{Log: log, Lines: log, Rooms: failingBucket{NewMemoryBucket(1 << 20), err}})
		for _, got := range []error{
			second(h.Send(t.Context(), alice, Draft{Text: "x"})),
			second(h.Notify(t.Context(), alice, NotificationDraft{Level: LevelInfo, Message: "x"})),
			second(h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "x"})),
			second(h.OpenRoom(t.Context(), alice, RoomSpec{Name: "x"})),
		} {
			if want != "" {
				wantCode(t, got, want, "")
			} else if !errors.Is(got, internal) {
				t.Errorf("%v became %v", err, got)
			}
		}
		if len(h.rooms.opening) != 0 {
			t.Error("a place is still reserved for a room that was not opened")
		}
	}
}

type noAnswerError struct{}

func (noAnswerError) Error() string { return "no answer" }

func (noAnswerError) Unavailable() bool { return true }

type failingBucket struct {
	Bucket
	err error
}

func (b failingBucket) Put(context.Context, string, []byte, uint64) (bool, error) {
	return false, b.err
}

// contended is a bucket in which others are always faster.
type contended struct{ Bucket }

func (contended) Put(context.Context, string, []byte, uint64) (bool, error) { return false, nil }

func TestRoomContention(t *testing.T) {
	h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Rooms: contended{NewMemoryBucket(1 << 20)}})
	_, _, err := h.OpenRoom(t.Context(), alice, RoomSpec{Name: "x"})
	wantCode(t, err, Unavailable, "room")
}

// TestForeignRooms: what cannot be read of a room hides that room and nothing
// else, and nobody can take its name.
func TestForeignRooms(t *testing.T) {
	o := cluster()
	for name, value := range map[string]string{
		"text":    "not JSON",
		"newer":   `{"v":2,"kind":"public","creator":"alice"}`,
		"odd":     `{"v":1,"kind":"secret","creator":"alice"}`,
		"dm/a/b":  `{"v":1,"kind":"public","creator":"alice"}`,
		"Capital": `{"v":1,"kind":"public","creator":"alice"}`,
		General:   `{"v":1,"kind":"private","creator":"alice"}`,
		"good":    `{"v":1,"kind":"public","creator":"alice","added":"later"}`,
	} {
		if ok, err := o.Rooms.Put(t.Context(), name, []byte(value), 0); !ok || err != nil {
			t.Fatal(err)
		}
	}
	h := newHubWith(t, o)
	names := ""
	for _, r := range h.AdminRooms() {
		names += r.Name + " "
	}
	if names != "general good " || !h.May(bob, General) {
		t.Errorf("rooms are %s", names)
	}
	_, _, err := h.OpenRoom(t.Context(), alice, RoomSpec{Name: "newer"})
	wantCode(t, err, Unavailable, "room")
	_, revision := o.Rooms.Get("good")
	if _, err := o.Rooms.Delete(t.Context(), "good", revision); err != nil {
		t.Fatal(err)
	}
	send(t, h, alice, "good", "still there")
}
