// Package oauth is a narrow OAuth 2.1 authorization server, for MCP clients
// that act for the people of this service: public clients only, authorization
// code with PKCE (S256), rotating refresh tokens, access tokens for one
// resource each. It implements what RFC 6749, 7009, 7591, 7636, 8252, 8414,
// 8707, 9207 and 9728 and the Client ID Metadata Document draft ask of such a
// server, and refuses the rest.
//
// The people, their web sessions and the tokens are package auth's. This one
// keeps clients, codes and what was consented to, all of it in its store: a
// flow goes on after a restart, and on another node. What a browser has not
// signed in for yet is not kept at all: the authorization request travels in
// the address of its pages.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/rs/cors"

	"wigwag/auth"
)

// service is the name of this service, for people.
const service = "wigwag"

// Where the endpoints are, below each public URL.
const (
	authorizePath = "/oauth/authorize"
	tokenPath     = "/oauth/token" //nolint:gosec // a path
	revokePath    = "/oauth/revoke"
	registerPath  = "/oauth/register"
	keysPath      = "/oauth/jwks"
)

// Options are what [New] makes a server of.
type Options struct {
	// PublicURLs are the addresses of this service, such as
	// "https://chat.example.com": scheme and host, nothing else. Each is an
	// issuer with its own resources; the request's Host decides which one it
	// is, the first where none fits. Required.
	PublicURLs []string
	// OtherIssuers are outside ones whose tokens are good here too. Clients are
	// told of them after this server.
	OtherIssuers []string

	Browsers    Browsers    // required
	Users       Users       // required
	Tokens      Tokens      // required
	Credentials Credentials // required
	Keys        Keys        // required
	Store       auth.Store  // of clients, codes and consents; required, of its own
	Audit       auth.Audit  // required

	// NoRegistration turns dynamic client registration (RFC 7591) off. Clients
	// with a metadata document are let in all the same: they are known by
	// their address, and nothing is kept of them.
	NoRegistration bool

	// Requests are counted per address; nil is no limit.
	LimitRegistration, LimitDiscovery, LimitAuthorize Limiter
	// RemoteAddr returns the address requests are counted under. The default
	// is the connection's, which behind a proxy is the same for all.
	RemoteAddr func(*http.Request) netip.Addr

	Logger *slog.Logger // required
}

// Server is the authorization server. Its methods are safe for concurrent use.
type Server struct {
	o         Options
	sites     []site
	records   *records
	documents *documents
	pages     *pages
	csrf      *http.CrossOriginProtection
	handlers  map[string]http.Handler
	now       func() time.Time
	sweeper   chan struct{} // closed when the sweeper has ended
	stop      context.CancelFunc
}

// New returns a server, which sweeps its store until it is closed.
func New(o Options) (*Server, error) {
	return newServer(o, newFetcher(), time.Now)
}

func newServer(o Options, f *fetcher, now func() time.Time) (*Server, error) {
	if slices.Contains([]any{o.Browsers, o.Users, o.Tokens, o.Credentials, o.Keys, o.Store, o.Audit}, nil) || o.Logger == nil {
		return nil, errors.New("oauth: Browsers, Users, Tokens, Credentials, Keys, Store, Audit and Logger are required")
	}
	if o.RemoteAddr == nil {
		o.RemoteAddr = connectionAddr
	}
	sites, err := parseSites(o.PublicURLs)
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	pages, err := loadPages()
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		o: o, sites: sites, pages: pages, now: now,
		records:   newRecords(o.Store, now),
		documents: newDocuments(f, now),
		csrf:      http.NewCrossOriginProtection(),
		sweeper:   make(chan struct{}),
		stop:      stop,
	}
	s.handlers = s.routes()
	go func() {
		defer close(s.sweeper)
		s.records.sweep(ctx, o.Logger)
	}()
	return s, nil
}

// Close ends what [New] started. Requests can still be served.
func (s *Server) Close() {
	s.stop()
	<-s.sweeper
	s.records.close()
}

// Handlers returns the handler of every path of this server, to be routed
// exactly so: anything else below /.well-known/ is to be a 404. The handlers
// check Host, Origin and method themselves; a check of Host and Origin in
// front of them must let these paths pass, since discovery, registration and
// tokens are for pages of any origin, and since the forms are sent with the
// Origin "null" by browsers that were told to send no referrer.
func (s *Server) Handlers() map[string]http.Handler { return maps.Clone(s.handlers) }

// Paths returns the paths of [Server.Handlers], sorted.
func (s *Server) Paths() []string { return slices.Sorted(maps.Keys(s.handlers)) }

func (s *Server) routes() map[string]http.Handler {
	get := cors.New(cors.Options{AllowedOrigins: []string{"*"}, AllowedMethods: []string{http.MethodGet, http.MethodHead}, AllowedHeaders: []string{"*"}, MaxAge: 600})
	post := cors.New(cors.Options{AllowedOrigins: []string{"*"}, AllowedMethods: []string{http.MethodPost}, AllowedHeaders: []string{"*"}, ExposedHeaders: []string{"WWW-Authenticate", "Retry-After"}, MaxAge: 600})
	api := func(limit Limiter, h func(http.ResponseWriter, *http.Request) error) http.Handler {
		return post.Handler(s.endpoint(limit, h, http.MethodPost))
	}
	handlers := map[string]http.Handler{
		authorizePath: http.HandlerFunc(s.serveAuthorize),
		tokenPath:     api(nil, s.serveToken),
		revokePath:    api(nil, s.serveRevoke),
		registerPath:  api(s.o.LimitRegistration, s.serveRegister),
		keysPath:      get.Handler(s.endpoint(s.o.LimitDiscovery, s.serveKeys, http.MethodGet, http.MethodHead)),
	}
	for path, h := range s.discovery() {
		handlers[path] = get.Handler(s.endpoint(s.o.LimitDiscovery, h, http.MethodGet, http.MethodHead))
	}
	for path, h := range handlers {
		handlers[path] = s.withRemote(h)
	}
	return handlers
}

func connectionAddr(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
}
