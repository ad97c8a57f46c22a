package auth

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// bodyGrace is how long a refused client may go on sending its body. net/http
// reads what is left of a small body before it sends the answer; without a
// bound, a client that stops sending would hold the connection for good.
const bodyGrace = time.Second

// WriteProblem answers with an error as RFC 9457 has it. detail is for people:
// it says what was wrong and what to do. The request's body must not be read
// afterwards.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	WriteProblemBody(w, status, Problem{http.StatusText(status), status, detail})
}

// Problem has the members of every error that is answered with.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// WriteProblemBody is WriteProblem for a body with further members: a struct
// that holds a [Problem] and always encodes.
func WriteProblemBody(w http.ResponseWriter, status int, body any) {
	// Not every ResponseWriter has a connection; one without needs no bound.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyGrace))
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	writeJSON(w, status, body)
}

// writeJSON answers with v, which must be a struct that always encodes. What
// auth answers is never to be cached.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only when the client is gone
}

// refusals logs refused requests. Anybody can cause them at any rate, so at
// most ten in a burst and one a second are written; the next one written says
// how many were not.
type refusals struct {
	logger  *slog.Logger
	limiter *rate.Limiter
	muted   atomic.Int64
}

func newRefusals(logger *slog.Logger) *refusals {
	return &refusals{logger: logger, limiter: rate.NewLimiter(1, 10)}
}

// log writes who asked for what and why it was refused. It never writes a
// header's value, the query or the body: secrets are found there.
func (f *refusals) log(r *http.Request, reason string, attrs ...slog.Attr) {
	f.logAt(slog.LevelWarn, r, reason, attrs...)
}

func (f *refusals) logAt(level slog.Level, r *http.Request, reason string, attrs ...slog.Attr) {
	if !f.limiter.Allow() {
		f.muted.Add(1)
		return
	}
	attrs = append(attrs,
		slog.String("reason", reason),
		slog.String("remote", r.RemoteAddr),
		slog.String("method", clip(r.Method)),
		slog.String("path", clip(r.URL.Path)))
	if n := f.muted.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("not_logged", n))
	}
	f.logger.LogAttrs(r.Context(), level, "request refused", attrs...)
}

// clip bounds what a client can write into a log line or an answer.
func clip(s string) string { return clipTo(s, 100) }

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
