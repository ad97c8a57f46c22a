//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// On SIGHUP the certificate is loaded again, and connections stay; one that
// cannot be used changes nothing.
func TestCertificateReload(t *testing.T) {
	certFile, keyFile, oldRoots := certificate(t)
	nextCert, nextKey, nextRoots := certificate(t)
	p, process := spawn(t, withPassword, "--tls-cert", certFile, "--tls-key", keyFile)
	shaking := func(roots *x509.CertPool) error {
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "https://"))
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	serves := func(what string, roots, not *x509.CertPool) {
		t.Helper()
		if err := shaking(roots); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := shaking(not); err == nil {
			t.Errorf("%s: the other certificate is served", what)
		}
	}
	hangUp := func() {
		t.Helper()
		if err := process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, from string) {
		t.Helper()
		if err := os.Rename(from, name); err != nil {
			t.Fatal(err)
		}
	}
	logged := func(text string, n int) {
		t.Helper()
		eventually(t, "it logs "+text, func() bool { return strings.Count(p.logs(), text) == n })
	}

	serves("at first", oldRoots, nextRoots)
	logged("ends soon", 1) // in an hour
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: oldRoots}}
	t.Cleanup(tr.CloseIdleConnections)
	client := &http.Client{Transport: tr}
	auth := login(t, client, p)
	events, _ := opened(t, request(t, client, "GET", p.url+"/events?types=message", "", auth))

	put(certFile, nextCert)
	hangUp()
	logged("private key does not match", 1) // the key is still the old one
	logged("was not reloaded", 1)
	serves("with half of it", oldRoots, nextRoots)

	put(keyFile, nextKey)
	hangUp()
	logged("TLS certificate loaded", 2)
	serves("with the next", nextRoots, oldRoots)

	write(t, certFile, "nonsense")
	hangUp()
	logged("was not reloaded", 2)
	serves("with nonsense", nextRoots, oldRoots)
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	hangUp()
	logged("was not reloaded", 3)
	serves("without a key", nextRoots, oldRoots)

	next := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: nextRoots}}
	t.Cleanup(next.CloseIdleConnections)
	sent := request(t, &http.Client{Transport: next}, "POST", p.url+"/mcp", call(1, "send_message", `{"message":"hello"}`), auth)
	if got, err := io.ReadAll(sent.Body); err != nil || sent.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s, %v", sent.StatusCode, got, err)
	}
	if ev, err := events.Next(); err != nil || ev.Name != "message" {
		t.Errorf("the stream of before has %s, %v", ev.Name, err)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.logs())
	}
}
