package load

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"wigwag/transport"
)

// Streams on which nothing happens cost no processor time.
func TestIdleStreamsAreIdle(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{MaxCallsPerUser: -1})
	for _, protocol := range protocols() {
		hc := newHTTP(t, protocol)
		for _, d := range dialects() {
			c := connect(t, hc, p, d) // on HTTP+SSE this is a stream
			if d.session && d.revision != oldest {
				req, err := c.get(bounded(t), "")
				if err != nil {
					t.Fatal(err)
				}
				got, err := send(hc, req)
				if err != nil || got.status != http.StatusOK {
					t.Fatalf("GET: %+v, %v", got, err)
				}
				defer got.close()
			}
			got, err := c.open(bounded(t), "held", "tools/call", toolCall("hold", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer got.close()
			if first, err := got.next(); err != nil || first.Method == "" {
				t.Fatalf("%s: hold: %v, %v", d, first, err)
			}
		}
		c := connect(t, hc, p, dialect{modern, false})
		got, err := c.open(bounded(t), "listen", "subscriptions/listen", listenToLists())
		if err != nil {
			t.Fatal(err)
		}
		defer got.close()
		if first, err := got.next(); err != nil || first.Method == "" {
			t.Fatalf("listen: %v, %v", first, err)
		}
	}
	const window = 2 * time.Second
	before := p.processorTime(t)
	<-time.After(window) // not for anything to happen, but for nothing to
	if used := p.processorTime(t) - before; used > window/10 {
		t.Errorf("with nothing but idle streams the server worked for %v out of %v", used, window)
	}
}

// processorTime is what the process has used so far.
func (p *process) processorTime(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	// The fields after the name, which ends with the last parenthesis: utime
	// and stime are the 12th and the 13th, in 1/100 s (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatalf("%q: %v", stat, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
