//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"wigwag/transport/sse"
)

// rest reads a stream to its end and returns its last event, and all that it
// held.
func rest(events *sse.Reader) (last sse.Event, all string) {
	var b strings.Builder
	for {
		ev, err := events.Next()
		if err != nil {
			return last, b.String()
		}
		last = ev
		b.WriteString(ev.Name + " " + string(ev.Data) + "\n")
	}
}

// On SIGTERM a server first is no longer ready and serves on, then refuses what
// is new, on new connections and on those it has, while what runs finishes and
// can be resumed and what listens ends; then it exits with 0.
func TestDrainOfAProcess(t *testing.T) {
	p, process := spawn(t, withPassword, "--drain-delay=3s", "--drain-timeout=50s")
	u := admit(t, p)
	session := u.session(t)

	streamed := `{"message":"a b c d e f","interval_ms":2000}` // takes ten seconds
	plain := u.post(t, "/mcp", call(1, "stream_message", streamed))
	running, _ := opened(t, plain)
	events, _ := opened(t, u.get(t, "/events?types=message"))
	listening, _ := opened(t, u.listen(t))
	older, endpoint := opened(t, u.get(t, "/sse"))
	if resp := u.post(t, string(endpoint.Data), call(3, "wait_for_messages", `{"timeout_s":50,"mentions_only":true}`)); resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	own, _ := opened(t, u.get(t, "/mcp", session))
	broken := u.post(t, "/mcp", call(4, "stream_message", streamed), session)
	_, primed := opened(t, broken)
	broken.Body.Close() // to be fetched later

	kept := user{p, newClient(t), u.auth} // with one connection
	kept.client.Transport.(*http.Transport).MaxConnsPerHost = 1
	ask := func() (*http.Response, bool) {
		var reused bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/mcp", strings.NewReader(call(7, "list_rooms", `{}`)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", strings.TrimPrefix(u.auth, "Authorization: "))
		resp, err := kept.client.Do(req)
		if err != nil {
			t.Fatalf("on a connection that is kept: %v", err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(text))
		return resp, reused
	}
	if resp, _ := ask(); resp.StatusCode != http.StatusOK || resp.Close {
		t.Fatalf("before: %d, closed %t", resp.StatusCode, resp.Close)
	}

	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "/readyz fails", func() bool {
		return request(t, u.client, "GET", p.url+"/readyz", "").StatusCode == http.StatusServiceUnavailable
	})
	if resp, reused := ask(); resp.StatusCode != http.StatusOK || resp.Close || !reused {
		t.Errorf("during the delay: %d, closed %t, on the connection of before %t", resp.StatusCode, resp.Close, reused)
	}

	eventually(t, "a call is refused", func() bool {
		resp, reused := ask()
		if resp.StatusCode == http.StatusOK {
			return false
		}
		refused(t, "a call on a connection that is kept", resp, http.StatusServiceUnavailable)
		if !resp.Close || !reused {
			t.Errorf("a refused call: closed %t, on the connection of before %t", resp.Close, reused)
		}
		return true
	})
	for name, resp := range map[string]*http.Response{
		"events":     u.get(t, "/events"),
		"/sse":       u.get(t, "/sse"),
		"GET":        u.get(t, "/mcp", session),
		"listen":     u.listen(t),
		"initialize": u.post(t, "/mcp", initialize),
		"in session": u.post(t, "/mcp", call(7, "list_rooms", `{}`), session),
		"no session": u.post(t, "/mcp", call(7, "list_rooms", `{}`), "Mcp-Session-Id: nobodys"),
		"login":      request(t, u.client, "POST", p.url+"/api/login", `{"username":"admin","password":"wrong wrong"}`),
	} {
		refused(t, name, resp, http.StatusServiceUnavailable)
		if !resp.Close {
			t.Errorf("%s: the connection stays", name)
		}
	}
	if resp := request(t, u.client, "GET", p.url+"/healthz", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %d", resp.StatusCode)
	}

	if last, all := rest(events); last.Name != "shutdown" || last.Retry < time.Second || last.Retry > 3*time.Second {
		t.Errorf("/events ends with %+v after %s", last, all)
	}
	if last, all := rest(own); last.Retry == 0 {
		t.Errorf("the session's stream ends with %+v after %s", last, all)
	}
	_, all := rest(listening)
	inOrder(t, "the listen", all, "notifications/cancelled", `"resultType":"complete"`)
	resumed := u.get(t, "/mcp", session, "Last-Event-ID: "+primed.ID)
	_, all = rest(sse.NewReader(resumed.Body, 1<<20))
	inOrder(t, "the call resumed", all, `"delta":"a "`, `"delta":"f"`, `"id":4,"result"`)
	_, all = rest(running)
	inOrder(t, "the call", all, `"delta":"b "`, `"delta":"f"`, `"id":1,"result"`)
	_, all = rest(older)
	inOrder(t, "HTTP+SSE", all, `"messages":[]`)

	<-p.exited // the test's own bound
	if p.code != 0 || strings.Contains(p.logs(), "cut off") || strings.Contains(p.logs(), "were closed") {
		t.Errorf("exit code %d: %s", p.code, p.logs())
	}
	inOrder(t, "the log", p.logs(), "draining", "stopped")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(t).Do(req); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v", err)
	}
}

