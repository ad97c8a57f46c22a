package hub

import (
	"fmt"
	"testing"
)

// TestBoundsAsSet: the bounds of Options are the ones in force, and negative
// ones of a user are none.
func TestBoundsAsSet(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), MaxListeners: 2, MaxStreamsPerUser: 1, MaxRoomsPerUser: 1})
		listen(t, h, alice, ListenOptions{})
		l := listen(t, h, alice, ListenOptions{})
		_, err := h.Listen(t.Context(), bob, ListenOptions{})
		wantCode(t, err, Full, "")
		l.Close()
		listen(t, h, bob, ListenOptions{})

		begin(t, h, alice, Draft{})
		_, _, err = h.Stream(t.Context(), alice, Draft{})
		wantCode(t, err, Full, "")
		begin(t, h, bob, Draft{})

		open(t, h, alice, RoomSpec{Name: "one"})
		_, _, err = h.OpenRoom(t.Context(), alice, RoomSpec{Name: "two"})
		wantCode(t, err, Full, "room")
		open(t, h, bob, RoomSpec{Name: "two"})
	})
	t.Run("none of a user", func(t *testing.T) {
		h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), MaxStreamsPerUser: -1, MaxRoomsPerUser: -1})
		for range 2 * maxUserStreams {
			begin(t, h, alice, Draft{})
		}
		for i := range maxOwnRooms + 1 {
			open(t, h, alice, RoomSpec{Name: fmt.Sprintf("r%d", i)})
		}
	})
}
