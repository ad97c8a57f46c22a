package auth

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// dial opens a connection on which nothing waits for more than ten seconds.
func dial(t *testing.T, srv *httptest.Server) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Whoever is refused cannot hold the connection by not sending the body it
// announced.
func TestRefusedAtOnceWithoutBody(t *testing.T) {
	logger, _ := newLogger()
	srv := httptest.NewServer(Bearer(BearerOptions{Verifier: newTokens(t, newKey(t)), Logger: logger})(unreachable(t)))
	t.Cleanup(srv.Close)
	conn := dial(t, srv)
	if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn) // to the end: the server hangs up
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("answer %q", answer)
	}
}

// A refusal does not cost the connection, nor bound what follows on it.
func TestConnectionGoesOnAfterRefusal(t *testing.T) {
	logger, _ := newLogger()
	tokens := newTokens(t, newKey(t), "alice")
	token, _ := issue(t, tokens, "alice", "")
	late := make(chan struct{})
	srv := httptest.NewServer(Bearer(BearerOptions{Verifier: tokens, Logger: logger})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-late:
		case <-r.Context().Done():
			t.Error("the refusal's deadline ended a later request")
		}
		w.WriteHeader(http.StatusNoContent)
	})))
	t.Cleanup(srv.Close)
	conn := dial(t, srv)
	buffered := bufio.NewReader(conn)
	for _, auth := range []string{"", "Authorization: Bearer " + token + "\r\n"} {
		if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n%s\r\n{}", auth); err != nil {
			t.Fatal(err)
		}
		if auth != "" {
			time.AfterFunc(bodyGrace+bodyGrace/2, func() { close(late) })
		}
		res, err := http.ReadResponse(buffered, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if want := map[bool]int{true: 401, false: 204}[auth == ""]; res.StatusCode != want {
			t.Errorf("status %d, want %d", res.StatusCode, want)
		}
	}
}

// Refusals cost an attacker nothing, so their lines are rationed; what the
// client sent appears in them in part at most.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := newLogger()
		refused := newRefusals(logger)
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/"+strings.Repeat("a", 5000)+"?access_token=secret", nil)
		for range 1000 {
			refused.log(r, "reason")
		}
		if n := strings.Count(logs.String(), "request refused"); n != 10 {
			t.Errorf("%d lines at once", n)
		}
		pass(time.Second)
		refused.log(r, "reason")
		refused.log(r, "reason")
		out := logs.String()
		if n := strings.Count(out, "request refused"); n != 11 || !strings.Contains(out, "not_logged=990") {
			t.Errorf("%d lines after a second, the last: %s", n, out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
		}
		if len(out) > 11*400 || strings.Contains(out, "secret") {
			t.Errorf("%d bytes in the log", len(out))
		}
	})
}
