package hub

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// cluster is what several hubs share.
func cluster() Options {
	return Options{
		Log: NewMemoryLog(64 << 20), Lines: NewEvictingMemoryLog(1 << 20),
		Rooms: NewMemoryBucket(64 << 20), Keys: NewMemoryBucket(64 << 20), Marks: NewMemoryBucket(64 << 20),
	}
}

// TestRestart: rooms, members, topics and keys outlive the hub.
func TestRestart(t *testing.T) {
	o := cluster()
	h := newHubWith(t, o)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Topic: "plans 計画", Invite: []string{"bob", "carol"}})
	open(t, h, alice, RoomSpec{Name: "pub", Topic: "talk"})
	expel(t, h, "den", "carol")
	d := Draft{Target: Target{Room: "den"}, Text: "once", Tool: "send", Key: "k"}
	first, _, err := h.Send(t.Context(), alice, d)
	if err != nil {
		t.Fatal(err)
	}
	send(t, h, alice, "dm/alice/bob", "psst")
	before := fmt.Sprint(h.AdminRooms())
	h.Close()

	h = newHubWith(t, o)
	if after := fmt.Sprint(h.AdminRooms()); after != before {
		t.Errorf("rooms are %s, were %s", after, before)
	}
	if h.May(carol, "den") || !h.May(bob, "den") {
		t.Error("the members are not those they were")
	}
	if m, duplicate, err := h.Send(t.Context(), alice, d); err != nil || !duplicate || m != first {
		t.Errorf("again: %+v, %t, %v", m, duplicate, err)
	}
	d.Text = "other"
	_, _, err = h.Send(t.Context(), alice, d)
	wantCode(t, err, Conflict, "idempotency_key")
	open(t, h, alice, RoomSpec{Name: "pub", Topic: "by its creator"})
	if r := open(t, h, bob, RoomSpec{Name: "pub", Topic: "by another"}); r.Topic != "by its creator" {
		t.Errorf("the creator is forgotten: %+v", r)
	}
	if n := h.rooms.madeBy["alice"]; n != 2 || h.rooms.opened != 3 || len(h.rooms.opening) != 0 {
		t.Errorf("alice has made %d rooms of %d", n, h.rooms.opened)
	}
}

// TestTwoNodes: what one hub does, another over the same storage shows.
func TestTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := cluster()
		a, b := newHubWith(t, o), newHubWith(t, o)
		l := listen(t, b, bob, ListenOptions{Types: []string{"message", "notification", "log"}})
		var told []Change
		b.OnChange(func(c Change) { told = append(told, c) })
		open(t, a, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
		send(t, a, alice, "den", "1")
		notify(t, a, alice, "bob", "2")
		synctest.Wait()
		wantEvents(t, l, "1|info: 2")
		if _, _, err := a.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "3"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantEvents(t, l, "[info] 3")
		if want := []Change{{"den", true}, {"den", false}}; !slices.Equal(told, want) {
			t.Errorf("told of %v, want %v", told, want)
		}
		// A cursor works on any node, and ends where it ends.
		if a.Head() != b.Head() {
			t.Errorf("heads are %s and %s", a.Head(), b.Head())
		}
		wantEvents(t, listen(t, a, bob, ListenOptions{After: "0"}), "1|info: 2")

		w := wait(t.Context(), b, bob, WaitQuery{Rooms: []string{"den"}})
		expel(t, a, "den", "bob")
		synctest.Wait()
		if !w.done || !errors.Is(w.err, ErrNotFound) {
			t.Errorf("%+v", w)
		}
		send(t, a, alice, "den", "secret")
		synctest.Wait()
		nothing(t, l)

		// The same name at the same time is one room.
		var wg sync.WaitGroup
		var made atomic.Int32
		for i := range 10 {
			wg.Go(func() {
				_, created, err := []*Hub{a, b}[i%2].OpenRoom(t.Context(), alice, RoomSpec{Name: "new", Private: true, Invite: []string{people[i%4]}})
				if created {
					made.Add(1)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		for _, h := range []*Hub{a, b} {
			if r, err := h.Room(t.Context(), alice, Target{Room: "new"}); err != nil || made.Load() != 1 || !slices.Equal(r.Members, people) {
				t.Errorf("%d were made: %+v, %v", made.Load(), r, err)
			}
		}
		a.Close()
		b.Close()
	})
}

// lateBucket tells its watcher of changes when the test says so.
type lateBucket struct {
	Bucket
	hold chan struct{}
}

func (b lateBucket) Watch(fn func(string, []byte, uint64)) func() {
	told := false
	stop := b.Bucket.Watch(func(key string, value []byte, revision uint64) {
		if !told {
			<-b.hold
		}
		fn(key, value, revision)
	})
	return stop
}

// TestMessageBeforeItsRoom: rooms and messages come to a node by different
// ways. A message is not passed over because the news of its room, or of who
// is in it, come later.
func TestMessageBeforeItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := cluster()
		a := newHubWith(t, o)
		open(t, a, alice, RoomSpec{Name: "old", Private: true})
		late := o
		hold := make(chan struct{}, 10)
		hold <- struct{}{} // for what there is at the start
		late.Rooms = lateBucket{o.Rooms, hold}
		b := newHubWith(t, late)
		l := listen(t, b, bob, ListenOptions{})
		toCarol := listen(t, b, carol, ListenOptions{})

		open(t, a, alice, RoomSpec{Name: "new", Private: true, Invite: []string{"bob"}})
		send(t, a, alice, "new", "in a new room")
		pass(appliedWithin / 2)
		nothing(t, l)
		hold <- struct{}{}
		pass(0)
		wantEvents(t, l, "in a new room")

		open(t, a, alice, RoomSpec{Name: "old", Invite: []string{"bob"}})
		send(t, a, alice, "old", "to a new member")
		pass(appliedWithin / 2)
		nothing(t, l)
		hold <- struct{}{}
		pass(0)
		wantEvents(t, l, "to a new member")

		// It is not waited for forever, and then nobody sees too much.
		open(t, a, alice, RoomSpec{Name: "never", Private: true, Invite: []string{"bob"}})
		send(t, a, alice, "never", "lost")
		send(t, a, alice, General, "goes on")
		pass(appliedWithin)
		wantEvents(t, l, "goes on")
		wantEvents(t, toCarol, "goes on")
		close(hold)
		a.Close()
		b.Close()
	})
}

