package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// hookedStore lets a test act when something is about to be stored or deleted.
type hookedStore struct {
	Store
	beforePut    func(key string) // called once
	beforeDelete func()           // called once
}

func (s *hookedStore) Delete(ctx context.Context, key string, revision uint64) (bool, error) {
	if before := s.beforeDelete; before != nil {
		s.beforeDelete = nil
		before()
	}
	return s.Store.Delete(ctx, key, revision)
}

func (s *hookedStore) Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error) {
	if before := s.beforePut; before != nil {
		s.beforePut = nil
		before(key)
	}
	return s.Store.Put(ctx, key, value, revision)
}

// contendedStore is one where somebody else is always a second faster.
type contendedStore struct{ Store }

func (s contendedStore) Put(ctx context.Context, _ string, _ []byte, _ uint64) (bool, error) {
	pass(time.Second)
	return false, ctx.Err()
}

// fullStore is one that stores nothing.
type fullStore struct{ Store }

var errFull = errors.New("full")

func (fullStore) Put(context.Context, string, []byte, uint64) (bool, error) { return false, errFull }

func loadKeys(t *testing.T, s Store) *Keys {
	t.Helper()
	keys, err := LoadKeys(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// stored is a key in DER.
func stored(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// stringOf is keys as they are stored.
func stringOf(t *testing.T, version int, ders ...[]byte) string {
	t.Helper()
	file := keyFile{Version: version}
	for _, der := range ders {
		file.Keys = append(file.Keys, storedKey{Created: time.Now(), PKCS8: der})
	}
	value, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// A token is good after a restart, and on another node.
func TestAuth21KeysAreKept(t *testing.T) {
	store := NewMemoryStore()
	users, _ := newTestUsers(t, &fakeHashes{})
	credentials := NewMemoryStore()
	tokensOf := func(keys *Keys) *Tokens {
		t.Helper()
		return newTokensOf(t, users, keys, credentials)
	}
	first := tokensOf(loadKeys(t, store))
	token, _ := issue(t, first, "alice", "")
	_, before := store.Get(signingKeys)
	if _, err := tokensOf(loadKeys(t, store)).Verify(t.Context(), token); err != nil {
		t.Errorf("with the same keys: %v", err)
	}
	if _, after := store.Get(signingKeys); after != before {
		t.Error("keys were stored again")
	}
	if _, err := tokensOf(loadKeys(t, NewMemoryStore())).Verify(t.Context(), token); !errors.Is(err, TokenError("the token is signed with a key this server does not have")) {
		t.Errorf("with the keys of another store: %v", err)
	}
}

// How keys are stored is what later versions have to read.
func TestStoredKeys(t *testing.T) {
	store := NewMemoryStore()
	keys := loadKeys(t, store)
	value, _ := store.Get(signingKeys)
	var got struct {
		Version int
		Keys    []map[string]string
	}
	if err := json.Unmarshal(value, &got); err != nil || got.Version != 1 || len(got.Keys) != 2 || len(got.Keys[0]) != 3 || len(got.Keys[1]) != 2 {
		t.Fatalf("stored: %+v, %v", got, err)
	}
	der, err := base64.StdEncoding.DecodeString(got.Keys[0]["pkcs8"])
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if signing, err2 := keys.signing(); err != nil || err2 != nil || !signing.private.Equal(key) {
		t.Errorf("stored is another key: %v, %v", err, err2)
	}
	expectMilliseconds(t, got.Keys[0]["created"])
	expectMilliseconds(t, got.Keys[0]["signs"])
	expectMilliseconds(t, got.Keys[1]["created"])
}

func TestNodesThatStartAtOnceAgreeOnTheKey(t *testing.T) {
	t.Run("one is faster", func(t *testing.T) {
		store := &hookedStore{Store: NewMemoryStore()}
		var other *Keys
		store.beforePut = func(string) { other = loadKeys(t, store.Store) }
		if keys := loadKeys(t, store); !slices.Equal(keyIDs(t, keys), keyIDs(t, other)) {
			t.Error("the keys differ")
		}
	})
	t.Run("all", func(t *testing.T) {
		store := NewMemoryStore()
		var wg sync.WaitGroup
		seen := make([][]string, 10)
		for i := range seen {
			wg.Go(func() {
				keys, err := LoadKeys(t.Context(), store)
				if err != nil {
					t.Error(err)
					return
				}
				seen[i] = keyIDs(t, keys)
			})
		}
		wg.Wait()
		for _, ids := range seen {
			if len(ids) != 2 || !slices.Equal(ids, seen[0]) {
				t.Errorf("keys %q", seen)
				break
			}
		}
	})
}

// keyIDs are those that are published.
func keyIDs(t *testing.T, k *Keys) []string {
	t.Helper()
	value, err := k.JWKS()
	if err != nil {
		t.Error(err)
	}
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(value, &set); err != nil {
		t.Error(err)
	}
	var ids []string
	for _, key := range set.Keys {
		ids = append(ids, key.Kid)
	}
	return ids
}

// A key is published before it signs, signs, and is published until what it
// signed has ended; on every node.
func TestAuth20Rotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		store, users := NewMemoryStore(), NewMemoryStore()
		keys, node := loadKeys(t, store), loadKeys(t, store)
		var f fakeHashes
		people, err := newUsers(users, nil, f.hasher())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := people.Create(ctx, "alice", "password-a", RoleMember); err != nil {
			t.Fatal(err)
		}
		credentials := NewMemoryStore()
		here, there := newTokensOf(t, people, keys, credentials), newTokensOf(t, people, node, credentials)

		first := keyIDs(t, keys)
		if len(first) != 2 || keyID(t, keys) != first[0] {
			t.Fatalf("at first %q, and %s signs", first, keyID(t, keys))
		}
		old, _ := issue(t, here, "alice", "")
		if err := keys.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		second := keyIDs(t, node)
		if len(second) != 3 || !slices.Equal(second[:2], first) || keyID(t, node) != first[1] {
			t.Errorf("then %q, and %s signs", second, keyID(t, node))
		}
		young, _ := issue(t, there, "alice", "")
		for _, tokens := range []*Tokens{here, there} {
			for name, token := range map[string]string{"old": old, "new": young} {
				if _, err := tokens.Verify(ctx, token); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		pass(keyAfter + time.Second)
		if err := node.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		if third := keyIDs(t, keys); len(third) != 3 || !slices.Equal(third[:2], second[1:]) || keyID(t, keys) != second[2] {
			t.Errorf("at last %q, and %s signs", third, keyID(t, keys))
		}
	})
}

// Keys are rotated after 90 days, once by all nodes, when a token is issued.
func TestAuth20RotationWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice")
		first := keyIDs(t, tokens.keys)
		pass(keyLifetime - time.Minute)
		issue(t, tokens, "alice", "")
		if now := keyIDs(t, tokens.keys); !slices.Equal(now, first) {
			t.Errorf("too early: %q after %q", now, first)
		}
		pass(time.Minute)
		var wg sync.WaitGroup
		for range 16 {
			node := loadKeys(t, tokens.keys.store)
			wg.Go(func() {
				if err := node.RotateWhenDue(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if now := keyIDs(t, tokens.keys); len(now) != 3 || keyID(t, tokens.keys) != first[1] {
			t.Errorf("%q after %q", now, first)
		}
		tokens.keys.store = fullStore{tokens.keys.store}
		pass(keyLifetime)
		issue(t, tokens, "alice", "") // with the key there is
	})
}

// The key set holds what verifies a token, and nothing secret.
func TestAuth20JWKS(t *testing.T) {
	keys := loadKeys(t, NewMemoryStore())
	value, err := keys.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(value, &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if len(key) != 7 || key["kty"] != "EC" || key["crv"] != "P-256" || key["alg"] != "ES256" || key["use"] != "sig" {
			t.Errorf("%v", key)
		}
		public, err := keys.verifying(key["kid"])
		if err != nil {
			t.Fatal(err)
		}
		if x, y, err := coordinates(public); err != nil || key["x"] != x || key["y"] != y {
			t.Errorf("%v: %s, %s, %v", key, x, y, err)
		}
	}
}

// A key is good under its own ID only.
func TestAuth20KeyOfAnotherID(t *testing.T) {
	old, now := newKey(t), newKey(t)
	both := newTokens(t, old, "alice")
	both.keys = keysOf(t, old, now)
	if _, err := both.Verify(t.Context(), forge(t, both, jwt.SigningMethodES256, old, nil)); err != nil {
		t.Error(err)
	}
	if _, err := both.Verify(t.Context(), forge(t, both, jwt.SigningMethodES256, now, nil)); err == nil {
		t.Error("a key is good under the ID of another")
	}
}

func TestKeysThatCannotBeRead(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := stored(t, newKey(t))
	for name, tc := range map[string]struct{ value, want string }{
		"empty":       {"", "damaged"},
		"no JSON":     {"{", "damaged"},
		"no version":  {stringOf(t, 0, good), "damaged: no version"},
		"negative":    {stringOf(t, -1, good), "damaged: no version"},
		"newer":       {stringOf(t, 2, good), "by a newer wigwag, in version 2; this one reads version 1"},
		"newer still": {`{"version":3,"keys":"elsewhere"}`, "by a newer wigwag, in version 3"},
		"other type":  {`{"version":1,"keys":"elsewhere"}`, "damaged"},
		"no keys":     {stringOf(t, 1), "damaged: there is none that signs"},
		"cut":         {stringOf(t, 1, good, good[:40]), "damaged: key 2"},
		"P-384":       {stringOf(t, 1, good, stored(t, p384)), "damaged: key 2 is not a P-256 key"},
		"Ed25519":     {stringOf(t, 1, stored(t, edwards)), "damaged: key 1 is not a P-256 key"},
	} {
		t.Run(name, func(t *testing.T) {
			store := NewMemoryStore()
			write(t, store, signingKeys, tc.value)
			keys, err := LoadKeys(t.Context(), store)
			if err == nil || keys != nil || !strings.HasPrefix(err.Error(), "signing keys: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if value, _ := store.Get(signingKeys); string(value) != tc.value {
				t.Error("it was written over")
			}
		})
	}
}

func TestLoadKeysGivesUp(t *testing.T) {
	if _, err := LoadKeys(t.Context(), fullStore{NewMemoryStore()}); !errors.Is(err, errFull) {
		t.Errorf("full: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := LoadKeys(t.Context(), contendedStore{NewMemoryStore()})
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took < changeWait || took > changeWait+time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// Rotated twice in a row, on two nodes or one, the keys of tokens that are good
// are kept; and who finds that another node was faster does not rotate again.
func TestAuth20RotationsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice")
		token, _ := issue(t, tokens, "alice", "")
		for range 2 {
			if err := tokens.keys.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		fresh := newTokensOf(t, tokens.users, tokens.keys, tokens.credentials.store) // has verified nothing yet
		if _, err := fresh.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
		pass(keyLifetime)
		store := &hookedStore{Store: tokens.keys.store}
		slower := loadKeys(t, store)
		store.beforePut = func(string) {
			if err := tokens.keys.RotateWhenDue(t.Context()); err != nil {
				t.Error(err)
			}
		}
		before := keyIDs(t, tokens.keys)
		if err := slower.RotateWhenDue(t.Context()); err != nil {
			t.Error(err)
		}
		if got, want := keyID(t, slower), before[len(before)-1]; got != want || store.beforePut != nil {
			t.Errorf("%s signs, not %s", got, want)
		}
	})
}
