package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// residentMemory is what a process has of its own in memory, in bytes.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "RssAnon:")
	words := strings.Fields(after)
	if len(words) < 2 || words[1] != "kB" {
		t.Fatalf("there is no RssAnon in %s", text)
	}
	n, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// tightLimit is what the server of these tests may use.
const tightLimit = 64 << 20

// Under floods memory stays near its limit: what is new is refused, who is there
// is served, and afterwards all is as before.
func TestMemoryLimitHolds(t *testing.T) {
	// Without the race detector, which needs memory of its own.
	binary := filepath.Join(t.TempDir(), "wigwag")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil { //nolint:gosec // of the test's own
		t.Fatalf("%v: %s", err, out)
	}
	t.Run("listeners", func(t *testing.T) { floodOfListeners(t, binary) })
	t.Run("bodies", func(t *testing.T) { floodOfBodies(t, binary) })
}

func floodOfListeners(t *testing.T, binary string) {
	const limit = tightLimit
	p, process := spawnFrom(t, binary, nil, "--auth=none", "--memory", "--memory-limit=64MiB", "--heartbeat=1s", "--max-streams=100000")
	u := user{p, newClient(t), "X-Nothing: x"}
	mine := u.get(t, "/events?types=message")
	lines := bufio.NewScanner(mine.Body)
	has := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the stream ends before %q: %v", text, lines.Err())
	}
	has("connected")

	var (
		flood    []net.Conn
		let, not int
		most     int64
	)
	defer func() {
		for _, conn := range flood {
			_ = conn.Close()
		}
	}()
	for len(flood) < 8000 && not < 500 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		flood = append(flood, conn)
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := fmt.Fprintf(conn, "GET /events HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(p.url, "http://")); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			let++
		} else if not++; not == 1 {
			resp.Request = mine.Request
			refused(t, "one more listener", resp, http.StatusServiceUnavailable)
		}
		if len(flood)%100 == 0 {
			most = max(most, residentMemory(t, process.Pid))
		}
	}
	most = max(most, residentMemory(t, process.Pid))
	t.Logf("%d let in, %d refused; %d MiB at most of %d", let, not, most>>20, limit>>20)
	if not < 500 || let < 100 || most > limit*5/4 {
		t.Errorf("%d let in, %d refused; %d MiB at most:\n%s", let, not, most>>20, p.logs())
	}
	refused(t, "a call", u.post(t, "/mcp", call(7, "list_rooms", `{}`)), http.StatusServiceUnavailable)
	refused(t, "initialize", u.post(t, "/mcp", initialize), http.StatusServiceUnavailable)
	refused(t, "/sse", u.get(t, "/sse"), http.StatusServiceUnavailable)
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp := u.get(t, path); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	has("keep-alive")

	for _, conn := range flood {
		_ = conn.Close()
	}
	eventually(t, "a call is let in again", func() bool {
		return u.post(t, "/mcp", call(7, "send_message", `{"message":"still here"}`)).StatusCode == http.StatusOK
	})
	has("still here")
	if n := strings.Count(p.logs(), "memory is short"); n < 1 || n > 20 {
		t.Errorf("logged %d times", n)
	}
}

// Bodies that come slowly, all at the same time and each within --max-body, are
// more together than there is memory.
func floodOfBodies(t *testing.T, binary string) {
	p, process := spawnFrom(t, binary, nil, "--auth=none", "--memory", "--memory-limit=64MiB")
	host := strings.TrimPrefix(p.url, "http://")
	const size, chunk, connections = 4 << 20, 64 << 10, 100
	flood := make([]net.Conn, connections)
	for i := range flood {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		flood[i] = conn
		if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", host, size); err != nil {
			t.Fatal(err)
		}
	}
	var most int64
	refused := 0
	for sent := 0; sent < size-chunk; sent += chunk { // never whole
		for i, conn := range flood {
			if conn == nil {
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			if _, err := conn.Write(make([]byte, chunk)); err != nil {
				refused++
				_ = conn.Close()
				flood[i] = nil
			}
		}
		most = max(most, residentMemory(t, process.Pid))
	}
	flood = slices.DeleteFunc(flood, func(conn net.Conn) bool { return conn == nil })
	for _, conn := range flood {
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		head := make([]byte, 12)
		_, err := io.ReadFull(conn, head)
		if string(head) == "HTTP/1.1 503" || errors.Is(err, syscall.ECONNRESET) {
			refused++
		}
	}
	t.Logf("%d of %d refused; %d MiB at most of %d", refused, connections, most>>20, tightLimit>>20)
	// Collecting may come late where others use the processor; unguarded it would
	// be six times the limit.
	if refused < connections/2 || most > tightLimit*2 {
		t.Errorf("%d of %d refused; %d MiB at most:\n%s", refused, connections, most>>20, p.logs())
	}
	for _, conn := range flood {
		_ = conn.Close()
	}
	u := user{p, newClient(t), "X-Nothing: x"}
	eventually(t, "a call is let in again", func() bool {
		return u.post(t, "/mcp", call(7, "list_rooms", `{}`)).StatusCode == http.StatusOK
	})
}
