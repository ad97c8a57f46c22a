package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wigwag/transport/sse"
)

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

const password = "correct horse battery"

var withPassword = []string{"WIGWAG_ADMIN_PASSWORD=" + password}

// request makes a request with the given headers ("Name: value").
func request(t *testing.T, client *http.Client, method, url, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// newClient makes a client of its own, whose connections end with the test.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// login returns the Authorization header of the admin.
func login(t *testing.T, client *http.Client, p *program) string {
	t.Helper()
	resp := request(t, client, "POST", p.url+"/api/login", fmt.Sprintf(`{"username":"admin","password":%q}`, password))
	var answer struct {
		Token     string `json:"token"`
		Type      string `json:"token_type"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" || answer.Type != "Bearer" || answer.ExpiresIn != 3600 {
		t.Fatalf("login: %d, %+v, %v", resp.StatusCode, answer, err)
	}
	return "Authorization: Bearer " + answer.Token
}

func call(id int, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":%d}}}`, id, tool, arguments, id)
}

const both = "Accept: application/json, text/event-stream"

// AUTH-CHECKLIST lines 3 and 6, MCP-CHECKLIST line 8: on every route and with
// every method a token is asked for before anything else.
func TestEveryRouteWantsAToken(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	token := strings.TrimPrefix(login(t, client, p), "Authorization: Bearer ")
	for _, path := range []string{"/mcp", "/sse", "/messages", "/messages?sessionId=x"} {
		for _, method := range []string{"GET", "POST", "DELETE", "PUT", "PATCH"} {
			for name, resp := range map[string]*http.Response{
				"nothing":     request(t, client, method, p.url+path, ""),
				"cookie":      request(t, client, method, p.url+path, "", "Cookie: token="+token+"; auth_token="+token),
				"query":       request(t, client, method, p.url+path+"?token="+token+"&access_token="+token, ""),
				"other token": request(t, client, method, p.url+path, "", "Authorization: Bearer "+token+"x"),
			} {
				if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s %s with %s: %d, WWW-Authenticate %q", method, path, name, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
				}
			}
		}
	}
	for _, secret := range []string{token, password} {
		if strings.Contains(p.logs(), secret) {
			t.Error("the log holds a secret")
		}
	}
}

// MCP-CHECKLIST line 2.
func TestForeignHostAndOrigin(t *testing.T) {
	p := start(t, nil, "--auth=none", "--allowed-origin=http://tool.example:6274", "--allowed-host=wigwag.internal:8080")
	client := newClient(t)
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for header, want := range map[string]int{
		"X-Nothing: x":                                      200,
		"Origin: " + p.url:                                  200,
		"Origin: http://tool.example:6274":                  200,
		"Origin: http://evil.example":                       403,
		"Origin: null":                                      403,
		"Host: wigwag.internal:8080":                        200,
		"Host: evil.example":                                403,
		"Host: 127.0.0.1.evil.example":                      403,
		"Host: " + strings.TrimPrefix(p.url, "http://"):     200,
		"Origin: " + strings.Replace(p.url, "http", "x", 1): 403,
	} {
		if resp := request(t, client, "POST", p.url+"/mcp", list, header); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d: %s", header, resp.StatusCode, want, body(t, resp))
		}
	}
	preflight := request(t, client, "OPTIONS", p.url+"/mcp", "", "Origin: http://tool.example:6274",
		"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, mcp-param-x")
	if got := preflight.Header.Get("Access-Control-Allow-Origin"); got != "http://tool.example:6274" {
		t.Errorf("preflight of an allowed origin: %d, allowed origin %q", preflight.StatusCode, got)
	}
}

func TestSmallRoutes(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 404, "/mcp/x": 404, "/api/nothing": 404} {
		resp := request(t, client, "GET", p.url+path, "")
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
		if want == 404 && resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: 404 as %s", path, resp.Header.Get("Content-Type"))
		}
	}
}