// TestKeysOnTwoNodes: a key is one key on all nodes, also while both are at
// it, and when what was to remember it has failed.
func TestKeysOnTwoNodes(t *testing.T) {
	o := cluster()
	a, b := newHubWith(t, o), newHubWith(t, o)
	forgetful := o
	forgetful.Keys = NewMemoryBucket(0)
	c := newHubWith(t, forgetful)
	d := Draft{Text: "x", Tool: "send", Key: "k"}
	first, _, err := a.Send(t.Context(), alice, d)
	if err != nil {
		t.Fatal(err)
	}
	if m, duplicate, err := b.Send(t.Context(), alice, d); err != nil || !duplicate || m != first {
		t.Errorf("on another node: %+v, %t, %v", m, duplicate, err)
	}
	if m, _, err := c.Send(t.Context(), alice, d); err != nil || m != first {
		t.Errorf("with no memory but the log's: %+v, %v", m, err)
	}
	other := d
	other.Text = "y"
	for _, h := range []*Hub{b, c} {
		_, _, err = h.Send(t.Context(), alice, other)
		wantCode(t, err, Conflict, "idempotency_key")
	}
	var wg sync.WaitGroup
	ids := make([]string, 30)
	for i := range ids {
		wg.Go(func() {
			m, _, err := []*Hub{a, b, c}[i%3].Send(t.Context(), bob, d)
			if err != nil {
				t.Error(err)
			}
			ids[i] = m.ID
		})
	}
	wg.Wait()
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
		t.Errorf("one key stored %v", ids)
	}
}

// TestKeysOfAnotherEpoch: when a log's sequences could be reused, a key is
// answered with the message it stored if that is still there, and is free if
// not.
func TestKeysOfAnotherEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := cluster()
		h := newHubWith(t, o)
		defer h.Close()
		drafts := []Draft{{Text: "survives", Key: "1"}, {Text: "is lost", Key: "2"}}
		var stored []Message
		for _, d := range drafts {
			m, _, err := h.Send(t.Context(), alice, d)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, m)
		}
		o.Log = &oddLog{Log: o.Log, state: func(s State) (State, error) { s.Epoch = "new"; return s, nil }, read: func(r []Record, err error) ([]Record, error) {
			return slices.DeleteFunc(r, func(r Record) bool { return r.Seq == 2 }), err
		}}
		pass(knownFor) // the log of another epoch knows no IDs
		h = newHubWith(t, o)
		m, duplicate, err := h.Send(t.Context(), alice, drafts[0])
		if err != nil || !duplicate || m.ID != "new-1" || !m.Time.Equal(stored[0].Time.Time) {
			t.Errorf("the one that survived: %+v, %t, %v", m, duplicate, err)
		}
		if m, duplicate, err = h.Send(t.Context(), alice, drafts[1]); err != nil || duplicate || m.ID != "new-3" {
			t.Errorf("the one that was lost: %+v, %t, %v", m, duplicate, err)
		}
		h.Close()
	})
}

