package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	maxLoginBody  = 16 << 10
	loginBodyTime = 10 * time.Second
)

// LoginOptions are what [Login] is made of.
type LoginOptions struct {
	Users  *Users       // required
	Tokens *Tokens      // required
	Logger *slog.Logger // required
	// RemoteAddr returns the address attempts are counted under. The default
	// is the connection's, which behind a proxy is the same for all.
	RemoteAddr func(*http.Request) netip.Addr
	// Session begins a web session, by a cookie on w: for a body with
	// "cookie": true, which is answered without tokens. Nil: there are none.
	Session func(w http.ResponseWriter, r *http.Request, user User) error
}

type loginRequest struct {
	Username *string `json:"username"`
	Password *string `json:"password"`
	Cookie   bool    `json:"cookie"`
}

type loginResponse struct {
	Token        string `json:"token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
}

// problem is an error that [WriteProblem] answers with.
type problem struct {
	status int
	detail string
}

func (p *problem) Error() string { return p.detail }

// Login returns the handler of POST /api/login: it takes
// {"username": …, "password": …} and answers
// {"token": …, "token_type": "Bearer", "expires_in": …, "refresh_token": …}. The body must be
// declared as JSON, which a form on another site cannot do.
func Login(o LoginOptions) http.Handler {
	if o.RemoteAddr == nil {
		o.RemoteAddr = connectionAddr
	}
	refused := newRefusals(o.Logger)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			WriteProblem(w, http.StatusMethodNotAllowed, "Log in by POST.")
			return
		}
		req, err := readLogin(w, r, o.Session != nil)
		if bad, ok := errors.AsType[*problem](err); ok {
			WriteProblem(w, bad.status, bad.detail)
			return
		}
		var issued Issued
		from, username := o.RemoteAddr(r), *req.Username
		user, err := o.Users.Authenticate(r.Context(), from, username, *req.Password)
		if err == nil && req.Cookie {
			if err = o.Session(w, r, user); err == nil {
				o.Logger.InfoContext(r.Context(), "signed in", "user", username, "remote", r.RemoteAddr)
				w.Header().Set("Content-Type", "application/json")
				writeJSON(w, http.StatusOK, struct {
					Username string `json:"username"`
				}{username})
				return
			}
		} else if err == nil {
			issued, err = o.Tokens.Login(WithRemote(r.Context(), from), user)
		}
		if err != nil {
			refuseLogin(w, r, err, refused, slog.String("user", o.Users.known(username)))
			return
		}
		o.Logger.InfoContext(r.Context(), "logged in", "user", username, "remote", r.RemoteAddr, "token_id", issued.Identity.ID)
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, http.StatusOK, loginResponse{
			Token:        issued.Access,
			TokenType:    "Bearer",
			ExpiresIn:    int64(issued.Lifetime / time.Second),
			RefreshToken: issued.Refresh,
		})
	})
}

// refuseLogin answers, and logs, an error of Authenticate or Login.
func refuseLogin(w http.ResponseWriter, r *http.Request, err error, refused *refusals, user slog.Attr) {
	throttled, isThrottled := errors.AsType[*ThrottledError](err)
	switch {
	case errors.Is(err, ErrCredentials):
		w.Header().Set("WWW-Authenticate", "Bearer") // a 401 needs one (RFC 9110, section 15.5.2)
		WriteProblem(w, http.StatusUnauthorized, "Wrong username or password.")
	case isThrottled:
		seconds := wholeSeconds(throttled.RetryAfter)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		WriteProblem(w, http.StatusTooManyRequests, fmt.Sprintf(
			"Too many failed attempts. Try again in %d s; until then no password is checked.", seconds))
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "5")
		WriteProblem(w, http.StatusServiceUnavailable, "Too many logins at once. Try again in 5 s.")
	case r.Context().Err() != nil: // nobody waits for the answer
	default:
		refused.logger.LogAttrs(r.Context(), slog.LevelError, "login failed", slog.Any("err", err), user)
		WriteProblem(w, http.StatusInternalServerError, "Internal error; it has been logged.")
		return
	}
	refused.log(r, err.Error(), user)
}

// readLogin reads the request's body. Its errors are of type *problem and
// never quote the body.
func readLogin(w http.ResponseWriter, r *http.Request, sessions bool) (loginRequest, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return loginRequest{}, &problem{http.StatusUnsupportedMediaType, `Send JSON, with "Content-Type: application/json".`}
	}
	// Not every ResponseWriter has a connection; one without needs no bound.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(loginBodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLoginBody))
	_ = conn.SetReadDeadline(time.Time{})

	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return loginRequest{}, &problem{http.StatusRequestEntityTooLarge, "The body is longer than 16 KiB."}
	}
	if err != nil {
		return loginRequest{}, &problem{http.StatusBadRequest, "The body did not arrive in whole."}
	}
	return parseLogin(body, sessions)
}

func parseLogin(body []byte, sessions bool) (loginRequest, error) {
	bad := func(why string) error {
		return &problem{http.StatusBadRequest, why + ` The body must be {"username": "…", "password": "…"}.`}
	}
	if !utf8.Valid(body) {
		return loginRequest{}, bad("The body is not valid UTF-8.")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields == nil {
		return loginRequest{}, bad("The body is not a JSON object.")
	}
	for name := range fields {
		if name != "username" && name != "password" && (name != "cookie" || !sessions) {
			return loginRequest{}, bad("Unknown field " + strconv.Quote(clip(name)) + ".")
		}
	}
	var req loginRequest
	if json.Unmarshal(body, &req) != nil {
		return loginRequest{}, bad("username and password must be strings, cookie true or false.")
	}
	if req.Username == nil || req.Password == nil {
		return loginRequest{}, bad("username or password is missing.")
	}
	return req, nil
}

// connectionAddr is the address at the other end of the connection, or none.
func connectionAddr(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
}
