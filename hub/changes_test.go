package hub

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

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
