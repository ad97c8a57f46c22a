package seeds

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"wigwag/web/endpoint"
)

// cookieName is that of the cookie that holds a login's access token.
const cookieName = "auth_token"

// WithCookie takes the cookie of a login for a bearer token, where a request has
// nothing else to show. The browser sends it, whoever made it ask: so it counts
// only for pages of this server and of the allowed origins. A page of this server
// that has a web session of its own stays with that.
func (s *Server) WithCookie(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies, query := r.CookiesNamed(cookieName), r.URL.Query()
		abroad := crosses(s.own, r)
		switch {
		case len(cookies) == 0, len(r.Header.Values("Authorization")) > 0, query.Has("ticket"), query.Has("token"),
			!abroad && s.o.SignedIn(r):
			next.ServeHTTP(w, r)
			return
		case abroad && crosses(s.trusted, r):
			s.refuse(w, r, &endpoint.Problem{
				Status: http.StatusForbidden, Detail: "With a cookie this is for pages of this server and of its --allowed-origin. Elsewhere send a token.",
			})
			return
		}
		r = r.Clone(r.Context())
		for _, c := range cookies { // more than one is refused there
			r.Header.Add("Authorization", "Bearer "+c.Value)
		}
		next.ServeHTTP(w, r)
	})
}

// crosses tells whether a page made the request that is not let through.
func crosses(guard *http.CrossOriginProtection, r *http.Request) bool {
	asked := *r
	asked.Method = http.MethodPost // others are let through unseen
	return guard.Check(&asked) != nil
}

// Login gives the tokens of the login at next as a cookie, too, and adds to its
// answers what the seed's client looks at.
func (s *Server) Login(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answer{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		status, body := answer.status, answer.body.Bytes()
		var fields map[string]any
		if json.Unmarshal(body, &fields) == nil && fields != nil {
			fields["success"] = status < http.StatusBadRequest
			if token, ok := fields["token"].(string); ok {
				s.welcome(w, r, token, fields)
			}
			if detail, ok := fields["detail"]; ok {
				fields["error"] = detail
			}
			body, _ = json.Marshal(fields) // it was JSON before
		}
		w.WriteHeader(status)
		_, _ = w.Write(body) // a client that is gone has no use for the error
	})
}

// welcome gives a token as a cookie, and says whose it is.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request, token string, fields map[string]any) {
	id, err := s.o.Verifier.Verify(r.Context(), token)
	if err != nil {
		return // it has been revoked meanwhile; so it is no good as a cookie, either
	}
	fields["user"] = map[string]string{"username": id.Subject}
	seconds, _ := fields["expires_in"].(float64)
	s.setCookie(w, r, token, int(seconds))
}

// Logout lets go of the cookie when the logout at next has ended the login, or
// finds that there is none. Who came by the cookie gets an answer with a body.
func (s *Server) Logout(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answer{ResponseWriter: w}
		came := len(r.CookiesNamed(cookieName)) > 0
		s.WithCookie(next).ServeHTTP(answer, r)
		if came && (answer.status == http.StatusNoContent || answer.status == http.StatusUnauthorized) {
			s.setCookie(w, r, "", -1)
		}
		if came && answer.status == http.StatusNoContent {
			endpoint.WriteJSON(w, http.StatusOK, map[string]any{"success": true, "message": "Signed out."})
			return
		}
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes()) // as above
	})
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, token string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure on loopback http alone, where browsers would not send it back
		Name: cookieName, Value: token, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.o.PublicURL(r), "https:"),
	})
}

// answer holds back an answer, all but its header.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.body.Write(p)
}

// Unwrap lets http.ResponseController set deadlines.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
