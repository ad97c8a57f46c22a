package hub

import (
	"fmt"
	"testing"
)

// TestBoundsAsSet: the bounds of Options are the ones in force, and negative
// ones of a user are none.
func TestBoundsAsSet(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		h := newHubWith(t, Options{Log: NewMemoryLog(8 << 20), MaxListeners: 2, MaxStreamsPerUser: 1, MaxRoomsPerUser: 1, MaxKeysPerUser: 1})
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

		use(t, h, "a")
		use(t, h, "b")
		if remembers(h, "a") || !remembers(h, "b") {
			t.Error("of two keys not the newer one is remembered")
		}
	})
	t.Run("none of a user", func(t *testing.T) {
		h := newHubWith(t, Options{Log: NewMemoryLog(8 << 20), MaxStreamsPerUser: -1, MaxRoomsPerUser: -1, MaxKeysPerUser: -1})
		for range 2 * maxUserStreams {
			begin(t, h, alice, Draft{})
		}
		for i := range maxOwnRooms + 1 {
			open(t, h, alice, RoomSpec{Name: fmt.Sprintf("r%d", i)})
		}
		use(t, h, "first")
		for i := range maxUserKeys {
			use(t, h, fmt.Sprint(i))
		}
		if !remembers(h, "first") {
			t.Error("a key is forgotten")
		}
	})
}

// use sends with a key.
func use(t *testing.T, h *Hub, key string) {
	t.Helper()
	if _, _, err := h.Send(t.Context(), alice, Draft{Text: "x", Key: key}); err != nil {
		t.Fatal(err)
	}
}

// remembers tells whether the key is known.
func remembers(h *Hub, key string) bool { return h.keys.get(alice.Name+"/"+hash("", key)).ID != "" }
