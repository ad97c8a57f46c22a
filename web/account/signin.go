package account

import (
	"log/slog"
	"net/http"
	"time"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

// login begins a web session where the body asks for it; but not for a page of
// another origin, which could sign a person in as somebody else.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	s.logins[!s.crossOrigin(r)].ServeHTTP(w, r)
}

// issued is the answer of whatever gives tokens.
type issued struct {
	Token        string `json:"token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
}

func (s *Server) refresh(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	got, err := s.o.Tokens.Refresh(r.Context(), in.RefreshToken, auth.Refresh{})
	if err != nil {
		return err
	}
	endpoint.WriteJSON(w, http.StatusOK, issued{
		Token: got.Access, TokenType: "Bearer", RefreshToken: got.Refresh,
		ExpiresIn: int64(got.Lifetime / time.Second),
	})
	return nil
}

// logout ends what the request was made with: the login and all tokens of it,
// the web session, the personal access token or the grant.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	id, _ := auth.FromContext(r.Context()) // Identify put it there
	if id.Credential != "" {
		if err := s.o.Credentials.Revoke(r.Context(), id.Subject, id.Credential); err != nil {
			return err
		}
	}
	if id.Kind == auth.KindWeb {
		s.setCookie(w, r, "", -1)
	}
	s.o.Audit.Record(r.Context(), auth.Event{Action: "sign-out", Detail: string(id.Kind)})
	endpoint.NoContent(w)
	return nil
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Username   string `json:"username"`
		Password   string `json:"password"`
		Invitation string `json:"invitation"`
	}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	user, err := s.o.SignUps.SignUp(r.Context(), remote(r), in.Username, in.Password, in.Invitation)
	if err != nil {
		return err
	}
	endpoint.WriteJSON(w, http.StatusCreated, userAnswer(user))
	return nil
}

// session tells who asks, and what the token is good for.
func session(w http.ResponseWriter, r *http.Request) error {
	id, _ := auth.FromContext(r.Context()) // whoever identified the request put it there
	endpoint.WriteJSON(w, http.StatusOK, struct {
		Username string      `json:"username"`
		Role     auth.Role   `json:"role"`
		Kind     auth.Kind   `json:"kind"`
		Client   string      `json:"client,omitempty"`
		Scopes   auth.Scopes `json:"scopes"`
		Expires  string      `json:"expires,omitempty"`
	}{id.Subject, id.Role, id.Kind, id.ClientName, id.Scopes & id.Role.Scopes(), stamp(id.Expires)})
	return nil
}

// SessionOnly serves GET /api/session where there are no accounts, for requests
// that have an identity all the same.
func SessionOnly(logger *slog.Logger) http.Handler {
	return (&endpoint.Server{Translate: problemOf, Logger: logger}).Handler(endpoint.Methods{"GET": session})
}

// changePassword revokes all the user has. A browser is signed in anew.
func (s *Server) changePassword(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Old string `json:"old_password"`
		New string `json:"new_password"`
	}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	id, _ := auth.FromContext(r.Context()) // Identify put it there
	if err := s.o.Users.ChangePassword(r.Context(), remote(r), id.Subject, in.Old, in.New); err != nil {
		return err
	}
	if id.Kind == auth.KindWeb {
		if err := s.SignIn(w, r, id.Subject, in.New); err != nil {
			return err
		}
	}
	endpoint.NoContent(w)
	return nil
}
