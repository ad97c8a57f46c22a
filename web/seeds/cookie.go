package seeds

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

// cookieName is that of the cookie that holds a login's access token.
const cookieName = "auth_token"

// Cookies are what the cookie of a login needs. All are required.
type Cookies struct {
	// Origins are those of pages that may come with it, such as
	// http://localhost:3000, beside the server's own.
	Origins []string
	// Verifier tells whose a token is.
	Verifier auth.Verifier
	// SignedIn tells whether a request has the cookie of a web session.
	SignedIn func(*http.Request) (auth.Identity, bool)
	// PublicURL is the address by which a request came.
	PublicURL func(*http.Request) string
}

type cookies struct {
	Cookies
	own     *http.CrossOriginProtection // lets pages of this server through
	trusted *http.CrossOriginProtection // and those of the origins
	refuse  func(http.ResponseWriter, *http.Request, error)
}

func newCookies(c Cookies, refuse func(http.ResponseWriter, *http.Request, error)) (*cookies, error) {
	out := &cookies{c, http.NewCrossOriginProtection(), http.NewCrossOriginProtection(), refuse}
	for _, origin := range c.Origins {
		if err := out.trusted.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("seeds: origin %q: %w", origin, err)
		}
	}
	return out, nil
}

// WithCookie takes the cookie of a login for a bearer token, where a request has
// nothing else to show. The browser sends it, whoever made it ask: so it counts
// only for pages of this server and of the allowed origins. A page of this server
// that has a web session of its own stays with that.
func (s *Server) WithCookie(next http.Handler) http.Handler {
	if s == nil || s.cookies == nil {
		return next
	}
	c := s.cookies
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.CookiesNamed(cookieName)
		if len(given) == 0 || !c.counts(r) {
			next.ServeHTTP(w, r)
			return
		}
		if crosses(c.trusted, r) {
			c.refuse(w, r, &endpoint.Problem{
				Status: http.StatusForbidden, Detail: "With a cookie this is for pages of this server and of its --allowed-origin. Elsewhere send a token.",
			})
			return
		}
		r = r.Clone(r.Context())
		for _, one := range given { // more than one is refused further in
			r.Header.Add("Authorization", "Bearer "+one.Value)
		}
		next.ServeHTTP(w, r)
	})
}

// counts tells whether a request has nothing that goes before its cookie.
func (c *cookies) counts(r *http.Request) bool {
	query := r.URL.Query()
	if len(r.Header.Values("Authorization")) > 0 || query.Has("ticket") || query.Has("token") {
		return false
	}
	_, signedIn := c.SignedIn(r)
	return !signedIn || crosses(c.own, r)
}

// crosses tells whether a page made the request that is not let through.
func crosses(guard *http.CrossOriginProtection, r *http.Request) bool {
	asked := *r
	asked.Method = http.MethodPost // others are let through unseen
	return guard.Check(&asked) != nil
}

// Login gives the token of the login at next as a cookie, too, and adds to its
// answers what the seed's client looks at.
func (s *Server) Login(next http.Handler) http.Handler {
	if s == nil || s.cookies == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := answerOf(next, w, r)
		var fields map[string]any
		if json.Unmarshal(a.body.Bytes(), &fields) == nil && fields != nil {
			s.cookies.welcome(w, r, fields)
			fields["success"] = a.status < http.StatusBadRequest
			if detail, ok := fields["detail"]; ok {
				fields["error"] = detail
			}
			a.body.Reset()
			_ = json.NewEncoder(&a.body).Encode(fields) // it was JSON before
		}
		a.send(w)
	})
}

// welcome gives the token in an answer as a cookie, and says whose it is.
func (c *cookies) welcome(w http.ResponseWriter, r *http.Request, fields map[string]any) {
	token, _ := fields["token"].(string)
	seconds, _ := fields["expires_in"].(float64)
	id, err := c.Verifier.Verify(r.Context(), token)
	if err != nil {
		return // there is none, or it has been revoked meanwhile
	}
	fields["user"] = map[string]string{"username": id.Subject}
	c.set(w, r, token, int(seconds))
}

// Logout lets go of the cookie when the logout at next has ended the login, or
// finds that there is none. Who came by the cookie gets an answer with a body.
func (s *Server) Logout(next http.Handler) http.Handler {
	if s == nil || s.cookies == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came := len(r.CookiesNamed(cookieName)) > 0
		a := answerOf(next, w, r)
		if came && (a.status == http.StatusNoContent || a.status == http.StatusUnauthorized) {
			s.cookies.set(w, r, "", -1)
		}
		if came && a.status == http.StatusNoContent {
			endpoint.WriteJSON(w, http.StatusOK, map[string]any{"success": true, "message": "Signed out."})
			return
		}
		a.send(w)
	})
}

func (c *cookies) set(w http.ResponseWriter, r *http.Request, token string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure on loopback http alone, where browsers would not send it back
		Name: cookieName, Value: token, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(c.PublicURL(r), "https:"),
	})
}

// answer is one that is held back, all but its header.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// answerOf asks a handler.
func answerOf(h http.Handler, w http.ResponseWriter, r *http.Request) *answer {
	a := &answer{ResponseWriter: w, status: http.StatusOK}
	h.ServeHTTP(a, r)
	return a
}

func (a *answer) send(w http.ResponseWriter) {
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // a client that is gone has no use for the error
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// Unwrap lets http.ResponseController set deadlines.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
