package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"time"
)

// loopback is a port of this machine on which the browser brings the answer to
// an authorization request (RFC 8252, section 7.3).
type loopback struct {
	address string // for redirect_uri
	state   string // that the answer must carry
	issuer  string // that must have given it (RFC 9207)
	answers chan answered
	server  *http.Server
	done    chan struct{}
}

// answered is an answer to the authorization request.
type answered struct{ code, refused string }

func listenForCode(ctx context.Context, issuer string) (*loopback, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no port of this machine can be listened on: %w", err)
	}
	l := &loopback{
		address: fmt.Sprintf("http://%s/callback", listener.Addr()), state: rand.Text(), issuer: issuer,
		answers: make(chan answered, 1), done: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", l.serve)
	l.server = &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10}
	go func() { // ends with close
		defer close(l.done)
		_ = l.server.Serve(listener) // always ErrServerClosed: nothing else closes the listener
	}()
	return l, nil
}

// serve takes the first answer to our own request. Others may send what they
// like: it is refused, and the wait goes on.
func (l *loopback) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(l.state)) != 1 || q.Get("iss") != l.issuer {
		w.WriteHeader(http.StatusBadRequest)
		writePage(w, "That is not the answer to what was asked for. Start again with wigwag login.")
		return
	}
	a := answered{code: q.Get("code")}
	text := "Done. You can close this page and go back to the terminal."
	if a.code == "" {
		a.refused = oneLine(cmp.Or(q.Get("error_description"), q.Get("error"), "the answer holds no code"))
		text = "You are not signed in. The terminal says why; you can close this page."
	}
	select {
	case l.answers <- a:
	default: // the first one counts
	}
	writePage(w, text)
}

// writePage writes a page of one line, which must be a constant.
func writePage(w http.ResponseWriter, text string) {
	const begin, end = `<!doctype html><html lang="en"><head><meta name="color-scheme" content="light dark"><title>wigwag</title></head><body><p>`, "</p></body></html>\n"
	_, _ = w.Write([]byte(begin + text + end)) // fails only when the browser is gone
}

// wait returns the code that the browser brings.
func (l *loopback) wait(ctx context.Context) (code string, err error) {
	select {
	case a := <-l.answers:
		if a.refused != "" {
			return "", fmt.Errorf("not signed in: %s", a.refused)
		}
		return a.code, nil
	case <-ctx.Done():
		if context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // the cause itself
			return "", fmt.Errorf("nobody signed in within %d minutes: run wigwag login again", int(signInWithin.Minutes()))
		}
		return "", errors.New("interrupted: nobody is signed in")
	}
}

// close ends the port, once the page that was asked for last is written.
func (l *loopback) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close()
	}
	<-l.done
}

// systemBrowser is what opens an address here.
func systemBrowser() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	default:
		return []string{"xdg-open"}
	}
}

// openBrowser starts a program with an address. It does not wait for its end.
func openBrowser(program []string, address string) error {
	cmd := exec.Command(program[0], append(program[1:], address)...) //nolint:gosec,noctx // the user's own; it outlives this one
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
