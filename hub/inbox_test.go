package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func noticeTexts(page NotificationPage) string {
	var all []string
	for _, n := range page.Notifications {
		all = append(all, n.Message)
	}
	return strings.Join(all, "|")
}

func unread(t *testing.T, h *Hub, a Actor) Unread {
	t.Helper()
	u, err := h.Unread(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestNotifications(t *testing.T) {
	h := newHub(t)
	send(t, h, alice, General, "no notification")
	notify(t, h, alice, "", "to all")
	notify(t, h, alice, "bob", "to bob")
	notify(t, h, bob, "carol", "to carol")
	notify(t, h, bob, "bob", "to himself")
	notify(t, h, carol, "", "to all again")
	for name, test := range map[string]struct {
		actor Actor
		q     NotificationQuery
		want  string
		more  bool
		next  string
	}{
		"the addressee":          {bob, NotificationQuery{}, "to all|to bob|to carol|to himself|to all again", false, h.id(6)},
		"a sender":               {alice, NotificationQuery{}, "to all|to bob|to all again", false, h.id(6)},
		"a sender, to another":   {carol, NotificationQuery{}, "to all|to carol|to all again", false, h.id(6)},
		"another":                {Actor{Name: "dave"}, NotificationQuery{}, "to all|to all again", false, h.id(6)},
		"the latest":             {bob, NotificationQuery{Limit: 2}, "to himself|to all again", false, h.id(6)},
		"the first":              {bob, NotificationQuery{After: "0", Limit: 2}, "to all|to bob", true, h.id(3)},
		"after":                  {bob, NotificationQuery{After: h.id(3), Limit: 3}, "to carol|to himself|to all again", false, h.id(6)},
		"after, sent":            {bob, NotificationQuery{After: h.id(3), Limit: 1}, "to carol", true, h.id(4)},
		"before":                 {bob, NotificationQuery{Before: h.id(6), Limit: 2}, "to carol|to himself", true, h.id(4)},
		"before, the rest":       {bob, NotificationQuery{Before: h.id(4)}, "to all|to bob", false, h.id(2)},
		"after all":              {bob, NotificationQuery{After: h.id(6)}, "", false, h.id(6)},
		"unread":                 {bob, NotificationQuery{Unread: true}, "to all|to bob|to all again", false, h.id(6)},
		"unread of who sends":    {alice, NotificationQuery{Unread: true}, "to all again", false, h.id(6)},
		"unread, from the first": {carol, NotificationQuery{Unread: true, After: "0", Limit: 1}, "to all", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := h.Notifications(t.Context(), test.actor, test.q)
			if got := noticeTexts(page); err != nil || got != test.want || page.More != test.more || test.next != "" && page.Next != test.next {
				t.Errorf("%q, more %t, next %s, %v; want %q, more %t, next %s", got, page.More, page.Next, err, test.want, test.more, test.next)
			}
		})
	}
}

func TestInboxRefuses(t *testing.T) {
	h := newHub(t)
	notify(t, h, alice, "", "x")
	for name, test := range map[string]struct {
		ask  func(context.Context) error
		code Code
		arg  string
	}{
		"Notifications of a guest": {func(ctx context.Context) error { return outcome(h.Notifications(ctx, guest, NotificationQuery{})) }, NotFound, ""},
		"Unread of a guest":        {func(ctx context.Context) error { return outcome(h.Unread(ctx, guest)) }, NotFound, ""},
		"MarkRead of a guest":      {func(ctx context.Context) error { return outcome(h.MarkRead(ctx, guest, "0")) }, NotFound, ""},
		"a limit": {func(ctx context.Context) error {
			return outcome(h.Notifications(ctx, bob, NotificationQuery{Limit: 101}))
		}, Invalid, "limit"},
		"two ways": {func(ctx context.Context) error {
			return outcome(h.Notifications(ctx, bob, NotificationQuery{After: "0", Before: "0"}))
		}, Invalid, "before"},
		"no cursor":         {func(ctx context.Context) error { return outcome(h.MarkRead(ctx, bob, "x")) }, Invalid, "up_to"},
		"nothing":           {func(ctx context.Context) error { return outcome(h.MarkRead(ctx, bob, "")) }, Invalid, "up_to"},
		"ahead of the head": {func(ctx context.Context) error { return outcome(h.MarkRead(ctx, bob, h.id(2))) }, Reset, "up_to"},
		"of another epoch":  {func(ctx context.Context) error { return outcome(h.MarkRead(ctx, bob, "other-1")) }, Reset, "up_to"},
		"after another epoch": {func(ctx context.Context) error {
			return outcome(h.Notifications(ctx, bob, NotificationQuery{After: "other-1"}))
		}, Reset, "after"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, test.ask(t.Context()), test.code, test.arg) })
	}
	if u := unread(t, h, bob); u != (Unread{Count: 1}) {
		t.Errorf("after what was refused: %+v", u)
	}
}

