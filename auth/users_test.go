package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/argon2id"
)

var home = netip.MustParseAddr("192.0.2.1")

// fakeHashes stand in for argon2id where a test is not about it: a hash is the
// parameters and the password in clear.
type fakeHashes struct {
	created, checked atomic.Int64
	during           func() // called in every check
}

func (f *fakeHashes) hasher() *hasher {
	h := newHasher()
	h.create = func(password string, params *argon2id.Params) (string, error) {
		f.created.Add(1)
		return fmt.Sprintf("%d %s", params.Memory, password), nil
	}
	h.check = func(password, hash string) (bool, *argon2id.Params, error) {
		f.checked.Add(1)
		if f.during != nil {
			f.during()
		}
		params := h.params
		var of string
		if _, err := fmt.Sscanf(hash, "%d %s", &params.Memory, &of); err != nil {
			return false, nil, err
		}
		return of == password, &params, nil
	}
	return h
}

// newTestUsers has alice, whose password is "password-a".
func newTestUsers(t *testing.T, f *fakeHashes) (*Users, *MemoryStore) {
	t.Helper()
	store := NewMemoryStore()
	users, err := newUsers(store, nil, f.hasher())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Create(t.Context(), "alice", "password-a", RoleMember); err != nil {
		t.Fatal(err)
	}
	return users, store
}

// The parameters as they are stored, and that they work.
func TestAuth22Argon2id(t *testing.T) {
	store := NewMemoryStore()
	users, err := NewUsers(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	password := strings.Repeat("ß", 128)
	if _, err := users.Create(t.Context(), "alice", password, RoleMember); err != nil {
		t.Fatal(err)
	}
	stored, _ := store.Get("alice")
	if !strings.Contains(string(stored), "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(string(stored), password) {
		t.Errorf("stored: %s", stored)
	}
	if !strings.HasPrefix(users.dummy, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("dummy: %s", users.dummy)
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", password); err != nil {
		t.Errorf("right password: %v", err)
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", password[2:]); !errors.Is(err, ErrCredentials) {
		t.Errorf("wrong password: %v", err)
	}
}

func TestAuth22PasswordLength(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	for i, tc := range []struct {
		password string
		ok       bool
	}{
		{"", false},
		{"1234567", false},
		{"12345678", true},
		{"ööööööö", false}, // 7 characters, 14 bytes
		{"öööööööö", true},
		{strings.Repeat("a", 128), true},
		{strings.Repeat("a", 129), false},
		{strings.Repeat("😀", 128), true}, // 512 bytes
		{strings.Repeat("😀", 129), false},
		{"\xff\xfe12345678", false},
	} {
		name := fmt.Sprintf("user-%d", i)
		_, err := users.Create(t.Context(), name, tc.password, RoleMember)
		if (err == nil) != tc.ok || users.Exists(name) != tc.ok {
			t.Errorf("%.20q: %v, exists %v", tc.password, err, users.Exists(name))
		}
		if err != nil && tc.password != "" && strings.Contains(err.Error(), tc.password) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// Equal work for an unknown name and a wrong password is seen in the number of
// hashes; a clock would only measure the machine.
func TestAuth22UnknownNameIsAWrongPassword(t *testing.T) {
	var f fakeHashes
	users, _ := newTestUsers(t, &f)
	created := f.created.Load()
	for i, tc := range []struct{ name, password string }{
		{"alice", "wrong-password"},
		{"mallory", "wrong-password"},
		{"anonymous", "wrong-password"},
		{"Not A Name", "wrong-password"},
		{"", ""},
		{"alice", ""},
		{"mallory", strings.Fields(users.dummy)[1]}, // were the dummy's password known
	} {
		_, err := users.Authenticate(t.Context(), home, tc.name, tc.password)
		if err != ErrCredentials { //nolint:errorlint // not even wrapped: the text is the same
			t.Errorf("%q: %v", tc.name, err)
		}
		if f.checked.Load() != int64(i)+1 || f.created.Load() != created {
			t.Errorf("%q: %d checks after %d attempts, %d new hashes", tc.name, f.checked.Load(), i+1, f.created.Load()-created)
		}
	}
	// What nobody can have as a password costs no hash, for any name.
	checked := f.checked.Load()
	for _, name := range []string{"bob", "alice2"} {
		if _, err := users.Authenticate(t.Context(), home, name, strings.Repeat("a", 513)); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q, long password: %v", name, err)
		}
	}
	if f.checked.Load() != checked {
		t.Error("a password of 513 bytes was hashed")
	}
}

func TestAuth22RehashWhenParametersChange(t *testing.T) {
	var f fakeHashes
	users, store := newTestUsers(t, &f)
	old, before := store.Get("alice")
	users.hasher.params.Memory *= 2

	if _, err := users.Authenticate(t.Context(), home, "alice", "wrong-password"); !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
	if _, revision := store.Get("alice"); revision != before || f.created.Load() != 2 { // the dummy's and alice's
		t.Error("a wrong password was hashed or stored")
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); err != nil {
		t.Error(err)
	}
	value, after := store.Get("alice")
	if now := strings.Replace(string(old), "19456", "38912", 1); after == before || string(value) != now {
		t.Errorf("stored: %s, not %s", value, now)
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); err != nil {
		t.Error(err)
	}
	if _, revision := store.Get("alice"); revision != after {
		t.Error("hashed again with the same parameters")
	}
}

// A password that changes while the old one is being checked stays changed.
func TestRehashDoesNotUndoAChange(t *testing.T) {
	var f fakeHashes
	users, store := newTestUsers(t, &f)
	users.hasher.params.Memory *= 2
	f.during = func() {
		_, revision := store.Get("alice")
		if _, err := store.Put(t.Context(), "alice", []byte("changed"), revision); err != nil {
			t.Error(err)
		}
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); err != nil {
		t.Error(err)
	}
	if value, _ := store.Get("alice"); string(value) != "changed" {
		t.Errorf("stored: %s", value)
	}
}

func TestAuth22AtMostFourHashesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		var f fakeHashes
		users, _ := newTestUsers(t, &f)
		f.during = func() {
			most.Store(max(most.Load(), running.Add(1)))
			pass(hashWait / 2)
			running.Add(-1)
		}
		var ok, busy atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				switch _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); {
				case err == nil:
					ok.Add(1)
				case errors.Is(err, ErrBusy):
					busy.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		// Two rounds end within the wait; a third one may begin in its last instant.
		if most.Load() != 4 || ok.Load()+busy.Load() != 20 || ok.Load() < 8 || busy.Load() < 8 {
			t.Errorf("%d at a time, %d let in, %d busy", most.Load(), ok.Load(), busy.Load())
		}
		// Being turned away is no failure.
		if wait := users.throttle.wait("alice", home); wait != 0 || len(users.throttle.addresses.counts) != 0 {
			t.Errorf("wait %v, counts %v", wait, users.throttle.addresses.counts)
		}
	})
}

