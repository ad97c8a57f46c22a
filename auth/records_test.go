package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// How users are stored is what later versions have to read.
func TestStoredUser(t *testing.T) {
	users, store := newTestUsers(t, &fakeHashes{})
	read := func() map[string]any {
		t.Helper()
		value, _ := store.Get("alice")
		var got map[string]any
		if err := json.Unmarshal(value, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := read()
	if len(got) != 5 || got["role"] != "member" || got["version"] != 1.0 || got["password_hash"] != "19456 password-a" || len(got["generation"].(string)) < 26 {
		t.Errorf("stored: %v", got)
	}
	expectMilliseconds(t, got["created"].(string))
	if err := users.SetDisabled(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	disabled := read()
	if len(disabled) != 7 || disabled["ended"] == nil || disabled["disabled"] != true || disabled["version"] != 1.0 ||
		disabled["created"] != got["created"] || disabled["password_hash"] != got["password_hash"] {
		t.Errorf("stored: %v after %v", disabled, got)
	}
	// And as they were stored once.
	write(t, store, "bob", `{"version":1,"created":"2026-01-02T03:04:05.678Z","password_hash":"19456 password-b","generation":"g"}`)
	bob, err := users.Authenticate(t.Context(), home, "bob", "password-b")
	if want := (User{Name: "bob", Role: RoleMember, HasPassword: true, Created: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), generation: "g"}); err != nil || bob != want {
		t.Errorf("%+v, %v", bob, err)
	}
}

// expectMilliseconds checks a time that was written just now.
func expectMilliseconds(t *testing.T, written string) {
	t.Helper()
	created, err := time.Parse(time.RFC3339, written)
	if age := time.Since(created); err != nil || age < 0 || age > time.Hour || created.Format("2006-01-02T15:04:05.999Z") != written {
		t.Errorf("created %q, %v", written, err)
	}
}

func TestUserThatCannotBeRead(t *testing.T) {
	for name, tc := range map[string]struct{ value, want string }{
		"empty":         {"", "damaged"},
		"no JSON":       {"{", "damaged"},
		"null":          {"null", "damaged: no version"},
		"no version":    {`{"generation":"g"}`, "damaged: no version"},
		"no generation": {`{"version":1}`, "damaged: no generation"},
		"other type":    {`{"version":1,"generation":"g","disabled":"no"}`, "damaged"},
		"newer":         {`{"version":2,"generation":"g"}`, "by a newer wigwag, in version 2; this one reads version 1"},
		"newer still":   {`{"version":3,"generation":{}}`, "by a newer wigwag, in version 3"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			users, store := newTestUsers(t, &fakeHashes{})
			tokens := newTokensOf(t, users, keysOf(t, newKey(t)))
			token, id := issue(t, tokens, "alice", "")
			write(t, store, "alice", tc.value)
			write(t, store, "bob", `{"version":1,"generation":"g"}`)

			errs := map[string]error{}
			_, errs["Verify"] = tokens.Verify(ctx, token)
			_, errs["Authenticate"] = users.Authenticate(ctx, home, "alice", "password-a")
			_, errs["List"] = users.List()
			errs["SetPassword"] = users.SetPassword(ctx, "alice", "password-b")
			errs["SetDisabled"] = users.SetDisabled(ctx, "alice", true)
			var f fakeHashes
			_, errs["newUsers"] = newUsers(store, nil, f.hasher())
			for what, err := range errs {
				if _, refused := errors.AsType[TokenError](err); err == nil || refused || !strings.HasPrefix(err.Error(), `user "alice": `) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%s: %v, want %q", what, err, tc.want)
				}
			}
			if _, err := users.Create(ctx, "alice", "password-b", RoleMember); !errors.Is(err, ErrExists) {
				t.Errorf("Create: %v", err)
			}
			if users.Exists("alice") || !slices.Equal(users.Names(), []string{"bob"}) || !tokens.Revoked(id) || !tokens.Revoked(Identity{Subject: "alice"}) {
				t.Error("alice is there")
			}
			if value, _ := store.Get("alice"); string(value) != tc.value {
				t.Errorf("it was written over with %s", value)
			}
		})
	}
}

