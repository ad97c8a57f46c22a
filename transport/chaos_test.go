package transport_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"wigwag/transport"
)

// TestChaos: clients of one session do everything at once: call, hang up,
// cancel, come back, listen, end the session. Whatever is answered belongs to
// who asked, nothing hangs, and nothing is left behind (TestMain looks).
func TestChaos(t *testing.T) {
	const clients, rounds = 6, 40
	l := newLab(t, transport.Options{})
	var mu sync.Mutex
	session := l.open("2025-11-25")
	current := func() string {
		mu.Lock()
		defer mu.Unlock()
		return session
	}
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(c))) //nolint:gosec // the same every time
			for r := range rounds {
				id := fmt.Sprintf("%d-%d", c, r)
				own := current()
				x := l.post(own, countCall([]string{"count", "count_by_mcp_go"}[rnd.IntN(2)], id, rnd.IntN(40)))
				switch rnd.IntN(6) {
				case 0: // leave, and come back
					if x.head().Header.Get("Content-Type") != "text/event-stream" {
						break
					}
					ev, _ := x.event()
					x.hangUp()
					x = l.get(own + "\nLast-Event-ID: " + ev.ID)
				case 1:
					l.post(own, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"`+id+`"}}`).finish()
				case 2:
					l.get(own)
				case 3:
					l.srv.ResourcesListChanged(func(string) bool { return true })
				case 4:
					if rnd.IntN(4) == 0 {
						l.send(http.MethodDelete, "/mcp", own, "").finish()
						opened := l.open("2025-11-25")
						mu.Lock()
						session = opened
						mu.Unlock()
					}
				case 5:
					x.hangUp()
					continue
				}
				checkOwn(t, x, id)
			}
		})
	}
	all.Wait()
}

// checkOwn checks that an answer says nothing of other requests.
func checkOwn(t *testing.T, x *exchange, id string) {
	t.Helper()
	a := x.finish()
	if a.status >= http.StatusInternalServerError {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	for line := range strings.Lines(a.body) {
		data, ok := strings.CutPrefix(line, "data: {")
		if ok && !strings.Contains(data, `"id":"`+id+`"`) && !strings.Contains(data, `"progressToken":"`+id+`"`) {
			t.Errorf("%s was told %s", id, data)
		}
	}
}
