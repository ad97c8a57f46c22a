package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminalOf is a program on a terminal, and what it has written there.
type terminalOf struct {
	t      *testing.T
	master *os.File // what is typed, and what is shown
	slave  *os.File // the program's
	exited chan error

	mu    sync.Mutex
	shown bytes.Buffer
	seen  int // up to where see has looked
}

// onTerminal starts wigwag on a terminal of 60 columns.
func onTerminal(t *testing.T, env []string, args ...string) *terminalOf {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 60})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminalOf{t: t, master: master, slave: slave, exited: make(chan error, 1)}
	cmd := self(t, env, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process, which the test's context ends
		term.exited <- cmd.Wait()
	}()
	go func() { // ends when the terminal is closed
		_, _ = io.Copy(term, master)
	}()
	t.Cleanup(func() { _, _ = slave.Close(), master.Close() })
	return term
}

// self is this program as a process that the end of the test ends.
func self(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...) //nolint:gosec // the program
	cmd.Env = append(append(os.Environ(), runMain+"=1", "TERM=xterm", "TZ=UTC", "XDG_CONFIG_HOME="+t.TempDir()), env...)
	return cmd
}

func (p *terminalOf) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.Write(b)
}

func (p *terminalOf) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

func (p *terminalOf) typed(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// see waits until something is shown after what was seen before.
func (p *terminalOf) see(what string) {
	p.t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		all := p.all()
		if i := strings.Index(all[p.seen:], what); i >= 0 {
			p.seen += i + len(what)
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("%q is not shown, but %q", what, all[p.seen:])
		}
	}
}

// left waits for the end of the program, which is a good one.
func (p *terminalOf) left() {
	p.t.Helper()
	select {
	case err := <-p.exited:
		if err != nil {
			p.t.Fatalf("it ended with %v: %q", err, p.all()[p.seen:])
		}
	case <-time.After(time.Minute):
		p.t.Fatalf("it does not end: %q", p.all()[p.seen:])
	}
}

// settings are those of the terminal, such as whether it shows what is typed.
func (p *terminalOf) settings() unix.Termios {
	p.t.Helper()
	s, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *s
}

// A chat on a terminal: what is typed is sent, what is said is shown, also while
// it is written and after the server was away, and the terminal is left as it
// was.
func TestChatOnTerminal(t *testing.T) {
	data := t.TempDir()
	p := start(t, nil, "--auth=none", "--data", data)
	at, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"WIGWAG_SERVER=" + p.url, "NO_COLOR=1"}
	say(t, env, "said before")
	term := onTerminal(t, env, "chat")
	term.see("general anonymous: said before\r\n")
	term.see("-- general | connected")
	term.typed("Helli\x7fo 世界\r")
	term.see("general anonymous: Hello 世界\r\n")

	say(t, env, "\x1b]0;owned\x07\x1b[2Jharmless\u202e")
	term.see("general anonymous: harmless")

	// A text grows.
	text, written := writing(t, env)
	for _, part := range []string{"a text ", "that grows"} {
		put(t, text, part)
		term.see("is writing: ")
		term.see(strings.TrimSpace(part))
	}
	written()
	term.see("general anonymous: a text that grows\r\n")

	// The server goes away and comes back.
	if code := p.stop(); code != 0 {
		t.Fatalf("the server ended with %d: %s", code, p.logs())
	}
	term.see("reconnecting in ")
	term.typed("said meanwhile\r")
	term.see("sending 1")
	start(t, nil, "--auth=none", "--data", data, "--addr", at.Host)
	term.see("general anonymous: said meanwhile\r\n")
	term.see("-- general | connected")

	term.typed("/room nowhere\r")
	term.see(`"nowhere"`) // there is no such room, in lines as long as fit
	term.typed("\x04")
	term.left()
	if all := term.all(); strings.Contains(all, "\x1b]") || strings.Contains(all, "\x1b[2J") || strings.Contains(all, "\u202e") {
		t.Errorf("somebody steers the terminal: %q", all)
	}
}

// However a chat ends, the terminal is as it was before.
func TestChatLeavesTerminal(t *testing.T) {
	p := start(t, nil, "--auth=none", "--memory")
	for name, end := range map[string]func(*terminalOf){
		"Ctrl-C": func(term *terminalOf) { term.typed("half\x03") },
		"Ctrl-D": func(term *terminalOf) { term.typed("\x04") },
		"/quit":  func(term *terminalOf) { term.typed("/quit\r") },
	} {
		t.Run(name, func(t *testing.T) {
			term := onTerminal(t, []string{"WIGWAG_SERVER=" + p.url}, "chat")
			before := term.settings()
			term.see("connected")
			if during := term.settings(); during.Lflag&unix.ECHO != 0 {
				t.Error("the terminal shows what is typed by itself")
			}
			end(term)
			term.left()
			if after := term.settings(); after != before && before.Lflag&unix.ECHO != 0 {
				t.Errorf("the terminal was %v and is %v", before, after)
			}
			if after := term.settings(); after.Lflag&unix.ECHO == 0 {
				t.Error("the terminal does not show any more what is typed")
			}
			term.see("\x1b[?2004l")
		})
	}
}

// On a terminal tail shows what is being written in its last line, and then the
// message.
func TestTailOnTerminal(t *testing.T) {
	p := start(t, nil, "--auth=none", "--memory")
	env := []string{"WIGWAG_SERVER=" + p.url}
	say(t, env, "first")
	term := onTerminal(t, env, "tail", "--since=all", "--count=2", "--color=never")
	term.see("anonymous: first\r")
	text, written := writing(t, env)
	put(t, text, "It is ")
	term.see("is writing: It is")
	put(t, text, "written.")
	term.see("is writing: It is written.")
	written()
	term.see("anonymous: It is written.\r")
	term.left()
}

// writing starts wigwag stream, to which a text is written, until written ends it.
func writing(t *testing.T, env []string) (text io.WriteCloser, written func()) {
	t.Helper()
	cmd := self(t, env, "stream")
	text, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return text, func() {
		t.Helper()
		if err := errors.Join(text.Close(), cmd.Wait()); err != nil {
			t.Fatal(err)
		}
	}
}

func put(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func say(t *testing.T, env []string, text string) {
	t.Helper()
	cmd := self(t, env, "send")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Who presses Ctrl-C is told by the exit code, as by other programs. What had
// been sent of a text stays.
func TestTalkInterrupted(t *testing.T) {
	p := start(t, nil, "--auth=none", "--memory")
	env := []string{"WIGWAG_SERVER=" + p.url}
	say(t, env, "first")
	for _, args := range []string{"tail --since all", "stream --tee", "log --json", "chat"} {
		cmd := self(t, env, strings.Fields(args)...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		put(t, in, "half\n")
		if _, err := out.Read(make([]byte, 1024)); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		if strings.HasPrefix(args, "stream") { // what the room sees of it, it has
			if out, err := self(t, env, "tail", "--types=partial-message", "--count=1").Output(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != exitInterrupted {
			t.Errorf("%s: ended by Ctrl-C it exits with %v", args, cmd.ProcessState)
		}
		if strings.HasPrefix(args, "stream") {
			out, err := self(t, env, "tail", "--since=all", "--count=2", "--json").Output()
			if err != nil || !strings.Contains(string(out), `"message":"half\n"`) || !strings.Contains(string(out), `"interrupted":true`) {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
}