// Of two changes at once none is lost.
func TestChangesAtOnce(t *testing.T) {
	t.Run("one is faster", func(t *testing.T) {
		_, memory := newTestUsers(t, &fakeHashes{})
		store := &hookedStore{Store: memory}
		var f fakeHashes
		users, err := newUsers(store, nil, f.hasher())
		if err != nil {
			t.Fatal(err)
		}
		store.beforePut = func(string) {
			if err := users.SetDisabled(t.Context(), "alice", true); err != nil {
				t.Error(err)
			}
		}
		if err := users.SetPassword(t.Context(), "alice", "password-b"); err != nil {
			t.Error(err)
		}
		r, _, err := users.get("alice")
		if err != nil || !r.Disabled || r.PasswordHash != "19456 password-b" {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("many", func(t *testing.T) {
		users, store := newTestUsers(t, &fakeHashes{})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if err := users.SetPassword(t.Context(), "alice", fmt.Sprintf("password-%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, revision := store.Get("alice"); revision != 21 {
			t.Errorf("%d changes", revision-1)
		}
	})
	t.Run("without end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			users, _ := newTestUsers(t, &fakeHashes{})
			users.store = contendedStore{users.store}
			begin := time.Now()
			err := users.SetDisabled(t.Context(), "alice", true)
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took < changeWait || took > changeWait+time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	})
}

func TestChangesThatFail(t *testing.T) {
	var f fakeHashes
	users, store := newTestUsers(t, &f)
	ctx := t.Context()
	if _, err := users.Create(ctx, "alice", "password-b", RoleMember); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if err := users.SetPassword(ctx, "mallory", "password-b"); !errors.Is(err, ErrUnknownUser) {
		t.Error(err)
	}
	if err := users.SetDisabled(ctx, "mallory", true); !errors.Is(err, ErrUnknownUser) {
		t.Error(err)
	}
	for _, password := range []string{"", "1234567", strings.Repeat("a", 129), "\xff\xfe12345678"} {
		if err := users.SetPassword(ctx, "alice", password); err == nil || !strings.HasPrefix(err.Error(), "password: ") {
			t.Errorf("%q: %v", password, err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := users.SetDisabled(cancelled, "alice", true); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	users.store = fullStore{store}
	if err := users.SetPassword(ctx, "alice", "password-b"); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if _, err := users.Create(ctx, "bob", "password-b", RoleMember); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if f.created.Load() != 4 { // at first two, and one each that could not be stored
		t.Errorf("%d hashes", f.created.Load())
	}
	if _, revision := store.Get("alice"); revision != 1 || !slices.Equal(users.Names(), []string{"alice"}) {
		t.Error("something was stored")
	}
}

func TestSetPasswordTakesASlot(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	for range maxHashes {
		if err := users.hasher.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := users.SetPassword(ctx, "alice", "password-b"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	users.hasher.release()
	for range 2 { // and gives it back
		if err := users.SetPassword(t.Context(), "alice", "password-b"); err != nil {
			t.Error(err)
		}
	}
}

func TestListAndNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fakeHashes
		users, err := newUsers(NewMemoryStore(), nil, f.hasher())
		if err != nil {
			t.Fatal(err)
		}
		if list, err := users.List(); len(list) != 0 || err != nil || len(users.Names()) != 0 {
			t.Errorf("at first: %+v, %v, %q", list, err, users.Names())
		}
		begin := time.Now().UTC()
		var want []User
		for _, name := range []string{"carol", "bob", "dave", "alice"} {
			user, err := users.Create(t.Context(), name, "password-x", RoleMember)
			if err != nil || user.Name != name || user.Disabled || !user.Created.Equal(begin.Add(time.Duration(len(want))*time.Second)) {
				t.Errorf("%+v, %v", user, err)
			}
			want = append(want, user)
			pass(time.Second)
		}
		for _, name := range []string{"bob", "carol"} {
			if err := users.SetDisabled(t.Context(), name, true); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
		want[1].Disabled, want[2].Disabled = true, true
		list, err := users.List()
		if len(list) != 4 || err != nil {
			t.Fatalf("%+v, %v", list, err)
		}
		for i, got := range list {
			if (got.generation == want[i].generation) == want[i].Disabled {
				t.Errorf("generation of %s: %s, was %s", got.Name, got.generation, want[i].generation)
			}
			if got.generation = want[i].generation; got != want[i] {
				t.Errorf("%+v, not %+v", got, want[i])
			}
			if users.Exists(got.Name) == got.Disabled {
				t.Errorf("%s exists: %t", got.Name, users.Exists(got.Name))
			}
		}
		if names := users.Names(); !slices.Equal(names, []string{"alice", "dave"}) {
			t.Errorf("names: %q", names)
		}
		if _, err := users.Create(t.Context(), "bob", "password-x", RoleMember); !errors.Is(err, ErrExists) {
			t.Errorf("the name of a user who is disabled: %v", err)
		}
		if err := users.SetDisabled(t.Context(), "bob", false); err != nil || !slices.Equal(users.Names(), []string{"alice", "bob", "dave"}) {
			t.Errorf("names: %q, %v", users.Names(), err)
		}
	})
}
