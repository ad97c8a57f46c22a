package servertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Password is that of the user admin of a [Process].
const Password = "not-a-secret-in-tests"

// Process is a run of wigwag serve that its test ends as it likes. It is killed
// when the context of [Launch] ends.
type Process struct {
	URL   string // of its root, without a slash at the end; "" if it never listened
	Addr  string // host and port it listens on; "" if it never did
	Pid   int
	Ended <-chan struct{} // closed when the process is gone
	Code  int             // its exit code, -1 after a signal; valid once Ended is closed

	cmd *exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer // what it wrote on standard error; guarded by mu
}

// Launch runs wigwag serve on a free port of 127.0.0.1, or as args say. It
// returns once the server listens, or has ended instead: then listens is false.
func Launch(ctx context.Context, args ...string) (p *Process, listens bool, err error) {
	ended := make(chan struct{})
	p = &Process{Ended: ended}
	args = append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json"}, args...)
	p.cmd = exec.CommandContext(ctx, os.Getenv(BinaryEnv), args...)
	p.cmd.Env = append(os.Environ(), "WIGWAG_ADMIN_PASSWORD="+Password)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, false, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, false, err
	}
	p.Pid = p.cmd.Process.Pid
	found := make(chan listening, 1)
	go p.read(stderr, found, ended) // until the process is gone
	select {
	case at := <-found:
		p.URL, p.Addr = strings.TrimSuffix(at.URL, "/"), at.Addr
		return p, true, nil
	case <-ended:
		return p, false, nil
	case <-time.After(patience):
		p.Kill()
		return nil, false, fmt.Errorf("wigwag serve neither listened nor ended:\n%s", p.Logs())
	}
}

// listening is the log entry that says that the server does.
type listening struct{ Msg, URL, Addr string }

// read takes what the server writes until it is gone.
func (p *Process) read(stderr io.Reader, at chan<- listening, ended chan<- struct{}) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.log.WriteString(line)
		p.mu.Unlock()
		var entry listening
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
			select {
			case at <- entry:
			default: // it is known already
			}
		}
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait() // how it ended is in its state
	p.Code = p.cmd.ProcessState.ExitCode()
	close(ended)
}

// Logs is what the process has written on standard error so far.
func (p *Process) Logs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Signal sends a signal. A process that is gone needs none.
func (p *Process) Signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// Kill ends the process as kill -9 does, and waits for its end.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Ended
}

// Stop ends the process as its operator does, by SIGTERM, and waits for its
// end, which must come before that of ctx and with the code 0.
func (p *Process) Stop(ctx context.Context) error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended:
	case <-ctx.Done():
		return fmt.Errorf("wigwag serve did not end after SIGTERM: %w", ctx.Err())
	}
	if p.Code != 0 {
		return fmt.Errorf("wigwag serve, told to stop, ended with %d", p.Code)
	}
	return nil
}

// Memory is what the process holds in memory, in bytes (VmRSS of /proc).
func (p *Process) Memory() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kilobytes int
	_, err = fmt.Sscanf(rest, "%d kB", &kilobytes)
	return kilobytes << 10, err
}

// Descriptors is how many file descriptors the process has open.
func (p *Process) Descriptors() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid))
	return len(entries), err
}
