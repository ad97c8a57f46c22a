package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"wigwag/auth"
)

// verifierForm is what a code_verifier looks like (RFC 7636, section 4.1).
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// maxParameter bounds a token, a code or an ID in a request, in bytes.
const maxParameter = 4 << 10

// serveToken is the token endpoint (RFC 6749, section 3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) error {
	form, err := clientForm(w, r)
	if err != nil {
		return err
	}
	id := form.Get("client_id")
	if id == "" {
		return invalidRequest("client_id is missing; clients here are public and name themselves by it")
	}
	if err := s.knownClient(id); err != nil {
		return err
	}
	var issued auth.Issued
	switch form.Get("grant_type") {
	case "authorization_code":
		issued, err = s.exchangeCode(r, id, form)
	case "refresh_token":
		issued, err = s.refresh(r, id, form)
	case "":
		err = invalidRequest("grant_type is missing; it must be authorization_code or refresh_token")
	default:
		err = refuse(http.StatusBadRequest, "unsupported_grant_type", "grant_type is %s; it must be authorization_code or refresh_token", clip(form.Get("grant_type")))
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		s.o.Audit.Record(r.Context(), auth.Event{Action: "token", Client: id, Outcome: refused.code, Detail: refused.description})
	}
	if err != nil {
		return err
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1
	writeJSON(w, http.StatusOK, struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int64  `json:"expires_in"`
		RefreshToken string `json:"refresh_token"`
		Scope        string `json:"scope"`
	}{
		issued.Access, "Bearer", int64(time.Until(issued.Identity.Expires).Round(time.Second) / time.Second),
		issued.Refresh, issued.Identity.Scopes.String(),
	})
	return nil
}

// clientForm reads the form of a public client.
func clientForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", "Basic") // RFC 6749, section 5.2
		return nil, refuse(http.StatusUnauthorized, "invalid_client", "clients here are public: send client_id in the body, and no Authorization header")
	}
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	if twice := repeated(form); twice != "" {
		return nil, invalidRequest("%s", twice)
	}
	for name := range form {
		if len(form.Get(name)) > maxParameter {
			return nil, invalidRequest("%s is longer than %d characters", clip(name), maxParameter)
		}
	}
	return form, nil
}

// knownClient refuses clients that are not known, so that they register anew.
// One that is known by its document needs none here: codes and refresh tokens
// are bound to its ID.
func (s *Server) knownClient(id string) error {
	var err error
	if isDocumentURL(id) {
		_, err = checkDocumentURL(id)
	} else {
		_, err = s.registered(id)
	}
	if _, bad := errors.AsType[*documentError](err); bad || errors.Is(err, errUnknownClient) {
		return refuse(http.StatusUnauthorized, "invalid_client", "the client is not known here; register it, at %s, or use the address of its metadata document as client_id", registerPath)
	}
	return err
}

func (s *Server) exchangeCode(r *http.Request, id string, form url.Values) (auth.Issued, error) {
	x := exchange{
		code: form.Get("code"), client: id, redirect: form.Get("redirect_uri"),
		verifier: form.Get("code_verifier"), resource: form.Get("resource"), arrived: s.now(),
	}
	if x.code == "" {
		return auth.Issued{}, invalidRequest("code is missing")
	}
	if x.verifier == "" {
		return auth.Issued{}, invalidRequest("code_verifier is missing; PKCE is required")
	}
	if !verifierForm.MatchString(x.verifier) {
		return auth.Issued{}, invalidGrant("code_verifier must be 43 to 128 letters, digits and -._~")
	}
	return s.redeem(r, x)
}

// refresh exchanges a refresh token for new tokens. The scopes can be less than
// what was granted, and only for this access token.
func (s *Server) refresh(r *http.Request, id string, form url.Values) (auth.Issued, error) {
	if form.Get("refresh_token") == "" {
		return auth.Issued{}, invalidRequest("refresh_token is missing")
	}
	scopes, ok := parseScope(form.Get("scope"))
	if !ok {
		return auth.Issued{}, refuse(http.StatusBadRequest, "invalid_scope", "scope is %s; there are %s", clip(form.Get("scope")), auth.ScopeAdmin)
	}
	ask := auth.Refresh{Client: id, Resource: form.Get("resource"), Scopes: scopes}
	issued, err := s.o.Tokens.Refresh(r.Context(), form.Get("refresh_token"), ask)
	switch {
	case errors.Is(err, auth.ErrRefresh):
		return issued, invalidGrant("the refresh token is not good: unknown, expired, used before, revoked, or another client's")
	case errors.Is(err, auth.ErrScope):
		return issued, refuse(http.StatusBadRequest, "invalid_scope", "scope goes beyond what was granted; leave it out for all of that")
	case errors.Is(err, auth.ErrResource):
		return issued, refuse(http.StatusBadRequest, "invalid_target", "resource is %s; the refresh token is for another one", clip(ask.Resource))
	case err != nil:
		return issued, err
	}
	if err := s.keepClient(r.Context(), id); err != nil {
		return issued, err
	}
	return issued, nil
}

// serveRevoke is the revocation endpoint (RFC 7009). A token that is not known,
// or is another client's, is as good as revoked: 200.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) error {
	form, err := clientForm(w, r)
	if err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		return invalidRequest("token is missing")
	}
	if err := s.o.Tokens.RevokeToken(r.Context(), token, form.Get("client_id")); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// revoke ends a credential; that it is not there any more is no error.
func (s *Server) revoke(ctx context.Context, user, credential string) error {
	err := s.o.Credentials.Revoke(ctx, user, credential)
	if err != nil && !errors.Is(err, auth.ErrUnknownCredential) {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// userError is what a client is told when its user is not as it was.
func userError(err error) error {
	if why, ok := errors.AsType[auth.TokenError](err); ok {
		return invalidGrant("%s", string(why))
	}
	return err
}
