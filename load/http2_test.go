package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wigwag/transport"
)

// startWigwagWithTLS runs wigwag serve with a certificate made for it.
func startWigwagWithTLS(t *testing.T, args ...string) *process {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "load"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startWigwag(t, append(args, "--tls-cert", certFile, "--tls-key", keyFile)...)
	p.roots = x509.NewCertPool()
	p.roots.AddCert(cert)
	return p
}

// newHTTP2 makes a client of HTTP/2 alone, with TLS where the server has it,
// that counts the connections it makes.
func newHTTP2(t *testing.T, p *process) (hc *http.Client, connections *atomic.Int32) {
	t.Helper()
	connections = new(atomic.Int32)
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			connections.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS12},
	}
	transport.Protocols.SetHTTP2(true)
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, connections
}

// forTLSAndClear runs a test of HTTP/2 with wigwag behind TLS and without.
func forTLSAndClear(t *testing.T, test func(t *testing.T, p *process)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T, ...string) *process{"TLS": startWigwagWithTLS, "h2c": startWigwag} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, "--auth=none"))
		})
	}
}

// All streams of a user share one connection, and each gets its own.
func TestManyStreamsOnOneConnection(t *testing.T) {
	t.Parallel()
	forTLSAndClear(t, func(t *testing.T, p *process) {
		hc, connections := newHTTP2(t, p)
		c := connect(t, hc, p, dialect{modern, false})
		got, err := c.do(bounded(t), "plain", "tools/list", nil)
		if err != nil || got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("a plain call: %d %v, %v", got.status, got.last, err)
		}
		var all sync.WaitGroup
		for range 100 / streamsOfAUser {
			for i := range streamsOfAUser {
				all.Go(func() {
					id := fmt.Sprint("stream", i)
					if err := c.streamMessage(bounded(t), id, words(id, 20), func() {}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%d connections were made, want 1", n)
		}
	})
}

// A stream whose reader gives no window is reset by the write deadline. The
// connection and its other streams go on.
func TestStuckStreamsOfAConnectionAreReset(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{WriteTimeout: time.Second})
	hc := newHTTP(t, "h2c")
	conn := dialH2(t, p, 0)
	open := make(map[uint32]string)
	for _, d := range dialects() {
		c := &client{dialect: d, url: p.url, token: p.token}
		if d.revision == oldest {
			req, err := c.getSSE(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			open[conn.request(req)] = "GET /sse"
			continue
		}
		c = connect(t, hc, p, d)
		for _, call := range []object{toolCall("burst", nil), toolCall("fill", object{"size": 1})} {
			req, err := c.request(bounded(t), fmt.Sprint(call["name"]), "tools/call", call)
			if err != nil {
				t.Fatal(err)
			}
			open[conn.request(req)] = fmt.Sprintf("%s %s", d, call["name"])
		}
		if d.revision == "2025-11-25" && d.session { // its stream begins with a priming event
			req, err := c.get(bounded(t), "")
			if err != nil {
				t.Fatal(err)
			}
			open[conn.request(req)] = "GET"
		}
		if d.revision == modern { // and this one with the acknowledgement
			req, err := c.request(bounded(t), "listen", "subscriptions/listen", listenToLists())
			if err != nil {
				t.Fatal(err)
			}
			open[conn.request(req)] = "listen"
		}
	}
	for len(open) > 0 {
		f, err := conn.next(frameResetStream, frameData, frameGoAway)
		if err != nil {
			t.Fatalf("%v; still open are %v", err, open)
		}
		if f.kind != frameResetStream {
			t.Fatalf("%v; still open are %v", f, open)
		}
		delete(open, f.stream)
	}
	conn.ping(t)
}

// A client that opens streams only to reset them (the "rapid reset") costs
// nothing once it is gone, and does not keep others from being served.
func TestRapidResetsLeaveNothing(t *testing.T) {
	t.Parallel()
	p := startTestServer(t, transport.Limits{})
	goroutines, _ := p.goroutines(t)
	flood(t, p, size(2000, 100_000), func(c *client, n int) (*http.Request, error) {
		return c.request(t.Context(), fmt.Sprint(n), "tools/call", toolCall("hold", nil))
	})
	p.becomesIdle(t, goroutines)
}

func TestRapidResetsOfWigwagLeaveNothing(t *testing.T) {
	t.Parallel()
	forTLSAndClear(t, func(t *testing.T, p *process) {
		flood(t, p, size(2000, 100_000), func(c *client, n int) (*http.Request, error) {
			return c.request(t.Context(), fmt.Sprint(n), "tools/call", toolCall("wait_for_messages", nil))
		})
		poll(t, "the descriptors to be closed", func() bool { return p.descriptors(t) <= p.base },
			func() string { return fmt.Sprintf("%d are open, %d were", p.descriptors(t), p.base) })
	})
}

// flood makes requests and resets them at once, on as many connections as the
// server makes necessary by closing them, and checks that another client is
// served all the while.
func flood(t *testing.T, p *process, requests int, request func(c *client, n int) (*http.Request, error)) {
	t.Helper()
	hc, _ := newHTTP2(t, p)
	other := connect(t, hc, p, dialect{modern, false})
	attacker := &client{dialect: dialect{modern, false}, url: p.url, token: p.token}
	if p.token == alice {
		attacker.token = bob
	}
	conn := dialH2(t, p, 1<<20)
	for n := range requests {
		req, err := request(attacker, n)
		if err != nil {
			t.Fatal(err)
		}
		conn.reset(conn.request(req))
		if conn.err != nil { // the server has had enough of it
			conn.Close()
			conn = dialH2(t, p, 1<<20)
		}
		if n%500 == 0 {
			other.isAlive(t)
		}
	}
	for n := range 20 { // and some that are running when the connection ends
		req, err := request(attacker, requests+n)
		if err != nil {
			t.Fatal(err)
		}
		conn.request(req)
	}
	conn.Close()
	other.isAlive(t)
	hc.CloseIdleConnections()
}
