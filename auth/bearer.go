package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
)

// maxAuthorization bounds the Authorization header, in bytes.
const maxAuthorization = 8 << 10

// howToLogIn ends every 401.
const howToLogIn = `Send "Authorization: Bearer TOKEN"; get a token by POST /api/login with {"username": "…", "password": "…"}.`

// errNoToken is told apart from a bad token: it is how clients find out that
// they need one (RFC 6750, section 3.1).
var errNoToken = errors.New("no bearer token")

// Verifier finds out whose token it is. It returns a [TokenError] for a token
// that is no good; any other error means that it could not find out.
type Verifier interface {
	Verify(ctx context.Context, token string) (Identity, error)
}

// BearerOptions are what [Bearer] is made of.
type BearerOptions struct {
	Verifier Verifier     // required
	Logger   *slog.Logger // required
	// Resource returns the URL of the resource that a request asks for, by
	// which the client knows it (RFC 9728). Tokens for another one are refused,
	// and challenges say where its metadata is. Nil: there is no OAuth.
	Resource func(*http.Request) string
	// RemoteAddr returns the address a request comes from, for the audit. The
	// default is the connection's.
	RemoteAddr func(*http.Request) netip.Addr
}

// Bearer lets requests pass that carry a good token in the Authorization
// header, and puts its [Identity] into their context. All others get 401 with
// a challenge (RFC 6750), whatever their method and before anything else of
// them is looked at. Cookies and query strings are not read.
func Bearer(o BearerOptions) func(http.Handler) http.Handler {
	refused := newRefusals(o.Logger)
	resource, remote := o.Resource, o.RemoteAddr
	if resource == nil {
		resource = func(*http.Request) string { return "" }
	}
	if remote == nil {
		remote = connectionAddr
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			challenge := Challenge{Scopes: ScopesEveryday, Resource: resource(r)}
			id, err := authenticate(r, o.Verifier)
			if err == nil && id.Resource != "" && id.Resource != challenge.Resource {
				err = errAudience
			}
			if err == nil {
				next.ServeHTTP(w, identified(WithRemote(r.Context(), remote(r)), r, id))
				return
			}
			bad, isBad := errors.AsType[TokenError](err)
			switch {
			case errors.Is(err, errNoToken):
				o.Logger.DebugContext(r.Context(), "request without a token", "remote", r.RemoteAddr, "path", clip(r.URL.Path))
				w.Header().Set("WWW-Authenticate", challenge.String())
				WriteProblem(w, http.StatusUnauthorized, "A token is needed. "+howToLogIn)
			case isBad:
				refused.log(r, string(bad))
				challenge.Error, challenge.Description = "invalid_token", string(bad)
				w.Header().Set("WWW-Authenticate", challenge.String())
				WriteProblem(w, http.StatusUnauthorized, "Refused: "+string(bad)+". "+howToLogIn)
			default:
				refused.logAt(slog.LevelError, r, "token could not be verified", slog.Any("err", err))
				w.Header().Set("Retry-After", "5")
				WriteProblem(w, http.StatusServiceUnavailable, "The token could not be checked. Try again.")
			}
		})
	}
}

func authenticate(r *http.Request, verifier Verifier) (Identity, error) {
	token, err := bearerToken(r.Header.Values("Authorization"))
	if err != nil {
		return Identity{}, err
	}
	return verifier.Verify(r.Context(), token)
}

// bearerToken returns the token of the Authorization header's values.
func bearerToken(values []string) (string, error) {
	if len(values) == 0 {
		return "", errNoToken
	}
	if len(values) > 1 {
		return "", TokenError("more than one Authorization header")
	}
	if len(values[0]) > maxAuthorization {
		return "", TokenError("the Authorization header is longer than 8 KiB")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoToken
	}
	token = strings.TrimLeft(token, " ")
	if !isToken68(token) {
		return "", TokenError("the Authorization header holds no well-formed token")
	}
	return token, nil
}

// isToken68 reports whether s has the form of a credential (RFC 9110, section
// 11.2): at least one letter, digit or -._~+/ and then any number of =.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return s != ""
}
