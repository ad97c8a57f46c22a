package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wigwag/auth"
	"wigwag/clients/servertest"
)

// patience bounds every wait. It only has to be longer than the slowest machine
// takes.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// lab is a server with alice, who has something to lose, bob, whom she talks
// to, and mallory. All are members; admin is the administrator.
type lab struct {
	t   *testing.T
	url string
	dir string
	web *http.Client

	admin, alice, bob, mallory user
}

// user is somebody with a token.
type user struct {
	lab         *lab
	name, token string
}

// start runs a server, with what further flags an attack is about.
func start(t *testing.T, args ...string) *lab {
	t.Helper()
	made, err := furnished()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: t.TempDir(), web: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{},
	}}
	t.Cleanup(l.web.CloseIdleConnections)
	if err := restore(made, l.dir); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(kill)
	p, listens, err := servertest.Launch(ctx, append(args, "--data", l.dir)...)
	if err != nil {
		t.Fatal(err)
	}
	if !listens {
		t.Fatalf("wigwag serve ended with %d:\n%s", p.Code, p.Logs())
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
	l.url = p.URL
	for name, u := range map[string]*user{"admin": &l.admin, "alice": &l.alice, "bob": &l.bob, "mallory": &l.mallory} {
		*u = user{l, name, made.tokens[name]}
	}
	return l
}

func passwordOf(name string) string { return "the password of " + name }

// furniture is what every server of a test begins with: a data folder with the
// users, as a backup, and a personal access token of each for all that they may
// do.
type furniture struct {
	folder map[string][]byte
	tokens map[string]string
}

// furnished makes it once: passwords are slow to hash.
var furnished = sync.OnceValues(func() (furniture, error) {
	dir, err := os.MkdirTemp("", "attack-")
	if err != nil {
		return furniture{}, err
	}
	defer os.RemoveAll(dir)
	made := furniture{map[string][]byte{}, map[string]string{}}
	for _, name := range []string{"admin", "alice", "bob", "mallory"} {
		role, scope := "member", "chat:write notify logs:read logs:write"
		if name == "admin" {
			role, scope = "admin", "admin"
		}
		if _, err := wigwag(dir, passwordOf(name), "user", "add", name, "--role", role, "--password-stdin"); err != nil {
			return furniture{}, err
		}
		token, err := wigwag(dir, "", "token", "create", "attack", "--user", name, "--scope", scope)
		if err != nil {
			return furniture{}, err
		}
		made.tokens[name] = strings.TrimSpace(token)
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		inside, err := filepath.Rel(dir, path)
		if err == nil {
			made.folder[inside], err = os.ReadFile(path) //nolint:gosec // of this test
		}
		return err
	})
	return made, err
})

