package account

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"net/url"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

const (
	signInPath = "/signin"
	signUpPath = "/signup"
)

//go:embed templates
var templates embed.FS

// pages are what people see. They need no JavaScript.
type pages struct {
	templates *template.Template
	style     template.CSS
	policy    string // Content-Security-Policy
}

// view is what a page shows.
type view struct {
	Style    template.CSS
	Title    string
	Text     string
	Problem  string // with what was typed in before
	Action   string
	Person   string // who is signed in; empty: a form is shown
	Server   string // the address for clients
	Hidden   map[string]string
	AskName  bool
	Name     string // typed in before
	NewWord  bool   // the password is chosen, not known
	Button   string
	Finished bool // nothing to fill in
}

func loadPages() (*pages, error) {
	all, err := template.ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	style, err := templates.ReadFile("templates/style.css")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(style)
	return &pages{
		templates: all,
		style:     template.CSS(style), //nolint:gosec // our own
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}, nil
}

// show writes the page.
func (s *Server) show(w http.ResponseWriter, status int, v view) {
	v.Style = s.pages.style
	var b bytes.Buffer
	if err := s.pages.templates.ExecuteTemplate(&b, "page.html", v); err != nil {
		panic(err) // a mistake in the template; each form is shown in a test
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.pages.policy)
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	// Without any referrer browsers send the form with the Origin "null".
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // fails only when the client is gone
}

// page serves a page: what GET shows, and its form.
func (s *Server) page(by Limiter, show func(http.ResponseWriter, *http.Request), take func(http.ResponseWriter, *http.Request, url.Values)) http.Handler {
	return located(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(status int, text string) {
			s.show(w, status, view{Title: "That does not work", Text: text, Finished: true})
		}
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			show(w, r)
			return
		case http.MethodPost:
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			refuse(http.StatusMethodNotAllowed, "This page is for GET and POST.")
			return
		}
		if s.crossOrigin(r) {
			refuse(http.StatusForbidden, "That form came from another site.")
			return
		}
		if wait := waitFor(by, r); wait > 0 {
			w.Header().Set("Retry-After", endpoint.Seconds(wait))
			refuse(http.StatusTooManyRequests, "Too many requests come from your address. Try again in "+endpoint.Seconds(wait)+" s.")
			return
		}
		form, err := readForm(w, r)
		if err != nil {
			refuse(http.StatusBadRequest, "That form cannot be read.")
			return
		}
		take(w, r, form)
	}))
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, endpoint.BadRequest("The body is no form.")
	}
	body, err := endpoint.ReadBody(w, r, maxBody)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(body))
}

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request) {
	if link := r.URL.Query().Get("link"); link != "" {
		s.show(w, http.StatusOK, linkForm(link))
		return
	}
	if id, ok := s.SignedIn(r); ok {
		s.show(w, http.StatusOK, view{
			Title: "Signed in", Person: id.Subject, Server: s.o.PublicURL(r) + "/mcp", Action: signInPath,
			Hidden: map[string]string{"step": "out"}, Button: "Sign out", Finished: true,
		})
		return
	}
	s.show(w, http.StatusOK, signInForm(""))
}

func signInForm(name string) view {
	return view{Title: "Sign in to wigwag", Action: signInPath, AskName: true, Name: name, Button: "Sign in"}
}

func linkForm(link string) view {
	return view{
		Title: "Welcome to wigwag", Text: "Choose a password, of 8 characters or more. The link you came by is good once.",
		Action: signInPath, Hidden: map[string]string{"link": link}, NewWord: true, Button: "Set password and sign in",
	}
}

// takeSignIn takes a name and a password, a link and a new password, or the wish
// to leave.
func (s *Server) takeSignIn(w http.ResponseWriter, r *http.Request, form url.Values) {
	name, v := form.Get("username"), signInForm(form.Get("username"))
	var err error
	switch link := form.Get("link"); {
	case form.Get("step") == "out":
		if id, ok := s.SignedIn(r); ok {
			err = s.o.Credentials.Revoke(r.Context(), id.Subject, id.Credential)
		}
		s.setCookie(w, r, "", -1)
	case link != "":
		v, err = s.takeLink(w, r, link, form.Get("password"))
	default:
		err = s.SignIn(w, r, name, form.Get("password"))
	}
	s.finish(w, r, v, err)
}

// takeLink sets the password that the person chose. With one that cannot be the
// form is shown again; the link is good until it has been used.
func (s *Server) takeLink(w http.ResponseWriter, r *http.Request, link, password string) (view, error) {
	user, err := s.o.Users.RedeemLink(r.Context(), remote(r), link, password)
	switch {
	case errors.Is(err, auth.ErrLink):
		return signInForm(""), err
	case err != nil:
		return linkForm(link), err
	}
	return signInForm(user.Name), s.open(w, r, user)
}

func (s *Server) showSignUp(w http.ResponseWriter, r *http.Request) {
	s.show(w, http.StatusOK, signUpForm("", r.URL.Query().Get("invitation")))
}

func signUpForm(name, invitation string) view {
	return view{
		Title: "Join wigwag", Text: "Choose a name and a password, of 8 characters or more.",
		Action: signUpPath, Hidden: map[string]string{"invitation": invitation}, AskName: true, Name: name, NewWord: true, Button: "Join",
	}
}

func (s *Server) takeSignUp(w http.ResponseWriter, r *http.Request, form url.Values) {
	name := form.Get("username")
	user, err := s.o.SignUps.SignUp(r.Context(), remote(r), name, form.Get("password"), form.Get("invitation"))
	if err == nil {
		err = s.open(w, r, user)
	}
	s.finish(w, r, signUpForm(name, form.Get("invitation")), err)
}

// finish goes on to the page that says who is signed in, or shows the form
// again, with what was wrong.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, form view, err error) {
	if err == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", signInPath)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	p := s.endpoints.ProblemOf(r, err)
	if errors.Is(err, auth.ErrCredentials) {
		p = &endpoint.Problem{Status: http.StatusUnauthorized, Detail: "Wrong user name or password."}
		w.Header().Set("WWW-Authenticate", "Bearer") // a 401 needs one (RFC 9110, section 15.5.2)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", endpoint.Seconds(p.RetryAfter))
	}
	form.Problem = p.Detail
	s.show(w, p.Status, form)
}
