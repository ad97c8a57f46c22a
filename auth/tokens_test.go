package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// forge signs a token as Issue would, after change has had its way with it.
func forge(t *testing.T, tokens *Tokens, method jwt.SigningMethod, key any, change func(header, claims map[string]any)) string {
	t.Helper()
	c := jwt.MapClaims{
		"iss": testIssuer, "sub": "alice", "sid": "login of alice", "scope": "admin", "aud": audience, "jti": "1",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	token := jwt.NewWithClaims(method, c)
	token.Header["typ"], token.Header["kid"] = "at+jwt", keyID(t, tokens.keys)
	if change != nil {
		change(token.Header, c)
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// publicPEM is what attackers of RS/HS confusion sign with.
func publicPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestAuth3RefusedTokens(t *testing.T) {
	key := newKey(t)
	tokens := newTokens(t, key, "alice", "bob", "") // even if somebody had no name
	logger, logs := newLogger()
	h := Bearer(BearerOptions{Verifier: tokens, Logger: logger})(unreachable(t))

	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	es256 := func(change func(header, claims map[string]any)) string {
		return forge(t, tokens, jwt.SigningMethodES256, key, change)
	}
	set := func(name string, value any) string {
		return es256(func(_, claims map[string]any) { claims[name] = value })
	}
	without := func(name string) string {
		return es256(func(_, claims map[string]any) { delete(claims, name) })
	}
	header := func(name string, value any) string {
		return es256(func(header, _ map[string]any) { header[name] = value })
	}
	good := es256(nil)
	parts := strings.Split(good, ".")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	for name, token := range map[string]string{
		"alg none":                   forge(t, tokens, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"alg none, in other letters": rewriteHeader(t, parts, "alg", "nOnE"),
		"alg none, old signature":    rewriteHeader(t, parts, "alg", "none"),
		"alg missing":                rewriteHeader(t, parts, "alg", nil),
		"HS256, public key as PEM":   forge(t, tokens, jwt.SigningMethodHS256, publicPEM(t, key), nil),
		"HS256, public point":        forge(t, tokens, jwt.SigningMethodHS256, point, nil),
		"ES384":                      forge(t, tokens, jwt.SigningMethodES384, p384, nil),
		"foreign key":                forge(t, tokens, jwt.SigningMethodES256, newKey(t), nil),
		"own key inside the header":  foreignJWK(t, tokens),
		"kid unknown":                header("kid", "other"),
		"kid missing":                es256(func(header, _ map[string]any) { delete(header, "kid") }),
		"kid no string":              header("kid", 7),
		"typ JWT":                    header("typ", "JWT"),
		"typ missing":                es256(func(header, _ map[string]any) { delete(header, "typ") }),
		"crit":                       header("crit", []string{"exp"}),
		"iss wrong":                  set("iss", "http://127.0.0.1:8081"),
		"iss missing":                without("iss"),
		"aud wrong":                  set("aud", "other"),
		"aud prefix":                 set("aud", "wigwag2"),
		"aud empty list":             set("aud", []string{}),
		"aud missing":                without("aud"),
		"exp missing":                without("exp"),
		"exp null":                   set("exp", nil),
		"exp now":                    set("exp", time.Now().Unix()),
		"exp passed":                 set("exp", time.Now().Add(-time.Minute).Unix()),
		"exp no number":              set("exp", "tomorrow"),
		"not yet":                    set("nbf", time.Now().Add(time.Minute).Unix()),
		"sub missing":                es256(func(_, claims map[string]any) { delete(claims, "sub"); claims["sid"] = "login of " }),
		"sub empty":                  es256(func(_, claims map[string]any) { claims["sub"], claims["sid"] = "", "login of " }),
		"sub no string":              set("sub", []string{"alice"}),
		"sub unknown":                set("sub", "mallory"),
		"sub anonymous":              set("sub", AnonymousName),
		"aud a resource":             set("aud", testIssuer+"/mcp"),
		"aud two":                    set("aud", []string{audience, testIssuer + "/mcp"}),
		"aud empty":                  set("aud", ""),
		"client_id":                  set("client_id", "other"),
		"sid missing":                without("sid"),
		"sid empty":                  set("sid", ""),
		"sid of another":             set("sid", "login of bob"),
		"sid unknown":                set("sid", "login of mallory"),
		"sid no string":              set("sid", 7),
		"payload changed":            parts[0] + "." + rewrite(t, parts[1], "sub", "bob") + "." + parts[2],
		"signature cut":              parts[0] + "." + parts[1] + "." + parts[2][:40],
		"signature empty":            parts[0] + "." + parts[1] + ".",
		"signature zero":             parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"four parts":                 good + ".x",
		"two parts":                  parts[0] + "." + parts[1],
		"padded":                     good + "=",
		"garbage":                    "garbage",
		"dots":                       "..",
		"JSON null parts":            "bnVsbA.bnVsbA.bnVsbA",
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/mcp", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			res := do(h, r)
			challenge := res.header.Get("WWW-Authenticate")
			if res.status != 401 || !strings.HasPrefix(challenge, `Bearer error="invalid_token", error_description="`) {
				t.Errorf("status %d, challenge %q", res.status, challenge)
			}
			if detail := problemDetail(t, res); !strings.Contains(detail, "/api/login") {
				t.Errorf("detail %q does not say what to do", detail)
			}
			if strings.Contains(logs.String(), token) && len(token) > 10 {
				t.Error("the token is in the log")
			}
		})
	}

	// The forger's tokens are refused for what was changed, not for being forged.
	if id, err := tokens.Verify(t.Context(), good); err != nil || id.Subject != "alice" {
		t.Errorf("unchanged token: %+v, %v", id, err)
	}
}

// rewriteHeader changes a field of the header and keeps the rest.
func rewriteHeader(t *testing.T, parts []string, name string, value any) string {
	t.Helper()
	return rewrite(t, parts[0], name, value) + "." + parts[1] + "." + parts[2]
}

// rewrite changes a field of one part of a token.
func rewrite(t *testing.T, part, name string, value any) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(fields, func(k string, _ any) bool { return k == name && value == nil })
	if value != nil {
		fields[name] = value
	}
	raw, err = json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// foreignJWK is a token that brings the key it is signed with.
func foreignJWK(t *testing.T, tokens *Tokens) string {
	t.Helper()
	own := newKey(t)
	point, err := own.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return forge(t, tokens, jwt.SigningMethodES256, own, func(header, _ map[string]any) {
		header["jwk"] = map[string]string{
			"kty": "EC", "crv": "P-256",
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]),
			"y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}
	})
}

func TestTokenEndsAfterOneHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice")
		token, id := issue(t, tokens, "alice", "")
		pass(time.Until(id.Expires) - time.Nanosecond)
		if _, err := tokens.Verify(t.Context(), token); err != nil {
			t.Errorf("just before its end: %v", err)
		}
		pass(time.Nanosecond)
		if _, err := tokens.Verify(t.Context(), token); !errors.Is(err, TokenError("the token has expired")) {
			t.Errorf("at its end: %v", err)
		}
		if left := time.Until(id.Expires); left != 0 {
			t.Errorf("the identity ends %v after its token", left)
		}
	})
}

