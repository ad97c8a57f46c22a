package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/mcp"
	"wigwag/store"
	"wigwag/tools"
	"wigwag/transport"
	"wigwag/web"
)

const admin = "admin"

func serveCommand(env environment) *cobra.Command {
	var (
		s          settings
		configFile string
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: "Run the server until SIGTERM or SIGINT.\n\n" +
			"Every flag --x-y can be set as WIGWAG_X_Y, or as WIGWAG_X_Y_FILE with the path of a file that holds the value,\n" +
			"or as a line \"x-y = value\" in the config file. A flag goes before the environment, and that before the file.\n" +
			"WIGWAG_ADMIN_PASSWORD (or _FILE) sets the password of the user \"admin\"; without it one is made up and printed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := env.apply(cmd.Flags(), configFile); err != nil {
				return err
			}
			if err := s.check(); err != nil {
				return err
			}
			return serve(cmd.Context(), s, env, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&configFile, "config", env["WIGWAG_CONFIG"], "file with settings")
	s.register(cmd.Flags())
	return cmd
}

// serve runs until ctx ends and then drains.
func serve(ctx context.Context, s settings, env environment, errOut io.Writer) (err error) {
	logger, err := newLogger(s, errOut)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen on --addr %s: %w", s.addr, err)
	}
	defer listener.Close() // again, where the server has not
	urls, err := publicURLs(s, listener.Addr())
	if err != nil {
		return err
	}
	server, err := newHTTPServer(s, logger)
	if err != nil {
		return err
	}
	options := store.Options{Memory: s.memory, Sync: s.sync, MaxBytes: s.maxStore, MaxAge: s.keep, Logger: logger}
	if !s.memory {
		if options.Dir, err = dataFolder(s.data, env); err != nil {
			return err
		}
	}
	k, err := openKept(ctx, options, s.auth == "none")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	h := k.hub
	in, err := newEntrance(ctx, s, env, urls, k, logger)
	if err != nil {
		return err
	}
	if !s.memory {
		stop, err := serveDesk(options.Dir, k, logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	events := web.New(web.Options{
		Hub: h, Actor: actor, Revoked: in.revoked, Limits: in.eventLimits(), Logger: logger,
	})
	t := transport.New(mcp.NewServer(mcp.Options{
		Version: version(), Hub: h, Actor: actor, Tools: tools.New(h, actor), Transcript: tools.Transcript,
	}), transport.Options{
		Owner: owner, Subscribable: mcp.Subscribable(h), Revoked: in.revoked, Logger: logger, Limits: in.limits,
	})
	mcp.Announce(h, t)
	defer k.creds.OnRevoked(func(r auth.Revocation) {
		t.EndUser(r.User)
		events.EndUser(r.User)
	})()

	var ready atomic.Bool
	server.Handler = routes(in, t, events, func() bool { return ready.Load() && k.store.Ready() == nil }, logger)
	failed := make(chan error, 1)
	go func() { failed <- accept(server, listener) }() // ends with the drain
	logger.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("url", urls[0]), slog.String("auth", s.auth))
	_, _ = io.WriteString(errOut, in.welcome) // a server whose standard error is closed still serves
	ready.Store(true)

	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ready.Store(false)
	logger.LogAttrs(ctx, slog.LevelInfo, "draining", slog.Duration("timeout", s.drainTimeout))
	drain(context.WithoutCancel(ctx), s.drainTimeout, server, t, events, h, logger)
	return err
}

// drain stops accepting, lets running calls finish, and closes what is left
// when the time is over.
func drain(ctx context.Context, timeout time.Duration, server *http.Server, t *transport.Server, events *web.Server, h *hub.Hub, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- server.Shutdown(ctx) }() // ends with ctx
	h.EndWaits()
	if err := errors.Join(events.Shutdown(ctx), t.Shutdown(ctx)); err != nil {
		logger.LogAttrs(ctx, slog.LevelWarn, "some calls did not end in time and were cut off")
	}
	if err := <-closed; err != nil {
		logger.LogAttrs(ctx, slog.LevelWarn, "some connections did not end in time and were closed")
		_ = server.Close() // what it could not close is closed by the end of the process
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "stopped")
}

// newHTTPServer serves HTTP/1.1 and HTTP/2, the latter also without TLS (h2c).
// Its handlers set their own write deadlines, since streams have none.
func newHTTPServer(s settings, logger *slog.Logger) (*http.Server, error) {
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: 10 * time.Second}, // streams' deadlines do not end a stuck connection
	}
	idle := &newConns{}
	server.ConnState = idle.note
	server.RegisterOnShutdown(idle.close)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	if s.tlsCert == "" {
		server.Protocols.SetUnencryptedHTTP2(true)
		return server, nil
	}
	cert, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	return server, nil
}

// newConns are the connections on which nothing has been asked yet. Shutdown
// would wait some seconds for each of them.
type newConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (n *newConns) note(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state != http.StateNew {
		delete(n.conns, c)
		return
	}
	if n.conns == nil {
		n.conns = make(map[net.Conn]struct{})
	}
	n.conns[c] = struct{}{}
}

func (n *newConns) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close() // its client has sent nothing that could be lost
	}
}

func accept(server *http.Server, listener net.Listener) error {
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// publicURLs are the addresses that clients may use, the issuer's first. They
// default to the bound address under the loopback names; beyond loopback the
// operator has to name them, and TLS has to end here or in front.
func publicURLs(s settings, bound net.Addr) ([]string, error) {
	tcp, ok := bound.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("--addr %s is not a TCP address", s.addr)
	}
	loopback := tcp.IP.IsLoopback()
	if !loopback && s.auth == "none" {
		return nil, fmt.Errorf("--auth=none is for loopback addresses only, and %s is not one", tcp)
	}
	if len(s.publicURLs) == 0 {
		if !loopback {
			return nil, fmt.Errorf("%s is reachable from other machines: say under which address with --public-url, such as --public-url https://chat.example.com", tcp)
		}
		scheme := "http://"
		if s.tlsCert != "" {
			scheme = "https://"
		}
		port := fmt.Sprint(tcp.Port)
		var urls []string
		for _, host := range []string{tcp.IP.String(), "127.0.0.1", "localhost", "::1"} {
			if u := scheme + net.JoinHostPort(host, port); len(urls) == 0 || urls[0] != u {
				urls = append(urls, u)
			}
		}
		return urls, nil
	}
	for _, raw := range s.publicURLs {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, fmt.Errorf("--public-url %q must be http:// or https:// and a host, without a path", raw)
		}
		if !loopback && s.tlsCert == "" && u.Scheme != "https" {
			return nil, fmt.Errorf("tokens would travel in the clear: with --addr %s, give --tls-cert and --tls-key, or an https --public-url if a proxy in front does TLS", tcp)
		}
	}
	return s.publicURLs, nil
}

// actor is who calls, from the token that was verified.
func actor(ctx context.Context) hub.Actor {
	id, _ := auth.FromContext(ctx) // every route to a tool sets it; without it nobody is called ""
	return hub.Actor{Name: id.Subject, Via: id.Client}
}

func owner(r *http.Request) transport.Owner {
	id, _ := auth.FromContext(r.Context()) // as above
	return transport.Owner{User: id.Subject, Key: id.Key(), Expires: id.Expires}
}

func newLogger(s settings, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, fmt.Errorf(`--log-level is %q; allowed are "debug", "info", "warn" and "error"`, s.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf(`--log-format is %q; allowed are "text" and "json"`, s.logFormat)
	}
}
