package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/rs/cors"

	"wigwag/auth"
	"wigwag/store"
	"wigwag/transport"
)

// wigwagDurable is wigwag's transport and authentication around the two tools,
// as wigwag serve puts them around its own by default: users, keys, sessions and
// what streams said are kept in a data folder, --sync=always.
func wigwagDurable(url string) (*backend, error) {
	dir, err := os.MkdirTemp("", "wigwag-bench-")
	if err != nil {
		return nil, err
	}
	st, err := store.Open(context.Background(), store.Options{Dir: dir, Logger: newLogger()})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	closeStore := func() error { return errors.Join(st.Close(), os.RemoveAll(dir)) }
	b, err := wigwagBackend(url, st.Bucket(store.Users), st.Bucket(store.Keys), transport.Options{
		Sessions: st.Bucket(store.Sessions), Streams: st.Streams(),
	})
	if err != nil {
		return nil, errors.Join(err, closeStore())
	}
	stop := b.close
	b.close = func() error { return errors.Join(stop(), closeStore()) }
	return b, nil
}

// wigwagForgetful keeps nothing beyond its life, as the peers do. What it costs
// less than wigwagDurable is the price of going on after a restart.
func wigwagForgetful(url string) (*backend, error) {
	return wigwagBackend(url, auth.NewMemoryStore(), auth.NewMemoryStore(), transport.Options{})
}

// wigwagBackend does with a request all that cmd/wigwag does: connection
// settings, access log (off, as by default), deadlines, Host and Origin, router,
// CORS, a signed token whose user must exist and not be revoked, and the limits.
func wigwagBackend(url string, forUsers, forKeys auth.Store, opts transport.Options) (*backend, error) {
	ctx, logger := context.Background(), newLogger()
	users, err := auth.NewUsers(forUsers)
	if err != nil {
		return nil, err
	}
	user, err := users.Create(ctx, "bench", auth.GeneratePassword())
	if err != nil {
		return nil, err
	}
	keys, err := auth.LoadKeys(ctx, forKeys)
	if err != nil {
		return nil, err
	}
	tokens, err := auth.NewTokens(url, keys, users)
	if err != nil {
		return nil, err
	}
	token, _, err := tokens.Issue(user, "")
	if err != nil {
		return nil, err
	}
	guard, err := auth.Guard(auth.GuardOptions{PublicURLs: []string{url}, Logger: logger})
	if err != nil {
		return nil, err
	}

	s := server.NewMCPServer("bench", "1",
		server.WithToolCapabilities(false), server.WithLogging(), server.WithRecovery(),
		server.WithCacheHints(0, mcp.CacheScopePrivate))
	s.AddTools(mcpTools()...)
	opts.Owner = func(r *http.Request) transport.Owner {
		id, _ := auth.FromContext(r.Context()) // Bearer put it there
		return transport.Owner{User: id.Subject, Key: id.Key(), Expires: id.Expires}
	}
	opts.Revoked = func(ctx context.Context) bool {
		id, _ := auth.FromContext(ctx) // as above
		return users.Revoked(id)
	}
	opts.Logger, opts.DirectTools = logger, true
	t := transport.New(s, opts)
	pages := cors.New(cors.Options{
		AllowedOrigins: []string{url},
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"WWW-Authenticate", "Mcp-Session-Id", "Retry-After"},
		MaxAge:         600,
	})
	mcp := pages.Handler(auth.Bearer(tokens, logger)(http.HandlerFunc(t.ServeMCP)))
	srv := plainServer(logged(logger, lastAnswer(withDeadlines(guard(first("/mcp", mcp, mux.NewRouter()))))))
	srv.IdleTimeout = 2 * time.Minute
	srv.MaxHeaderBytes = 32 << 10
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 10 * time.Second}
	srv.ConnState = noteNew()
	return &backend{server: srv, token: token, close: func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return t.Shutdown(ctx)
	}}, nil
}

func newLogger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// first does what cmd/wigwag's does.
func first(path string, handler, router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			handler.ServeHTTP(w, r)
			return
		}
		router.ServeHTTP(w, r)
	})
}

// withDeadlines does what cmd/wigwag's withDeadline does.
func withDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(30 * time.Second)) // HTTP connections have deadlines
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(30 * time.Second)) // as above
		}
		next.ServeHTTP(w, r)
	})
}

// lastAnswer costs what cmd/wigwag's does while it does not drain.
func lastAnswer(next http.Handler) http.Handler {
	var draining atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&lastWriter{w, &draining}, r)
	})
}

type lastWriter struct {
	http.ResponseWriter
	draining *atomic.Bool
}

// WriteHeader implements http.ResponseWriter.
func (w *lastWriter) WriteHeader(status int) {
	if w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (w *lastWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// logged costs what cmd/wigwag's accessLog does, where it logs nothing.
func logged(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if logger.Enabled(r.Context(), slog.LevelDebug) {
			logger.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("path", r.URL.Path))
		}
		next.ServeHTTP(w, r)
	})
}

// noteNew keeps the connections on which nothing has been asked yet, as
// cmd/wigwag does for its drain.
func noteNew() func(net.Conn, http.ConnState) {
	var mu sync.Mutex
	conns := make(map[net.Conn]struct{}) // guarded by mu
	return func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			conns[c] = struct{}{}
		} else {
			delete(conns, c)
		}
	}
}
