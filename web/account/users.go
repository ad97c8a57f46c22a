package account

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"wigwag/auth"
	"wigwag/web/endpoint"
)

const defaultInvitation = 7 * 24 * time.Hour

// userInfo is a user as it is shown.
type userInfo struct {
	Username    string    `json:"username"`
	Role        auth.Role `json:"role"`
	Disabled    bool      `json:"disabled"`
	HasPassword bool      `json:"has_password"`
	Created     string    `json:"created"`
	Link        string    `json:"link,omitempty"` // to sign in with, once
}

func userAnswer(u auth.User) userInfo {
	return userInfo{Username: u.Name, Role: u.Role, Disabled: u.Disabled, HasPassword: u.HasPassword, Created: stamp(u.Created)}
}

func (s *Server) listUsers(w http.ResponseWriter, _ *http.Request) error {
	users, err := s.o.Users.List()
	if err != nil {
		return err
	}
	all := make([]userInfo, len(users))
	for i, u := range users {
		all[i] = userAnswer(u)
	}
	endpoint.WriteJSON(w, http.StatusOK, map[string]any{"users": all})
	return nil
}

// find returns a user by name.
func (s *Server) find(name string) (auth.User, error) {
	users, err := s.o.Users.List()
	if err != nil {
		return auth.User{}, err
	}
	for _, u := range users {
		if u.Name == name {
			return u, nil
		}
	}
	return auth.User{}, auth.ErrUnknownUser
}

// createUser makes a user with a password, or with a link to choose one by.
func (s *Server) createUser(w http.ResponseWriter, r *http.Request) error {
	in := struct {
		Username string    `json:"username"`
		Password *string   `json:"password"`
		Role     auth.Role `json:"role"`
	}{Role: auth.RoleMember}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	link := ""
	if in.Password != nil {
		if _, err := s.o.Users.Create(r.Context(), in.Username, *in.Password, in.Role); err != nil {
			return err
		}
	} else {
		secret, err := s.o.Users.CreateWithLink(r.Context(), in.Username, in.Role)
		if err != nil {
			return err
		}
		link = SignInLink(s.o.PublicURL(r), secret)
	}
	return s.showUser(w, http.StatusCreated, in.Username, link)
}

// changeUser changes what is given: the role, whether the user is disabled; and
// makes a link to sign in with, for whoever has forgotten the password.
func (s *Server) changeUser(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Role     *auth.Role `json:"role"`
		Disabled *bool      `json:"disabled"`
		Link     bool       `json:"link"`
	}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	ctx, name := r.Context(), r.PathValue("name")
	id, _ := auth.FromContext(ctx) // Identify put it there
	before, err := s.find(name)
	switch {
	case err != nil:
		return err
	case name == id.Subject && (in.Disabled != nil && *in.Disabled || in.Role != nil && *in.Role != before.Role):
		return &endpoint.Problem{Status: http.StatusConflict, Detail: "You cannot take your own rights: ask another administrator."}
	case in.Role == nil && in.Disabled == nil && !in.Link:
		return endpoint.BadRequest("Say what to change: role, disabled, or link.")
	}
	link := ""
	if in.Role != nil {
		if err := s.o.Users.SetRole(ctx, name, *in.Role); err != nil {
			return err
		}
	}
	if in.Disabled != nil {
		if err := s.o.Users.SetDisabled(ctx, name, *in.Disabled); err != nil {
			return err
		}
	}
	if in.Link {
		secret, err := s.o.Users.NewLink(ctx, name)
		if err != nil {
			return err
		}
		link = SignInLink(s.o.PublicURL(r), secret)
	}
	return s.showUser(w, http.StatusOK, name, link)
}

func (s *Server) showUser(w http.ResponseWriter, status int, name, link string) error {
	user, err := s.find(name)
	if err != nil {
		return err
	}
	answer := userAnswer(user)
	answer.Link = link
	endpoint.WriteJSON(w, status, answer)
	return nil
}

// invitationInfo is an invitation as it is shown: the secret only once.
type invitationInfo struct {
	Invitation string    `json:"invitation,omitempty"`
	Link       string    `json:"link,omitempty"`
	ID         string    `json:"id"`
	Role       auth.Role `json:"role"`
	By         string    `json:"by,omitempty"` // empty: the operator
	Created    string    `json:"created"`
	Expires    string    `json:"expires"`
}

func invitationAnswer(c auth.Credential) invitationInfo {
	return invitationInfo{ID: c.ID, Role: c.Role, By: c.User, Created: stamp(c.Created), Expires: stamp(c.Expires)}
}

func (s *Server) listInvitations(w http.ResponseWriter, _ *http.Request) error {
	all := []invitationInfo{}
	for _, c := range s.o.SignUps.Invitations() {
		all = append(all, invitationAnswer(c))
	}
	endpoint.WriteJSON(w, http.StatusOK, map[string]any{"invitations": all})
	return nil
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	in := struct {
		Role      auth.Role `json:"role"`
		ExpiresIn *int64    `json:"expires_in"` // seconds
	}{Role: auth.RoleMember}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	lifetime, err := lifetimeOf(in.ExpiresIn, defaultInvitation)
	if err != nil {
		return err
	}
	user, err := s.user(r)
	if err != nil {
		return err
	}
	secret, c, err := s.o.SignUps.Invite(r.Context(), user, in.Role, lifetime)
	if err != nil {
		return err
	}
	answer := invitationAnswer(c)
	answer.Invitation, answer.Link = secret, s.o.PublicURL(r)+signUpPath+"?invitation="+secret
	endpoint.WriteJSON(w, http.StatusCreated, answer)
	return nil
}

func (s *Server) withdraw(w http.ResponseWriter, r *http.Request) error {
	if err := s.o.SignUps.Withdraw(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	endpoint.NoContent(w)
	return nil
}

// readAudit answers with the events before a position, the newest by default,
// in order, and with the position to go on from; without one when there is no
// more.
func (s *Server) readAudit(w http.ResponseWriter, r *http.Request) error {
	before, err := number(r, "before", 0, math.MaxInt64)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", 100, 1000)
	if err != nil {
		return err
	}
	events, next, err := s.o.Audit.Read(r.Context(), before, int(limit)) //nolint:gosec // at most 1000
	if err != nil {
		return err
	}
	if events == nil {
		events = []auth.Event{}
	}
	endpoint.WriteJSON(w, http.StatusOK, struct {
		Events []auth.Event `json:"events"`
		Next   uint64       `json:"next,omitempty"`
	}{events, next})
	return nil
}

// number reads a number of the query.
func number(r *http.Request, name string, otherwise, most uint64) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, endpoint.BadRequest(name + " must be a number from 1 to " + strconv.FormatUint(most, 10) + ".")
	}
	return n, nil
}
