package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"wigwag/auth"
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
			"WIGWAG_ADMIN_PASSWORD (or _FILE) sets the password of the user \"admin\" on the first start; without it that prints a link\n" +
			"to choose one by.",
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
	memory, err := limitMemory(ctx, s, env, logger)
	if err != nil {
		return err
	}
	a := &admission{overloaded: memory.overloaded}
	server := newHTTPServer(s.maxConnections, logger)
	ctx, stop, err := heedHangup(ctx, s, server, logger)
	if err != nil {
		return err
	}
	defer stop()
	options, err := s.storeOptions(env, logger)
	if err != nil {
		return err
	}
	counted, ofHub := newNumbers(s.metricsAddr), s.hubOptions()
	ofHub.Observer = counted.ofHub()
	k, err := openKept(ctx, options, ofHub)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	in, err := newEntrance(ctx, s, env, urls, k, logger)
	defer in.close()
	if err != nil {
		return err
	}
	k.publicURL, k.signUp = urls[0], auth.SignUpMode(s.signUp)
	counted.ofEntrance(in)
	if !s.memory {
		stop, err := serveDesk(options.Dir, k, logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	serving, stopServing, err := openSurfaces(ctx, k, in, a, counted, logger)
	if err != nil {
		return err
	}
	defer stopServing() // where it has not come to a drain

	stopMetrics, err := counted.serve(ctx, s.metricsAddr, serving, k.hub, logger)
	if err != nil {
		return err
	}
	defer stopMetrics()

	a.stored = k.store.Ready
	server.Handler = routes(in, serving, a, logger)
	failed := make(chan error, 1)
	go func() { failed <- accept(server, listener) }() // ends with the drain
	logger.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("url", urls[0]), slog.String("addr", listener.Addr().String()), slog.String("auth", s.auth))
	_, _ = io.WriteString(errOut, in.welcome) // a server whose standard error is closed still serves
	a.ready.Store(true)

	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	r := &running{admission: a, server: server, surfaces: serving, hub: k.hub, logger: logger}
	r.drain(context.WithoutCancel(ctx), s.drainDelay, s.drainTimeout)
	return err
}

// limitMemory sets the runtime's limit and watches it.
func limitMemory(ctx context.Context, s settings, env environment, logger *slog.Logger) (*pressure, error) {
	limit, from, err := memoryLimit(s.memoryLimit, env, debug.SetMemoryLimit(-1), os.DirFS("/"))
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		debug.SetMemoryLimit(math.MaxInt64)
	} else {
		debug.SetMemoryLimit(limit)
		logger.LogAttrs(ctx, slog.LevelInfo, "memory is limited", slog.Int64("bytes", limit), slog.String("from", from))
	}
	return newPressure(limit, logger), nil
}

const (
	maxHeader    = 32 << 10         // bytes of a request's head
	headerWithin = 10 * time.Second // it has to arrive
	idleWithin   = 2 * time.Minute  // something has to be asked on a connection
)

// newHTTPServer serves HTTP/1.1 and HTTP/2, the latter also without TLS (h2c).
// Its handlers set their own write deadlines, since streams have none.
func newHTTPServer(maxConnections int, logger *slog.Logger) *http.Server {
	server := &http.Server{
		ReadHeaderTimeout: headerWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: 10 * time.Second}, // streams' deadlines do not end a stuck connection
	}
	most := maxConnections
	if files := maxFiles() / 4 * 3; files < most {
		most = files
		logger.Info("fewer connections than --max-connections are possible: the process may not open more files", slog.Int("connections", most))
	}
	conns := newConnections(most)
	server.ConnState = conns.note
	server.RegisterOnShutdown(conns.closeFresh)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	return server
}

// heedHangup makes SIGHUP load the TLS certificate again. Where there is none it
// ends the server as SIGTERM does: the terminal it was started from is closed.
func heedHangup(ctx context.Context, s settings, server *http.Server, logger *slog.Logger) (context.Context, func(), error) {
	if s.tlsCert == "" {
		server.Protocols.SetUnencryptedHTTP2(true)
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		context.AfterFunc(ctx, stop) // the next one ends at once
		return ctx, stop, nil
	}
	pair, err := loadKeyPair(s.tlsCert, s.tlsKey, logger)
	if err != nil {
		return nil, nil, err
	}
	server.TLSConfig = pair.config()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	reloading, cancel := context.WithCancel(context.WithoutCancel(ctx)) // also while draining
	done := make(chan struct{})
	go func() {
		defer close(done)
		pair.reload(reloading, hup)
	}()
	return ctx, func() {
		signal.Stop(hup)
		cancel()
		<-done
	}, nil
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
	if !loopback && s.auth == authNone {
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
	urls := make([]string, len(s.publicURLs))
	for i, raw := range s.publicURLs {
		urls[i] = strings.TrimSuffix(raw, "/")
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, fmt.Errorf("--public-url %q must be http:// or https:// and a host, without a path", raw)
		}
		if !loopback && s.tlsCert == "" && (u.Scheme != "https" || len(s.proxyNets) == 0) {
			return nil, fmt.Errorf("tokens would travel in the clear: with --addr %s, give --tls-cert and --tls-key; or, if a proxy in front does TLS, an https --public-url and the proxy's address as --trusted-proxy", tcp)
		}
	}
	return urls, nil
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
