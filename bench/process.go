package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// started is a target that runs, in a process of its own.
type started struct {
	addr  string // host:port
	path  string // of the MCP endpoint
	token string // "" where none is wanted
	pid   int
	stop  func() error // ends it and waits until it has ended
}

// greeting is what a target says on stdout once it listens.
type greeting struct {
	Addr  string `json:"addr"`
	Token string `json:"token"`
}

// runtimeSettings are the same for every target. A GOGC of 400 is what wigwag
// sets for itself.
func runtimeSettings(procs int) []string {
	return []string{"GOGC=400", "GOMAXPROCS=" + strconv.Itoa(procs)}
}

// startSelf runs this program a second time, as the target of that name.
func startSelf(ctx context.Context, name string, env []string) (*started, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(append(os.Environ(), targetEnv+"="+name), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var hello greeting
	s, err := start(ctx, cmd, out, func(line []byte) bool { return json.Unmarshal(line, &hello) == nil })
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", name, err)
	}
	s.addr, s.token, s.path = hello.Addr, hello.Token, "/mcp"
	return s, nil
}

var listening = regexp.MustCompile(`msg=listening .*\burl=(\S+)`)

// startWigwag runs the built wigwag and signs in as its only user.
func startWigwag(ctx context.Context, program string, args, env []string) (*started, error) {
	const password = "only-for-the-benchmark"
	cmd := exec.CommandContext(ctx, program, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(append(os.Environ(), "WIGWAG_ADMIN_PASSWORD="+password, "WIGWAG_CALL_RATE=0", "WIGWAG_SEND_RATE=0"), env...)
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	var base string
	s, err := start(ctx, cmd, out, func(line []byte) bool {
		match := listening.FindSubmatch(line)
		if match == nil {
			return false
		}
		base = string(match[1])
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	u, err := url.Parse(base)
	if err == nil {
		s.addr, s.path = u.Host, "/mcp"
		s.token, err = signIn(ctx, base, password)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// start starts a process and waits until a line of its output is the one.
func start(ctx context.Context, cmd *exec.Cmd, out io.Reader, isIt func(line []byte) bool) (*started, error) {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience // then it is killed
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	ended := make(chan struct{})
	go func() { // ends with the process, whose output it reads to the end
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if isIt != nil && isIt(lines.Bytes()) {
				said <- nil
				isIt = nil
			}
		}
		if isIt != nil {
			said <- errors.New("it ended before it listened")
		}
	}()
	s := &started{pid: cmd.Process.Pid, stop: func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		<-ended
		return cmd.Wait()
	}}
	late := time.NewTimer(patience)
	defer late.Stop()
	var err error
	select {
	case err = <-said:
	case <-ctx.Done():
		err = ctx.Err()
	case <-late.C:
		err = fmt.Errorf("it did not listen within %v", patience)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func signIn(ctx context.Context, base, password string) (string, error) {
	body := strings.NewReader(`{"username":"admin","password":"` + password + `"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/login", body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("signing in: %s, %w", res.Status, err)
	}
	return answer.Token, nil
}

// cpuTime is what a process has used so far, in user and in system mode, by the
// count of Linux: 100 ticks a second.
func cpuTime(pid int) (time.Duration, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	stat, err := os.ReadFile(path) //nolint:gosec // of a process started here
	if err != nil {
		return 0, err
	}
	ticks, err := parseStat(string(stat))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// parseStat returns utime + stime, fields 14 and 15 of proc_pid_stat(5). The
// program's name, in parentheses, may hold anything.
func parseStat(stat string) (ticks int, err error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // from the third on
	if len(fields) < 13 {
		return 0, fmt.Errorf("%q has too few fields", stat)
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return user + system, err
}
