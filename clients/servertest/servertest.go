// Package servertest runs the built wigwag program for tests that use it from
// outside, as its users do.
package servertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaryEnv names the program to test. [Main] sets it to one it has built,
// unless it is set already.
const binaryEnv = "WIGWAG_BINARY"

// patience bounds every wait. It only has to be longer than the slowest
// machine takes.
const patience = time.Minute

// Main builds wigwag, the way the tests themselves were built (with the race
// detector or without), runs the tests of m, and returns the code to exit with.
// Call it from TestMain.
func Main(m *testing.M) int {
	if os.Getenv(binaryEnv) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "wigwag-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "wigwag")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(binaryEnv, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(binary string) error {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	if err := readSources(root); err != nil {
		return err
	}
	args := []string{"build", "-buildvcs=false", "-o", binary}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "-race" && setting.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	cmd := exec.CommandContext(context.Background(), "go", append(args, "./cmd/wigwag")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building wigwag: %w\n%s", err, out)
	}
	return nil
}

// readSources lists every directory the program is built from. go test notes
// what a test reads, so a result is not taken from its cache once the program
// has changed.
func readSources(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		name := entry.Name()
		if path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "bin") {
			return filepath.SkipDir
		}
		return nil
	})
}

// Server is a running wigwag serve.
type Server struct {
	URL   string // of its root, without a slash at the end
	Token string // bearer token of the user admin, good for an hour
}

// Start runs wigwag serve with more args on a free port of 127.0.0.1 and signs
// in. When the test ends the server is told to stop and must exit with 0; if
// the test failed, its log is shown.
func Start(t *testing.T, args ...string) *Server {
	t.Helper()
	const password = "not-a-secret-in-tests"
	ctx, terminate := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, os.Getenv(binaryEnv),
		append([]string{"serve", "--addr", "127.0.0.1:0", "--auth=token", "--memory"}, args...)...)
	cmd.Env = append(os.Environ(), "WIGWAG_ADMIN_PASSWORD="+password)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience // then it is killed
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := &serverLog{url: make(chan string, 1), ended: make(chan struct{})}
	go log.read(stderr)
	t.Cleanup(func() {
		terminate()
		<-log.ended
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("wigwag serve, told to stop: %s (%v)", cmd.ProcessState, err)
		}
		if t.Failed() {
			t.Logf("log of wigwag serve:\n%s", log.String())
		}
	})

	server := &Server{}
	select {
	case server.URL = <-log.url:
	case <-log.ended:
		t.Fatal("wigwag serve ended before it listened")
	case <-time.After(patience):
		t.Fatal("wigwag serve did not say where it listens")
	}
	server.Token = signIn(t, server.URL, password)
	return server
}

// serverLog is what a server writes on stderr.
type serverLog struct {
	url   chan string   // gets the address once it is known
	ended chan struct{} // closed when the server has closed its stderr

	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *serverLog) read(stderr io.Reader) {
	defer close(l.ended)
	listening := regexp.MustCompile(`msg=listening .*\burl=(\S+)`)
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		l.mu.Lock()
		l.text.WriteString(line)
		l.mu.Unlock()
		if match := listening.FindStringSubmatch(line); match != nil {
			select {
			case l.url <- strings.TrimSuffix(match[1], "/"):
			default: // it is known already
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func signIn(t *testing.T, url, password string) string {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"username":"admin","password":%q}`, password))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/login", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("signing in: %s, token %q, %v", res.Status, answer.Token, err)
	}
	return answer.Token
}
