// Conformance-server offers what the official MCP conformance suite asks for, over the transport that wigwag itself
// serves: what the suite says of this server, it says of wigwag's transport.
//
//	conformance-server [--addr 127.0.0.1:8090]
//
// The endpoint is /mcp. There is no authentication, so the address has to be a loopback one; port 0 takes any free port.
// The URL is printed as one line on stdout as soon as it is served. SIGINT or SIGTERM ends the server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"wigwag/auth"
	"wigwag/transport"
)

// shutdownTimeout bounds the end of the calls that still run when the server is told to stop.
const shutdownTimeout = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "conformance-server:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("conformance-server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8090", "loopback `address` to listen on; port 0 takes a free one")
	if err := flags.Parse(args); err != nil {
		return err
	}

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	bound, ok := listener.Addr().(*net.TCPAddr)
	if !ok || !bound.IP.IsLoopback() {
		return fmt.Errorf("--addr %s: want a loopback address, there is no authentication", *addr)
	}

	logger := slog.New(slog.NewTextHandler(stderr, nil))
	url := "http://" + bound.String()
	guard, err := auth.Guard(auth.GuardOptions{PublicURLs: []string{url}, Logger: logger})
	if err != nil {
		return err
	}
	streams := transport.New(newMCPServer(), transport.Options{Logger: logger, DirectTools: true})
	mux := http.NewServeMux()
	mux.HandleFunc("/mcp", streams.ServeMCP)
	httpServer := &http.Server{Handler: guard(mux), ReadHeaderTimeout: 10 * time.Second}

	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(listener) }()
	fmt.Fprintln(stdout, url+"/mcp")
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err = errors.Join(streams.Shutdown(stopping), httpServer.Shutdown(stopping))
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return err
}
