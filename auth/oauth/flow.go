package oauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A flow is an authorization request in one browser. It is bound to it by a
// secret in a cookie: each form carries a proof that whoever made it knows the
// secret, the request, the step and who is signed in. A form of another site,
// of another request or of another person's session has no such proof. Nothing
// is kept here, so it holds after a restart and on any node.
type flow struct {
	secret string
	site   site
}

const (
	stepSignIn  = "sign-in"
	stepConsent = "consent"
)

// flowCookie is the cookie's name: with the prefix that no other host and no
// plain connection can set it by, where the browser allows it.
func flowCookie(at site) string {
	if at.secure {
		return "__Host-flow"
	}
	return "wigwag_flow"
}

// flow returns the browser's flow, with a new secret where it has none. A
// browser has one secret, so that flows in two tabs do not disturb each other.
func (s *Server) flow(w http.ResponseWriter, r *http.Request, at site) flow {
	if f, ok := existingFlow(r, at); ok {
		return f
	}
	f := flow{rand.Text() + rand.Text(), at}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure on loopback http alone, where browsers would not send it back
		Name: flowCookie(at), Value: f.secret, Path: "/", Secure: at.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return f
}

func existingFlow(r *http.Request, at site) (flow, bool) {
	cookies := r.CookiesNamed(flowCookie(at))
	if len(cookies) != 1 || len(cookies[0].Value) != 2*len(rand.Text()) {
		return flow{}, false
	}
	return flow{cookies[0].Value, at}, true
}

// proof is what a form carries.
func (f flow) proof(step, person string, query url.Values) string {
	mac := hmac.New(sha256.New, []byte(f.secret))
	for _, part := range []string{f.site.issuer, step, person, query.Encode()} {
		_, _ = mac.Write([]byte(url.QueryEscape(part) + "\n")) // never fails
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (f flow) proves(proof, step, person string, query url.Values) bool {
	return hmac.Equal([]byte(proof), []byte(f.proof(step, person, query)))
}

// askPerson shows the page that is due: for signing in, or for consent. A
// client that a person has allowed all of it before, and that still has
// something of it, goes on without a page, if the redirect says for sure which
// client it is. On loopback and with an app's own scheme any program can
// listen, so there the person is asked each time (RFC 8252, section 8.6).
func (s *Server) askPerson(w http.ResponseWriter, r *http.Request, req request) error {
	silent := slices.Contains(req.prompt, "none")
	id, signedIn := s.o.Browsers.SignedIn(r)
	if !signedIn || slices.Contains(req.prompt, "login") {
		if silent {
			return &redirectError{code: "login_required", description: "nobody is signed in, and prompt is none"}
		}
		return s.showSignIn(w, r, req, http.StatusOK, "", "")
	}
	offered := req.scopes & id.Role.Scopes()
	if offered == 0 {
		return &redirectError{code: "access_denied", description: "the user's role allows none of the scopes asked for", person: id.Subject}
	}
	before, err := s.consented(id.Subject, req)
	if err != nil {
		return err
	}
	certain := strings.HasPrefix(req.redirect, "https://")
	if before.Granted.Include(offered) && certain && s.holds(id.Subject, req.client.ID) && !slices.Contains(req.prompt, "consent") {
		return s.allow(w, r, req, id, offered)
	}
	if silent {
		return &redirectError{code: "consent_required", description: "the user has to be asked, and prompt is none", person: id.Subject}
	}
	return s.showConsent(w, r, req, id, http.StatusOK, "")
}

// takeForm takes what a page's form sends.
func (s *Server) takeForm(w http.ResponseWriter, r *http.Request, req request) error {
	const startAgain = "Start again from the app. If that does not help, allow cookies for this site."
	if !s.sameOrigin(r) {
		return &pageError{http.StatusForbidden, "That came from another site", startAgain}
	}
	form, err := readForm(w, r)
	if err != nil || repeated(form, "scope") != "" {
		return &pageError{http.StatusBadRequest, "That form cannot be read", startAgain}
	}
	step, person := form.Get("step"), ""
	id, signedIn := s.o.Browsers.SignedIn(r)
	if step == stepConsent {
		if !signedIn { // it ended meanwhile
			return s.showSignIn(w, r, req, http.StatusOK, "", "")
		}
		person = id.Subject
	}
	if f, ok := existingFlow(r, req.site); !ok || !f.proves(form.Get("proof"), step, person, req.query) {
		return &pageError{http.StatusForbidden, "That form is not of this browser", startAgain}
	}
	switch step {
	case stepSignIn:
		return s.takeSignIn(w, r, req, form)
	case stepConsent:
		return s.takeConsent(w, r, req, id, form)
	default:
		return &pageError{http.StatusBadRequest, "That form cannot be read", startAgain}
	}
}

// sameOrigin tells forms of our pages from those of other sites. Old browsers,
// and some on loopback, say nothing but the Origin, and that is "null" because
// our pages ask them to send no referrer; there the proof has to do.
func (s *Server) sameOrigin(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		return true
	}
	return s.csrf.Check(r) == nil
}
