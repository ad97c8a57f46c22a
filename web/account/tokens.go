package account

import (
	"cmp"
	"net/http"
	"time"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

const (
	defaultLifetime = 90 * 24 * time.Hour // of a personal access token
	ticketSeconds   = 30
)

// credentialAnswer is a credential as it is shown: the secret only once.
type credentialAnswer struct {
	Token   string      `json:"token,omitempty"`
	ID      string      `json:"id"`
	Kind    auth.Kind   `json:"kind"`
	Name    string      `json:"name,omitempty"`
	Client  string      `json:"client,omitempty"` // of a personal access token: that made it
	Scopes  auth.Scopes `json:"scopes"`
	Created string      `json:"created"`
	Used    string      `json:"last_used,omitempty"`
	Expires string      `json:"expires"`
	Current bool        `json:"current"` // this request was made with it
}

func (s *Server) credential(r *http.Request, c auth.Credential) credentialAnswer {
	id, _ := auth.FromContext(r.Context())
	return credentialAnswer{
		ID: c.ID, Kind: c.Kind, Name: c.Name, Client: cmp.Or(c.ClientName, c.Client, c.MadeBy), Scopes: c.Scopes,
		Created: stamp(c.Created), Used: stamp(c.Used), Expires: stamp(c.Expires), Current: c.ID == id.Credential,
	}
}

// listTokens lists all that the user can be known by: logins, web sessions,
// what OAuth clients were granted, personal access tokens.
func (s *Server) listTokens(w http.ResponseWriter, r *http.Request) error {
	id, _ := auth.FromContext(r.Context()) // Identify put it there
	all := []credentialAnswer{}
	for _, c := range s.o.Credentials.List(id.Subject) {
		all = append(all, s.credential(r, c))
	}
	endpoint.WriteJSON(w, http.StatusOK, map[string]any{"tokens": all})
	return nil
}

func (s *Server) createToken(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name      string      `json:"name"`
		Scopes    auth.Scopes `json:"scopes"`
		ExpiresIn *int64      `json:"expires_in"` // seconds
	}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	lifetime, err := lifetimeOf(in.ExpiresIn, defaultLifetime)
	if err != nil {
		return err
	}
	user, err := s.user(r)
	if err != nil {
		return err
	}
	id, _ := auth.FromContext(r.Context()) // Identify put it there
	wanted := auth.Personal{Name: in.Name, Scopes: in.Scopes, Lifetime: lifetime, By: id.Credential}
	token, c, err := s.o.Tokens.NewPersonal(r.Context(), user, wanted)
	if err != nil {
		return err
	}
	answer := s.credential(r, c)
	answer.Token = token
	endpoint.WriteJSON(w, http.StatusCreated, answer)
	return nil
}

// lifetimeOf is what a number of seconds is, within what a [time.Duration] holds.
func lifetimeOf(seconds *int64, otherwise time.Duration) (time.Duration, error) {
	const most = 10 * 366 * 24 * 60 * 60
	switch {
	case seconds == nil:
		return otherwise, nil
	case *seconds < 1 || *seconds > most:
		return 0, endpoint.BadRequest("expires_in must be a number of seconds, more than 0 and not years.")
	}
	return time.Duration(*seconds) * time.Second, nil
}

// user is who asks, as of now.
func (s *Server) user(r *http.Request) (auth.User, error) {
	id, _ := auth.FromContext(r.Context()) // Identify put it there
	return s.o.Users.Of(id.Subject, id.Generation())
}

func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	id, _ := auth.FromContext(r.Context()) // Identify put it there
	if err := s.o.Credentials.Revoke(r.Context(), id.Subject, r.PathValue("id")); err != nil {
		return err
	}
	endpoint.NoContent(w)
	return nil
}

func (s *Server) createTicket(w http.ResponseWriter, r *http.Request) error {
	id, _ := auth.FromContext(r.Context()) // Identify put it there
	ticket, err := s.o.Tokens.NewTicket(r.Context(), id)
	if err != nil {
		return err
	}
	endpoint.WriteJSON(w, http.StatusCreated, map[string]any{"ticket": ticket, "expires_in": ticketSeconds})
	return nil
}
