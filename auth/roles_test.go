package auth

import (
	"errors"
	"testing"
)

func TestRoles(t *testing.T) {
	ctx := t.Context()
	users, store := newTestUsers(t, &fakeHashes{})
	for _, role := range []Role{"", "root", "Admin"} {
		if _, err := users.Create(ctx, "bob", "password-b", role); err == nil || users.Exists("bob") {
			t.Errorf("created as %q", role)
		}
		if err := users.SetRole(ctx, "alice", role); err == nil {
			t.Errorf("made %q", role)
		}
	}
	if err := users.SetRole(ctx, "mallory", RoleAdmin); !errors.Is(err, ErrUnknownUser) {
		t.Error(err)
	}
	for _, role := range []Role{RoleAdmin, RoleMember} {
		if err := users.SetRole(ctx, "alice", role); err != nil {
			t.Error(err)
		}
		if alice, err := users.Authenticate(ctx, home, "alice", "password-a"); err != nil || alice.Role != role {
			t.Errorf("%+v, %v", alice, err)
		}
	}
	_, before := store.Get("alice")
	if err := users.SetRole(ctx, "alice", RoleMember); err != nil {
		t.Error(err)
	}
	if _, after := store.Get("alice"); after != before {
		t.Error("the role is the same, and tokens end")
	}
	// Users that were stored before there were roles are members.
	write(t, store, "bob", `{"version":1,"generation":"g","password_hash":"19456 password-b"}`)
	if bob, err := users.Authenticate(ctx, home, "bob", "password-b"); err != nil || bob.Role != RoleMember {
		t.Errorf("%+v, %v", bob, err)
	}
}

// The role of the moment counts, whatever a token says.
func TestAuth5RoleIsReadLive(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	token, _ := issue(t, tokens, "alice", "")
	for _, role := range []Role{RoleAdmin, RoleMember} {
		// Not by SetRole, which would end the token.
		if err := tokens.users.change(t.Context(), "alice", func(r *record) bool { r.Role = role; return true }); err != nil {
			t.Fatal(err)
		}
		if id, err := tokens.Verify(t.Context(), token); err != nil || id.Role != role {
			t.Errorf("%+v, %v", id, err)
		}
	}
}

// The old password is checked, and guesses at it are slowed down as elsewhere.
func TestAuth23ChangePassword(t *testing.T) {
	ctx := t.Context()
	users, store := newTestUsers(t, &fakeHashes{})
	_, before := store.Get("alice")
	if err := users.ChangePassword(ctx, home, "alice", "wrong-password", "password-b"); !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
	if err := users.ChangePassword(ctx, home, "mallory", "password-a", "password-b"); !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
	if err := users.ChangePassword(ctx, home, "alice", "password-a", "short"); err == nil {
		t.Error("a short one")
	}
	if _, after := store.Get("alice"); after != before {
		t.Error("something has changed")
	}
	if err := users.ChangePassword(ctx, home, "alice", "password-a", "password-b"); err != nil {
		t.Error(err)
	}
	if _, err := users.Authenticate(ctx, home, "alice", "password-b"); err != nil {
		t.Error(err)
	}
	var err error
	for range 10 {
		err = users.ChangePassword(ctx, home, "alice", "wrong-password", "password-c")
	}
	if _, throttled := errors.AsType[*ThrottledError](err); !throttled {
		t.Errorf("after ten: %v", err)
	}
}
