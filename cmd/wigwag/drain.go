package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"wigwag/auth"
	"wigwag/hub"
)

// admission is what may come in now. At first nothing is ready; once draining,
// nothing new is let in.
type admission struct {
	ready      atomic.Bool // may be sent requests, as far as the program itself goes
	draining   atomic.Bool
	overloaded func() bool
	stored     func() error // why the store cannot serve
}

// isReady is what /readyz tells. A store that is full is no reason to send
// nobody here: reading goes on, and elsewhere it would be the same one.
func (a *admission) isReady() bool {
	err := a.stored()
	full, isFull := errors.AsType[interface {
		error
		Full() bool
	}](err)
	return a.ready.Load() && (err == nil || isFull && full.Full())
}

// only lets nothing new in to next while there is reason not to. It is for what
// does not refuse by itself, as MCP and /events do.
func (a *admission) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.draining.Load():
			w.Header().Set("Retry-After", "2")
			auth.WriteProblem(w, http.StatusServiceUnavailable, "The server is shutting down. Try again shortly.")
		case a.overloaded():
			w.Header().Set("Retry-After", "10")
			auth.WriteProblem(w, http.StatusServiceUnavailable, "The server is short of memory and takes nothing new. Try again later.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// lastAnswer makes what is answered during the drain the last answer on its
// connection, so that clients connect anew, to a server that stays.
func (a *admission) lastAnswer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&lastWriter{w, &a.draining}, r)
	})
}

type lastWriter struct {
	http.ResponseWriter
	draining *atomic.Bool
}

// WriteHeader implements http.ResponseWriter. On HTTP/2 the header becomes a
// GOAWAY, and what runs on the connection goes on.
func (w *lastWriter) WriteHeader(status int) {
	if w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (w *lastWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// running is all that a drain ends.
type running struct {
	admission *admission
	server    *http.Server
	surfaces  *surfaces
	hub       *hub.Hub
	logger    *slog.Logger
}

// drain ends the server's work within a time. First, for the delay, it only is
// not ready any more, so that whoever sends it requests notices. Then new work
// is refused, on connections that are still accepted, and what listens ends;
// running calls may finish. When that is done, or the time is nearly over, so is
// the listening, and what is left is closed.
func (r *running) drain(ctx context.Context, delay, timeout time.Duration) {
	r.admission.ready.Store(false)
	r.logger.LogAttrs(ctx, slog.LevelInfo, "draining; a second signal ends at once",
		slog.Duration("delay", delay), slog.Duration("timeout", timeout))
	if delay > 0 {
		<-time.After(delay)
	}
	r.admission.draining.Store(true)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// The rest is for the answers of what was cut off.
	working, cancelWork := context.WithTimeout(ctx, timeout-min(time.Second, timeout/4))
	defer cancelWork()
	r.hub.EndWaits()
	var (
		work                               sync.WaitGroup
		callErr, listErr, restErr, seedErr error
	)
	work.Go(func() { callErr = r.surfaces.mcp.Shutdown(working) })
	work.Go(func() { listErr = r.surfaces.events.Shutdown(working) })
	work.Go(func() { restErr = r.surfaces.api.Shutdown(working) })
	work.Go(func() { seedErr = r.surfaces.seeds.Shutdown(working) })
	work.Wait()
	if errors.Join(callErr, listErr, restErr, seedErr) != nil {
		r.logger.LogAttrs(ctx, slog.LevelWarn, "some calls did not end in time and were cut off")
	}
	if err := r.server.Shutdown(ctx); err != nil {
		r.logger.LogAttrs(ctx, slog.LevelWarn, "some connections did not end in time and were closed")
		_ = r.server.Close() // what it could not close is closed by the end of the process
	}
	r.logger.LogAttrs(ctx, slog.LevelInfo, "stopped")
}
