package hub

import (
	"container/list"
	"context"
	"slices"
	"strings"
	"time"
)

// Bounds of who is here.
const (
	// leaveAfter is how long a user without a listener still counts as here, so
	// that a reconnect is no coming and going.
	leaveAfter = 10 * time.Second
	// seenFor is how long one call makes a user be here.
	seenFor = 60 * time.Second
	// typingEvery is the shortest time between two signs of one user's typing
	// in one room.
	typingEvery = 2 * time.Second
	// typingFor is how long such a sign is worth giving.
	typingFor = 10 * time.Second

	maxPeople = 20_000
	// maxAnnounced bounds who is here for comings and goings to be announced:
	// with more, they would be a flood to everybody. People still tells.
	maxAnnounced = 500
	maxHints     = 1_000 // held for slow listeners
)

// Presence tells that a user has come or gone. It is live only and of this
// node.
type Presence struct {
	User   string `json:"user"`
	Online bool   `json:"online"`
	Via    string `json:"via,omitempty"`
	Time   Time   `json:"time"`
}

// Typing tells that a user is writing a message. It is live only.
type Typing struct {
	Room string `json:"room"`
	User string `json:"user"`
	Time Time   `json:"time"`
}

// Person is a user as others see it.
type Person struct {
	Name   string `json:"name"`
	Online bool   `json:"online"`
	Via    string `json:"via,omitempty"` // the client that acts for the user, if one does
}

// People returns who is in a room, or with an empty target all users, by name.
// In a public room everybody is.
func (h *Hub) People(_ context.Context, a Actor, t Target) ([]Person, error) {
	if err := a.mustBeUser(); err != nil {
		return nil, err
	}
	r, err := h.find(a, t)
	if err != nil {
		return nil, err
	}
	names := r.members()
	if r.kind == Public {
		names = h.users.Names()
	}
	people := make([]Person, 0, len(names))
	for _, name := range names {
		people = append(people, Person{Name: name})
	}
	slices.SortFunc(people, func(x, y Person) int { return strings.Compare(x.Name, y.Name) })
	h.live.fill(people)
	return people, nil
}

// Seen tells that the actor has called. It counts as here for a minute.
func (h *Hub) Seen(a Actor) {
	if a.isUser() {
		h.live.seen(a.Name, cleanVia(a.Via))
	}
}

// Typing shows those who may see the room that the actor is writing. More than
// one sign in two seconds is not shown.
func (h *Hub) Typing(_ context.Context, a Actor, t Target) error {
	if h.live.isClosed() {
		return errClosed()
	}
	if err := a.mustBeUser(); err != nil {
		return err
	}
	r, err := h.find(a, t)
	if err != nil {
		return err
	}
	h.live.typing(r, a.Name)
	return nil
}

// present are those who are here, or have just left, by user; at most maxPeople.
type present map[string]*person

type person struct {
	via   string
	until time.Time   // of a call's minute
	gone  *time.Timer // running while the user has no listener
}

func (p present) clear() {
	for _, who := range p {
		if who.gone != nil {
			who.gone.Stop()
		}
	}
	clear(p)
}

// arriveLocked makes a user be here.
func (l *live) arriveLocked(user, via string) *person {
	who := l.present[user]
	if who == nil {
		if user == "" || l.ended || len(l.present) >= maxPeople {
			return nil
		}
		who = &person{via: cleanVia(via)}
		l.present[user] = who
		l.announceLocked(user, true, who.via)
	}
	who.via = cleanVia(via)
	if who.gone != nil {
		who.gone.Stop()
		who.gone = nil
	}
	return who
}

// leaveLocked notes that a user has no listener any more.
func (l *live) leaveLocked(user string) {
	who := l.present[user]
	if who == nil || l.ended {
		return
	}
	if who.gone != nil {
		who.gone.Stop()
	}
	wait := max(leaveAfter, time.Until(who.until))
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if who.gone == timer && l.present[user] == who {
			delete(l.present, user)
			l.announceLocked(user, false, who.via)
		}
	})
	who.gone = timer
}

func (l *live) seen(user, via string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if who := l.arriveLocked(user, via); who != nil {
		who.until = time.Now().Add(seenFor)
		if len(l.taps[user]) == 0 {
			l.leaveLocked(user)
		}
	}
}

func (l *live) announceLocked(user string, online bool, via string) {
	if len(l.present) > maxAnnounced {
		return
	}
	p := &Presence{User: user, Online: online, Via: via, Time: timeOf(time.Now())}
	l.hints.put("presence "+user, hint{event: Event{Presence: p, frames: &frames{}}})
	l.wakeSoonLocked(nil, presences)
}

func (l *live) typing(r *room, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := "typing " + user + " " + r.name
	now := time.Now()
	if last, ok := l.hints.get(key); ok && now.Sub(last.event.Typing.Time.Time) < typingEvery {
		return
	}
	t := &Typing{Room: r.name, User: user, Time: timeOf(now)}
	l.hints.put(key, hint{room: r, event: Event{Typing: t, frames: &frames{}}})
	l.wakeSoonLocked(r, typings)
}

// fill tells of each person whether it is here.
func (l *live) fill(people []Person) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range people {
		if who := l.present[people[i].Name]; who != nil {
			people[i].Online, people[i].Via = true, who.via
		}
	}
}

// hint is something that is live only: of each kind, user and room only the
// newest is held.
type hint struct {
	key   string
	step  uint64
	room  *room // of typing
	event Event
}

// hints are the newest ones, oldest first. A listener that is further behind
// than maxHints misses some.
type hints struct {
	list  list.List // of hint, by rising step
	byKey map[string]*list.Element
	step  uint64 // counts all there were
}

func (hs *hints) get(key string) (hint, bool) {
	e := hs.byKey[key]
	if e == nil {
		return hint{}, false
	}
	return e.Value.(hint), true
}

func (hs *hints) put(key string, n hint) {
	if old := hs.byKey[key]; old != nil {
		hs.list.Remove(old)
	} else if hs.list.Len() >= maxHints {
		delete(hs.byKey, hs.list.Remove(hs.list.Front()).(hint).key)
	}
	hs.step++
	n.key, n.step = key, hs.step
	hs.byKey[key] = hs.list.PushBack(n)
}

// since returns those after a step, in order.
func (hs *hints) since(step uint64) []hint {
	var found []hint
	for e := hs.list.Back(); e != nil && e.Value.(hint).step > step; e = e.Prev() {
		found = append(found, e.Value.(hint))
	}
	slices.Reverse(found)
	return found
}
