package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// SignUpMode says who may make an account for themselves.
type SignUpMode string

// The modes there are.
const (
	SignUpOff    SignUpMode = "off"    // nobody
	SignUpInvite SignUpMode = "invite" // who has an invitation
	SignUpOpen   SignUpMode = "open"   // everybody
)

const maxInvitation = 30 * 24 * time.Hour

var (
	// ErrSignUpOff is returned where nobody may sign up.
	ErrSignUpOff = errors.New("signing up is not possible here: ask an administrator for an account")
	// ErrInvitation is returned for an invitation that is not good.
	ErrInvitation = errors.New("the invitation is not valid: it has been used, withdrawn or has expired")
)

// SignUps are the accounts that people make for themselves.
type SignUps struct {
	mode        SignUpMode
	users       *Users
	credentials *Credentials
}

// NewSignUps returns sign-ups of a mode.
func NewSignUps(mode SignUpMode, users *Users, credentials *Credentials) (*SignUps, error) {
	switch mode {
	case SignUpOff, SignUpInvite, SignUpOpen:
		return &SignUps{mode, users, credentials}, nil
	default:
		return nil, fmt.Errorf("sign-up is %q; it may be %s, %s or %s", mode, SignUpOff, SignUpInvite, SignUpOpen)
	}
}

// Invite returns the secret of an invitation: good for one account of the given
// role, for at most 30 days. by is the user who invites, as of now, or the zero
// User: the operator. An invitation ends with what its maker's tokens end with.
func (s *SignUps) Invite(ctx context.Context, by User, role Role, lifetime time.Duration) (secret string, c Credential, err error) {
	if err := checkRole(role); err != nil {
		return "", Credential{}, err
	}
	if lifetime <= 0 || lifetime > maxInvitation {
		return "", Credential{}, errors.New("lifetime: must be more than 0 and at most 30 days")
	}
	if s.mode == SignUpOff {
		return "", Credential{}, ErrSignUpOff
	}
	secret, id := newSecret()
	at := now()
	r := credential{
		Credential: Credential{Kind: kindInvitation, User: by.Name, Role: role, Created: at, Used: at, Expires: at.Add(lifetime)},
		Generation: by.generation,
	}
	if err := s.credentials.add(ctx, id, r); err != nil {
		return "", Credential{}, err
	}
	s.users.audit.Record(ctx, Event{Action: "invitation.create", Detail: string(role) + " " + id})
	r.ID = id
	return secret, r.Credential, nil
}

// Invitations returns those that are good, the newest first.
func (s *SignUps) Invitations() []Credential {
	var list []Credential
	for _, id := range s.credentials.index.all() {
		if r, revision, _ := s.credentials.alive(id); revision != 0 && r.Kind == kindInvitation {
			list = append(list, r.Credential)
		}
	}
	slices.SortFunc(list, newestFirst)
	return list
}

// Withdraw ends an invitation. It returns [ErrUnknownCredential] where there is
// none of that ID.
func (s *SignUps) Withdraw(ctx context.Context, id string) error {
	r, revision, err := s.credentials.get(id)
	if err != nil {
		return err
	}
	if revision == 0 || r.Kind != kindInvitation {
		return ErrUnknownCredential
	}
	return s.credentials.Revoke(ctx, r.User, id)
}

// SignUp makes an account for somebody at the address from. Errors are
// [ErrSignUpOff], [ErrInvitation], [ErrExists], [ErrBusy], those that begin
// with "name: " or "password: ", and internal ones. An invitation is used up
// when the account is made, and by nothing else.
func (s *SignUps) SignUp(ctx context.Context, from netip.Addr, name, password, invitation string) (User, error) {
	ctx = WithRemote(ctx, from)
	user, err := s.signUp(ctx, name, password, strings.TrimSpace(invitation))
	e := Event{Action: "sign-up", Actor: name}
	if err != nil {
		e.Actor, e.Outcome, e.Detail = "(unknown)", "refused", err.Error()
	}
	s.users.audit.Record(ctx, e)
	return user, err
}

func (s *SignUps) signUp(ctx context.Context, name, password, invitation string) (User, error) {
	if s.mode == SignUpOff {
		return User{}, ErrSignUpOff
	}
	if invitation == "" && s.mode == SignUpOpen {
		if err := checkPassword(password); err != nil {
			return User{}, err
		}
		return s.users.Create(ctx, name, password, RoleMember)
	}
	id := idOf(invitation)
	known, revision, err := s.credentials.alive(id)
	if err != nil {
		return User{}, err
	}
	if revision == 0 || known.Kind != kindInvitation {
		return User{}, ErrInvitation
	}
	// What is known to fail, fails before the invitation is taken.
	if err := checkName(name); err != nil {
		return User{}, err
	}
	if err := checkPassword(password); err != nil {
		return User{}, err
	}
	if s.users.taken(name) {
		return User{}, ErrExists
	}
	r, ok, err := s.credentials.take(ctx, id, kindInvitation)
	if err != nil {
		return User{}, err
	}
	if !ok {
		return User{}, ErrInvitation
	}
	user, err := s.users.Create(ctx, name, password, r.Role)
	if err != nil { // it is not used up
		err = errors.Join(err, s.credentials.add(context.WithoutCancel(ctx), id, r))
	}
	return user, err
}
