package mcp_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"wigwag/hub"
	"wigwag/mcp"
)

// bell keeps what it is told: what changed, and who of three may know.
type bell struct {
	mu   sync.Mutex
	rung []string // guarded by mu
}

func (b *bell) ring(what string, may func(string) bool) {
	for _, user := range []string{"alice", "bob", "carol"} {
		if may(user) {
			what += " " + user
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = append(b.rung, what)
}

func (b *bell) ResourceUpdated(uri string, may func(string) bool) { b.ring(uri, may) }
func (b *bell) ResourcesListChanged(may func(string) bool)        { b.ring("list", may) }

func TestAnnounce(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*testing.T, *host)
		want []string
	}{
		{"a message", func(t *testing.T, h *host) { h.send(t, "alice", hub.Target{}, "hi") }, []string{
			"wigwag://rooms/general alice bob carol",
		}},
		{"a public room", func(t *testing.T, h *host) { h.open(t, "alice", hub.RoomSpec{Name: "lobby"}) }, []string{
			"list alice bob carol", "wigwag://rooms alice bob carol",
		}},
		{"a private room", func(t *testing.T, h *host) {
			h.open(t, "alice", hub.RoomSpec{Name: "plans", Private: true, Invite: []string{"carol"}})
		}, []string{
			"list alice carol", "wigwag://rooms alice carol",
		}},
		{"a direct message", func(t *testing.T, h *host) { h.send(t, "alice", hub.Target{To: "bob"}, "hi") }, []string{
			"list alice bob", "wigwag://rooms alice bob", "wigwag://rooms/dm/alice/bob alice bob", "wigwag://rooms/dm%2Falice%2Fbob alice bob",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t)
				b := &bell{}
				mcp.Announce(h.hub, b)
				tt.do(t, h)
				synctest.Wait()
				b.mu.Lock()
				defer b.mu.Unlock()
				if !slices.Equal(b.rung, tt.want) {
					t.Errorf("rung %q, want %q", b.rung, tt.want)
				}
			})
		})
	}
}

// Whoever is told of a change can read what changed, at the address told.
func TestAnnouncedCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		told := make(chan string, 10)
		mcp.Announce(h.hub, updates(told))
		h.send(t, "alice", hub.Target{To: "bob"}, "hi")
		synctest.Wait()
		close(told)
		may := mcp.Subscribable(h.hub)
		for uri := range told {
			if _, err := h.ask(t, "bob", "resources/read", fmt.Sprintf(`{"uri":%q}`, uri)); err != nil || !may("bob", uri) {
				t.Errorf("%s: %v", uri, err)
			}
		}
	})
}

type updates chan string

func (u updates) ResourceUpdated(uri string, _ func(string) bool) { u <- uri }
func (u updates) ResourcesListChanged(func(string) bool)          {}
