package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The first administrator has no password, and a link that is good once.
func TestAuth26SignInLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var f fakeHashes
		var audit recorder
		store := NewMemoryStore()
		users, err := newUsers(store, &audit, f.hasher())
		if err != nil {
			t.Fatal(err)
		}
		secret, err := users.CreateWithLink(ctx, "admin", RoleAdmin)
		if err != nil {
			t.Fatal(err)
		}
		value, _ := store.Get("admin")
		if strings.Contains(string(value), strings.TrimPrefix(secret, "admin.")) || strings.Contains(string(value), "password") {
			t.Errorf("stored: %s", value)
		}
		for _, password := range []string{"", "admin", secret} {
			if _, err := users.Authenticate(ctx, home, "admin", password); !errors.Is(err, ErrCredentials) {
				t.Errorf("password %q: %v", password, err)
			}
		}
		audit.take()
		for _, password := range []string{"", "short", strings.Repeat("x", 129)} { // the link stays good
			if _, err := users.RedeemLink(ctx, home, secret, password); err == nil || errors.Is(err, ErrLink) {
				t.Errorf("password %q: %v", password, err)
			}
		}
		made, _ := newSecret()
		for _, wrong := range []string{"", "admin", "admin.", "." + made, "admin." + made, secret + "a", "mallory" + secret[5:], "Admin" + secret[5:]} {
			if _, err := users.RedeemLink(ctx, home, wrong, "password-l"); !errors.Is(err, ErrLink) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		if events := audit.take(); len(events) != 2 || !slices.Equal(events, []string{"sign-in refused admin", "sign-in refused (unknown)"}) {
			t.Errorf("recorded: %q", events)
		}
		node, err := newUsers(store, &audit, f.hasher()) // after a restart
		if err != nil {
			t.Fatal(err)
		}
		user, err := node.RedeemLink(ctx, home, secret, "password-l")
		if err != nil || user.Name != "admin" || user.Role != RoleAdmin || !user.HasPassword {
			t.Errorf("%+v, %v", user, err)
		}
		for _, users := range []*Users{users, node} {
			if _, err := users.RedeemLink(ctx, home, secret, "password-l"); !errors.Is(err, ErrLink) {
				t.Errorf("again: %v", err)
			}
		}
		if events := audit.take(); events[0] != "sign-in admin" {
			t.Errorf("recorded: %q", events)
		}
		// The user may all that the role allows, and comes back by the password.
		tokens := newTokensOf(t, users, loadKeys(t, NewMemoryStore()))
		session, _, err := tokens.OpenSession(ctx, user)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := tokens.Session(session); err != nil || id.Missing(ScopeAdmin) != 0 {
			t.Errorf("%+v, %v", id, err)
		}
		if user, err := users.Authenticate(ctx, home, "admin", "password-l"); err != nil || !user.HasPassword {
			t.Errorf("%+v, %v", user, err)
		}
	})
}

func TestAuth26LinkEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, users *Users) error{
		"after a day":            func(*testing.T, *Users) error { pass(linkLifetime); return nil },
		"with another link":      func(t *testing.T, u *Users) error { _, err := u.NewLink(t.Context(), "alice"); return err },
		"with a password":        func(t *testing.T, u *Users) error { return u.SetPassword(t.Context(), "alice", "password-b") },
		"with another role":      func(t *testing.T, u *Users) error { return u.SetRole(t.Context(), "alice", RoleAdmin) },
		"with the user disabled": func(t *testing.T, u *Users) error { return u.SetDisabled(t.Context(), "alice", true) },
		"disabled and enabled": func(t *testing.T, u *Users) error {
			return errors.Join(u.SetDisabled(t.Context(), "alice", true), u.SetDisabled(t.Context(), "alice", false))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				users, _ := newTestUsers(t, &fakeHashes{})
				secret, err := users.NewLink(t.Context(), "alice")
				if err != nil {
					t.Fatal(err)
				}
				pass(linkLifetime - time.Millisecond)
				if err := end(t, users); err != nil {
					t.Fatal(err)
				}
				if _, err := users.RedeemLink(t.Context(), home, secret, "password-l"); !errors.Is(err, ErrLink) {
					t.Errorf("%v", err)
				}
			})
		})
	}
	users, _ := newTestUsers(t, &fakeHashes{})
	if _, err := users.NewLink(t.Context(), "mallory"); !errors.Is(err, ErrUnknownUser) {
		t.Errorf("for nobody: %v", err)
	}
	for _, name := range []string{"alice", "Alice", AnonymousName, ""} {
		if secret, err := users.CreateWithLink(t.Context(), name, RoleAdmin); err == nil || secret != "" {
			t.Errorf("%q: %q, %v", name, secret, err)
		}
	}
	if _, err := users.CreateWithLink(t.Context(), "bob", "root"); err == nil || users.Exists("bob") {
		t.Errorf("of no role: %v", err)
	}
}

func TestAuth26LinkRedeemedASecondTooLate(t *testing.T) {
	users, memory := newTestUsers(t, &fakeHashes{})
	store := &hookedStore{Store: memory}
	var f fakeHashes
	node, err := newUsers(store, nil, f.hasher())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := users.NewLink(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	store.beforePut = func(string) {
		if _, err := users.RedeemLink(t.Context(), home, secret, "password-l"); err != nil {
			t.Error(err)
		}
	}
	if user, err := node.RedeemLink(t.Context(), home, secret, "password-l"); !errors.Is(err, ErrLink) || store.beforePut != nil {
		t.Errorf("two got in: %+v, %v", user, err)
	}
}

func TestAuth26LinkRedeemedAtOnce(t *testing.T) {
	users, store := newTestUsers(t, &fakeHashes{})
	var f fakeHashes
	node, err := newUsers(store, nil, f.hasher())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		secret, err := users.NewLink(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		n := atOnce(16, func() bool {
			_, err := node.RedeemLink(t.Context(), home, secret, "password-l")
			if err != nil && !errors.Is(err, ErrLink) {
				t.Error(err)
			}
			return err == nil
		})
		if n != 1 {
			t.Fatalf("%d of 16 got in", n)
		}
	}
}

func TestAuth26LinkOfADisabledUser(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	if err := users.SetDisabled(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	secret, err := users.NewLink(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.RedeemLink(t.Context(), home, secret, "password-l"); !errors.Is(err, ErrLink) {
		t.Errorf("while disabled: %v", err)
	}
	if err := users.SetDisabled(t.Context(), "alice", false); err != nil {
		t.Fatal(err)
	}
	if _, err := users.RedeemLink(t.Context(), home, secret, "password-l"); err != nil {
		t.Errorf("enabled again: %v", err)
	}
}
