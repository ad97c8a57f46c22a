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
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// hookedStore lets a test act when something is about to be stored.
type hookedStore struct {
	Store
	beforePut func(key string) // called once
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
	tokensOf := func(keys *Keys) *Tokens {
		t.Helper()
		tokens, err := NewTokens(testIssuer, keys, users)
		if err != nil {
			t.Fatal(err)
		}
		return tokens
	}
	first := tokensOf(loadKeys(t, store))
	token, _, err := first.Issue(find(t, first, "alice"), "")
	if err != nil {
		t.Fatal(err)
	}
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
	if err := json.Unmarshal(value, &got); err != nil || got.Version != 1 || len(got.Keys) != 1 || len(got.Keys[0]) != 2 {
		t.Fatalf("stored: %+v, %v", got, err)
	}
	der, err := base64.StdEncoding.DecodeString(got.Keys[0]["pkcs8"])
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil || !keys.byID[keys.newest].Equal(key) {
		t.Errorf("stored is another key: %v", err)
	}
	expectMilliseconds(t, got.Keys[0]["created"])
}

func TestNodesThatStartAtOnceAgreeOnTheKey(t *testing.T) {
	t.Run("one is faster", func(t *testing.T) {
		store := &hookedStore{Store: NewMemoryStore()}
		var other *Keys
		store.beforePut = func(string) { other = loadKeys(t, store.Store) }
		if keys := loadKeys(t, store); keys.newest != other.newest || len(keys.byID) != 1 {
			t.Error("there are two keys")
		}
	})
	t.Run("all", func(t *testing.T) {
		store := NewMemoryStore()
		var wg sync.WaitGroup
		newest := make([]string, 10)
		for i := range newest {
			wg.Go(func() {
				keys, err := LoadKeys(t.Context(), store)
				if err != nil {
					t.Error(err)
					return
				}
				newest[i] = keys.newest
			})
		}
		wg.Wait()
		for _, id := range newest {
			if id == "" || id != newest[0] {
				t.Errorf("keys %q", newest)
				break
			}
		}
	})
}

// While keys are changed, tokens of the old one stay good.
func TestAuth20SeveralKeys(t *testing.T) {
	store := NewMemoryStore()
	old, now := newKey(t), newKey(t)
	write(t, store, signingKeys, stringOf(t, 1, stored(t, old), stored(t, now)))
	both := newTokens(t, now, "alice")
	both.keys = loadKeys(t, store)
	before, after := newTokens(t, old, "alice"), newTokens(t, now, "alice")

	for name, signer := range map[string]*Tokens{"old": before, "new": after, "both": both} {
		token, _, err := signer.Issue(find(t, signer, "alice"), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := both.Verify(t.Context(), token); err != nil {
			t.Errorf("signed with %s: %v", name, err)
		}
		if _, err := after.Verify(t.Context(), token); (err == nil) != (name != "old") {
			t.Errorf("signed with %s, verified with the new one: %v", name, err)
		}
		mixed := forge(t, before, jwt.SigningMethodES256, now, nil) // the new key under the old one's name
		if _, err := both.Verify(t.Context(), mixed); err == nil {
			t.Error("a key is good under the ID of another")
		}
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
		"no keys":     {stringOf(t, 1), "damaged: there is none"},
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
