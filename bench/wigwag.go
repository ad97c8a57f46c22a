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
	b, err := wigwagBackend(url, func(name string) auth.Store { return st.Bucket(name) }, transport.Options{
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
	return wigwagBackend(url, func(string) auth.Store { return auth.NewMemoryStore() }, transport.Options{})
}

// wigwagBackend does with a request all that cmd/wigwag does: connection
// settings, security headers, access log (off, as by default), the watch for
// refusals, deadlines, Host and Origin, CORS, a signed token whose user and login
// must exist and not be revoked, its scopes, and the limits; only the rates are
// off, which would end the measuring.
func wigwagBackend(url string, kept func(name string) auth.Store, opts transport.Options) (*backend, error) {
	ctx, logger := context.Background(), newLogger()
	users, err := auth.NewUsers(kept(store.Users), nil)
	if err != nil {
		return nil, err
	}
	user, err := users.Create(ctx, "bench", auth.GeneratePassword(), auth.RoleMember)
	if err != nil {
		return nil, err
	}
	keys, err := auth.LoadKeys(ctx, kept(store.Keys))
	if err != nil {
		return nil, err
	}
	creds := auth.NewCredentials(auth.CredentialsOptions{Store: kept(store.Credentials), Users: users, Logger: logger})
	tokens, err := auth.NewTokens(auth.TokensOptions{Issuer: url, Keys: keys, Users: users, Credentials: creds, Logger: logger})
	if err != nil {
		return nil, err
	}
	issued, err := tokens.Login(ctx, user)
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
		return tokens.Revoked(id)
	}
	opts.Permit = func(ctx context.Context, _, _ string) (challenge string, ok bool) {
		id, _ := auth.FromContext(ctx) // as above
		return "", id.Missing(auth.ScopeChatWrite) == 0
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
	bearer := auth.Bearer(auth.BearerOptions{Verifier: tokens, Resource: func(*http.Request) string { return url + "/mcp" }, Logger: logger})
	mcp := pages.Handler(bearer(http.HandlerFunc(t.ServeMCP)))
	srv := plainServer(secured(logged(logger, lastAnswer(withDeadlines(watched(guard(first("/mcp", mcp, mux.NewRouter()))))))))
	srv.IdleTimeout = 2 * time.Minute
	srv.MaxHeaderBytes = 32 << 10
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 10 * time.Second}
	srv.ConnState = noteNew()
	return &backend{server: srv, token: issued.Access, close: func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		defer creds.Close()
		return t.Shutdown(ctx)
	}}, nil
}

func newLogger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// secured does what cmd/wigwag's does.
func secured(next http.Handler) http.Handler {
	nosniff, referrer, policy := []string{"nosniff"}, []string{"no-referrer"}, []string{"default-src 'none'; frame-ancestors 'none'"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"], h["Referrer-Policy"], h["Content-Security-Policy"] = nosniff, referrer, policy
		next.ServeHTTP(w, r)
	})
}

type visitKey struct{}

// watched costs what cmd/wigwag's does where nothing is refused.
func watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), visitKey{}, &struct{ host, path, actor, client string }{host: r.Host, path: r.URL.Path}))
		next.ServeHTTP(&visit{w, r}, r)
	})
}

type visit struct {
	http.ResponseWriter
	r *http.Request
}

// WriteHeader implements http.ResponseWriter.
func (v *visit) WriteHeader(status int) {
	if status >= http.StatusUnauthorized {
		newLogger().Error("a request was refused", "status", status, "path", v.r.URL.Path)
	}
	v.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

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
