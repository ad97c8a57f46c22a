package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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

// Bearer lets requests pass that carry a good token in the Authorization
// header, and puts its [Identity] into their context. All others get 401 with
// a challenge (RFC 6750), whatever their method and before anything else of
// them is looked at. Cookies and query strings are not read.
func Bearer(verifier Verifier, logger *slog.Logger) func(http.Handler) http.Handler {
	refused := newRefusals(logger)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, err := authenticate(r, verifier)
			if err == nil {
				next.ServeHTTP(w, identified(r, id))
				return
			}
			bad, isBad := errors.AsType[TokenError](err)
			switch {
			case errors.Is(err, errNoToken):
				logger.DebugContext(r.Context(), "request without a token", "remote", r.RemoteAddr, "path", clip(r.URL.Path))
				w.Header().Set("WWW-Authenticate", "Bearer")
				WriteProblem(w, http.StatusUnauthorized, "A token is needed. "+howToLogIn)
			case isBad:
				refused.log(r, string(bad))
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+string(bad)+`"`)
				WriteProblem(w, http.StatusUnauthorized, "Refused: "+string(bad)+". "+howToLogIn)
			default:
				logger.ErrorContext(r.Context(), "token could not be verified", "err", err)
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