// On SIGTERM a running call finishes, a wait ends with what there is, listens end
// with a farewell, and the exit code is 0.
func TestDrain(t *testing.T) {
	p := start(t, withPassword)
	client := newClient(t)
	auth := login(t, client, p)
	streaming := request(t, client, "POST", p.url+"/mcp", call(1, "stream_message", `{"message":"one two three four five","interval_ms":100}`), auth, both)
	parts := sse.NewReader(streaming.Body, 1<<20)
	if _, err := parts.Next(); err != nil { // it runs
		t.Fatal(err)
	}
	waiting := request(t, client, "POST", p.url+"/mcp",
		`{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"resourcesListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		auth, both, "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen")
	older := request(t, client, "GET", p.url+"/sse", "", auth)
	olderEvents := sse.NewReader(older.Body, 1<<20)
	endpoint, err := olderEvents.Next()
	if err != nil {
		t.Fatal(err)
	}
	if resp := request(t, client, "POST", p.url+string(endpoint.Data), call(3, "wait_for_messages", `{"timeout_s":50,"mentions_only":true}`), auth); resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.logs())
	}

	var last sse.Event
	n := 1
	for ; ; n++ {
		ev, err := parts.Next()
		if err != nil {
			break
		}
		last = ev
	}
	if n != 6 || !bytes.Contains(last.Data, []byte(`"message":"one two three four five"`)) {
		t.Errorf("of the running call %d events arrived, the last %s", n, last.Data)
	}
	events := body(t, waiting)
	order := []string{"notifications/subscriptions/acknowledged", "notifications/cancelled", `"resultType":"complete"`}
	for rest, i := events, 0; i < len(order); i++ {
		_, after, ok := strings.Cut(rest, order[i])
		if !ok {
			t.Fatalf("the listen does not end with %q in order: %s", order, events)
		}
		rest = after
	}
	answer, err := olderEvents.Next()
	if err != nil || !bytes.Contains(answer.Data, []byte(`"messages":[]`)) {
		t.Errorf("the wait was not answered: %s, %v", answer.Data, err)
	}
	if strings.Contains(p.logs(), "cut off") {
		t.Errorf("something was cut off: %s", p.logs())
	}
}

// A connection on which nothing was ever asked does not hold up the end.
func TestDrainUnusedConnection(t *testing.T) {
	p := start(t, withPassword)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if resp := request(t, newClient(t), "GET", p.url+"/healthz", ""); resp.StatusCode != http.StatusOK { // by now it is accepted
		t.Fatal(resp.Status)
	}
	if p.stop(); strings.Contains(p.logs(), "were closed") {
		t.Error(p.logs())
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestHTTP2(t *testing.T) {
	certFile, keyFile, roots := certificate(t)
	t.Run("TLS", func(t *testing.T) {
		p := start(t, withPassword, "--tls-cert", certFile, "--tls-key", keyFile)
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		t.Cleanup(tr.CloseIdleConnections)
		streams(t, &http.Client{Transport: tr}, p)
	})
	t.Run("h2c", func(t *testing.T) {
		p := start(t, withPassword)
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(tr.CloseIdleConnections)
		streams(t, &http.Client{Transport: tr}, p)
	})
}

// streams makes a plain and a streaming call over HTTP/2.
func streams(t *testing.T, client *http.Client, p *program) {
	t.Helper()
	auth := login(t, client, p)
	plain := request(t, client, "POST", p.url+"/mcp", call(1, "send_message", `{"message":"hello"}`), auth)
	if got := body(t, plain); plain.ProtoMajor != 2 || !strings.Contains(got, `"room":"general"`) {
		t.Fatalf("%s: %s", plain.Proto, got)
	}
	streamed := request(t, client, "POST", p.url+"/mcp", call(2, "stream_message", `{"message":"a b c"}`), auth, both)
	if got := body(t, streamed); strings.Count(got, "notifications/progress") != 3 {
		t.Fatalf("%d: %s", streamed.StatusCode, got)
	}
}

// certificate makes a certificate for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wigwag test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, certFile, string(certPEM))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, roots
}
