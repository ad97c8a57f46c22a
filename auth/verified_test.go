package auth

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func (v *verified) len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.by)
}

// What was verified once is not verified again: it stays good without a key to
// verify it with. Another token of the same user, or the same with another
// signature, has to be.
func TestVerifiedOnce(t *testing.T) {
	key := newKey(t)
	tokens := newTokens(t, key, "alice")
	token := forge(t, tokens, jwt.SigningMethodES256, key, nil)
	other := forge(t, tokens, jwt.SigningMethodES256, key, nil) // signatures are random
	first, err := tokens.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	tokens.keys = keysOf(t, newKey(t))
	if again, err := tokens.Verify(t.Context(), token); err != nil || again != first {
		t.Errorf("again: %+v, %v", again, err)
	}
	unsigned := token[:strings.LastIndexByte(token, '.')+1]
	for _, refused := range []string{other, unsigned, token + "=", token[:len(token)-1]} {
		if _, err := tokens.Verify(t.Context(), refused); err == nil {
			t.Errorf("%q is good because %q was", refused, token)
		}
	}
}

func TestRefusedTokensAreNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t)
		tokens := newTokens(t, key, "alice")
		set := func(name string, value any) string {
			return forge(t, tokens, jwt.SigningMethodES256, key, func(_, claims map[string]any) { claims[name] = value })
		}
		soon := set("nbf", time.Now().Add(time.Minute).Unix())
		for _, token := range []string{
			soon, set("aud", "other"), set("iss", "http://other"), set("sub", ""), set("exp", time.Now().Unix()),
			forge(t, tokens, jwt.SigningMethodES256, newKey(t), nil), "garbage",
		} {
			if _, err := tokens.Verify(t.Context(), token); err == nil {
				t.Errorf("%q is good", token)
			}
		}
		if n := tokens.good.len(); n != 0 {
			t.Errorf("%d are remembered", n)
		}
		pass(time.Minute)
		if _, err := tokens.Verify(t.Context(), soon); err != nil {
			t.Errorf("when it has begun: %v", err)
		}
	})
}

// A token that was good is refused for what has changed since.
func TestVerifiedTokensEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *Tokens)
		want   error // nil: any but a [TokenError]
	}{
		{"expired", func(*testing.T, *Tokens) { pass(tokenLifetime) }, errExpired},
		{"revoked", func(t *testing.T, tokens *Tokens) {
			_ = tokens.users.change(t.Context(), "alice", func(r *record) bool { r.Generation = "new"; return true })
		}, TokenError("the token has been revoked")},
		{"disabled", func(t *testing.T, tokens *Tokens) {
			_ = tokens.users.change(t.Context(), "alice", func(r *record) bool { r.Disabled = true; return true })
		}, TokenError("the token has been revoked")},
		{"no such user any more", func(_ *testing.T, tokens *Tokens) {
			tokens.users.store = NewMemoryStore()
		}, TokenError("the token has been revoked")},
		{"damaged", func(t *testing.T, tokens *Tokens) {
			_, revision := tokens.users.store.Get("alice")
			_, _ = tokens.users.store.Put(t.Context(), "alice", []byte("{"), revision)
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := newKey(t)
				tokens := newTokens(t, key, "alice")
				token, _ := issue(t, tokens, "alice", "")
				for range 2 {
					if _, err := tokens.Verify(t.Context(), token); err != nil {
						t.Fatal(err)
					}
				}
				tt.change(t, tokens)
				for range 2 {
					_, err := tokens.Verify(t.Context(), token)
					if _, refused := errors.AsType[TokenError](err); err == nil || refused != (tt.want != nil) || refused && !errors.Is(err, tt.want) {
						t.Errorf("%v, want %v", err, tt.want)
					}
				}
			})
		})
	}
}

func TestVerifiedIsBounded(t *testing.T) {
	var v verified
	for i := range maxVerified + 100 {
		token := strconv.Itoa(i)
		v.add(token, Identity{ID: token})
		if id, ok := v.get(token); !ok || id.ID != token {
			t.Fatalf("%s: %+v, %t", token, id, ok)
		}
	}
	if n := v.len(); n != maxVerified {
		t.Errorf("%d are remembered, want %d", n, maxVerified)
	}
}

func TestVerifyAtOnce(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	token, want := issue(t, tokens, "alice", "")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if id, err := tokens.Verify(t.Context(), token); err != nil || id != want {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
	all.Wait()
}

func BenchmarkVerify(b *testing.B) {
	var f fakeHashes
	users, err := newUsers(NewMemoryStore(), nil, f.hasher())
	if err != nil {
		b.Fatal(err)
	}
	alice, err := users.Create(b.Context(), "alice", "password-a", RoleMember)
	if err != nil {
		b.Fatal(err)
	}
	keys, err := LoadKeys(b.Context(), NewMemoryStore())
	if err != nil {
		b.Fatal(err)
	}
	logger, _ := newLogger()
	credentials := NewCredentials(CredentialsOptions{Store: NewMemoryStore(), Users: users, Logger: logger})
	b.Cleanup(credentials.Close)
	tokens, err := NewTokens(TokensOptions{Issuer: testIssuer, Keys: keys, Users: users, Credentials: credentials, Logger: logger})
	if err != nil {
		b.Fatal(err)
	}
	issued, err := tokens.Login(b.Context(), alice)
	if err != nil {
		b.Fatal(err)
	}
	personal, _, err := tokens.NewPersonal(b.Context(), alice, Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	for name, token := range map[string]string{"access": issued.Access, "personal": personal} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := tokens.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
