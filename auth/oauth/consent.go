package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"wigwag/auth"
)

const (
	consentPrefix = "consent/"
	maxConsents   = 50 // of a person; the oldest give way
	consentFor    = 365 * 24 * time.Hour
)

// consent is what a person decided on a client.
type consent struct {
	Client   string      `json:"client"`
	Redirect string      `json:"redirect"` // canonical
	Asked    auth.Scopes `json:"asked"`
	Granted  auth.Scopes `json:"granted"`
	At       time.Time   `json:"at"`
}

// consents are all of a person's.
type consents struct {
	List []consent `json:"list"`
}

// consented returns what a person decided before on the client of a request and
// where it wants the answer; nothing, if that did not happen.
func (s *Server) consented(person string, req request) (consent, error) {
	r, _, err := load[consents](s.records, consentPrefix+person)
	if err != nil {
		return consent{}, err
	}
	redirect, err := canonicalRedirect(req.redirect)
	if err != nil {
		return consent{}, err
	}
	for _, c := range r.Data.List {
		if c.Client == req.client.ID && c.Redirect == redirect {
			return c, nil
		}
	}
	return consent{}, nil
}

// holds reports whether a client has anything left of what a person granted it.
// Who has revoked it all wants to be asked again.
func (s *Server) holds(person, client string) bool {
	return slices.ContainsFunc(s.o.Credentials.List(person), func(c auth.Credential) bool {
		return c.Kind == auth.KindOAuth && c.Client == client
	})
}

// remember keeps a decision, in place of one on the same client.
func (s *Server) remember(r *http.Request, person string, req request, granted auth.Scopes) error {
	redirect, err := canonicalRedirect(req.redirect)
	if err != nil {
		return err
	}
	now := s.now().UTC()
	return change(r.Context(), s.records, consentPrefix+person, func(stored *record[consents], _ bool) bool {
		list := slices.DeleteFunc(stored.Data.List, func(c consent) bool { return c.Client == req.client.ID && c.Redirect == redirect })
		list = append(list, consent{Client: req.client.ID, Redirect: redirect, Asked: req.scopes, Granted: granted, At: now})
		stored.Data.List = list[max(0, len(list)-maxConsents):]
		stored.Ends, stored.Owner = now.Add(consentFor), person
		return true
	})
}

// showSignIn shows the form for a name and a password.
func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request, req request, status int, name, problem string) error {
	s.pages.show(w, status, "signin.html", signInPage{
		Action:  authorizePath + "?" + req.query.Encode(),
		Proof:   s.flow(w, r, req.site).proof(stepSignIn, "", req.query),
		Client:  cmp.Or(req.client.Name, "An app"),
		Name:    name,
		Problem: problem,
	})
	return nil
}

// takeSignIn takes it.
func (s *Server) takeSignIn(w http.ResponseWriter, r *http.Request, req request, form url.Values) error {
	name := form.Get("username")
	err := s.o.Browsers.SignIn(w, r, name, form.Get("password"))
	throttled, isThrottled := errors.AsType[*auth.ThrottledError](err)
	switch {
	case err == nil:
		// The consent page comes next, even where prompt asked for this one.
		query := req.query
		if prompt := slices.DeleteFunc(req.prompt, func(p string) bool { return p == "login" }); query.Has("prompt") {
			query.Set("prompt", strings.Join(prompt, " "))
		}
		w.Header().Set("Location", authorizePath+"?"+query.Encode())
		w.WriteHeader(http.StatusSeeOther)
		return nil
	case errors.Is(err, auth.ErrCredentials):
		return s.showSignIn(w, r, req, http.StatusUnauthorized, name, "Wrong user name or password.")
	case isThrottled:
		seconds := wholeSeconds(throttled.RetryAfter)
		w.Header().Set("Retry-After", seconds)
		return s.showSignIn(w, r, req, http.StatusTooManyRequests, name, fmt.Sprintf("Too many failed attempts. Try again in %s s; until then no password is checked.", seconds))
	case errors.Is(err, auth.ErrBusy):
		w.Header().Set("Retry-After", "5")
		return s.showSignIn(w, r, req, http.StatusServiceUnavailable, name, "Too many people sign in at once. Try again in 5 s.")
	default:
		return fmt.Errorf("sign in: %w", err)
	}
}

// showConsent shows who asks, where the answer goes, and a box per scope.
func (s *Server) showConsent(w http.ResponseWriter, r *http.Request, req request, id auth.Identity, status int, problem string) error {
	before, err := s.consented(id.Subject, req)
	if err != nil {
		return err
	}
	other := maps.Clone(req.query)
	other.Set("prompt", "login")
	page := consentPage{
		Action:   authorizePath + "?" + req.query.Encode(),
		Proof:    s.flow(w, r, req.site).proof(stepConsent, id.Subject, req.query),
		Client:   cmp.Or(req.client.Name, "An app without a name"),
		Document: req.client.Host,
		Redirect: redirectHost(req.redirect),
		Local:    !strings.HasPrefix(req.redirect, "https://"),
		Person:   id.Subject,
		Account:  req.scopes.Include(id.Role.Scopes()),
		Other:    authorizePath + "?" + other.Encode(),
		Problem:  problem,
	}
	for _, name := range (req.scopes & id.Role.Scopes()).Names() {
		scope, _ := auth.ParseScopes(name)
		// All that there is to do as an administrator is given on purpose only.
		ticked := name != "admin"
		if before.Asked.Include(scope) {
			ticked = before.Granted.Include(scope)
		}
		page.Scopes = append(page.Scopes, scopeBox{Name: name, Means: scopeMeaning(name), Ticked: ticked})
	}
	s.pages.show(w, status, "consent.html", page)
	return nil
}

// takeConsent takes the decision.
func (s *Server) takeConsent(w http.ResponseWriter, r *http.Request, req request, id auth.Identity, form url.Values) error {
	offered := req.scopes & id.Role.Scopes()
	switch form.Get("decision") {
	case "deny":
		return &redirectError{code: "access_denied", description: "the user did not allow it", person: id.Subject, decided: true}
	case "allow":
	default:
		return s.showConsent(w, r, req, id, http.StatusBadRequest, "Choose Allow or Deny.")
	}
	ticked, _ := auth.ParseScopes(strings.Join(form["scope"], " "))
	granted := ticked & offered
	if granted == 0 {
		return s.showConsent(w, r, req, id, http.StatusBadRequest, "Tick at least one box, or choose Deny.")
	}
	if err := s.remember(r, id.Subject, req, granted); err != nil {
		return err
	}
	return s.allow(w, r, req, id, granted)
}

// allow sends the browser back with a code.
func (s *Server) allow(w http.ResponseWriter, r *http.Request, req request, id auth.Identity, granted auth.Scopes) error {
	code, err := s.newCode(r.Context(), req, id, granted)
	if err != nil {
		return err
	}
	if err := s.keepClient(r.Context(), req.client.ID); err != nil {
		return err
	}
	s.o.Audit.Record(r.Context(), auth.Event{Action: "consent", Actor: id.Subject, Client: req.client.ID, Detail: fmt.Sprintf("%s for %s by %q", granted, req.resource, req.client.Name)})
	s.sendBack(w, req, url.Values{"code": {code}})
	return nil
}
