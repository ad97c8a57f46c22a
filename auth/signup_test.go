package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newSignUps has alice, who may invite.
func newSignUps(t *testing.T, mode SignUpMode) (*SignUps, *Tokens, *recorder) {
	t.Helper()
	tokens, audit, _ := newFamily(t)
	s, err := NewSignUps(mode, tokens.users, tokens.credentials)
	if err != nil {
		t.Fatal(err)
	}
	return s, tokens, audit
}

func invite(t *testing.T, s *SignUps, role Role) (string, Credential) {
	t.Helper()
	r, _, err := s.users.get("alice")
	if err != nil {
		t.Fatal(err)
	}
	secret, c, err := s.Invite(t.Context(), r.user("alice"), role, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return secret, c
}

func TestAuth26SignUpModes(t *testing.T) {
	invited := func(s *SignUps) string { secret, _ := invite(t, s, RoleMember); return secret }
	for _, tc := range []struct {
		mode                    SignUpMode
		none, wrong, invitation error
	}{
		{SignUpOff, ErrSignUpOff, ErrSignUpOff, ErrSignUpOff},
		{SignUpInvite, ErrInvitation, ErrInvitation, nil},
		{SignUpOpen, nil, ErrInvitation, nil},
	} {
		s, tokens, _ := newSignUps(t, tc.mode)
		var invitation string
		if tc.mode == SignUpOff {
			// One that was made while the mode was another.
			before := *s
			before.mode = SignUpInvite
			invitation = invited(&before)
			if _, _, err := s.Invite(t.Context(), User{}, RoleMember, time.Hour); !errors.Is(err, ErrSignUpOff) {
				t.Errorf("%s: %v", tc.mode, err)
			}
		} else {
			invitation = invited(s)
		}
		for name, one := range map[string]struct {
			invitation string
			want       error
		}{"none": {"", tc.none}, "wrong": {strings.Repeat("a", 52), tc.wrong}, "good": {" " + invitation + "\n", tc.invitation}} {
			user, err := s.SignUp(t.Context(), home, name, "password-x", one.invitation)
			if !errors.Is(err, one.want) || tokens.users.Exists(name) != (one.want == nil) || err == nil && (user.Name != name || user.Role != RoleMember) {
				t.Errorf("%s, invitation %s: %+v, %v", tc.mode, name, user, err)
			}
		}
	}
	if _, err := NewSignUps("some", nil, nil); err == nil {
		t.Error("there is a mode called some")
	}
}

func TestAuth26Invitations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s, tokens, audit := newSignUps(t, SignUpInvite)
		secret, c := invite(t, s, RoleAdmin)
		if value, revision := tokens.credentials.store.Get(c.ID); revision == 0 || strings.Contains(string(value), secret) {
			t.Errorf("stored: %s", value)
		}
		if list := s.Invitations(); len(list) != 1 || list[0] != c || c.User != "alice" || c.Role != RoleAdmin {
			t.Errorf("listed: %+v", list)
		}
		if len(tokens.credentials.List("alice")) != 1 { // the family
			t.Error("it is listed among tokens")
		}
		// What goes wrong does not use it up.
		for _, one := range []struct {
			name, password string
			want           string
		}{
			{"alice", "password-x", ErrExists.Error()},
			{"Bob", "password-x", "name: "},
			{AnonymousName, "password-x", "name: "},
			{"bob", "short", "password: "},
			{"bob", "", "password: "},
		} {
			if _, err := s.SignUp(ctx, home, one.name, one.password, secret); err == nil || !strings.HasPrefix(err.Error(), one.want) {
				t.Errorf("%+v: %v", one, err)
			}
		}
		var err error
		var f fakeHashes
		if s.users, err = newUsers(fullStore{tokens.users.store}, nil, f.hasher()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SignUp(ctx, home, "bob", "password-x", secret); !errors.Is(err, errFull) {
			t.Errorf("full: %v", err)
		}
		s.users = tokens.users
		audit.take()
		pass(time.Hour - time.Millisecond)
		user, err := s.SignUp(ctx, home, "bob", "password-x", secret)
		if err != nil || user.Role != RoleAdmin {
			t.Errorf("%+v, %v", user, err)
		}
		if events := audit.take(); !slices.Equal(events, []string{"user.create bob", "sign-up bob"}) {
			t.Errorf("recorded: %q", events)
		}
		if _, err := s.SignUp(ctx, home, "carol", "password-x", secret); !errors.Is(err, ErrInvitation) {
			t.Errorf("again: %v", err)
		}
		if events := audit.take(); !slices.Equal(events, []string{"sign-up refused (unknown)"}) {
			t.Errorf("recorded: %q", events)
		}

		late, _ := invite(t, s, RoleMember)
		pass(time.Hour)
		if _, err := s.SignUp(ctx, home, "carol", "password-x", late); !errors.Is(err, ErrInvitation) {
			t.Errorf("late: %v", err)
		}
		withdrawn, c := invite(t, s, RoleMember)
		if err := s.Withdraw(ctx, c.ID); err != nil {
			t.Error(err)
		}
		if err := s.Withdraw(ctx, c.ID); !errors.Is(err, ErrUnknownCredential) {
			t.Errorf("withdrawn twice: %v", err)
		}
		if _, err := s.SignUp(ctx, home, "carol", "password-x", withdrawn); !errors.Is(err, ErrInvitation) {
			t.Errorf("withdrawn: %v", err)
		}
		_, session := openSession(t, tokens, "alice")
		if err := s.Withdraw(ctx, session.Credential); !errors.Is(err, ErrUnknownCredential) || tokens.Revoked(session) {
			t.Errorf("a session is withdrawn: %v", err)
		}
		// Who may not invite any more has not invited.
		disabled, _ := invite(t, s, RoleAdmin)
		if err := tokens.users.SetDisabled(ctx, "alice", true); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SignUp(ctx, home, "carol", "password-x", disabled); !errors.Is(err, ErrInvitation) {
			t.Errorf("of a user who is disabled: %v", err)
		}
		// The operator's are the operator's.
		secret, _, err = s.Invite(ctx, User{}, RoleMember, maxInvitation)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.SignUp(ctx, home, "carol", "password-x", secret); err != nil {
			t.Errorf("of the operator: %v", err)
		}
		for _, lifetime := range []time.Duration{0, -1, maxInvitation + 1} {
			if _, _, err := s.Invite(ctx, User{}, RoleMember, lifetime); err == nil {
				t.Errorf("for %v", lifetime)
			}
		}
		if _, _, err := s.Invite(ctx, User{}, "root", time.Hour); err == nil {
			t.Error("as root")
		}
	})
}

func TestAuth26InvitationUsedAtOnce(t *testing.T) {
	s, tokens, _ := newSignUps(t, SignUpInvite)
	for round := range 5 {
		secret, _ := invite(t, s, RoleMember)
		var turn atomic.Int64
		n := atOnce(16, func() bool {
			_, err := s.SignUp(t.Context(), home, fmt.Sprintf("user-%d-%d", round, turn.Add(1)), "password-x", secret)
			if err != nil && !errors.Is(err, ErrInvitation) {
				t.Error(err)
			}
			return err == nil
		})
		if n != 1 || len(tokens.users.Names()) != round+2 {
			t.Fatalf("%d of 16 have an account; there are %q", n, tokens.users.Names())
		}
	}
}
