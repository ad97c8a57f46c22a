package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wigwag/clients/servertest"
)

// TestMain makes the test binary a target too.
func TestMain(m *testing.M) {
	if name := os.Getenv(targetEnv); name != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := serveTarget(ctx, name, os.Getenv(profileEnv), os.Stdout)
		stop()
		if err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error()+"\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(servertest.Main(m))
}

// TestEveryTarget runs the whole program with a few requests for each.
func TestEveryTarget(t *testing.T) {
	defer goleak.VerifyNone(t)
	profiles := t.TempDir()
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"-rounds", "2", "-duration", "1m", "-requests", "3", "-connections", "2",
		"-wigwag", os.Getenv("WIGWAG_BINARY"), "-cpuprofile", profiles,
	}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(out.String(), "`)\n")
	for i, s := range scenarios() {
		if !strings.HasSuffix(sections[i], "(`"+s.name) {
			t.Fatalf("no table of %s:\n%s", s.name, &out)
		}
		for _, target := range targets() {
			serves := strings.Contains(" "+strings.Join(target.scenarios, " ")+" ", " "+s.name+" ")
			if has := strings.Contains(sections[i+1], "\n| "+target.name+" |"); has != serves {
				t.Errorf("%s has a row of %s: %t, want %t\n%s", s.name, target.name, has, serves, sections[i+1])
			}
		}
	}
	files, err := os.ReadDir(profiles)
	if err != nil || len(files) != 16 {
		t.Errorf("%d profiles, want one for each of the 16 rows that are not of wigwag serve; %v", len(files), err)
	}
}

// TestFloorIsFair compares what a client gets of the floor and of wigwag: the
// floor answers with as many bytes, give or take a tenth.
func TestFloorIsFair(t *testing.T) {
	pairs := map[string]string{"plain": "wigwag", "modern": "wigwag", "burst": "wigwag", "send": "serve-memory"}
	for _, s := range scenarios() {
		size := func(name string) int {
			all, err := choose("targets", targets(), name, targetName)
			if err != nil {
				t.Fatal(err)
			}
			p, err := all[0].start(t.Context(), &s, &options{procs: 1, wigwag: os.Getenv("WIGWAG_BINARY")})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.stop(); err != nil {
					t.Error(err)
				}
			}()
			c, err := newClient(t.Context(), &s, p, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.dial(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer c.hangUp()
			if _, _, err := c.call(); err != nil {
				t.Fatal(err)
			}
			n := 0
			for m := range c.res.messages() {
				n += len(m)
			}
			return n
		}
		least, ours := size(floorName), size(pairs[s.name])
		if 10*least < 9*ours || 10*least > 11*ours {
			t.Errorf("%s: the floor answers with %d bytes of messages, %s with %d", s.name, least, pairs[s.name], ours)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-targets floor,nobody", `-targets: there is no "nobody"; allowed are floor, wigwag, wigwag-forgetful, mcp-go, go-sdk, serve-memory, serve-always`},
		{"-scenarios slow", `-scenarios: there is no "slow"; allowed are plain, modern, burst, send`},
		{"-connections 33", "-connections from 1 to 32"},
		{"-rounds -1", "must be more than zero"},
		{"floor", `"floor": there are no arguments`},
	} {
		if _, err := parseOptions(strings.Fields(tt.args), io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
	o, err := parseOptions([]string{"-quick", "-rounds", "5", "-targets", "wigwag,floor"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 5 || o.duration != 800*time.Millisecond || strings.Join(names(o.targets, targetName), ",") != "floor,wigwag" || len(o.scenarios) != 4 {
		t.Errorf("got %+v", o)
	}
}

func TestTargetEndsBeforeItListens(t *testing.T) {
	if _, err := startSelf(t.Context(), "nobody", nil); err == nil || !strings.Contains(err.Error(), "ended before it listened") {
		t.Errorf("got %v", err)
	}
}