// TestMarkRead: the mark goes forwards only, is of one user, known to other
// nodes and after a restart, and void in another epoch.
func TestMarkRead(t *testing.T) {
	o := cluster()
	h, other := newHubWith(t, o), newHubWith(t, o)
	first := notify(t, h, alice, "bob", "1")
	second := notify(t, h, alice, "", "2")
	notify(t, h, bob, "", "my own")
	if u := unread(t, h, bob); u != (Unread{Count: 2}) {
		t.Errorf("at first: %+v", u)
	}
	want := Unread{Count: 1, ReadTo: first.ID}
	if u, err := h.MarkRead(t.Context(), bob, first.ID); err != nil || u != want {
		t.Errorf("%+v, %v", u, err)
	}
	if page, err := other.Notifications(t.Context(), bob, NotificationQuery{Unread: true}); err != nil || noticeTexts(page) != "2" {
		t.Errorf("unread on another node: %q, %v", noticeTexts(page), err)
	}
	want = Unread{Count: 0, ReadTo: second.ID}
	if u, err := other.MarkRead(t.Context(), bob, second.ID); err != nil || u != want {
		t.Errorf("%+v, %v", u, err)
	}
	for _, back := range []string{first.ID, "0", second.ID} {
		if u, err := h.MarkRead(t.Context(), bob, back); err != nil || u != want {
			t.Errorf("back to %s: %+v, %v", back, u, err)
		}
	}
	if u := unread(t, h, carol); u != (Unread{Count: 2}) {
		t.Errorf("another user's: %+v", u)
	}
	h.Close()
	if u := unread(t, newHubWith(t, o), bob); u != want {
		t.Errorf("after a restart: %+v", u)
	}
	o.Log = NewMemoryLog(1 << 20)
	fresh := newHubWith(t, o)
	again := notify(t, fresh, alice, "bob", "again")
	if u := unread(t, fresh, bob); u != (Unread{Count: 1}) {
		t.Errorf("in another epoch: %+v", u)
	}
	if u, err := fresh.MarkRead(t.Context(), bob, again.ID); err != nil || u != (Unread{ReadTo: again.ID}) {
		t.Errorf("in another epoch: %+v, %v", u, err)
	}
}

func TestMarkReadFails(t *testing.T) {
	for name, test := range map[string]struct {
		marks Bucket
		code  Code
		arg   string
	}{
		"full":      {NewMemoryBucket(1), Full, ""},
		"contended": {contended{NewMemoryBucket(1 << 20)}, Unavailable, "up_to"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Marks: test.marks})
			n := notify(t, h, alice, "bob", "x")
			_, err := h.MarkRead(t.Context(), bob, n.ID)
			wantCode(t, err, test.code, test.arg)
			if u := unread(t, h, bob); u != (Unread{Count: 1}) {
				t.Errorf("unread is %+v", u)
			}
		})
	}
}

// TestUnreadIsBounded: it is counted up to a bound.
func TestUnreadIsBounded(t *testing.T) {
	h := newHub(t)
	for i := range maxUnread {
		notify(t, h, alice, []string{"", "bob"}[i%2], "x")
	}
	if u := unread(t, h, bob); u != (Unread{Count: maxUnread}) {
		t.Errorf("of as many as are counted: %+v", u)
	}
	last := notify(t, h, alice, "", "x")
	if u := unread(t, h, bob); u != (Unread{Count: maxUnread, More: true}) {
		t.Errorf("of one more: %+v", u)
	}
	if u, err := h.MarkRead(t.Context(), bob, last.ID); err != nil || u != (Unread{ReadTo: last.ID}) {
		t.Errorf("read: %+v, %v", u, err)
	}
}

