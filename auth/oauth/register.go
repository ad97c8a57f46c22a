package oauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"wigwag/auth"
)

const (
	maxClients   = 2_000 // beyond it, those that would end soonest give way
	maxRedirects = 10
	maxName      = 80 // of a client, in characters
	// unusedFor is how long a client is kept that nobody has allowed anything,
	// and usedFor one that somebody has, from the last time a token was
	// given to it; it outlives its refresh tokens, which end after 30 days.
	unusedFor = 24 * time.Hour
	usedFor   = 60 * 24 * time.Hour

	clientPrefix   = "client/"
	clientIDPrefix = "c_"
)

// client is who asks for a person's permission: registered here, or known by a
// document at the URL that is its ID.
type client struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"` // what it calls itself
	Redirects []string `json:"redirects"`
	// Host is where the document is; empty for a client that was registered,
	// whose name nobody vouches for.
	Host string `json:"-"`
}

// errUnknownClient is returned for a client ID that is not known here.
var errUnknownClient = errors.New("unknown client")

// client returns a client by its ID. Its errors are errUnknownClient, a
// [*documentError], and internal ones.
func (s *Server) client(ctx context.Context, id string) (client, error) {
	if isDocumentURL(id) {
		return s.documents.client(ctx, id)
	}
	return s.registered(id)
}

// registered returns a registered client, or errUnknownClient.
func (s *Server) registered(id string) (client, error) {
	if !validHandle(id, clientIDPrefix) {
		return client{}, errUnknownClient
	}
	r, revision, err := load[client](s.records, clientPrefix+id)
	if err == nil && revision == 0 {
		err = errUnknownClient
	}
	return r.Data, err
}

// keepClient puts off the end of a registered client that is in use. It writes
// once a day at most.
func (s *Server) keepClient(ctx context.Context, id string) error {
	if isDocumentURL(id) {
		return nil
	}
	ends := s.now().Add(usedFor).UTC()
	return change(ctx, s.records, clientPrefix+id, func(r *record[client], found bool) bool {
		if !found || ends.Sub(r.Ends) < 24*time.Hour {
			return false
		}
		r.Ends = ends
		return true
	})
}

// metadata is what a client says of itself (RFC 7591, section 2), in a request
// to register or in a document. Fields that change nothing here are not read.
type metadata struct {
	ClientID      string   `json:"client_id"`
	ClientName    string   `json:"client_name"`
	RedirectURIs  []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	// Not in the RFC, but used by clients that can do several.
	AuthMethods          []string `json:"token_endpoint_auth_methods"`
	AuthMethodsSupported []string `json:"token_endpoint_auth_methods_supported"`
}

// parseMetadata reads and checks what both ways of registering have in common.
func parseMetadata(body []byte) (metadata, error) {
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return m, refuse(http.StatusBadRequest, "invalid_client_metadata", "%s is a %s; redirect_uris, grant_types and response_types are lists of strings, the other fields strings", clip(wrong.Field), wrong.Value)
		}
		return m, refuse(http.StatusBadRequest, "invalid_client_metadata", "the client metadata is not a JSON object")
	}
	if len(m.RedirectURIs) == 0 || len(m.RedirectURIs) > maxRedirects {
		return m, refuse(http.StatusBadRequest, "invalid_redirect_uri", "redirect_uris has %d entries; 1 to %d are allowed", len(m.RedirectURIs), maxRedirects)
	}
	for i, uri := range m.RedirectURIs {
		if err := checkRedirect(uri); err != nil {
			return m, refuse(http.StatusBadRequest, "invalid_redirect_uri", "redirect_uris[%d] (%s) is refused: %v", i, clip(uri), err)
		}
	}
	if len(m.GrantTypes) > 0 && !slices.Contains(m.GrantTypes, "authorization_code") {
		return m, refuse(http.StatusBadRequest, "invalid_client_metadata", "grant_types leaves out authorization_code; that and refresh_token are what there is")
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") {
		return m, refuse(http.StatusBadRequest, "invalid_client_metadata", "response_types leaves out code, which is the only one there is")
	}
	return m, nil
}

// serveRegister is dynamic client registration (RFC 7591, section 3). Whatever
// way to authenticate a client asks for, it is registered as a public one and
// gets no secret, which section 3.2.1 allows.
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request) error {
	if s.o.NoRegistration {
		return refuse(http.StatusForbidden, "access_denied", "registration of clients is off on this server; use a client that is known by a metadata document at an https address, or a personal access token")
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	m, err := parseMetadata(body)
	if err != nil {
		return err
	}
	c := client{ID: clientIDPrefix + rand.Text(), Name: displayName(m.ClientName), Redirects: m.RedirectURIs}
	if err := s.records.makeRoom(r.Context(), clientPrefix, "", maxClients); err != nil {
		return err
	}
	now := s.now().UTC()
	if err := create(r.Context(), s.records, clientPrefix+c.ID, record[client]{heading: heading{Ends: now.Add(unusedFor)}, Data: c}); err != nil {
		return err
	}
	s.o.Audit.Record(r.Context(), auth.Event{Action: "client.register", Client: c.ID, Detail: fmt.Sprintf("%q for %s", c.Name, strings.Join(c.Redirects, " "))})
	writeJSON(w, http.StatusCreated, struct {
		ClientID      string   `json:"client_id"`
		IssuedAt      int64    `json:"client_id_issued_at"`
		ClientName    string   `json:"client_name,omitempty"`
		RedirectURIs  []string `json:"redirect_uris"`
		GrantTypes    []string `json:"grant_types"`
		ResponseTypes []string `json:"response_types"`
		AuthMethod    string   `json:"token_endpoint_auth_method"`
	}{c.ID, now.Unix(), c.Name, c.Redirects, grantTypes(), []string{"code"}, "none"})
	return nil
}

func grantTypes() []string { return []string{"authorization_code", "refresh_token"} }

// displayName is a client's name without what could make a page or a log say
// something else: control characters, and those that turn the direction of
// writing or are not seen.
func displayName(name string) string {
	name = strings.ToValidUTF8(name, "")
	name = strings.Join(strings.FieldsFunc(name, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsGraphic(c) }), " ")
	if runes := []rune(name); len(runes) > maxName {
		return string(runes[:maxName-1]) + "…"
	}
	return name
}

// validHandle reports whether s is a prefix and what rand.Text returns.
func validHandle(s, prefix string) bool {
	text, ok := strings.CutPrefix(s, prefix)
	return ok && len(text) == len(rand.Text()) && !strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < '2' || c > '7')
	})
}
