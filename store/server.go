package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	startTimeout = time.Minute      // recovering a large log reads its newest blocks
	stopTimeout  = 10 * time.Second // for the server, once everything of ours has ended
	syncInterval = time.Second      // with Sync "interval"
	noLimit      = 1 << 60          // every stream has a bound of its own, which may have been another before
)

// engine is the embedded NATS server and the connections to it. Nothing listens:
// a connection is a pipe within the process.
type engine struct {
	folder string
	sync   string
	lines  *serverLog
	// conn carries what is published, its acknowledgements and the live
	// subscriptions, reads the replays, so that a long one delays no message.
	conn, reads *nats.Conn
	js          jetstream.JetStream // on reads

	mu     sync.Mutex
	server *server.Server // nil while it is started anew
}

// startEngine starts the server on a folder.
func startEngine(ctx context.Context, folder, sync string, logger *slog.Logger) (_ *engine, err error) {
	e := &engine{folder: folder, sync: sync, lines: &serverLog{logger: logger}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if err := e.start(ctx); err != nil {
		return nil, err
	}
	if e.conn, err = e.connect("log", logger); err != nil {
		return nil, err
	}
	if e.reads, err = e.connect("replay", logger); err != nil {
		return nil, err
	}
	e.js, err = jetstream.New(e.reads, jetstream.WithDefaultTimeout(answerTimeout))
	return e, err
}

// start starts the server.
func (e *engine) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	srv, err := server.NewServer(&server.Options{
		ServerName:             "wigwag",
		DontListen:             true,
		NoSigs:                 true,
		MaxPayload:             MaxData + 64<<10,
		JetStream:              true,
		StoreDir:               e.folder,
		JetStreamMaxMemory:     noLimit,
		JetStreamMaxStore:      noLimit,
		SyncAlways:             e.sync == SyncAlways,
		SyncInterval:           syncInterval,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return err
	}
	srv.SetLoggerV2(e.lines, false, false, false)
	e.lines.fatal.Store(nil)
	started := make(chan struct{})
	go func() { defer close(started); srv.Start() }()
	select {
	case <-started:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the store is not ready after %v: %w", startTimeout, context.Cause(ctx)), stopServer(srv))
	}
	if fatal := e.lines.fatal.Load(); fatal != nil {
		return errors.Join(errors.New(*fatal), stopServer(srv))
	}
	if !srv.ReadyForConnections(startTimeout) {
		return errors.Join(fmt.Errorf("the store is not ready after %v", startTimeout), stopServer(srv))
	}
	e.mu.Lock()
	e.server = srv
	e.mu.Unlock()
	return nil
}

// InProcessConn lets a connection find the server, also after it has been
// started anew.
func (e *engine) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, nats.ErrNoServers
	}
	return e.server.InProcessConn()
}

func (e *engine) connect(name string, logger *slog.Logger) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(e), nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectBufSize(-1), // what cannot be sent now fails now
		// What a full subscription drops is found missing by the feed and read
		// from the log.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			logger.Debug("store connection", "name", name, "error", err)
		}))
}

// stop ends the connections and the server.
func (e *engine) stop() error {
	for _, c := range []*nats.Conn{e.conn, e.reads} {
		if c != nil {
			c.Close()
		}
	}
	return e.stopServer()
}

// stopServer ends the server; connections look for the next one.
func (e *engine) stopServer() error {
	e.mu.Lock()
	srv := e.server
	e.server = nil
	e.mu.Unlock()
	if srv == nil {
		return nil
	}
	return stopServer(srv)
}

func stopServer(srv *server.Server) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	select {
	case <-stopped:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the store has not stopped after %v", stopTimeout)
	}
}

// startInMemory starts the server for streams in memory. It insists on a folder
// at start, but has nothing to write there: an empty one is made and removed.
func startInMemory(ctx context.Context, sync string, logger *slog.Logger) (*engine, error) {
	folder, err := os.MkdirTemp("", "wigwag-")
	if err != nil {
		return nil, fmt.Errorf("a store in memory starts with an empty temporary folder: %w", err)
	}
	e, err := startEngine(ctx, folder, sync, logger)
	if rmErr := os.RemoveAll(folder); rmErr != nil && err == nil {
		err = errors.Join(rmErr, e.stop())
	}
	return e, err
}

// serverLog hands the server's lines to slog: what it tells about itself at
// debug, what is wrong as it is.
type serverLog struct {
	logger *slog.Logger
	fatal  atomic.Pointer[string] // why the server did not start
}

// line says what is logged; the server's own text is an attribute.
const line = "nats server"

func (l *serverLog) Noticef(format string, v ...any) { l.logger.Debug(line, "text", text(format, v)) }

func (l *serverLog) Debugf(format string, v ...any) { l.logger.Debug(line, "text", text(format, v)) }

func (l *serverLog) Tracef(format string, v ...any) { l.logger.Debug(line, "text", text(format, v)) }

func (l *serverLog) Warnf(format string, v ...any) { l.logger.Warn(line, "text", text(format, v)) }

func (l *serverLog) Errorf(format string, v ...any) { l.logger.Error(line, "text", text(format, v)) }

func (l *serverLog) Fatalf(format string, v ...any) {
	s := text(format, v)
	l.fatal.Store(&s)
	l.logger.Error(line, "text", s)
}

func text(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
