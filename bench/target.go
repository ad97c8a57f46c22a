package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"time"
)

// targetEnv, set to the name of a target, makes this program that target's
// server instead; profileEnv is the file for its CPU profile.
const (
	targetEnv  = "WIGWAG_BENCH_TARGET"
	profileEnv = "WIGWAG_BENCH_CPUPROFILE"
)

// floorName is the target that all others are compared with.
const floorName = "floor"

// target is a server to be measured.
type target struct {
	name      string
	scenarios []string // that it can serve
	// serve makes the server for the URL that it will have. Nil for wigwag's
	// program itself.
	serve func(url string) (*backend, error)
	args  []string // of wigwag serve
	keeps bool     // it wants a data folder
	// ours: what it loses is a defect.
	ours bool
}

// backend is the server of a target in its process.
type backend struct {
	server *http.Server
	token  string       // to come with; "" where none is wanted
	close  func() error // what is left to end after the server
}

func targets() []target {
	calls := []string{"plain", "modern", "burst"}
	return []target{
		{name: floorName, scenarios: append(calls, "send"), serve: floor},
		{name: "wigwag", scenarios: calls, serve: wigwagDurable, ours: true},
		{name: "wigwag-forgetful", scenarios: calls, serve: wigwagForgetful, ours: true},
		{name: "mcp-go", scenarios: calls, serve: stockMCPGo},
		{name: "go-sdk", scenarios: calls, serve: stockGoSDK},
		{name: "serve-memory", scenarios: []string{"send"}, args: []string{"--memory"}, ours: true},
		{name: "serve-always", scenarios: []string{"send"}, args: []string{"--sync=always"}, keeps: true, ours: true},
	}
}

// start starts the target for a scenario. Stop it when done.
func (t *target) start(ctx context.Context, s *scenario, o *options) (*started, error) {
	env := runtimeSettings(o.procs)
	if t.serve != nil {
		if o.profiles != "" {
			env = append(env, profileEnv+"="+filepath.Join(o.profiles, t.name+"-"+s.name+".pprof"))
		}
		p, err := startSelf(ctx, t.name, env)
		if err == nil && t.name == "go-sdk" && s.revision == modern {
			p.path = sdkModernPath
		}
		return p, err
	}
	if !t.keeps {
		return startWigwag(ctx, o.wigwag, t.args, env)
	}
	data, err := os.MkdirTemp("", "wigwag-bench-")
	if err != nil {
		return nil, err
	}
	p, err := startWigwag(ctx, o.wigwag, append([]string{"--data", data}, t.args...), env)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(data))
	}
	stop := p.stop
	p.stop = func() error { return errors.Join(stop(), os.RemoveAll(data)) }
	return p, nil
}

// serveTarget is the second process: it serves the target of that name on a
// free port until ctx ends, and says on out where.
func serveTarget(ctx context.Context, name, profile string, out io.Writer) (err error) {
	all := targets()
	i := slices.IndexFunc(all, func(t target) bool { return t.name == name && t.serve != nil })
	if i < 0 {
		return fmt.Errorf("there is no target %q", name)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close() // again, where the server has not
	addr := listener.Addr().String()
	b, err := all[i].serve("http://" + addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if profile != "" {
		file, err := os.Create(profile) //nolint:gosec // whoever runs the bench names it
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return errors.Join(err, file.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, file.Close())
		}()
	}
	if err := json.NewEncoder(out).Encode(greeting{Addr: addr, Token: b.token}); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(listener) }() // ends with Close
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return b.server.Close() // nobody is connected any more
	}
}

// plainBackend is how the floor and the peers are served.
func plainBackend(h http.Handler) *backend {
	return &backend{server: plainServer(h), close: func() error { return nil }}
}

// plainServer is net/http as it comes, but for the one timeout that no server
// goes without.
func plainServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
}
