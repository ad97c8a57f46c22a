package main

import (
	"cmp"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/cors"

	"wigwag/auth"
)

// plainWriteTimeout bounds the answers that are not streams. Streams set a
// deadline of their own before every write.
const plainWriteTimeout = 30 * time.Second

// routes is the whole surface. Routes have no Methods(): a handler answers 405
// itself, so that who may ask at all is always decided first.
func routes(in *entrance, serving *surfaces, a *admission, logger *slog.Logger) http.Handler {
	pages := crossOrigin(in.origins, false)
	withCookies := crossOrigin(in.origins, serving.seeds != nil)
	r := mux.NewRouter().SkipClean(true)
	r.Handle("/sse", pages.Handler(in.identify(http.HandlerFunc(serving.mcp.ServeSSE))))
	r.Handle("/messages", pages.Handler(in.identify(http.HandlerFunc(serving.mcp.ServeMessages))))
	r.Handle("/events", withCookies.Handler(serving.seeds.WithCookie(in.identifyEvents(http.HandlerFunc(serving.events.ServeEvents)))))
	if in.login != nil {
		r.Handle(loginPath, withCookies.Handler(a.only(serving.seeds.Login(in.login))))
	}
	for path, h := range in.api {
		if path == logoutPath {
			h = serving.seeds.Logout(h)
		}
		r.Handle(path, withCookies.Handler(a.only(serving.seeds.WithCookie(withPathValues(h)))))
	}
	for path, h := range serving.seeds.Streams() {
		r.Handle(path, withCookies.Handler(serving.seeds.WithCookie(in.identifyStream(h))))
	}
	for path, h := range serving.seeds.Calls() {
		r.Handle(path, withCookies.Handler(a.only(serving.seeds.WithCookie(in.identifyAPI(h)))))
	}
	rest := serving.api.Handlers()
	for _, path := range slices.SortedFunc(maps.Keys(rest), longestFirst) {
		r.Handle(path, withCookies.Handler(a.only(serving.seeds.WithCookie(in.identifyAPI(withPathValues(rest[path]))))))
	}
	r.Handle("/api/openapi.json", pages.Handler(a.only(serving.api.Description())))
	for path, h := range in.pages {
		r.Handle(path, a.only(h))
	}
	for path, h := range in.oauth { // each with the CORS policy that it needs
		r.Handle(path, a.only(h))
	}
	r.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	r.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.isReady() {
			w.Header().Set("Retry-After", "2")
			plain(w, http.StatusServiceUnavailable, "starting, draining, or without its storage\n")
			return
		}
		plain(w, http.StatusOK, "ok\n")
	})
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		auth.WriteProblem(w, http.StatusNotFound, "there is nothing at this address; MCP is at /mcp")
	})
	mcp := pages.Handler(in.identify(http.HandlerFunc(serving.mcp.ServeMCP)))
	inside := watched(in.audit, in.guard(first("/mcp", mcp, r)))
	return secured(in.alwaysHTTPS, in.proxies.handler(accessLog(logger, a.lastAnswer(withDeadline(inside)))))
}

// crossOrigin lets pages of other origins call, with what cookies they have or
// without.
func crossOrigin(origins []string, cookies bool) *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins:   origins,
		AllowedMethods:   []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders:   []string{"*"}, // among them Mcp-Param-…, whose names are the tools'
		ExposedHeaders:   []string{"WWW-Authenticate", "Mcp-Session-Id", "Retry-After", "ETag", "Idempotency-Replayed"},
		AllowCredentials: cookies,
		MaxAge:           600,
	})
}

// longestFirst orders patterns: the router takes the first that matches.
func longestFirst(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) }

// withPathValues lets a handler find the variables of its path.
func withPathValues(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range mux.Vars(r) {
			r.SetPathValue(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// first serves one path before the router is asked, whose patterns cost as much
// as a twentieth of a small call.
func first(path string, handler, router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			handler.ServeHTTP(w, r)
			return
		}
		router.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that is gone has no use for the error
}

// plainReadTimeout bounds the wait for a body, also for one that nobody asked
// for: net/http reads it before it answers.
const plainReadTimeout = 30 * time.Second

// withDeadline gives every body and every answer a deadline, also on a
// connection whose last answer left one behind.
func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(plainWriteTimeout)) // unsupported only by test recorders
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(plainReadTimeout)) // as above
		}
		next.ServeHTTP(w, r)
	})
}

// accessLog logs every request at level debug: no query, no header, no body.
func accessLog(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !logger.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		sw := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(sw, r)
		logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", sw.status),
			slog.String("remote", r.RemoteAddr), slog.Duration("took", time.Since(began)))
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
