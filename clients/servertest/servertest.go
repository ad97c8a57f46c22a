// Package servertest runs the built wigwag program for tests that use it from
// outside, as its users do.
package servertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// BinaryEnv is the environment variable with the path of the program to test.
// [Main] sets it to one it has built, unless it is set already.
const BinaryEnv = "WIGWAG_BINARY"

// patience bounds every wait. It only has to be longer than the slowest
// machine takes.
const patience = 2 * time.Minute

// Main builds wigwag, the way the tests themselves were built (with the race
// detector or without), runs the tests of m, and returns the code to exit with.
// Call it from TestMain.
func Main(m *testing.M) int {
	if os.Getenv(BinaryEnv) != "" {
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
	if err := os.Setenv(BinaryEnv, binary); err != nil {
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
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context())) // t.Context ends before the cleanups
	t.Cleanup(kill)
	p, listens, err := Launch(ctx, append([]string{"--memory"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if !listens {
		t.Fatalf("wigwag serve ended before it listened:\n%s", p.Logs())
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
	return &Server{URL: p.URL, Token: SignIn(t, p.URL)}
}

// SignIn returns a bearer token of the user admin, good for an hour, of the
// server at a URL.
func SignIn(t *testing.T, url string) string {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"username":"admin","password":%q}`, Password))
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
