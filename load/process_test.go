package load

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"wigwag/transport"
)

// process is a running server.
type process struct {
	url   string // of its root, without a slash at the end
	token string // of admin of wigwag, of alice of the test server; "" with --auth=none
	pid   int
	roots *x509.CertPool // of its certificate; nil without TLS
	base  int            // file descriptors it had when nobody had connected
}

const password = "not-a-secret-in-tests"

// startWigwagWith runs wigwag serve with a data folder and another user than
// admin, whose token it returns.
func startWigwagWith(t *testing.T, user string, args ...string) (p *process, token string) {
	t.Helper()
	dir := t.TempDir()
	p = start(t, "WIGWAG_ADMIN_PASSWORD="+password, os.Getenv("WIGWAG_BINARY"),
		append([]string{"serve", "--addr", "127.0.0.1:0", "--data", dir, "--drain-timeout", "1s"}, args...)...)
	add := exec.CommandContext(bounded(t), os.Getenv("WIGWAG_BINARY"), "user", "add", user, "--password-stdin", "--data", dir)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("wigwag user add: %v: %s", err, out)
	}
	p.token = signIn(t, p.url, "admin", password)
	return p, signIn(t, p.url, user, password)
}

// startWigwag runs wigwag serve with the arguments and signs in.
func startWigwag(t *testing.T, args ...string) *process {
	t.Helper()
	p := start(t, "WIGWAG_ADMIN_PASSWORD="+password, os.Getenv("WIGWAG_BINARY"),
		append([]string{"serve", "--addr", "127.0.0.1:0", "--memory", "--drain-timeout", "1s", "--call-rate=0", "--send-rate=0"}, args...)...)
	if !slices.Contains(args, "--auth=none") {
		p.token = signIn(t, p.url, "admin", password)
	}
	return p
}

// signIn gets a token of a user of wigwag.
func signIn(t *testing.T, url, user, password string) string {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"username":%q,"password":%q}`, user, password))
	req, err := http.NewRequestWithContext(bounded(t), http.MethodPost, url+"/api/login", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true // the connection would count as a descriptor of the server
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("signing in: %s, %v", res.Status, err)
	}
	return answer.Token
}

// startTestServer runs the test server with the limits.
func startTestServer(t *testing.T, limits transport.Limits) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(limits)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, testServerEnv+"="+string(encoded), self)
	p.token = alice
	return p
}

// start runs a server until the test ends; then it is told to stop and must
// exit with 0, which it does not if the race detector found something.
func start(t *testing.T, env, program string, args ...string) *process {
	t.Helper()
	ctx, terminate := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience // then it is killed
	log := &serverLog{listening: make(chan string, 1)}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the state is looked at below
	}()
	t.Cleanup(func() {
		terminate()
		<-ended
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the server, told to stop: %s", cmd.ProcessState)
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", log)
		}
	})
	select {
	case url := <-log.listening:
		p := &process{url: url, pid: cmd.Process.Pid}
		p.base = p.descriptors(t)
		return p
	case <-ended:
		t.Fatal("the server ended before it listened")
	case <-bounded(t).Done():
		t.Fatal("the server did not say where it listens")
	}
	return nil
}

// serverLog is what a server writes on stderr.
type serverLog struct {
	listening chan string // gets the address

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	told bool         // guarded by mu
}

var listeningLine = regexp.MustCompile(`msg=listening .*\burl=(\S+).*\n`)

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.told {
		return len(p), nil
	}
	if match := listeningLine.FindSubmatch(l.text.Bytes()); match != nil {
		l.listening <- string(match[1])
		l.told = true
	}
	return len(p), nil
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// addr is where to dial.
func (p *process) addr() string {
	_, hostPort, _ := strings.Cut(p.url, "://")
	return hostPort
}

// descriptors counts the open file descriptors.
func (p *process) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// memory reads a size out of /proc/PID/status, in bytes: VmRSS is what is in
// use now, VmHWM the most there ever was.
func (p *process) memory(t *testing.T, field string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in %s", field, status)
	return 0
}

// resident is how much memory a server that holds so many bytes may use more
// than one that holds none: the collector lets garbage grow to the size of what
// is in use, and the race detector keeps a shadow of it all.
func resident(held int) int {
	const slack = 32 << 20 // stacks, buffers of connections, fragmentation
	bound := 2*held + slack
	if raceEnabled {
		bound *= 6
	}
	return bound
}

// withinLimit checks what the process has used at most against its
// --memory-limit. The race detector's own memory is no part of that.
func (p *process) withinLimit(t *testing.T, limit int) {
	t.Helper()
	if raceEnabled {
		limit *= 6
	}
	if most := p.memory(t, "VmHWM"); most > limit {
		t.Errorf("the server used %d MiB, and its limit is %d", most>>20, limit>>20)
	}
}

// goroutines asks the test server how many it has, and what they do.
func (p *process) goroutines(t *testing.T) (n int, profile string) {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, p.url+"/goroutines", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	profile = drain(res)
	if _, err := fmt.Sscanf(profile, "goroutine profile: total %d", &n); err != nil {
		t.Fatalf("%q: %v", profile, err)
	}
	return n, profile
}
