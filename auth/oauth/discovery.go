package oauth

import (
	"net/http"

	"wigwag/auth"
)

const (
	resourceMetadata = "/.well-known/oauth-protected-resource"
	serverMetadata   = "/.well-known/oauth-authorization-server"
	openIDMetadata   = "/.well-known/openid-configuration"
)

// Resource returns the URL of the resource that a request asks for, by which
// tokens are for it and its challenge names its metadata; see
// [auth.BearerOptions]. Both parts of the HTTP+SSE pair are one resource, and
// all but those are the first.
func (s *Server) Resource(r *http.Request) string {
	at, _ := s.site(r)
	if r.URL.Path == ssePath || r.URL.Path == messagesPath {
		return at.issuer + ssePath
	}
	return at.issuer + mcpPath
}

// discovery returns the handlers of all documents that say where things are,
// also at the addresses that clients make of the resource's own path.
func (s *Server) discovery() map[string]func(http.ResponseWriter, *http.Request) error {
	documents := map[string]func(http.ResponseWriter, *http.Request) error{
		resourceMetadata: s.serveResource(mcpPath),
		serverMetadata:   s.serveServer(false),
		openIDMetadata:   s.serveServer(true),
	}
	for _, path := range resourcePaths() {
		documents[resourceMetadata+path] = s.serveResource(path)
		documents[serverMetadata+path] = s.serveServer(false)
		documents[openIDMetadata+path] = s.serveServer(true)
		documents[path+openIDMetadata] = s.serveServer(true)
	}
	return documents
}

// serveResource serves protected resource metadata (RFC 9728, section 2). Its
// scopes are those of normal use: clients ask for all they find there.
func (s *Server) serveResource(path string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		at, _ := s.site(r)
		writeJSON(w, http.StatusOK, struct {
			Resource      string   `json:"resource"`
			Name          string   `json:"resource_name"`
			Servers       []string `json:"authorization_servers"`
			Scopes        []string `json:"scopes_supported"`
			BearerMethods []string `json:"bearer_methods_supported"`
		}{at.issuer + path, service, append([]string{at.issuer}, s.o.OtherIssuers...), auth.ScopesEveryday.Names(), []string{"header"}})
		return nil
	}
}

// serverDocument is authorization server metadata (RFC 8414, section 2).
type serverDocument struct {
	Issuer            string   `json:"issuer"`
	Authorize         string   `json:"authorization_endpoint"`
	Token             string   `json:"token_endpoint"`
	Register          string   `json:"registration_endpoint,omitempty"`
	Revoke            string   `json:"revocation_endpoint"`
	Keys              string   `json:"jwks_uri"`
	Scopes            []string `json:"scopes_supported"`
	ResponseTypes     []string `json:"response_types_supported"`
	ResponseModes     []string `json:"response_modes_supported"`
	GrantTypes        []string `json:"grant_types_supported"`
	AuthMethods       []string `json:"token_endpoint_auth_methods_supported"`
	RevokeAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	ChallengeMethods  []string `json:"code_challenge_methods_supported"`
	ClientDocuments   bool     `json:"client_id_metadata_document_supported"`
	ResponseIssuer    bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	// What an OpenID document must have to be read at all (OpenID Connect
	// Discovery, section 3). There are no ID tokens.
	SubjectTypes      []string `json:"subject_types_supported,omitempty"`
	IDTokenAlgorithms []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

func (s *Server) serveServer(openID bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		at, _ := s.site(r)
		d := serverDocument{
			Issuer:            at.issuer,
			Authorize:         at.issuer + authorizePath,
			Token:             at.issuer + tokenPath,
			Revoke:            at.issuer + revokePath,
			Keys:              at.issuer + keysPath,
			Scopes:            auth.ScopeAdmin.Names(),
			ResponseTypes:     []string{"code"},
			ResponseModes:     []string{"query"},
			GrantTypes:        grantTypes(),
			AuthMethods:       []string{"none"},
			RevokeAuthMethods: []string{"none"},
			ChallengeMethods:  []string{"S256"},
			ClientDocuments:   true,
			ResponseIssuer:    true,
		}
		if !s.o.NoRegistration {
			d.Register = at.issuer + registerPath
		}
		if openID {
			d.SubjectTypes, d.IDTokenAlgorithms = []string{"public"}, []string{"ES256"}
		}
		writeJSON(w, http.StatusOK, d)
		return nil
	}
}

// serveKeys serves the keys that access tokens are verified with.
func (s *Server) serveKeys(w http.ResponseWriter, _ *http.Request) error {
	keys, err := s.o.Keys.JWKS()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(keys) // fails only when the client is gone
	return nil
}
