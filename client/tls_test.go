package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// secure is a server with a certificate of its own, over HTTP/2.
func secure(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports who does not trust it
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections() // Close waits for those that are in use
		server.Close()
	})
	return server
}

// TestHTTP2: texts and events go over it as they come.
func TestHTTP2(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lines := make(chan string)
	server := secure(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("it is %s", r.Proto)
		}
		if r.Method == http.MethodGet {
			stream(greeting(), message("e-1"), never)(w, r)
			return
		}
		for text := bufio.NewScanner(r.Body); text.Scan(); {
			lines <- text.Text()
		}
		answer(201, streamed)(w, r)
	})
	transport := newTransport((&net.Dialer{}).DialContext)
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	defer transport.CloseIdleConnections()
	c := New(Options{Server: server.URL, HTTP: &http.Client{Transport: transport}})

	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Stream(ctx, Target{}, reader)
		ended <- err
	}()
	for _, line := range []string{"one", "two"} { // the next only once the first has arrived
		if _, err := io.WriteString(writer, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-lines; got != line {
			t.Errorf("got %s", got)
		}
	}
	_ = writer.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for ev, err := range c.Listen(ctx, ListenOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Message != nil {
			break
		}
	}
	if ctx.Err() != nil {
		t.Error("the message did not come")
	}

	t.Run("gone", func(t *testing.T) {
		reader, writer := io.Pipe()
		defer writer.Close()
		go func() {
			_, err := c.Stream(ctx, Target{}, reader)
			ended <- err
		}()
		if _, err := io.WriteString(writer, "one\n"); err != nil {
			t.Fatal(err)
		}
		<-lines
		server.CloseClientConnections()
		if err := <-ended; !errors.Is(err, ErrInterrupted) || ctx.Err() != nil {
			t.Errorf("%v", err)
		}
	})
}

// TestCertificate: a server that is not trusted, or that speaks no TLS, is not
// tried again.
func TestCertificate(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	never := func(http.ResponseWriter, *http.Request) { t.Error("something was asked") }
	_, err := New(Options{Server: secure(t, never).URL}).Rooms(ctx)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || passing(err) {
		t.Errorf("not trusted: %v", err)
	}
	plain := httptest.NewServer(http.HandlerFunc(never))
	defer plain.Close()
	_, err = New(Options{Server: strings.Replace(plain.URL, "http:", "https:", 1)}).Rooms(ctx)
	if err == nil || passing(err) || ctx.Err() != nil {
		t.Errorf("no TLS: %v", err)
	}
}
