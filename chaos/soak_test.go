package chaos

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSoak lets one server live while its clients come, go and are cut off, and
// compares what it holds in the second quarter of the time with what it holds in
// the last: neither memory nor file descriptors nor goroutines may have grown.
// In the size of CI it shows little. What the server keeps for some minutes
// (what streams said, for ten) still fills up in a run of less than an hour, and
// may look like growth.
func TestSoak(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.behindProxy()
	metrics := freeAddr(r)
	r.server.args = append(r.server.args, "--metrics-addr", metrics)
	r.goOn(func() {
		wait(t.Context(), *lasts/4)
		early := r.least(metrics, *lasts/4)
		wait(t.Context(), *lasts/4)
		late := r.least(metrics, *lasts/4)
		t.Logf("first %s, then %s", early, late)
		// What clients have open differs from moment to moment; messages and
		// idempotency keys take some memory; the race detector takes more.
		if late.descriptors > early.descriptors+20 {
			t.Error("the descriptors grow")
		}
		if late.goroutines > early.goroutines+50 {
			t.Error("the goroutines grow")
		}
		if late.memory > early.memory*3/2+64<<20 {
			t.Error("the memory grows")
		}
	})
}

// holding is what a process holds.
type holding struct{ memory, descriptors, goroutines int }

func (h holding) String() string {
	return fmt.Sprintf("%d MiB, %d descriptors, %d goroutines", h.memory>>20, h.descriptors, h.goroutines)
}

// least is the least the server held at any moment of a time: what stays, not
// what comes and goes.
func (r *run) least(metrics string, during time.Duration) holding {
	r.t.Helper()
	least := holding{math.MaxInt, math.MaxInt, math.MaxInt}
	for end := time.Now().Add(during); time.Now().Before(end) || least.goroutines == math.MaxInt; {
		now, err := r.holds(metrics)
		if err != nil {
			r.t.Fatal(err)
		}
		least = holding{min(least.memory, now.memory), min(least.descriptors, now.descriptors), min(least.goroutines, now.goroutines)}
		wait(r.t.Context(), 50*time.Millisecond)
	}
	return least
}

func (r *run) holds(metrics string) (h holding, err error) {
	p := r.server.process()
	if h.memory, err = p.Memory(); err != nil {
		return h, err
	}
	if h.descriptors, err = p.Descriptors(); err != nil {
		return h, err
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+metrics+"/metrics", http.NoBody)
	if err != nil {
		return h, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return h, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return h, err
	}
	_, rest, _ := strings.Cut(string(text), "\ngo_goroutines ")
	_, err = fmt.Sscan(rest, &h.goroutines)
	return h, err
}