// TestSentToOthers: a sender finds the newest that it has sent to others, also
// after a restart, and memory for it is bounded.
func TestSentToOthers(t *testing.T) {
	o := cluster()
	h := newHubWith(t, o)
	const number = maxSent + 10
	for i := range number {
		notify(t, h, alice, "bob", fmt.Sprint(i))
	}
	check := func(h *Hub, a Actor, first int) {
		t.Helper()
		q := NotificationQuery{After: "0", Limit: 30}
		n := first
		for more := true; more; {
			page, err := h.Notifications(t.Context(), a, q)
			if err != nil || len(page.Notifications) > q.Limit {
				t.Fatalf("%d at a time, %v", len(page.Notifications), err)
			}
			for _, got := range page.Notifications {
				if got.Message != fmt.Sprint(n) {
					t.Fatalf("got %s, want %d", got.Message, n)
				}
				n++
			}
			q.After, more = page.Next, page.More
		}
		if n != number {
			t.Errorf("%s got up to %d of %d", a.Name, n, number)
		}
	}
	check(h, alice, number-maxSent)
	check(h, bob, 0)
	if n := len(h.sent.of["alice"]); n != maxSent {
		t.Errorf("%d are remembered", n)
	}
	h.Close()
	h = newHubWith(t, o)
	check(h, alice, number-maxSent)
	check(h, bob, 0)
}

// TestInboxMeanwhile: what is stored while a page is read is on a later one, in
// whatever order it comes.
func TestInboxMeanwhile(t *testing.T) {
	for _, q := range []NotificationQuery{{After: "0"}, {}} {
		log := &oddLog{Log: NewMemoryLog(1 << 20)}
		h := newHubOver(t, log)
		notify(t, h, bob, "alice", "1")
		var once sync.Once
		log.read = func(records []Record, err error) ([]Record, error) {
			once.Do(func() {
				notify(t, h, bob, "alice", "2")
				notify(t, h, alice, "bob", "3")
			})
			return records, err
		}
		first, err := h.Notifications(t.Context(), alice, q)
		if err != nil {
			t.Fatal(err)
		}
		then, err := h.Notifications(t.Context(), alice, NotificationQuery{After: first.Next})
		if got, want := noticeTexts(first)+" then "+noticeTexts(then), "1 then 2|3"; err != nil || got != want {
			t.Errorf("%+v: %q, %v; want %q", q, got, err, want)
		}
	}
}

// deafLog tells of what is stored when the test says so.
type deafLog struct {
	Log
	hears chan struct{}
}

func (l deafLog) Follow(fn func(Record)) func() {
	return l.Log.Follow(func(r Record) {
		<-l.hears
		fn(r)
	})
}

// TestInboxOfLateNode: a node that has not heard yet of what its log holds gives
// it later, and leaves nothing out.
func TestInboxOfLateNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := cluster()
		h := newHubWith(t, o)
		hears := make(chan struct{})
		o.Log = deafLog{o.Log, hears}
		late := newHubWith(t, o)
		notify(t, h, alice, "bob", "1")
		notify(t, h, bob, "alice", "2")
		first, err := late.Notifications(t.Context(), alice, NotificationQuery{After: "0"})
		if err != nil {
			t.Fatal(err)
		}
		close(hears)
		then, err := late.Notifications(t.Context(), alice, NotificationQuery{After: first.Next})
		if got := noticeTexts(first) + noticeTexts(then); err != nil || got != "1|2" {
			t.Errorf("%q, %v", got, err)
		}
		h.Close()
		late.Close()
	})
}

// TestInboxExpires: what has reached its end is not given, also to who
// sent it.
func TestInboxExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		notify(t, h, alice, "bob", "old")
		pass(notificationLife / 2)
		notify(t, h, alice, "bob", "new")
		pass(notificationLife/2 + time.Second)
		for _, a := range []Actor{alice, bob} {
			for _, q := range []NotificationQuery{{}, {After: "0"}, {Before: h.Head()}} {
				want := "new"
				if q.Before != "" {
					want = ""
				}
				if page, err := h.Notifications(t.Context(), a, q); err != nil || noticeTexts(page) != want || page.More {
					t.Errorf("%s, %+v: %q, more %t, %v", a.Name, q, noticeTexts(page), page.More, err)
				}
			}
		}
		if u := unread(t, h, bob); u != (Unread{Count: 1}) {
			t.Errorf("unread: %+v", u)
		}
		h.Close()
	})
}

// TestInboxFails: what the log answers is told.
func TestInboxFails(t *testing.T) {
	broken := errors.New("broken")
	log := &oddLog{Log: NewMemoryLog(1 << 20)}
	h := newHubOver(t, log)
	n := notify(t, h, alice, "bob", "x")
	log.read = func([]Record, error) ([]Record, error) { return nil, broken }
	for what, err := range map[string]error{
		"Notifications": outcome(h.Notifications(t.Context(), alice, NotificationQuery{})),
		"Unread":        outcome(h.Unread(t.Context(), bob)),
		"MarkRead":      outcome(h.MarkRead(t.Context(), bob, n.ID)),
		"Search":        outcome(h.Search(t.Context(), bob, SearchQuery{Text: "x"})),
		"CursorAt":      outcome(h.CursorAt(t.Context(), bob, time.Now())),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