// restore puts it into a folder.
func restore(f furniture, dir string) error {
	for name, text := range f.folder {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// wigwag runs a command on a data folder, with a line of input, and returns
// what it wrote on standard output.
func wigwag(dir, input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv("WIGWAG_BINARY"), append(args, "--data", dir)...) //nolint:gosec // the program under test
	cmd.Stdin = strings.NewReader(input + "\n")
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("wigwag %s: %w: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	return string(out), err
}

func (l *lab) wigwag(args ...string) string {
	l.t.Helper()
	out, err := wigwag(l.dir, "", args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// login returns somebody with a login token.
func (l *lab) login(name string) user {
	l.t.Helper()
	a := l.do("POST", "/api/login", fmt.Sprintf(`{"username":%q,"password":%q}`, name, passwordOf(name)))
	return user{l, name, a.field(l.t, "token")}
}

// answer is an HTTP answer, read in whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request of a stranger. Headers are "Name: value"; a body is JSON
// unless one says something else.
func (l *lab) do(method, path, body string, headers ...string) answer {
	l.t.Helper()
	a, err := l.try(l.t.Context(), method, path, body, headers...)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (l *lab) try(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	resp, err := l.open(ctx, method, path, body, headers...)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// open sends a request whose answer is a stream.
func (l *lab) open(ctx context.Context, method, path, body string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
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
	return l.web.Do(req)
}

// field returns a field of an answer in JSON.
func (a answer) field(t *testing.T, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	text, ok := fields[name].(string)
	if !ok || text == "" {
		t.Fatalf("no %s in %d %s", name, a.status, a.body)
	}
	return text
}

// want checks a status, and that an error says what was wrong.
func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("answered with %d, want %d: %s", a.status, status, a.body)
	}
	if status >= 400 && a.body == "" {
		t.Error("a refusal without a word")
	}
}

// bearer is a header with somebody's token.
func (u user) bearer() string { return "Authorization: Bearer " + u.token }

func (u user) do(method, path, body string, headers ...string) answer {
	u.lab.t.Helper()
	return u.lab.do(method, path, body, append(headers, u.bearer())...)
}

const accept = "Accept: application/json, text/event-stream"

// rpc sends a JSON-RPC request to /mcp, on its own unless headers name a session.
func (u user) rpc(method, params string, headers ...string) answer {
	u.lab.t.Helper()
	return u.do("POST", "/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params), append(headers, accept)...)
}

// call calls a tool.
func (u user) call(tool, arguments string) answer {
	u.lab.t.Helper()
	return u.rpc("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, tool, arguments))
}

// must calls a tool that has to do it, and returns the structured result.
func (u user) must(tool, arguments string) map[string]any {
	u.lab.t.Helper()
	a := u.call(tool, arguments)
	var reply struct {
		Result struct {
			IsError           bool
			StructuredContent map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.body), &reply); err != nil || reply.Result.IsError || reply.Result.StructuredContent == nil {
		u.lab.t.Fatalf("%s by %s: %d %s", tool, u.name, a.status, a.body)
	}
	return reply.Result.StructuredContent
}

// session begins an MCP session and returns its ID as a header.
func (u user) session() string {
	u.lab.t.Helper()
	a := u.rpc("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"attack","version":"1"}}`)
	id := a.header.Get("Mcp-Session-Id")
	if id == "" {
		u.lab.t.Fatalf("no session: %d %s", a.status, a.body)
	}
	return "Mcp-Session-Id: " + id
}

// same checks that what was asked of something that is there, but alice's, is
// answered as what is asked of something that is not there: the status and
// every word, but for the two names.
func same(t *testing.T, there, absent answer, thereName, absentName string) {
	t.Helper()
	if there.status != absent.status {
		t.Errorf("answered with %d, and what is not there with %d: %s", there.status, absent.status, there.body)
	}
	if got, want := strings.ReplaceAll(there.body, thereName, "NAME"), strings.ReplaceAll(absent.body, absentName, "NAME"); got != want {
		t.Errorf("answered\n%s\nand what is not there\n%s", got, want)
	}
	for _, name := range []string{"Www-Authenticate", "Content-Type", "Retry-After", "Location"} {
		if got, want := there.header.Get(name), absent.header.Get(name); got != want {
			t.Errorf("%s is %q, and for what is not there %q", name, got, want)
		}
	}
}

// events returns the audit, as the administrator reads it.
func (l *lab) events() []auth.Event {
	l.t.Helper()
	a := l.admin.do("GET", "/api/audit?limit=1000", "")
	var page struct{ Events []auth.Event }
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Events) == 0 {
		l.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return page.Events
}

// traced checks that the audit has a refusal of something that was asked for,
// by whom and from where. actor is empty for strangers.
func (l *lab) traced(action, actor, target string) {
	l.t.Helper()
	events := l.events()
	if !slices.ContainsFunc(events, func(e auth.Event) bool {
		return e.Action == action && e.Outcome != "ok" && e.Actor == actor && strings.Contains(e.Target+" "+e.Detail, target) && e.Remote == "127.0.0.1"
	}) {
		var b bytes.Buffer
		for _, e := range events {
			fmt.Fprintf(&b, "%+v\n", e)
		}
		l.t.Errorf("the audit has no %q by %q on %q:\n%s", action, actor, target, b.String())
	}
}

// untold checks that secrets are not in the audit.
func (l *lab) untold(secrets ...string) {
	l.t.Helper()
	audit := l.wigwag("audit")
	for _, secret := range secrets {
		if secret == "" || strings.Contains(audit, secret) {
			l.t.Errorf("the audit holds %q", secret)
		}
	}
}
