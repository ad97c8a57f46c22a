package chaos

import (
	"slices"
	"strings"
	"testing"
)

// TestResume has the server end while the connection of a call is broken. What
// it could still finish when it was told to stop is there after the restart,
// every part of it; of what it could not the client is told that it failed, and
// may send it again with the same key. The session goes on.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(s *server)
		want outcome
	}{
		"stopped": {(*server).drain, answered},
		"killed":  {(*server).kill, refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRun(t)
			r.server.startOnce()
			ctx := t.Context()
			c := r.client("client", legacy)
			if err := c.open(ctx); err != nil {
				t.Fatal(err)
			}
			const parts = 8
			call := object{"name": "stream_message", "arguments": object{
				"message": strings.Repeat("part ", parts), "interval_ms": 100, "idempotency_key": "once",
			}}
			a, got, over := c.ask(ctx, "tools/call", call, 3)
			if over || a.last == "" || len(a.parts) == parts {
				t.Fatalf("%+v, %v: the answer is to break off after an event or two", got, a.parts)
			}
			test.end(r.server)
			r.server.start()

			got = a.resume(ctx)
			if got.outcome != test.want {
				t.Errorf("resumed, it is %s: %s; want %s", got.outcome, got.detail, test.want)
			}
			if all := []int{1, 2, 3, 4, 5, 6, 7, 8}; test.want == answered && !slices.Equal(a.parts, all) {
				t.Errorf("the parts %v came", a.parts)
			}
			if got = c.rpc(ctx, "tools/call", call, 0); got.outcome != answered {
				t.Errorf("sent again, it is %s: %s", got.outcome, got.detail)
			}
			page, err := c.read(ctx, rooms[0])
			if err != nil || len(page) != 1 {
				t.Errorf("stored are %v (%v)", page, err)
			}
			for _, complaint := range r.history.complaint {
				t.Error(complaint)
			}
		})
	}
}
