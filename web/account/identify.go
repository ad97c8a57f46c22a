package account

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

// cookie is the name of the cookie of web sessions: with the prefix that no
// other host and no plain connection can set it by, where the browser allows it.
func (s *Server) cookie(r *http.Request) (name string, secure bool) {
	if strings.HasPrefix(s.o.PublicURL(r), "https:") {
		return "__Host-session", true
	}
	return "wigwag_session", false
}

// open begins a web session of a user, in place of the one that the browser had.
func (s *Server) open(w http.ResponseWriter, r *http.Request, user auth.User) error {
	before, hadOne := s.SignedIn(r)
	secret, _, err := s.o.Tokens.OpenSession(r.Context(), user)
	if err != nil {
		return err
	}
	s.setCookie(w, r, secret, 0)
	if hadOne {
		err := s.o.Credentials.Revoke(r.Context(), before.Subject, before.Credential)
		if err != nil && !errors.Is(err, auth.ErrUnknownCredential) {
			return err
		}
	}
	return nil
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, secret string, maxAge int) {
	name, secure := s.cookie(r)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure on loopback http alone, where browsers would not send it back
		Name: name, Value: secret, Path: "/", MaxAge: maxAge, Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// SignedIn returns who the web session of r's browser is of, if there is one.
func (s *Server) SignedIn(r *http.Request) (auth.Identity, bool) {
	name, _ := s.cookie(r)
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return auth.Identity{}, false
	}
	id, err := s.o.Tokens.Session(cookies[0].Value)
	return id, err == nil
}

// SignIn checks a name and a password that the browser at r sent, throttled as
// everywhere, and begins a web session by a cookie on w. Its errors are those of
// [auth.Users.Authenticate].
func (s *Server) SignIn(w http.ResponseWriter, r *http.Request, name, password string) error {
	user, err := s.o.Users.Authenticate(r.Context(), remote(r), name, password)
	if err != nil {
		return err
	}
	return s.open(w, r, user)
}

// Identify finds out who a request comes from, by its bearer token, or where it
// has none by the cookie of a web session. A cookie is sent by the browser, who
// ever made it ask; so with one, what a page of another origin asks for is
// refused, reading included. What is asked for is done when the body is there in
// whole: so who may no longer come in by then does not get to its end.
func (s *Server) Identify(next http.Handler) http.Handler {
	next = s.checkedAtEnd(next)
	bearer := s.o.Bearer(next)
	return located(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Authorization")) > 0 {
			bearer.ServeHTTP(w, r)
			return
		}
		id, ok := s.SignedIn(r)
		if !ok {
			bearer.ServeHTTP(w, r) // which refuses it
			return
		}
		if s.crossOrigin(r) {
			auth.WriteProblem(w, http.StatusForbidden, "With a cookie this is for pages of this server alone. Elsewhere send a token.")
			return
		}
		next.ServeHTTP(w, identified(r, id))
	}))
}

// checkedAtEnd has the body of a request whose identity is known end in a problem
// if its sender may no longer come in by then.
func (s *Server) checkedAtEnd(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context()) // whoever identified the request put it there
		r = r.WithContext(r.Context())
		r.Body = checkedBody{r.Body, func() bool { return s.o.Tokens.Revoked(id) }}
		next.ServeHTTP(w, r)
	})
}

type checkedBody struct {
	io.ReadCloser
	revoked func() bool
}

// Read implements io.Reader.
func (b checkedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && b.revoked() {
		const why = "the token has been revoked"
		err = &endpoint.Problem{
			Status: http.StatusUnauthorized, Detail: why, Challenge: auth.Challenge{Error: "invalid_token", Description: why}.String(),
		}
	}
	return n, err
}

// identified returns r with the identity in its context and without what proved
// it, for which nobody further in has a use.
func identified(r *http.Request, id auth.Identity) *http.Request {
	r = r.WithContext(auth.NewContext(r.Context(), id))
	r.Header = r.Header.Clone()
	r.Header.Del("Authorization")
	r.Header.Del("Cookie")
	return r
}

// crossOrigin tells whether a page of another origin made the request.
func (s *Server) crossOrigin(r *http.Request) bool {
	asked := *r
	asked.Method = http.MethodPost // others are let through unseen
	return s.csrf.Check(&asked) != nil
}

// IdentifyStream is Identify for streams. Pages cannot send a header with an
// EventSource, so it also takes a ticket in the query, and where that is allowed
// an access token.
func (s *Server) IdentifyStream(next http.Handler) http.Handler {
	known := s.Identify(next)
	return located(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		tickets, tokens := query["ticket"], query["token"]
		if len(tickets)+len(tokens) == 0 || len(r.Header.Values("Authorization")) > 0 {
			known.ServeHTTP(w, r)
			return
		}
		query.Del("ticket")
		query.Del("token")
		r = withQuery(r, query)
		switch {
		case len(tickets) == 1 && len(tokens) == 0:
			s.admitTicket(w, r, tickets[0], next)
		case len(tickets) == 0 && len(tokens) == 1 && s.o.QueryToken:
			r.Header = r.Header.Clone()
			r.Header.Set("Authorization", "Bearer "+tokens[0])
			known.ServeHTTP(w, r)
		case !s.o.QueryToken && len(tokens) > 0:
			s.unauthorized(w, r, "tokens are not taken from the query here: send a header, or get a ticket by POST /api/stream-ticket")
		default:
			s.unauthorized(w, r, "the query holds more than one ticket or token")
		}
	}))
}

func (s *Server) admitTicket(w http.ResponseWriter, r *http.Request, ticket string, next http.Handler) {
	id, err := s.o.Tokens.Redeem(r.Context(), ticket)
	bad, isBad := errors.AsType[auth.TokenError](err)
	switch {
	case err == nil:
		next.ServeHTTP(w, identified(r, id))
	case isBad:
		s.unauthorized(w, r, string(bad))
	default:
		s.endpoints.Refuse(w, r, err)
	}
}

// unauthorized refuses a request that has something to show which is no good.
func (s *Server) unauthorized(w http.ResponseWriter, r *http.Request, why string) {
	c := auth.Challenge{Error: "invalid_token", Description: why, Scopes: auth.ScopesEveryday, Resource: s.o.Resource(r)}
	w.Header().Set("WWW-Authenticate", c.String())
	auth.WriteProblem(w, http.StatusUnauthorized, "Refused: "+why+".")
}

// withQuery returns r with another query.
func withQuery(r *http.Request, query url.Values) *http.Request {
	r = r.WithContext(r.Context())
	u := *r.URL
	u.RawQuery = query.Encode()
	r.URL = &u
	r.RequestURI = u.RequestURI()
	return r
}
