package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"wigwag/hub"
	"wigwag/metrics"
	"wigwag/transport"
)

// numbers are the metrics of a server; nil where nobody wants them.
type numbers struct{ *metrics.Metrics }

// newNumbers makes those to be served on an address, none without one.
func newNumbers(addr string) *numbers {
	if addr == "" {
		return nil
	}
	return &numbers{metrics.New()}
}

// ofHub, ofTransport and ofEvents are told what those do; nil without numbers.
func (n *numbers) ofHub() hub.Observer {
	if n == nil {
		return nil
	}
	return n.Hub()
}

func (n *numbers) ofTransport() transport.Observer {
	if n == nil {
		return nil
	}
	return n.Transport()
}

func (n *numbers) ofEvents() func(reason string) {
	if n == nil {
		return nil
	}
	return n.EventsRefused
}

// ofEntrance makes the entrance tell whom it turns away.
func (n *numbers) ofEntrance(in *entrance) {
	if n == nil {
		return
	}
	in.guard = n.gate("foreign", in.guard)
	in.identify = n.gate("unauthenticated", in.identify)
	in.identifyAPI = n.gate("unauthenticated", in.identifyAPI)
	in.identifyStream = n.gate("unauthenticated", in.identifyStream)
	in.identifyEvents = n.gate("unauthenticated", in.identifyEvents)
	if in.login != nil {
		in.login = n.loginOf(in.login)
	}
}

// passed is the key of a context under which it is noted that a request got
// past what might have turned it away for the reason.
type passed struct{ reason string }

// gate makes what may turn requests away tell of it.
func (n *numbers) gate(reason string, gate func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		gated := gate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if through, ok := r.Context().Value(passed{reason}).(*bool); ok {
				*through = true
			}
			next.ServeHTTP(w, r)
		}))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			through := false
			gated.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passed{reason}, &through)))
			if !through {
				n.HTTPRefused(reason)
			}
		})
	}
}

// loginOf makes the login tell of those it does not let in.
func (n *numbers) loginOf(login http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w}
		login.ServeHTTP(sw, r)
		switch sw.status {
		case http.StatusUnauthorized:
			n.HTTPRefused("password")
		case http.StatusTooManyRequests:
			n.HTTPRefused("rate")
		case http.StatusServiceUnavailable:
			n.HTTPRefused("busy")
		}
	})
}

const (
	scrapeReadWithin  = 10 * time.Second // the request of a scrape has to arrive
	scrapeWriteWithin = 30 * time.Second // its answer has to be made and read
)

// serve answers scrapes at /metrics on an address of its own, and nothing else.
// There is no authentication.
func (n *numbers) serve(ctx context.Context, addr string, serving *surfaces, h *hub.Hub, logger *slog.Logger) (stop func(), err error) {
	if n == nil {
		return func() {}, nil
	}
	n.Watch(metrics.Sources{Transport: serving.mcp.Stats, Hub: h.Stats, Events: serving.events.Streams})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on --metrics-addr %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", n.Handler())
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: scrapeReadWithin,
		ReadTimeout:       scrapeReadWithin,
		WriteTimeout:      scrapeWriteWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.LogAttrs(ctx, slog.LevelError, "metrics are no longer served", slog.Any("error", err))
		}
	}()
	logger.LogAttrs(ctx, slog.LevelInfo, "metrics", slog.String("url", "http://"+listener.Addr().String()+"/metrics"))
	return func() {
		_ = server.Close() // whoever scrapes now gets no more
		<-ended
	}, nil
}
