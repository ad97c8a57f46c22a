package auth

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// login returns a new token of a user, by password.
func login(t *testing.T, tokens *Tokens, name, password string) (string, Identity) {
	t.Helper()
	user, err := tokens.users.Authenticate(t.Context(), home, name, password)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	issued, err := tokens.Login(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Access, issued.Identity
}

// expectRevoked checks a token, and the identity it proved once.
func expectRevoked(t *testing.T, tokens *Tokens, token string, id Identity, revoked bool) {
	t.Helper()
	verified, err := tokens.Verify(t.Context(), token)
	if revoked != errors.Is(err, TokenError("the token has been revoked")) || !revoked && verified != id {
		t.Errorf("%+v, %v; want revoked: %t", verified, err, revoked)
	}
	if got := tokens.Revoked(id); got != revoked {
		t.Errorf("Revoked = %t, want %t", got, revoked)
	}
}

// newRevocable has alice and bob, whose passwords are "password-a" and
// "password-b".
func newRevocable(t *testing.T, f *fakeHashes) (*Tokens, *Users, *MemoryStore) {
	t.Helper()
	users, store := newTestUsers(t, f)
	if _, err := users.Create(t.Context(), "bob", "password-b", RoleMember); err != nil {
		t.Fatal(err)
	}
	tokens := newTokensOf(t, users, keysOf(t, newKey(t)))
	return tokens, users, store
}

// All of it within one instant: a token's times are in seconds.
func TestAuth27NewPasswordRevokesTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, users, _ := newRevocable(t, &fakeHashes{})
		alice, aliceID := login(t, tokens, "alice", "password-a")
		bob, bobID := login(t, tokens, "bob", "password-b")
		expectRevoked(t, tokens, alice, aliceID, false)

		// The same password may mean that somebody else has a token.
		for _, password := range []string{"password-c", "password-c"} {
			if err := users.SetPassword(t.Context(), "alice", password); err != nil {
				t.Fatal(err)
			}
			expectRevoked(t, tokens, alice, aliceID, true)
			alice, aliceID = login(t, tokens, "alice", password)
			expectRevoked(t, tokens, alice, aliceID, false)
		}
		expectRevoked(t, tokens, bob, bobID, false)
		if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); !errors.Is(err, ErrCredentials) {
			t.Errorf("the old password: %v", err)
		}
	})
}

func TestAuth27DisablingRevokesTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fakeHashes
		tokens, users, store := newRevocable(t, &f)
		alice, aliceID := login(t, tokens, "alice", "password-a")
		bob, bobID := login(t, tokens, "bob", "password-b")
		disable := func(disabled, changes bool) {
			t.Helper()
			_, before := store.Get("alice")
			if err := users.SetDisabled(t.Context(), "alice", disabled); err != nil {
				t.Fatal(err)
			}
			if _, after := store.Get("alice"); (after != before) != changes {
				t.Errorf("changed: %t", after != before)
			}
		}
		disable(false, false)
		expectRevoked(t, tokens, alice, aliceID, false)
		disable(true, true)
		expectRevoked(t, tokens, alice, aliceID, true)
		disable(true, false)

		// The right password is now a wrong one: the same answer and work.
		users.hasher.params.Memory *= 2
		checked, created := f.checked.Load(), f.created.Load()
		for _, password := range []string{"password-a", "wrong-password"} {
			user, err := users.Authenticate(t.Context(), home, "alice", password)
			if err != ErrCredentials || user != (User{}) { //nolint:errorlint // not even wrapped: the text is the same
				t.Errorf("%s: %+v, %v", password, user, err)
			}
		}
		if f.checked.Load() != checked+2 || f.created.Load() != created {
			t.Errorf("%d checks, %d new hashes", f.checked.Load()-checked, f.created.Load()-created)
		}
		// A password set meanwhile is good afterwards only.
		if err := users.SetPassword(t.Context(), "alice", "password-c"); err != nil {
			t.Fatal(err)
		}
		if _, err := users.Authenticate(t.Context(), home, "alice", "password-c"); !errors.Is(err, ErrCredentials) {
			t.Errorf("new password of a user who is disabled: %v", err)
		}

		disable(false, true)
		expectRevoked(t, tokens, alice, aliceID, true) // for good
		alice, aliceID = login(t, tokens, "alice", "password-c")
		expectRevoked(t, tokens, alice, aliceID, false)
		expectRevoked(t, tokens, bob, bobID, false)
	})
}

