package main

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"wigwag/auth"
)

type visitKey struct{}

// visitor is what is remembered of a request, also by what outlives it.
type visitor struct {
	host, path    string
	actor, client string // once they are known
}

// visit is the answer to a request, which tells the audit when it is a refusal.
type visit struct {
	http.ResponseWriter
	visitor *visitor
	audit   auth.Audit
	r       *http.Request
}

// watched makes the audit hear of every request that is refused.
func watched(audit auth.Audit, next http.Handler) http.Handler {
	if audit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visitor{host: r.Host, path: r.URL.Path}
		r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		next.ServeHTTP(&visit{w, v, audit, r}, r)
	})
}

// known notes whose request it is, once that has been found out.
func known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, ok := r.Context().Value(visitKey{}).(*visitor); ok {
			id, _ := auth.FromContext(r.Context()) // it was just put there
			v.actor, v.client = id.Subject, id.Client
		}
		next.ServeHTTP(w, r)
	})
}

// WriteHeader implements http.ResponseWriter.
func (v *visit) WriteHeader(status int) {
	if v.refused(status) {
		detail := strconv.Itoa(status)
		if challenge := v.Header().Get("WWW-Authenticate"); challenge != "" {
			detail += ": " + challenge
		}
		ctx := v.r.Context()
		if from, err := netip.ParseAddrPort(v.r.RemoteAddr); err == nil {
			ctx = auth.WithRemote(ctx, from.Addr())
		}
		v.audit.Record(ctx, auth.Event{
			Action: "request", Actor: v.visitor.actor, Client: v.visitor.client,
			Target: v.r.Method + " " + v.r.URL.Path, Outcome: "refused", Detail: detail,
		})
	}
	v.ResponseWriter.WriteHeader(status)
}

// refused tells which answers are worth remembering. That a token is needed is
// how every client begins; a session that is not there may be somebody else's.
func (v *visit) refused(status int) bool {
	switch status {
	case http.StatusUnauthorized:
		return strings.Contains(v.Header().Get("WWW-Authenticate"), "error=")
	case http.StatusForbidden, http.StatusTooManyRequests:
		return true
	case http.StatusNotFound:
		return v.visitor.actor != ""
	default:
		return false
	}
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// secured sets the headers that every answer has. Pages set a policy of their
// own.
func secured(alwaysHTTPS bool, next http.Handler) http.Handler {
	var (
		nosniff  = []string{"nosniff"}
		referrer = []string{"no-referrer"}
		policy   = []string{"default-src 'none'; frame-ancestors 'none'"}
		hsts     = []string{"max-age=31536000"}
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = nosniff
		h["Referrer-Policy"] = referrer
		h["Content-Security-Policy"] = policy
		if alwaysHTTPS || r.TLS != nil || byHTTPS(r) {
			h["Strict-Transport-Security"] = hsts
		}
		next.ServeHTTP(w, r)
	})
}
