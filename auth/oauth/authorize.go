package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"wigwag/auth"
)

const (
	maxQuery = 8 << 10 // bytes
	maxState = 4 << 10
)

// request is an authorization request that is in order (RFC 6749, section
// 4.1.1).
type request struct {
	query     url.Values // what was asked, to be asked again by the forms
	client    client
	redirect  string // as it was asked for
	state     string
	challenge string // S256
	resource  string
	scopes    auth.Scopes
	prompt    []string
	site      site // that it was sent to
}

// pageError is an error that is told on a page. Nobody is redirected: where to
// is part of what is wrong.
type pageError struct {
	status int
	title  string
	text   string
}

func (e *pageError) Error() string { return e.title + ": " + e.text }

// redirectError is told to the client, by way of the browser (RFC 6749, section
// 4.1.2.1).
type redirectError struct {
	code, description string
	person            string // who is signed in, if that is known
	decided           bool   // the person said so on the page, which names the client
}

func (e *redirectError) Error() string { return e.code + ": " + e.description }

// serveAuthorize shows the pages for signing in and for consent, and takes
// their forms. The address of both is that of the authorization request, which
// is checked anew each time.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	s.pages.headers(w.Header())
	req, err := s.parseAuthorize(w, r)
	if err == nil {
		switch r.Method {
		case http.MethodPost:
			err = s.takeForm(w, r, req)
		default:
			err = s.askPerson(w, r, req)
		}
	}
	if err != nil {
		s.refuseAuthorize(w, r, req, err)
	}
}

// refuseAuthorize answers an error, by a page or by a redirect.
func (s *Server) refuseAuthorize(w http.ResponseWriter, r *http.Request, req request, err error) {
	refused, isPage := errors.AsType[*pageError](err)
	back, isBack := errors.AsType[*redirectError](err)
	switch {
	case isBack:
		s.o.Audit.Record(r.Context(), auth.Event{Action: "authorize", Actor: back.person, Client: req.client.ID, Outcome: back.code, Detail: back.description})
		params := url.Values{"error": {back.code}, "error_description": {plainText(back.description)}}
		if back.decided || s.trusted(r, req) {
			s.sendBack(w, req, params)
			return
		}
		s.pages.show(w, http.StatusBadRequest, "error.html", errorPage{
			Title: "The app asked in a way that does not work",
			Text:  "What it asked for cannot be answered: " + plainText(back.description) + ". You have not allowed this app anything, so you are not sent back to it by itself.",
			Back:  template.URL(req.wayBack(params)), //nolint:gosec // of a scheme that parseRedirect allows
			Where: redirectHost(req.redirect),
		})
		return
	case isPage:
		s.o.Audit.Record(r.Context(), auth.Event{Action: "authorize", Outcome: "refused", Detail: refused.Error()})
	case r.Context().Err() != nil:
		return
	default:
		s.o.Logger.ErrorContext(r.Context(), "authorization request failed", "err", err)
		refused = &pageError{http.StatusInternalServerError, "Something went wrong", "An internal error; it has been logged. Try again."}
	}
	s.pages.show(w, refused.status, "error.html", errorPage{Title: refused.title, Text: refused.text})
}

// trusted reports whether a browser may be sent to the client with an error that
// nobody was asked about. Anybody can register a client, and a link to this
// server is not to end wherever a stranger likes (RFC 9700, section 4.11.2): so
// to this machine, and to clients that the person has allowed something.
func (s *Server) trusted(r *http.Request, req request) bool {
	if u, err := parseRedirect(req.redirect); err == nil && loopback(u) {
		return true
	}
	id, signedIn := s.o.Browsers.SignedIn(r)
	if !signedIn {
		return false
	}
	before, err := s.consented(id.Subject, req)
	return err == nil && before.Granted != 0
}

// sendBack redirects the browser to the client. 303, so that what was a POST
// is none there.
func (s *Server) sendBack(w http.ResponseWriter, req request, params url.Values) {
	w.Header().Set("Location", req.wayBack(params))
	w.WriteHeader(http.StatusSeeOther)
}

// wayBack is the client's address with an answer.
func (req request) wayBack(params url.Values) string {
	if req.state != "" {
		params.Set("state", req.state)
	}
	params.Set("iss", req.site.issuer) // RFC 9207
	return redirectTo(req.redirect, params)
}