// Should a user be disabled whose generation stays, the tokens end as well.
func TestDisabledAlone(t *testing.T) {
	tokens, users, _ := newRevocable(t, &fakeHashes{})
	alice, aliceID := login(t, tokens, "alice", "password-a")
	if err := users.change(t.Context(), "alice", func(r *record) bool { r.Disabled = true; return true }); err != nil {
		t.Fatal(err)
	}
	expectRevoked(t, tokens, alice, aliceID, true)
}

// A login that is under way when the password changes proves nothing.
func TestLoginWhileThePasswordChanges(t *testing.T) {
	for name, change := range map[string]func(*Users) error{
		"password": func(u *Users) error { return u.SetPassword(t.Context(), "alice", "password-c") },
		"disabled": func(u *Users) error { return u.SetDisabled(t.Context(), "alice", true) },
		"disabled and enabled": func(u *Users) error {
			return errors.Join(u.SetDisabled(t.Context(), "alice", true), u.SetDisabled(t.Context(), "alice", false))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var f fakeHashes
			tokens, users, _ := newRevocable(t, &f)
			f.during = func() {
				if err := change(users); err != nil {
					t.Error(err)
				}
			}
			token, id := login(t, tokens, "alice", "password-a")
			expectRevoked(t, tokens, token, id, true)
		})
	}
}

// What others made up or had from elsewhere is not proven.
func TestRevokedWithoutAToken(t *testing.T) {
	tokens, _, _ := newRevocable(t, &fakeHashes{})
	_, id := login(t, tokens, "alice", "password-a")
	nobody, other := id, id
	nobody.Subject, other.Subject = "mallory", "bob"
	for _, id := range []Identity{{}, {Subject: "alice"}, {Subject: AnonymousName}, nobody, other} {
		if !tokens.Revoked(id) {
			t.Errorf("%+v is not revoked", id)
		}
	}
}

func TestRehashKeepsTokens(t *testing.T) {
	tokens, users, store := newRevocable(t, &fakeHashes{})
	token, id := login(t, tokens, "alice", "password-a")
	users.hasher.params.Memory *= 2
	_, before := store.Get("alice")
	again, againID := login(t, tokens, "alice", "password-a")
	if _, after := store.Get("alice"); after == before {
		t.Fatal("not hashed again")
	}
	expectRevoked(t, tokens, token, id, false)
	expectRevoked(t, tokens, again, againID, false)
}

