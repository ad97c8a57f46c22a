// Package proxied uses the built program through nginx and Caddy, with the
// configurations that docs/proxies.md shows.
package proxied

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"wigwag/clients/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// patience bounds every wait of a test.
const patience = time.Minute

// host is the one that docs/proxies.md uses.
const host = "chat.example.com"

// through runs a test through each proxy: what serve is started with beyond what
// the page says is in args.
func through(t *testing.T, args []string, test func(t *testing.T, f *front)) {
	t.Helper()
	for name, configure := range map[string]func(*front, *testing.T) []string{"nginx": (*front).nginx, "caddy": (*front).caddy} {
		t.Run(name, func(t *testing.T) {
			needs(t, name)
			test(t, newFront(t, configure, args))
		})
	}
}

// needs skips a test when a program of the system is missing, or fails it where
// it is known to be there.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("WIGWAG_REQUIRE_TOOLS") == "1" {
		t.Fatalf("%s is missing", program)
	}
	t.Skipf("%s is missing", program)
}

// front is a server and the proxy in front of it.
type front struct {
	server    string // host and port of wigwag
	https     string // of the proxy
	http      string
	roots     *x509.CertPool
	dir       string // with the files of the proxy
	page      string // docs/proxies.md
	configure func(*front, *testing.T) []string
	proxy     *proxy
}

func newFront(t *testing.T, configure func(*front, *testing.T) []string, args []string) *front {
	t.Helper()
	page, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{page: string(page), dir: t.TempDir(), configure: configure}
	f.certificate(t)
	f.serve(t, args)
	f.startProxy(t)
	return f
}

// block is the one of a language on the page.
func (f *front) block(t *testing.T, language string) string {
	t.Helper()
	found := regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```\n").FindAllStringSubmatch(f.page, -1)
	if len(found) != 1 {
		t.Fatalf("docs/proxies.md has %d blocks of %s", len(found), language)
	}
	return found[0][1]
}

// adapted is a block with what holds on this machine in place of what the page
// says. All of it must occur, and but once.
func (f *front) adapted(t *testing.T, language string, instead map[string]string) string {
	t.Helper()
	text := f.block(t, language)
	for said, holds := range instead {
		if n := strings.Count(text, said); n != 1 {
			t.Fatalf("docs/proxies.md has %q %d times in its block of %s", said, n, language)
		}
		text = strings.Replace(text, said, holds, 1)
	}
	return text
}

// serve starts wigwag as the page says, but on a free port and in memory.
func (f *front) serve(t *testing.T, args []string) {
	t.Helper()
	line := strings.Fields(f.adapted(t, "sh", map[string]string{"--addr 127.0.0.1:8080": "--memory"}))
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context())) // t.Context ends before the cleanups
	t.Cleanup(kill)
	p, listens, err := servertest.Launch(ctx, append(line[2:], args...)...) // without "wigwag serve"
	if err != nil {
		t.Fatal(err)
	}
	if !listens {
		t.Fatalf("wigwag %s ended:\n%s", strings.Join(line, " "), p.Logs())
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of wigwag serve:\n%s", p.Logs())
		}
	})
	f.server = p.Addr
}

// startProxy starts the proxy on free ports, and tries again where another
// program was quicker to take one.
func (f *front) startProxy(t *testing.T) {
	t.Helper()
	const tries = 5
	for range tries {
		f.https, f.http = freePort(t), freePort(t)
		if f.runProxy(t) {
			return
		}
	}
	t.Fatalf("the proxy did not start:\n%s", f.proxy.log())
}

// restartProxy starts the proxy that was stopped again, where it was.
func (f *front) restartProxy(t *testing.T) {
	t.Helper()
	if !f.runProxy(t) {
		t.Fatalf("the proxy did not start again:\n%s", f.proxy.log())
	}
}

func (f *front) runProxy(t *testing.T) (listens bool) {
	t.Helper()
	f.proxy = runProxy(t, f.dir, f.configure(f, t))
	return f.proxy.listens(t, f.https) && f.proxy.listens(t, f.http)
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// nginx writes its files and returns its command. The file that includes the
// page's has what Debian's has that matters here.
func (f *front) nginx(t *testing.T) []string {
	t.Helper()
	f.write(t, "wigwag.conf", f.adapted(t, "nginx", map[string]string{
		"server 127.0.0.1:8080;":        "server " + f.server + ";",
		"listen 80;":                    "listen " + f.http + ";",
		"listen 443 ssl http2;":         "listen " + f.https + " ssl http2;",
		"/etc/ssl/chat.example.com.pem": f.path("cert.pem"),
		"/etc/ssl/chat.example.com.key": f.path("key.pem"),
	}))
	var temporary strings.Builder
	for _, module := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", module, f.path(module))
	}
	f.write(t, "nginx.conf", "daemon off;\nmaster_process off;\npid "+f.path("pid")+";\nevents { worker_connections 768; }\n"+
		"http {\nsendfile on;\ntcp_nopush on;\ngzip on;\naccess_log off;\n"+temporary.String()+"include "+f.path("wigwag.conf")+";\n}\n")
	return []string{"nginx", "-e", "stderr", "-c", f.path("nginx.conf")}
}

// caddy writes its file and returns its command.
func (f *front) caddy(t *testing.T) []string {
	t.Helper()
	port := func(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
	f.write(t, "Caddyfile", "{\nadmin off\ndefault_bind 127.0.0.1\nhttp_port "+port(f.http)+"\nhttps_port "+port(f.https)+"\n}\n"+
		f.adapted(t, "caddyfile", map[string]string{
			"127.0.0.1:8080":                f.server,
			"/etc/ssl/chat.example.com.pem": f.path("cert.pem"),
			"/etc/ssl/chat.example.com.key": f.path("key.pem"),
		})+"\n")
	return []string{"caddy", "run", "--config", f.path("Caddyfile"), "--adapter", "caddyfile"}
}

func (f *front) path(name string) string { return filepath.Join(f.dir, name) }

func (f *front) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificate makes one for the host, which the clients trust.
func (f *front) certificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	f.write(t, "cert.pem", string(cert))
	f.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	f.roots = x509.NewCertPool()
	f.roots.AppendCertsFromPEM(cert)
}

// proxy is a process of nginx or Caddy.
type proxy struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it is gone

	mu     sync.Mutex
	output bytes.Buffer // guarded by mu
}

// runProxy runs a command until the test ends, or [proxy.stop].
func runProxy(t *testing.T, dir string, command []string) *proxy {
	t.Helper()
	p := &proxy{ended: make(chan struct{})}
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context())) // t.Context ends before the cleanups
	p.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		kill()
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // it is told to end
		close(p.ended)
	}()
	t.Cleanup(func() {
		kill()
		<-p.ended
		if t.Failed() {
			t.Logf("log of %s:\n%s", command[0], p.log())
		}
	})
	return p
}

// Write takes what the process writes.
func (p *proxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *proxy) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// kill ends the process at once, and with it all connections.
func (p *proxy) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.ended
}

// listens waits until something does at an address, or the process is gone.
func (p *proxy) listens(t *testing.T, addr string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		select {
		case <-p.ended: // also when another program answered
			return false
		case <-ctx.Done():
			return false
		case <-again.C:
			if err == nil {
				return true
			}
		}
	}
}