// parseAuthorize checks an authorization request. With a redirectError the
// request is good enough to say so to its client.
func (s *Server) parseAuthorize(w http.ResponseWriter, r *http.Request) (request, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD, POST")
		return request{}, &pageError{http.StatusMethodNotAllowed, "That does not work", "This page is for GET and POST."}
	}
	at, known := s.site(r)
	if !known {
		return request{}, &pageError{http.StatusForbidden, "Wrong address", fmt.Sprintf("%s is not an address of this server. Use %s.", clip(r.Host), s.sites[0].issuer)}
	}
	if limited, ok := errors.AsType[*refusal](s.limited(s.o.LimitAuthorize, r)); ok {
		w.Header().Set("Retry-After", wholeSeconds(limited.retryAfter))
		return request{}, &pageError{http.StatusTooManyRequests, "Too many requests", fmt.Sprintf("Too many requests came from your address. Try again in %s seconds.", wholeSeconds(limited.retryAfter))}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > maxQuery {
		return request{}, badRequest(fmt.Sprintf("its address is not well-formed, or longer than %d characters", maxQuery))
	}
	if twice := repeated(query); twice != "" {
		return request{}, badRequest(twice)
	}
	req := request{query: query, state: query.Get("state"), site: at}
	if req.client, err = s.authorizeClient(r, query.Get("client_id")); err != nil {
		return request{}, err
	}
	if req.redirect, err = chooseRedirect(query.Get("redirect_uri"), req.client); err != nil {
		return request{}, err
	}
	err = s.fillRequest(&req) // of what is wrong there the client is told
	return req, err
}

func badRequest(why string) *pageError {
	return &pageError{http.StatusBadRequest, "The app asked in a way that does not work", "What it asked for cannot be answered: " + why + ". Start again from the app."}
}

func (s *Server) authorizeClient(r *http.Request, id string) (client, error) {
	if id == "" {
		return client{}, badRequest("client_id is missing")
	}
	c, err := s.client(r.Context(), id)
	document, ok := errors.AsType[*documentError](err)
	switch {
	case errors.Is(err, errUnknownClient):
		return client{}, &pageError{
			http.StatusBadRequest, "The app is not known here",
			fmt.Sprintf("There is no app of the ID “%s”; one that was never used is forgotten after a day. Remove this server in the app and add it again, so that it registers anew.", clip(displayName(id))),
		}
	case ok:
		return client{}, &pageError{http.StatusBadRequest, "The app is not known here", "It says that it is " + clip(displayName(id)) + ", but " + document.Error() + "."}
	}
	return c, err
}

// chooseRedirect returns where to send the browser: an address that the client
// has registered, and no other.
func chooseRedirect(asked string, c client) (string, error) {
	if asked == "" && len(c.Redirects) == 1 {
		return c.Redirects[0], nil
	}
	if asked == "" {
		return "", badRequest("redirect_uri is missing")
	}
	if !redirectRegistered(asked, c.Redirects) {
		return "", badRequest(fmt.Sprintf("redirect_uri is %s, which the app did not register. It must be, character for character, one of %s; only the port of a loopback address may differ",
			clip(displayName(asked)), strings.Join(c.Redirects, ", ")))
	}
	return asked, nil
}

var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// fillRequest checks the rest of a request. Its errors are redirectErrors.
func (s *Server) fillRequest(req *request) error {
	q := req.query
	refuse := func(code, format string, args ...any) error {
		return &redirectError{code: code, description: fmt.Sprintf(format, args...)}
	}
	if len(req.state) > maxState {
		req.state = "" // not to be echoed in part
		return refuse("invalid_request", "state is longer than %d characters", maxState)
	}
	switch {
	case q.Has("request"):
		return refuse("request_not_supported", "request objects are not supported; send the parameters themselves")
	case q.Has("request_uri"):
		return refuse("request_uri_not_supported", "request objects are not supported; send the parameters themselves")
	case q.Get("response_type") == "":
		return refuse("invalid_request", "response_type is missing; it must be code")
	case q.Get("response_type") != "code":
		return refuse("unsupported_response_type", "response_type is %s; it must be code", clip(q.Get("response_type")))
	case q.Has("response_mode") && q.Get("response_mode") != "query":
		return refuse("invalid_request", "response_mode is %s; it must be query", clip(q.Get("response_mode")))
	case q.Get("code_challenge") == "":
		return refuse("invalid_request", "code_challenge is missing; PKCE is required, with code_challenge_method S256")
	case q.Get("code_challenge_method") != "S256":
		return refuse("invalid_request", "code_challenge_method is %s; it must be S256", clip(cmp.Or(q.Get("code_challenge_method"), "missing, which means plain")))
	case !challengeForm.MatchString(q.Get("code_challenge")):
		return refuse("invalid_request", "code_challenge must be the SHA-256 of the verifier in base64url, 43 characters")
	}
	req.challenge = q.Get("code_challenge")
	req.resource = req.site.issuer + mcpPath
	if asked := q.Get("resource"); asked != "" {
		if !slices.Contains(s.resources(), asked) {
			return refuse("invalid_target", "resource is %s; it must be one of %s", clip(asked), strings.Join(s.resources(), ", "))
		}
		req.resource = asked
	}
	var ok bool
	if req.scopes, ok = parseScope(q.Get("scope")); !ok {
		return refuse("invalid_scope", "scope is %s; there are %s", clip(q.Get("scope")), auth.ScopeAdmin)
	}
	if req.scopes == 0 {
		req.scopes = auth.ScopesEveryday
	}
	req.prompt = strings.Fields(q.Get("prompt")) // of what it may hold, unknown values are passed over
	return nil
}