// The changes are made on one node, and told on another.
func TestAuth27OnRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		tokens, users, store := newRevocable(t, &fakeHashes{})
		if err := users.SetDisabled(ctx, "bob", true); err != nil { // before: not told
			t.Fatal(err)
		}
		var f fakeHashes
		node, err := newUsers(store, nil, f.hasher())
		if err != nil {
			t.Fatal(err)
		}
		_, id := login(t, tokens, "alice", "password-a")
		var told []string
		there := newTokensOf(t, node, tokens.keys, tokens.credentials.store)
		stop := there.credentials.OnRevoked(func(r Revocation) {
			if r.Credential != "" {
				t.Errorf("told of %+v", r)
			}
			told = append(told, r.User)
			if r.User == "alice" && !there.Revoked(id) {
				t.Error("told before tokens are refused")
			}
		})
		create := func(name, password string) error {
			_, err := users.Create(ctx, name, password, RoleMember)
			return err
		}
		for _, step := range []struct {
			name string
			do   func() error
			want []string
		}{
			{"begin", func() error { return nil }, nil},
			{"create", func() error { return create("carol", "password-c") }, nil},
			{"enable", func() error { return users.SetDisabled(ctx, "bob", false) }, nil},
			{"password", func() error { return users.SetPassword(ctx, "alice", "password-c") }, []string{"alice"}},
			{"password of one created since", func() error { return users.SetPassword(ctx, "carol", "password-d") }, []string{"carol"}},
			{"disable", func() error { return users.SetDisabled(ctx, "alice", true) }, []string{"alice"}},
			{"disable again", func() error { return users.SetDisabled(ctx, "alice", true) }, nil},
			{"enable again", func() error { return users.SetDisabled(ctx, "alice", false) }, nil},
			{"rehash", func() error {
				users.hasher.params.Memory *= 2
				_, err := users.Authenticate(ctx, home, "alice", "password-c")
				return err
			}, nil},
			{"two", func() error {
				return errors.Join(users.SetDisabled(ctx, "bob", true), users.SetDisabled(ctx, "alice", true))
			}, []string{"bob", "alice"}},
			{"unreadable", func() error {
				write(t, store, "carol", `{"version":2}`)
				return nil
			}, []string{"carol"}},
			{"stopped", func() error {
				stop()
				return users.SetPassword(ctx, "alice", "password-e")
			}, nil},
		} {
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
			synctest.Wait()
			if !slices.Equal(told, step.want) {
				t.Errorf("%s: told %q, not %q", step.name, told, step.want)
			}
			told = nil
		}
	})
}

// A slow listener is told of every user, if not of every change.
func TestOnRevokedIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, users, _ := newRevocable(t, &fakeHashes{})
		told := map[string]int{}
		stop := tokens.credentials.OnRevoked(func(r Revocation) {
			pass(time.Second)
			told[r.User]++
		})
		for range 3 {
			for _, name := range []string{"alice", "bob"} {
				if err := users.SetPassword(t.Context(), name, "password-c"); err != nil {
					t.Fatal(err)
				}
			}
		}
		pass(time.Minute)
		stop()
		if told["alice"] < 1 || told["bob"] < 1 {
			t.Errorf("told %v", told)
		}
	})
}

// Of each credential that is revoked, or gives way, every node is told: whose,
// and which.
func TestAuth27OnRevokedOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		tokens, users, _ := newRevocable(t, &fakeHashes{})
		node := newTokensOf(t, users, tokens.keys, tokens.credentials.store)
		_, before := issue(t, tokens, "alice", "")
		var mu sync.Mutex
		var told []Revocation // guarded by mu
		stop := node.credentials.OnRevoked(func(r Revocation) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, r)
		})
		defer stop()

		grant, err := tokens.Authorize(ctx, find(t, tokens, "alice"), Authorization{Client: "client", Resource: "r", Scopes: ScopeChatRead})
		if err != nil {
			t.Fatal(err)
		}
		login, err := tokens.Login(ctx, find(t, tokens, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		_, web := openSession(t, tokens, "alice")
		_, other := openSession(t, tokens, "bob")
		_, personal := newPersonal(t, tokens, "bob", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Minute})
		ticket, err := tokens.NewTicket(ctx, web)
		if err != nil {
			t.Fatal(err)
		}
		next := refresh(t, tokens, grant.Refresh, Refresh{Client: "client"}, nil)
		revoke := func(user, id string) func() error {
			return func() error { return tokens.credentials.Revoke(ctx, user, id) }
		}
		for _, step := range []struct {
			name string
			do   func() error
			want []Revocation
		}{
			{"begin, refresh", func() error { return nil }, nil},
			{"ticket", func() error { _, err := tokens.Redeem(ctx, ticket); return err }, nil},
			{"what was there before", revoke("alice", before.Credential), []Revocation{{"alice", before.Credential}}},
			{"web session", revoke("alice", web.Credential), []Revocation{{"alice", web.Credential}}},
			{"logout", func() error { return tokens.RevokeToken(ctx, login.Access, "") }, []Revocation{{"alice", login.Identity.Credential}}},
			{"reuse", func() error {
				pass(refreshGrace)
				refresh(t, tokens, grant.Refresh, Refresh{Client: "client"}, ErrRefresh)
				return nil
			}, []Revocation{{"alice", next.Identity.Credential}}},
			{"end", func() error { pass(sweepEvery * upkeepEvery); return nil }, []Revocation{{"bob", personal.ID}}},
			{"role", func() error { return users.SetRole(ctx, "bob", RoleAdmin) }, []Revocation{{"bob", ""}}},
		} {
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
			synctest.Wait()
			mu.Lock()
			if !slices.Equal(told, step.want) {
				t.Errorf("%s: told %+v, not %+v", step.name, told, step.want)
			}
			told = nil
			mu.Unlock()
		}
		if !node.Revoked(other) {
			t.Error("a session outlives the role it was opened with")
		}
	})
}