// Who is throttled is told so at once, however many wait for a slot.
func TestThrottledDoNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users, _ := newTestUsers(t, &fakeHashes{})
		for range 5 {
			_, _ = users.Authenticate(t.Context(), home, "alice", "wrong-password")
		}
		for range maxHashes {
			if err := users.hasher.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		_, err := users.Authenticate(t.Context(), home, "alice", "password-a")
		if throttled, ok := errors.AsType[*ThrottledError](err); !ok || throttled.RetryAfter != time.Second {
			t.Errorf("%v", err)
		}
	})
}

// Who goes away while waiting takes no slot, and is not counted.
func TestHashWaitEndsWithItsContext(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	for range maxHashes {
		if err := users.hasher.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := users.Authenticate(ctx, home, "alice", "password-a"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := users.Create(ctx, "bob", "password-b", RoleMember); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for range maxHashes {
		users.hasher.release()
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); err != nil {
		t.Error(err)
	}
}

func TestUserNames(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	for name, want := range map[string]bool{
		"a": true, "0": true, "a-b_c": true, strings.Repeat("a", 64): true,
		"": false, "-a": false, "_a": false, "A": false, "a b": false, "ä": false, "a\n": false, "a/b": false,
		strings.Repeat("a", 65): false, "anonymous": false, "alice": false,
	} {
		_, err := users.Create(t.Context(), name, "password-b", RoleMember)
		if (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
		if (name == "alice") != errors.Is(err, ErrExists) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); err != nil {
		t.Errorf("alice's password was changed: %v", err)
	}
}

// Of many that want a name at once, one gets it.
func TestCreateAtOnce(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	var created atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch _, err := users.Create(t.Context(), "bob", "password-b", RoleMember); {
			case err == nil:
				created.Add(1)
			case !errors.Is(err, ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 {
		t.Errorf("created %d times", created.Load())
	}
}

func TestUsersAreBounded(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	for i := range maxUsers - 1 {
		if ok, err := users.put(t.Context(), fmt.Sprintf("user-%d", i), record{Generation: "g"}, 0); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, err := users.Create(t.Context(), "one-more", "password-b", RoleMember); err == nil || users.Exists("one-more") {
		t.Errorf("one more: %v", err)
	}
	if _, err := users.CreateWithLink(t.Context(), "one-more", RoleMember); err == nil || users.Exists("one-more") {
		t.Errorf("one more: %v", err)
	}
	if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); err != nil {
		t.Error(err)
	}
}

// A store that fails is not a wrong password, and not counted as one.
func TestStoredUserIsBroken(t *testing.T) {
	users, store := newTestUsers(t, &fakeHashes{})
	for _, broken := range []string{
		"", "{", "null", `{"version":1,"generation":"g","password_hash":"x"}`, `{"version":1,"generation":"g","password_hash":1}`,
	} {
		_, revision := store.Get("alice")
		if ok, err := store.Put(t.Context(), "alice", []byte(broken), revision); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for range 10 {
			_, err := users.Authenticate(t.Context(), home, "alice", "password-a")
			if _, throttled := errors.AsType[*ThrottledError](err); err == nil || throttled {
				t.Fatalf("%q: %v", broken, err)
			}
		}
	}
}

// A user may have no password at all; the dummy's is not it.
func TestStoredUserWithoutPassword(t *testing.T) {
	users, store := newTestUsers(t, &fakeHashes{})
	if ok, err := store.Put(t.Context(), "bob", []byte(`{"version":1,"generation":"g"}`), 0); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, password := range []string{"", strings.Fields(users.dummy)[1]} {
		if _, err := users.Authenticate(t.Context(), home, "bob", password); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestGeneratePassword(t *testing.T) {
	one, other := GeneratePassword(), GeneratePassword()
	// 26 of 32 letters and digits are 130 bits.
	if len(one) < 26 || one == other || strings.Trim(one, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("%q, %q", one, other)
	}
	if err := checkPassword(one); err != nil {
		t.Error(err)
	}
}
