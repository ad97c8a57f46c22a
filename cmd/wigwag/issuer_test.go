package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestLine28Issuer: tokens of an outside identity provider are good when they
// are for this server, and make their user a member.
func TestLine28Issuer(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	mux := http.NewServeMux()
	idp := httptest.NewServer(mux)
	t.Cleanup(idp.Close)
	answer := func(path string, v any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) })
	}
	discovery := map[string]string{"issuer": idp.URL, "jwks_uri": idp.URL + "/keys"}
	answer("/.well-known/openid-configuration", discovery)
	answer("/.well-known/oauth-authorization-server", discovery)
	answer("/keys", map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig", "x": encode(point[1:33]), "y": encode(point[33:]),
	}}})
	p := start(t, withPassword, "--issuer", idp.URL, "--issuer-audience=https://wigwag.example", "--issuer-claim=email", "--issuer-suffix=@example.com")
	token := func(change func(jwt.MapClaims)) string {
		claims := jwt.MapClaims{
			"iss": idp.URL, "sub": "1234", "aud": "https://wigwag.example", "email": "carol@example.com",
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "scope": "chat:read",
		}
		change(claims)
		made := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		made.Header["kid"] = "k"
		text, err := made.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + text
	}
	client := newClient(t)
	good := token(func(jwt.MapClaims) {})
	eventually(t, "the issuer's keys are found", func() bool {
		return request(t, client, "POST", p.url+"/mcp", listTools, good).StatusCode == http.StatusOK
	})
	status(t, "more than it is for", request(t, client, "POST", p.url+"/mcp", call(1, "send_message", `{"message":"x"}`), good), http.StatusForbidden)
	for name, header := range map[string]string{
		"another audience": token(func(c jwt.MapClaims) { c["aud"] = "https://other.example" }),
		"expired":          token(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"another suffix":   token(func(c jwt.MapClaims) { c["email"] = "carol@evil.example" }),
		"somebody else":    token(func(c jwt.MapClaims) { c["sub"] = "5678" }),
		"another issuer":   token(func(c jwt.MapClaims) { c["iss"] = idp.URL + "/" }),
		"a name of ours":   token(func(c jwt.MapClaims) { c["email"], c["sub"] = "admin@example.com", "9" }),
	} {
		status(t, name, request(t, client, "POST", p.url+"/mcp", listTools, header), http.StatusUnauthorized)
	}
}