// Tokens have what RFC 9068 asks for, and each its own ID.
func TestTokenClaims(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	token, id := issue(t, tokens, "alice", "https://client.example/id")
	other, _ := issue(t, tokens, "alice", "")
	var c, d map[string]any
	decodePart(t, token, 1, &c)
	decodePart(t, other, 1, &d)
	if c["iss"] != testIssuer || c["sub"] != "alice" || c["client_id"] != "https://client.example/id" ||
		c["exp"].(float64)-c["iat"].(float64) != 3600 || c["sid"] != id.Credential || c["jti"] != id.ID ||
		c["scope"] != "chat:read chat:write notify" || !slices.Equal(c["aud"].([]any), []any{testIssuer + "/mcp"}) {
		t.Errorf("claims = %v", c)
	}
	if _, ok := d["client_id"]; ok || !slices.Equal(d["aud"].([]any), []any{audience}) || c["jti"] == d["jti"] || len(c["jti"].(string)) < 26 {
		t.Errorf("claims = %v and %v", c, d)
	}
	var h map[string]any
	decodePart(t, token, 0, &h)
	if h["typ"] != "at+jwt" || h["alg"] != "ES256" || h["kid"] != keyID(t, tokens.keys) || len(h) != 3 {
		t.Errorf("header = %v", h)
	}
}

func decodePart(t *testing.T, token string, part int, v any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}

// The example key of RFC 7517, appendix A.1; its thumbprint was computed with
// another implementation of RFC 7638.
func TestThumbprint(t *testing.T) {
	point := []byte{4}
	for _, s := range []string{"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"} {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, raw...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	got, err := thumbprint(key)
	if want := "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"; err != nil || got != want {
		t.Errorf("thumbprint = %q, %v; want %q", got, err, want)
	}
}

func TestNewTokensRefuses(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	for name, o := range map[string]TokensOptions{
		"no issuer":  {},
		"own issuer": {Issuer: testIssuer, External: []*Issuer{{url: testIssuer}}},
		"too short":  {Issuer: testIssuer, Lifetime: time.Second - 1},
		"too long":   {Issuer: testIssuer, Lifetime: tokenLifetime + 1},
	} {
		o.Keys, o.Users = keysOf(t, newKey(t)), users
		if _, err := NewTokens(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTokenLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice")
		tokens.lifetime = 5 * time.Second
		issued, err := tokens.Login(t.Context(), find(t, tokens, "alice"))
		if err != nil || issued.Lifetime != 5*time.Second {
			t.Fatalf("good for %s, %v; want 5s", issued.Lifetime, err)
		}
		pass(5*time.Second - 1)
		if _, err := tokens.Verify(t.Context(), issued.Access); err != nil {
			t.Errorf("before its end: %v", err)
		}
		pass(1)
		if _, err := tokens.Verify(t.Context(), issued.Access); !errors.Is(err, errExpired) {
			t.Errorf("at its end: %v, want %v", err, errExpired)
		}
		if _, err := tokens.Refresh(t.Context(), issued.Refresh, Refresh{}); err != nil {
			t.Errorf("refresh: %v", err)
		}
	})
}

// A token is worth no more than what it stands for, whatever is signed in it.
func TestAuth3TokenBeyondItsCredential(t *testing.T) {
	key := newKey(t)
	tokens := newTokens(t, key, "alice")
	_, granted := issue(t, tokens, "alice", "client")
	_, web := openSession(t, tokens, "alice")
	_, personal := newPersonal(t, tokens, "alice", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
	token := forge(t, tokens, jwt.SigningMethodES256, key, func(_, claims map[string]any) {
		claims["sid"], claims["client_id"], claims["aud"] = granted.Credential, "client", granted.Resource
	})
	if id, err := tokens.Verify(t.Context(), token); err != nil || id.Scopes != ScopesEveryday {
		t.Errorf("%s, %v", id.Scopes, err)
	}
	for _, credential := range []string{web.Credential, personal.ID} {
		token := forge(t, tokens, jwt.SigningMethodES256, key, func(_, claims map[string]any) { claims["sid"] = credential })
		if id, err := tokens.Verify(t.Context(), token); !errors.Is(err, errInvalid) {
			t.Errorf("%+v, %v", id, err)
		}
	}
}
