package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wigwag/clients/browser"
)

// TestScripts runs testdata/script: the command line as it is used, in
// processes of its own, against a server that is one, too. Beside the commands
// of testscript there are
//
//	server [FLAG...]        starts wigwag serve on a free port, which is $URL
//	stop                    ends it
//	browse NAME PASSWORD    is a person at the browser that wigwag login opened
//	mode PERMISSIONS FILE   checks a file's
//	exits CODE PROGRAM...   is exec of a program that ends with this code
//	signed NAME [SCOPE]     is NAME, by a token in $WIGWAG_TOKEN
//
// The password of admin is $PASSWORD.
func TestScripts(t *testing.T) {
	t.Parallel() // after what measures the process
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := &script{t: t}
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: s.setup,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"server": s.server, "stop": s.stop, "browse": s.browse, "mode": s.mode, "exits": s.exits, "signed": s.signed,
				},
				RequireExplicitExec: true,
			})
		})
	}
}

type script struct {
	t       *testing.T
	program *program // nil where none runs
}

// setup makes the test's own binary the program, and a file the browser: it
// keeps the address for browse.
func (s *script) setup(env *testscript.Env) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(env.WorkDir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(bin, "wigwag")); err != nil {
		return err
	}
	opened := "#!/bin/sh\nprintf %s \"$1\" > \"$WORK/opened.part\" && mv \"$WORK/opened.part\" \"$WORK/opened\"\n"
	if err := os.WriteFile(filepath.Join(bin, "browser"), []byte(opened), 0o700); err != nil { //nolint:gosec // it is run
		return err
	}
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv(runMain, "1")
	env.Setenv("BROWSER", filepath.Join(bin, "browser"))
	env.Setenv("WORK", env.WorkDir)
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "kept"))
	env.Setenv("PASSWORD", password)
	env.Defer(func() {
		if s.program != nil {
			s.program.stop()
		}
	})
	return nil
}

func (s *script) server(ts *testscript.TestScript, neg bool, args []string) {
	if neg || s.program != nil {
		ts.Fatalf("usage: server [FLAG...], one at a time")
	}
	s.program, _ = spawn(s.t, withPassword, append(args, "--data", filepath.Join(ts.Getenv("XDG_DATA_HOME"), "wigwag"))...)
	ts.Setenv("URL", s.program.url)
}

func (s *script) stop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 || s.program == nil {
		ts.Fatalf("usage: stop, of a server")
	}
	if code := s.program.stop(); code != 0 {
		ts.Fatalf("the server ended with %d:\n%s", code, s.program.logs())
	}
	s.program = nil
}

func (s *script) browse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: browse NAME PASSWORD")
	}
	path := ts.MkAbs("opened")
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		address, err := os.ReadFile(path) //nolint:gosec // of this test
		if err == nil {
			_, err = browser.Person{Name: args[0], Password: args[1]}.Open(s.t.Context(), string(address))
			ts.Check(err)
			ts.Check(os.Remove(path))
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("no browser was opened within a minute")
		}
	}
}

func (s *script) mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode PERMISSIONS FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := info.Mode(); got.String() != args[0] && (got&fs.ModePerm).String() != args[0] {
		ts.Fatalf("%s has the permissions %s, want %s", args[1], got, args[0])
	}
}

func (s *script) exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("it exits with %d, not %s", code, args[0])
	}
}

func (s *script) signed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: signed NAME [SCOPE]")
	}
	create := []string{"token", "create", "script", "--user", args[0]}
	if len(args) == 2 {
		create = append(create, "--scope", args[1])
	}
	ts.Check(ts.Exec("wigwag", create...))
	ts.Setenv("WIGWAG_SERVER", s.program.url)
	ts.Setenv("WIGWAG_TOKEN", strings.TrimSpace(ts.ReadFile("stdout")))
}
