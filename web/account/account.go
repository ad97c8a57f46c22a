// Package account serves people's accounts over HTTP: signing in and out, web
// sessions, personal access tokens, tickets for streams, invitations, and for
// administrators the users and the audit. Programs use the endpoints below
// /api, which speak JSON; people the pages /signin and /signup.
//
// Who asks is found out by [Server.Identify]: a bearer token, or the cookie of
// a web session. What a cookie is good for, a page of another origin cannot use.
package account

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

// Audit is [auth.AuditLog].
type Audit interface {
	Record(ctx context.Context, e auth.Event)
	Read(ctx context.Context, before uint64, limit int) (events []auth.Event, next uint64, err error)
}

// Limiter counts requests per address.
type Limiter interface {
	// Wait counts a request and returns 0, or how long to wait before the next.
	Wait(from netip.Addr) time.Duration
}

// Options are what [New] makes a server of. All are required but Resource and
// the limits.
type Options struct {
	Users       *auth.Users
	Tokens      *auth.Tokens
	Credentials *auth.Credentials
	SignUps     *auth.SignUps
	Audit       Audit
	// Bearer lets requests with a good bearer token pass and refuses others.
	Bearer func(http.Handler) http.Handler
	// Resource is that of [auth.BearerOptions]. Nil: there is no OAuth.
	Resource func(*http.Request) string
	// PublicURL is the address by which a request came, for links. An https one
	// makes cookies that travel by https alone.
	PublicURL func(*http.Request) string
	// QueryToken allows access tokens in the query of a stream.
	QueryToken bool
	// Requests are counted per address; nil is no limit. SignIn is of whatever
	// takes a password or a refresh token.
	LimitSignIn, LimitSignUp Limiter
	Logger                   *slog.Logger
}

// Server serves accounts. Its methods are safe for concurrent use.
type Server struct {
	o         Options
	endpoints endpoint.Server
	csrf      *http.CrossOriginProtection
	pages     *pages
	logins    map[bool]http.Handler // of POST /api/login, by whether it may begin a web session
}

// New returns a server.
func New(o Options) (*Server, error) {
	pages, err := loadPages()
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	if o.Resource == nil {
		o.Resource = func(*http.Request) string { return "" }
	}
	s := &Server{
		o: o, endpoints: endpoint.Server{Translate: problemOf, Logger: o.Logger},
		csrf: http.NewCrossOriginProtection(), pages: pages,
	}
	login := auth.LoginOptions{Users: o.Users, Tokens: o.Tokens, Logger: o.Logger}
	abroad := auth.Login(login)
	login.Session = s.open
	s.logins = map[bool]http.Handler{true: auth.Login(login), false: abroad}
	return s, nil
}

// API returns the handler of every path of programs, as patterns of
// [http.ServeMux]. known is told of each request whose identity was found.
func (s *Server) API(known func(http.Handler) http.Handler) map[string]http.Handler {
	type methods = endpoint.Methods
	signedIn := func(m methods) http.Handler { return s.Identify(known(s.serve(m))) }
	return map[string]http.Handler{
		"/api/login":            s.limit(s.o.LimitSignIn, http.HandlerFunc(s.login)),
		"/api/refresh":          s.limit(s.o.LimitSignIn, s.serve(methods{"POST": s.refresh})),
		"/api/register":         s.limit(s.o.LimitSignUp, s.serve(methods{"POST": s.register})),
		"/api/logout":           signedIn(methods{"POST": s.logout}),
		"/api/session":          signedIn(methods{"GET": session}),
		"/api/password":         s.limit(s.o.LimitSignIn, signedIn(methods{"POST": s.own(s.changePassword)})),
		"/api/tokens":           signedIn(methods{"GET": s.own(s.listTokens), "POST": s.own(s.createToken)}),
		"/api/tokens/{id}":      signedIn(methods{"DELETE": s.own(s.revokeToken)}),
		"/api/stream-ticket":    signedIn(methods{"POST": s.createTicket}),
		"/api/users":            signedIn(methods{"GET": s.admin(s.listUsers), "POST": s.admin(s.createUser)}),
		"/api/users/{name}":     signedIn(methods{"PATCH": s.admin(s.changeUser)}),
		"/api/invitations":      signedIn(methods{"GET": s.admin(s.listInvitations), "POST": s.admin(s.invite)}),
		"/api/invitations/{id}": signedIn(methods{"DELETE": s.admin(s.withdraw)}),
		"/api/audit":            signedIn(methods{"GET": s.admin(s.readAudit)}),
	}
}

// Pages returns the handler of every page.
func (s *Server) Pages() map[string]http.Handler {
	return map[string]http.Handler{
		signInPath: s.page(s.o.LimitSignIn, s.showSignIn, s.takeSignIn),
		signUpPath: s.page(s.o.LimitSignUp, s.showSignUp, s.takeSignUp),
	}
}

// SignInLink is the address that a link's secret is good at.
func SignInLink(publicURL, secret string) string { return publicURL + signInPath + "?link=" + secret }

// remote is the address a request comes from, or none.
func remote(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
}

// located lets the audit know where requests come from.
func located(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithRemote(r.Context(), remote(r))))
	})
}