func TestAuth27RevocationCovers(t *testing.T) {
	id := Identity{Subject: "alice", Credential: "1"}
	for r, want := range map[Revocation]bool{
		{User: "alice"}: true, {"alice", "1"}: true, {"alice", "2"}: false, {User: "bob"}: false, {"bob", "1"}: false, {}: false,
	} {
		if r.Covers(id) != want {
			t.Errorf("%+v covers: %t", r, !want)
		}
	}
}

// With a user's password, role or account end all kinds of credentials.
func TestAuth27AllOfAUser(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *Users) error{
		"password": func(t *testing.T, u *Users) error { return u.SetPassword(t.Context(), "alice", "password-a") },
		"own password": func(t *testing.T, u *Users) error {
			return u.ChangePassword(t.Context(), home, "alice", "password-a", "password-b")
		},
		"role":     func(t *testing.T, u *Users) error { return u.SetRole(t.Context(), "alice", RoleAdmin) },
		"disabled": func(t *testing.T, u *Users) error { return u.SetDisabled(t.Context(), "alice", true) },
		"disabled and enabled": func(t *testing.T, u *Users) error {
			return errors.Join(u.SetDisabled(t.Context(), "alice", true), u.SetDisabled(t.Context(), "alice", false))
		},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, users, _ := newRevocable(t, &fakeHashes{})
			alice := find(t, tokens, "alice")
			login, err := tokens.Login(t.Context(), alice)
			if err != nil {
				t.Fatal(err)
			}
			session, web := openSession(t, tokens, "alice")
			personal, _ := newPersonal(t, tokens, "alice", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
			ticket, err := tokens.NewTicket(t.Context(), login.Identity)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := users.Of("alice", web.Generation()); err != nil {
				t.Error(err)
			}
			if err := change(t, users); err != nil {
				t.Fatal(err)
			}
			var errs []error
			add := func(_ any, err error) { errs = append(errs, err) }
			add(tokens.Verify(t.Context(), login.Access))
			add(tokens.Verify(t.Context(), personal))
			add(tokens.Refresh(t.Context(), login.Refresh, Refresh{}))
			add(tokens.Session(session))
			add(tokens.Redeem(t.Context(), ticket))
			add(users.Of("alice", web.Generation()))
			for i, err := range errs {
				if err == nil {
					t.Errorf("%d is good", i)
				}
			}
			if !tokens.Revoked(login.Identity) || !tokens.Revoked(web) || len(tokens.credentials.List("alice")) != 0 {
				t.Error("something is left")
			}
			// Nor is what is made for the user as it was before.
			late, err := tokens.Login(t.Context(), alice)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tokens.Verify(t.Context(), late.Access); !errors.Is(err, errRevoked) {
				t.Errorf("late: %v", err)
			}
		})
	}
}