// What does not end within --drain-timeout is ended, with an answer that says
// so.
func TestDrainCutsOff(t *testing.T) {
	p, process := spawn(t, withPassword, "--drain-timeout=1s")
	u := admit(t, p)
	running, _ := opened(t, u.post(t, "/mcp", call(1, "stream_message", `{"message":"a b c d e f g h i j k l m n o p","interval_ms":2000}`)))
	began := time.Now()
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if last, _ := rest(running); !bytes.Contains(last.Data, []byte(`"id":1,"error"`)) || !bytes.Contains(last.Data, []byte("shutting down")) {
		t.Errorf("the call ends with %s", last.Data)
	}
	<-p.exited
	if took := time.Since(began); p.code != 0 || took > 15*time.Second { // the call would take 30
		t.Errorf("exit code %d after %v: %s", p.code, took, p.logs())
	}
	if !strings.Contains(p.logs(), "cut off") {
		t.Errorf("it is not logged: %s", p.logs())
	}
}

// A reader that does not read does not hold up the end.
func TestDrainOfAStuckReader(t *testing.T) {
	p, process := spawn(t, nil, "--auth=none", "--memory", "--drain-timeout=2s", "--write-timeout=1h")
	u := user{p, newClient(t), "X-Nothing: x"}
	stuck := user{p, newClient(t), u.auth}
	stuck.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}
	opened(t, stuck.get(t, "/events")) // and no more is read
	for range 100 {                    // more than the system buffers, as little as it is let
		if resp := u.post(t, "/mcp", call(1, "send_message", `{"message":"`+strings.Repeat("x", 60_000)+`"}`)); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	began := time.Now()
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	took := time.Since(began)
	t.Logf("ended after %v", took)
	if p.code != 0 || took > 15*time.Second || !strings.Contains(p.logs(), "were closed") {
		t.Errorf("exit code %d after %v: %s", p.code, took, p.logs())
	}
}

// A second signal ends at once.
func TestSecondSignal(t *testing.T) {
	p, process := spawn(t, nil, "--auth=none", "--drain-delay=1h")
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `"msg":"(draining)`)
	eventually(t, "it ends", func() bool {
		if err := process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case <-p.exited:
			return true
		default:
			return false
		}
	})
	if p.code == 0 || strings.Contains(p.logs(), "stopped") {
		t.Errorf("exit code %d: %s", p.code, p.logs())
	}
}

// Without a certificate to load again SIGHUP is a terminal that was closed.
func TestHangup(t *testing.T) {
	p, process := spawn(t, nil, "--auth=none")
	if err := process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if p.code != 0 || !strings.Contains(p.logs(), "stopped") {
		t.Errorf("exit code %d: %s", p.code, p.logs())
	}
}
