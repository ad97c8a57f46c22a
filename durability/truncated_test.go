//go:build linux

package durability_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestTruncated cuts off a file of the folder between two runs, while a listener
// waits to come back. Either the program says why it does not start, or the
// listener goes on: with what is missing, if nothing is lost, else after a reset.
func TestTruncated(t *testing.T) {
	rounds := 4
	if *full {
		rounds = 100
	}
	r := random(t)
	for i := range rounds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, "--data", dir)
			user := s.as("admin", password)
			var heard []message
			for n := range 20 + r.IntN(20) {
				user.send(t, "general", fmt.Sprintf("message %d", n))
			}
			half := user.hear(t, "0", func(m message) bool { heard = append(heard, m); return len(heard) < 20 })
			if half != "" {
				t.Fatalf("the first to listen gets a reset: %s", half)
			}
			all := user.history(t, "general")
			s.Kill()
			cutOff(t, r, dir, i%2 == 0)

			s, listens := launch(t, "--data", dir)
			if !listens {
				said := s.Logs()
				t.Logf("refused: %s", strings.TrimSpace(said))
				if s.Code <= 0 || !strings.Contains(said, "data folder "+dir) || !strings.Contains(said, "damaged") {
					t.Errorf("it ended with %d", s.Code)
				}
				return
			}
			user = s.as("admin", password)
			var (
				rest []message
				sent string
			)
			reset := user.hear(t, heard[len(heard)-1].ID, func(m message) bool {
				rest = append(rest, m)
				return m.ID != sent
			}, func() { sent = user.send(t, "general", "after the restart") })
			there := user.history(t, "general")
			t.Logf("%d of %d messages are left; reset: %q", len(there)-1, len(all), reset)
			for i, m := range there[:len(there)-1] {
				if i >= len(all) || m.Message != all[i].Message {
					t.Errorf("as message %d there is %v", i, m)
				}
			}
			if reset == "" {
				if !slices.Equal(there[:len(there)-1], all) {
					t.Errorf("without a reset %d of %d messages are left", len(there)-1, len(all))
				}
				if want := there[len(heard):]; !slices.Equal(rest, want) {
					t.Errorf("the listener that goes on hears %v, not %v", rest, want)
				}
				return
			}
			if len(rest) != 1 {
				t.Errorf("after the reset the listener hears %v, not only what is new", rest)
			}
			var again []message
			if reset := user.hear(t, reset, func(m message) bool { again = append(again, m); return m.ID != sent }); reset != "" {
				t.Errorf("the cursor that the reset gave gets a reset: %s", reset)
			}
			if !slices.Equal(again, there) {
				t.Errorf("from the cursor that the reset gave the listener hears %v, not %v", again, there)
			}
		})
	}
}

// hear follows the messages after a cursor until took returns false. If the
// cursor led nowhere, it returns the oldest that does. It runs begun once the
// stream has begun, and with it the reset.
func (c *client) hear(t *testing.T, after string, took func(message) bool, begun ...func()) (oldest string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := false
	err := c.listen(ctx, after, func(ev event) bool {
		switch ev.kind {
		case "reset":
			var reset struct{ Oldest string }
			if err := json.Unmarshal([]byte(ev.data), &reset); err != nil || reset.Oldest == "" {
				t.Errorf("the reset is %s (%v)", ev.data, err)
			}
			oldest = reset.Oldest
		case "message":
			var m message
			if err := json.Unmarshal([]byte(ev.data), &m); err != nil || m.ID != ev.id {
				t.Errorf("the ID %q came with %s (%v)", ev.id, ev.data, err)
			}
			return took(m)
		case "system":
			if !began && len(begun) > 0 {
				begun[0]()
			}
			began = true
		}
		return true
	})
	if err != nil {
		t.Fatalf("listening after %q: %v", after, err)
	}
	return oldest
}
