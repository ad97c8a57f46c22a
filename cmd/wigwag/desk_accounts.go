package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"wigwag/auth"
	"wigwag/web/account"
)

// tokenInfo is what lets a user in, as it is shown. REST answers alike.
type tokenInfo struct {
	Token   string      `json:"token,omitempty"` // the secret of one that was just made
	ID      string      `json:"id"`
	Kind    auth.Kind   `json:"kind"`
	Name    string      `json:"name,omitempty"`
	Client  string      `json:"client,omitempty"`
	Scopes  auth.Scopes `json:"scopes"`
	Created time.Time   `json:"created"`
	Used    time.Time   `json:"last_used,omitzero"`
	Expires time.Time   `json:"expires"`
}

func tokenOf(c auth.Credential) tokenInfo {
	return tokenInfo{
		ID: c.ID, Kind: c.Kind, Name: c.Name, Client: cmp.Or(c.ClientName, c.Client, c.MadeBy), Scopes: c.Scopes,
		Created: c.Created, Used: c.Used, Expires: c.Expires,
	}
}

type tokenList struct {
	Tokens []tokenInfo `json:"tokens"`
}

// newToken asks for a personal access token.
type newToken struct {
	Name      string      `json:"name"`
	Scopes    auth.Scopes `json:"scopes"`
	ExpiresIn int64       `json:"expires_in"` // seconds
}

// newInvitation asks for an invitation.
type newInvitation struct {
	Role      auth.Role `json:"role"`
	ExpiresIn int64     `json:"expires_in"` // seconds
}

// linkInfo is an address that lets somebody in once. Where no server runs,
// nobody knows what it begins with: then it is a path.
type linkInfo struct {
	Link string `json:"link"`
}

// auditPage asks for a part of the audit, from its end backwards.
type auditPage struct {
	Before uint64 `json:"before"` // a position; 0: the end
}

// auditEvents are that part, in order, and where to go on.
type auditEvents struct {
	Events []auth.Event `json:"events"`
	Next   uint64       `json:"next"` // 0: there are no more
}

const auditPageSize = 500

// accounts adds what there is to ask of accounts.
func (d *desk) accounts(mux *http.ServeMux) {
	mux.Handle("POST /users/{name}/link", answer(func(r *http.Request, in struct{ Role auth.Role }) (any, error) {
		secret, err := d.link(r.Context(), r.PathValue("name"), in.Role)
		return linkInfo{account.SignInLink(d.publicURL, secret)}, err
	}))
	mux.Handle("PUT /users/{name}/role", answer(func(r *http.Request, in struct{ Role auth.Role }) (any, error) {
		return nil, d.users.SetRole(r.Context(), r.PathValue("name"), in.Role)
	}))
	mux.Handle("GET /users/{name}/tokens", answer(func(r *http.Request, _ struct{}) (any, error) {
		user, err := d.user(r.PathValue("name"))
		list := tokenList{}
		for _, c := range d.credentials.List(user.Name) {
			list.Tokens = append(list.Tokens, tokenOf(c))
		}
		return list, err
	}))
	mux.Handle("POST /users/{name}/tokens", answer(func(r *http.Request, in newToken) (any, error) {
		user, err := d.user(r.PathValue("name"))
		if err != nil {
			return nil, err
		}
		token, c, err := d.tokens.NewPersonal(r.Context(), user, auth.Personal{Name: in.Name, Scopes: in.Scopes, Lifetime: seconds(in.ExpiresIn)})
		made := tokenOf(c)
		made.Token = token
		return made, err
	}))
	mux.Handle("DELETE /users/{name}/tokens/{id}", answer(func(r *http.Request, _ struct{}) (any, error) {
		return nil, d.credentials.Revoke(r.Context(), r.PathValue("name"), r.PathValue("id"))
	}))
	mux.Handle("GET /invitations", answer(func(*http.Request, struct{}) (any, error) { return d.signUps.Invitations(), nil }))
	mux.Handle("POST /invitations", answer(func(r *http.Request, in newInvitation) (any, error) {
		secret, _, err := d.signUps.Invite(r.Context(), auth.User{}, in.Role, seconds(in.ExpiresIn))
		if errors.Is(err, auth.ErrSignUpOff) {
			err = errors.New("the server runs with --signup=off: start it with --signup=invite")
		}
		return linkInfo{d.publicURL + "/signup?invitation=" + secret}, err
	}))
	mux.Handle("DELETE /invitations/{id}", answer(func(r *http.Request, _ struct{}) (any, error) {
		return nil, d.signUps.Withdraw(r.Context(), r.PathValue("id"))
	}))
	mux.Handle("GET /audit", answer(func(r *http.Request, in auditPage) (any, error) {
		events, next, err := d.audit.Read(r.Context(), in.Before, auditPageSize)
		return auditEvents{events, next}, err
	}))
}

// link makes a link to sign in, and, where a role is given, the user to it.
func (d *desk) link(ctx context.Context, name string, role auth.Role) (secret string, err error) {
	if role == "" {
		return d.users.NewLink(ctx, name)
	}
	return d.users.CreateWithLink(ctx, name, role)
}

// user returns a user by name.
func (d *desk) user(name string) (auth.User, error) {
	users, err := d.users.List()
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

// seconds is a number of them, at most a few years, beyond which nothing lasts.
func seconds(n int64) time.Duration { return time.Duration(min(n, 1<<30)) * time.Second }
