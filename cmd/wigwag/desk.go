package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/store"
)

// deskTimeout bounds what a command asks of the desk.
const deskTimeout = 30 * time.Second

// maxSocketPath is what every system allows.
const maxSocketPath = 100

// desk is where the commands of the operator arrive: HTTP on DATA/admin.sock,
// which only the owner of the data folder can open.
type desk struct {
	users     *auth.Users
	hub       *hub.Hub
	store     *store.Store
	logger    *slog.Logger
	backingUp sync.Mutex // held while a backup is made

	credentials *auth.Credentials
	tokens      *auth.Tokens
	signUps     *auth.SignUps
	audit       *auth.AuditLog
	publicURL   string // of the server, where one runs
}

func newDesk(k *kept, logger *slog.Logger) (*desk, error) {
	d := &desk{
		users: k.users, hub: k.hub, store: k.store, logger: logger,
		credentials: k.creds, audit: k.audit, publicURL: k.publicURL,
	}
	var err error
	d.tokens, err = auth.NewTokens(auth.TokensOptions{
		Issuer: "desk", // which stands in none of the tokens that are made here
		Keys:   k.keys, Users: k.users, Credentials: k.creds, Audit: k.audit, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	d.signUps, err = auth.NewSignUps(cmp.Or(k.signUp, auth.SignUpInvite), k.users, k.creds)
	return d, err
}

// serveDesk serves the desk until stop is called.
func serveDesk(dir string, k *kept, logger *slog.Logger) (stop func(), err error) {
	path := filepath.Join(dir, "admin.sock")
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s is longer than the %d bytes that a socket's address may have: use a shorter --data", path, maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // left behind by a process that was killed; the folder's lock is ours
	}
	d, err := newDesk(k, logger)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin.sock: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:      d.routes(),
		ReadTimeout:  deskTimeout,
		WriteTimeout: deskTimeout,
		ErrorLog:     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		_ = server.Serve(listener) // always ErrServerClosed: nothing else closes the listener
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}

func (d *desk) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /users", answer(func(*http.Request, struct{}) (any, error) { return d.users.List() }))
	mux.Handle("POST /users/{name}", answer(func(r *http.Request, in struct {
		Password string
		Role     auth.Role
	},
	) (any, error) {
		_, err := d.users.Create(r.Context(), r.PathValue("name"), in.Password, in.Role)
		return nil, err
	}))
	mux.Handle("PUT /users/{name}/password", answer(func(r *http.Request, in struct{ Password string }) (any, error) {
		return nil, d.users.SetPassword(r.Context(), r.PathValue("name"), in.Password)
	}))
	mux.Handle("PUT /users/{name}/disabled", answer(func(r *http.Request, in struct{ Disabled bool }) (any, error) {
		return nil, d.users.SetDisabled(r.Context(), r.PathValue("name"), in.Disabled)
	}))
	mux.Handle("GET /rooms", answer(func(*http.Request, struct{}) (any, error) { return d.hub.AdminRooms(), nil }))
	mux.Handle("PUT /rooms/{room}/members/{name}", answer(func(r *http.Request, _ struct{}) (any, error) {
		err := d.hub.AddMember(r.Context(), r.PathValue("room"), r.PathValue("name"))
		if err == nil {
			d.audit.Record(r.Context(), auth.Event{Action: "room.add", Target: r.PathValue("name"), Detail: r.PathValue("room")})
		}
		return nil, err
	}))
	mux.Handle("DELETE /rooms/{room}/members/{name}", answer(func(r *http.Request, _ struct{}) (any, error) {
		err := d.hub.RemoveMember(r.Context(), r.PathValue("room"), r.PathValue("name"))
		if err == nil {
			d.audit.Record(r.Context(), auth.Event{Action: "room.remove", Target: r.PathValue("name"), Detail: r.PathValue("room")})
		}
		return nil, err
	}))
	mux.HandleFunc("GET /backup", d.serveBackup)
	mux.Handle("GET /doctor", answer(func(r *http.Request, _ struct{}) (any, error) { return d.store.Inspect(r.Context()), nil }))
	d.accounts(mux)
	return mux
}

// answer makes a handler of a function from a JSON body to a JSON answer. An
// error is answered as text: whoever has the socket may know all.
func answer[In any](fn func(*http.Request, In) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := fn(r, in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // a client that is gone has no use for the error
	})
}

// deskClient talks to the desk of the wigwag that has a data folder open.
type deskClient struct{ http *http.Client }

// callDesk lets fn talk to the desk of a data folder: to that of the running
// server, or, where none runs, to one that is opened for the moment.
func callDesk(ctx context.Context, dir string, fn func(*deskClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, deskTimeout)
	defer cancel()
	probe, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "admin.sock"))
	if err == nil {
		_ = probe.Close()
	} else {
		logger := slog.New(slog.DiscardHandler)
		k, err := openKept(ctx, store.Options{Dir: dir, Logger: logger}, hub.Options{})
		if err != nil {
			return err
		}
		defer k.close() // all that was asked for is acknowledged by then
		stop, err := serveDesk(dir, k, logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	return askDesk(dir, fn)
}

// askDesk lets fn talk to the desk of the server that runs on a data folder.
func askDesk(dir string, fn func(*deskClient) error) error {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "admin.sock"))
	}}
	defer tr.CloseIdleConnections()
	return fn(&deskClient{http: &http.Client{Transport: tr}})
}

// do asks the desk. segments are the path's, unescaped; in and out may be nil.
func (c *deskClient) do(ctx context.Context, method string, segments []string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	address := "http://desk"
	for _, s := range segments {
		if address, err = url.JoinPath(address, url.PathEscape(s)); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// send returns the desk's answer; what it refuses is an error.
func (c *deskClient) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the running wigwag does not answer on admin.sock: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // what there is of it
	return nil, errors.New(string(bytes.TrimSpace(text)))
}
