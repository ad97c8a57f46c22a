package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/rs/cors"

	"wigwag/auth"
	"wigwag/transport"
)

// wigwagTransport is wigwag's transport and authentication around the two tools.
// All that a request passes in cmd/wigwag it passes here: connection settings,
// access log (off, as by default), deadlines, Host and Origin, router, CORS, a
// signed token whose user must exist and not be revoked, and the limits.
func wigwagTransport(url string) (*http.Server, string, error) {
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	users, err := auth.NewUsers(auth.NewMemoryStore())
	if err != nil {
		return nil, "", err
	}
	user, err := users.Create(ctx, "bench", auth.GeneratePassword())
	if err != nil {
		return nil, "", err
	}
	keys, err := auth.LoadKeys(ctx, auth.NewMemoryStore())
	if err != nil {
		return nil, "", err
	}
	tokens, err := auth.NewTokens(url, keys, users)
	if err != nil {
		return nil, "", err
	}
	token, _, err := tokens.Issue(user, "")
	if err != nil {
		return nil, "", err
	}
	guard, err := auth.Guard(auth.GuardOptions{PublicURLs: []string{url}, Logger: logger})
	if err != nil {
		return nil, "", err
	}

	s := server.NewMCPServer("bench", "1",
		server.WithToolCapabilities(false), server.WithLogging(), server.WithRecovery(),
		server.WithCacheHints(0, mcp.CacheScopePrivate))
	s.AddTools(mcpTools()...)
	t := transport.New(s, transport.Options{
		Owner: func(r *http.Request) transport.Owner {
			id, _ := auth.FromContext(r.Context()) // Bearer put it there
			return transport.Owner{User: id.Subject, Key: id.Key(), Expires: id.Expires}
		},
		Revoked: func(ctx context.Context) bool {
			id, _ := auth.FromContext(ctx) // as above
			return users.Revoked(id)
		},
		Logger: logger,
	})
	pages := cors.New(cors.Options{
		AllowedOrigins: []string{url},
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"WWW-Authenticate", "Mcp-Session-Id"},
		MaxAge:         600,
	})
	router := mux.NewRouter().SkipClean(true)
	router.Handle("/mcp", pages.Handler(auth.Bearer(tokens, logger)(http.HandlerFunc(t.ServeMCP))))

	srv := plainServer(logged(logger, withDeadlines(guard(router))))
	srv.IdleTimeout = 2 * time.Minute
	srv.MaxHeaderBytes = 32 << 10
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 10 * time.Second}
	srv.ConnState = noteNew()
	return srv, token, nil
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
