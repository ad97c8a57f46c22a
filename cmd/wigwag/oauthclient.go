package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// endpoints are those of a server's OAuth (RFC 8414).
type endpoints struct {
	Issuer    string `json:"issuer"`
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
	Register  string `json:"registration_endpoint"`
	Revoke    string `json:"revocation_endpoint"`
}

// grant is what a token endpoint gives (RFC 6749, section 5.1).
type grant struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
}

// discover finds out where the endpoints of a server are. All must be below its
// own address: they get codes and tokens.
func discover(ctx context.Context, client *http.Client, server string) (endpoints, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/.well-known/oauth-authorization-server", nil)
	if err != nil {
		return endpoints{}, err
	}
	var found endpoints
	err = send(client, req, &found)
	if refused, ok := errors.AsType[*refusedError](err); ok && refused.status == http.StatusNotFound {
		return endpoints{}, fmt.Errorf("%s has no sign-in in the browser (it is no wigwag server, or runs with --auth=token): make a personal access token and give it to wigwag login %s --token", server, server)
	}
	if err != nil {
		return endpoints{}, err
	}
	if found.Issuer != server {
		return endpoints{}, fmt.Errorf("the server at %s calls itself %s: sign in there, if you trust that address", server, oneLine(found.Issuer))
	}
	for _, address := range []string{found.Authorize, found.Token, found.Revoke} {
		if !strings.HasPrefix(address, server+"/") {
			return endpoints{}, fmt.Errorf("%s names an endpoint that is not its own (%s)", server, oneLine(address))
		}
	}
	return found, nil
}

// register makes this command line known to the server (RFC 7591).
func (e endpoints) register(ctx context.Context, client *http.Client, redirect string) (id string, err error) {
	if !strings.HasPrefix(e.Register, e.Issuer+"/") {
		return "", fmt.Errorf("%s lets no apps register (--client-registration=off): make a personal access token and give it to wigwag login %s --token", e.Issuer, e.Issuer)
	}
	body, err := json.Marshal(map[string]any{
		"client_name": "wigwag command line", "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "none", "application_type": "native",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Register, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	var made struct {
		ID string `json:"client_id"`
	}
	if err := send(client, req, &made); err != nil {
		return "", err
	}
	if made.ID == "" {
		return "", fmt.Errorf("%s gave no client_id", e.Issuer)
	}
	return made.ID, nil
}

// trade exchanges a code, or a refresh token, for tokens.
func (e endpoints) trade(ctx context.Context, client *http.Client, form url.Values) (grant, error) {
	var got grant
	if err := postForm(ctx, client, e.Token, form, &got); err != nil {
		return grant{}, err
	}
	if got.AccessToken == "" {
		return grant{}, fmt.Errorf("%s gave no token", e.Issuer)
	}
	return got, nil
}

func postForm(ctx context.Context, client *http.Client, address string, form url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(client, req, out)
}

// newVerifier is a code_verifier (RFC 7636, section 4.1).
func newVerifier() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// challenge is a verifier's S256 challenge.
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