// TestRemoveMember: rights that are lost are lost at once, everywhere.
func TestRemoveMember(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	open(t, h, alice, RoomSpec{Name: "pub"})
	send(t, h, alice, "dm/alice/bob", "x")
	for _, test := range []struct {
		room, user string
		code       Code
		arg        string
	}{
		{"nosuch", "bob", NotFound, "room"},
		{"den", "carol", NotFound, "user"},
		{"den", "", NotFound, "user"},
		{"pub", "alice", Invalid, "room"},
		{General, "alice", Invalid, "room"},
		{"dm/alice/bob", "bob", Invalid, "room"},
	} {
		wantCode(t, h.RemoveMember(t.Context(), test.room, test.user), test.code, test.arg)
	}
	l := listen(t, h, bob, ListenOptions{})
	s := begin(t, h, bob, Draft{Target: Target{Room: "den"}})
	defer s.Cancel()
	send(t, h, alice, "den", "not read in time")
	expel(t, h, "den", "bob")
	send(t, h, alice, "den", "secret")
	nothing(t, l)
	_, _, err := h.Send(t.Context(), bob, Draft{Target: Target{Room: "den"}, Text: "x"})
	wantCode(t, err, NotFound, "room")
	_, err = h.History(t.Context(), bob, HistoryQuery{Target: Target{Room: "den"}})
	wantCode(t, err, NotFound, "room")
	expel(t, h, "den", "alice") // its creator, too
	if h.May(alice, "den") {
		t.Error("alice may still see it")
	}
	names := ""
	for _, r := range h.AdminRooms() {
		names += fmt.Sprint(r.Name, r.Members, " ")
	}
	if names != "den[] dm/alice/bob[alice bob] general[] pub[] " {
		t.Errorf("rooms are %s", names)
	}
}

// TestConcurrentHubs: under senders on two nodes, every listener gets
// everything once, in one order.
func TestConcurrentHubs(t *testing.T) {
	const senders, each = 4, 100
	o := cluster()
	hubs := []*Hub{newHubWith(t, o), newHubWith(t, o)}
	got := make([][]string, 4)
	var wg sync.WaitGroup
	for i := range got {
		l := listen(t, hubs[i%2], bob, ListenOptions{})
		wg.Go(func() {
			for len(got[i]) < 2*senders*each {
				for _, e := range next(t, l) {
					if e.Message != nil {
						got[i] = append(got[i], e.Message.ID)
					} else {
						got[i] = append(got[i], e.Notification.ID)
					}
				}
			}
		})
	}
	for n := range senders {
		wg.Go(func() {
			for range each {
				if _, _, err := hubs[n%2].Send(t.Context(), alice, Draft{Text: "x"}); err != nil {
					t.Error(err)
				}
				if _, _, err := hubs[n%2].Notify(t.Context(), alice, NotificationDraft{To: "bob", Level: LevelInfo, Message: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range got {
		if !slices.IsSortedFunc(got[i], compareIDs) || !slices.Equal(got[i], got[0]) {
			t.Errorf("listener %d got another order", i)
		}
	}
}

// TestTick: however many messages are on their way, a listener is not woken
// more often for it than 25 times a second.
func TestTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20)})
		l := listen(t, h, bob, ListenOptions{})
		woken, given := 0, 0
		go func() {
			for {
				events, err := l.Next(t.Context())
				if err != nil {
					return
				}
				woken++
				given += len(events)
			}
		}()
		var streams []*Streaming
		for range maxUserStreams {
			streams = append(streams, begin(t, h, alice, Draft{}))
		}
		for range 100 {
			for _, s := range streams {
				s.Part("x ", 0, 0)
				pass(time.Millisecond)
			}
		}
		if most := maxUserStreams*100/40 + 3; woken > most || given < 20*len(streams) {
			t.Errorf("woken %d times for %d partials, at most %d are allowed", woken, given, most)
		}
		for _, s := range streams {
			s.Cancel()
		}
		h.Close()
	})
}
