package auth

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func openSession(t *testing.T, tokens *Tokens, name string) (string, Identity) {
	t.Helper()
	secret, id, err := tokens.OpenSession(t.Context(), find(t, tokens, name))
	if err != nil {
		t.Fatal(err)
	}
	return secret, id
}

// A web session goes on as long as it is used every twelve hours, on any node
// and after a restart.
func TestAuth24WebSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice")
		secret, opened := openSession(t, tokens, "alice")
		if value, revision := tokens.credentials.store.Get(opened.Credential); revision == 0 || strings.Contains(string(value), secret) {
			t.Errorf("stored: %s", value)
		}
		if len(secret)*5 < 256 || opened.Kind != KindWeb || time.Until(opened.Expires) > webIdle {
			t.Errorf("%d characters, %+v", len(secret), opened)
		}
		for range 5 {
			pass(webIdle - time.Minute)
			id, err := tokens.Session(secret)
			if err != nil || id.Subject != "alice" || id.Key() != opened.Key() || id.Credential != opened.Credential || !id.Expires.Equal(time.Now().Add(webIdle)) {
				t.Fatalf("%+v, %v", id, err)
			}
		}
		pass(upkeepEvery)
		node := newTokensOf(t, tokens.users, tokens.keys, tokens.credentials.store)
		pass(webIdle - 2*upkeepEvery)
		if _, err := node.Session(secret); err != nil {
			t.Errorf("elsewhere: %v", err)
		}
		pass(webIdle)
		for _, tokens := range []*Tokens{tokens, node} {
			if id, err := tokens.Session(secret); err == nil || id != (Identity{}) {
				t.Errorf("without use: %+v, %v", id, err)
			}
		}
	})
}

// The secret of one thing is not good as another.
func TestAuth6SessionsAreNoTokens(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	session, id := openSession(t, tokens, "alice")
	personal, _ := newPersonal(t, tokens, "alice", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
	ticket, err := tokens.NewTicket(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	login, err := tokens.Login(t.Context(), find(t, tokens, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	handle := login.Refresh[:52]
	secrets := []string{session, personal[4:], ticket, handle, id.Credential, ""}
	for _, s := range secrets {
		for _, token := range []string{s, "pat_" + s, s + "." + s} {
			if _, err := tokens.Verify(t.Context(), token); token != personal && err == nil {
				t.Errorf("%q is a token", token)
			}
			if _, err := tokens.Session(token); token != session && err == nil {
				t.Errorf("%q is a session", token)
			}
			if _, err := tokens.Redeem(t.Context(), token); token != ticket && err == nil {
				t.Errorf("%q is a ticket", token)
			}
		}
	}
}

// lateStore tells its watchers nothing yet.
type lateStore struct{ Store }

func (lateStore) Watch(func(string, []byte, uint64)) (stop func()) { return func() {} }

// A last use that has just been stored counts, also while the store has not told
// of it yet.
func TestStoredUseCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := newTokens(t, newKey(t), "alice").users
		tokens := newTokensOf(t, users, keysOf(t, newKey(t)), lateStore{NewMemoryStore()})
		_, first := openSession(t, tokens, "alice")
		pass(time.Second)
		_, second := openSession(t, tokens, "alice")
		pass(writtenAfter)
		tokens.credentials.index.use(Credential{ID: first.Credential})
		if err := tokens.credentials.storeUses(t.Context()); err != nil {
			t.Fatal(err)
		}
		index := tokens.credentials.index
		index.mu.Lock()
		defer index.mu.Unlock()
		if idlest := index.idlestLocked("alice", func(Kind) bool { return true }); idlest != second.Credential {
			t.Errorf("the idlest is %s, want %s, for %s is in use", idlest, second.Credential, first.Credential)
		}
	})
}

// One session too many ends the one that was not used for longest.
func TestAuth24SessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice", "bob")
		most, _ := KindWeb.limit()
		first, _ := openSession(t, tokens, "alice")
		second, _ := openSession(t, tokens, "alice")
		bobs, _ := openSession(t, tokens, "bob")
		pass(writtenAfter)
		if _, err := tokens.Session(first); err != nil {
			t.Fatal(err)
		}
		for range most - 1 {
			openSession(t, tokens, "alice")
		}
		if _, err := tokens.Session(second); err == nil {
			t.Error("the idlest is there")
		}
		for name, secret := range map[string]string{"the first": first, "bob's": bobs} {
			if _, err := tokens.Session(secret); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(tokens.credentials.List("alice")); n != most+1 { // and the login
			t.Errorf("%d are listed", n)
		}
	})
}

func TestAuth24Logout(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	secret, id := openSession(t, tokens, "alice")
	other, _ := openSession(t, tokens, "alice")
	if tokens.Revoked(id) {
		t.Error("at first it is revoked")
	}
	if err := tokens.credentials.Revoke(t.Context(), "alice", id.Credential); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Session(secret); err == nil || !tokens.Revoked(id) {
		t.Errorf("%v, revoked %t", err, tokens.Revoked(id))
	}
	if _, err := tokens.Session(other); err != nil {
		t.Errorf("the other: %v", err)
	}
}

func TestAuth4Tickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice")
		_, granted := issue(t, tokens, "alice", "client")
		_, session := openSession(t, tokens, "alice")
		token, _ := newPersonal(t, tokens, "alice", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
		personal, err := tokens.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		node := newTokensOf(t, tokens.users, tokens.keys, tokens.credentials.store)
		for _, id := range []Identity{granted, session, personal} {
			ticket := func() string {
				t.Helper()
				ticket, err := tokens.NewTicket(t.Context(), id)
				if err != nil || len(ticket)*5 < 256 {
					t.Fatal(ticket, err)
				}
				return ticket
			}
			one := ticket()
			pass(ticketLifetime - time.Millisecond)
			got, err := node.Redeem(t.Context(), one)
			if err != nil || !got.Expires.Equal(id.Expires) {
				t.Fatalf("%+v, %v", got, err)
			}
			if got.Expires = id.Expires; got != id {
				t.Errorf("%+v, not %+v", got, id)
			}
			for _, tokens := range []*Tokens{tokens, node} {
				if got, err := tokens.Redeem(t.Context(), one); err == nil || got != (Identity{}) {
					t.Errorf("again: %+v, %v", got, err)
				}
			}
			late := ticket()
			pass(ticketLifetime)
			if _, err := tokens.Redeem(t.Context(), late); err == nil {
				t.Error("it is good after 30 seconds")
			}
		}
		// It is worth no more than the token it was made with.
		ticket, err := tokens.NewTicket(t.Context(), granted)
		if err != nil {
			t.Fatal(err)
		}
		if err := tokens.credentials.Revoke(t.Context(), "alice", granted.Credential); err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.Redeem(t.Context(), ticket); err == nil {
			t.Error("a ticket outlives its token")
		}
		ends := personal
		ends.Expires = time.Now().Add(time.Second)
		if ticket, err = tokens.NewTicket(t.Context(), ends); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if _, err := tokens.Redeem(t.Context(), ticket); err == nil {
			t.Error("a ticket outlives its token's end")
		}
		if list := tokens.credentials.List("alice"); slices.ContainsFunc(list, func(c Credential) bool { return c.Kind == kindTicket }) {
			t.Error("tickets are listed")
		}
	})
}

func TestAuth4TicketRedeemedASecondTooLate(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	store := &hookedStore{Store: tokens.credentials.store}
	node := newTokensOf(t, tokens.users, tokens.keys, store)
	_, id := issue(t, tokens, "alice", "")
	ticket, err := tokens.NewTicket(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	store.beforeDelete = func() {
		if _, err := tokens.Redeem(t.Context(), ticket); err != nil {
			t.Error(err)
		}
	}
	if got, err := node.Redeem(t.Context(), ticket); err == nil {
		t.Errorf("two have it: %+v", got)
	}
	if store.beforeDelete != nil {
		t.Error("nobody was faster")
	}
}

func TestAuth4TicketRedeemedAtOnce(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	node := newTokensOf(t, tokens.users, tokens.keys, tokens.credentials.store)
	_, id := issue(t, tokens, "alice", "")
	for range 10 {
		ticket, err := tokens.NewTicket(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var turns atomic.Int64
		n := atOnce(16, func() bool {
			at := tokens
			if turns.Add(1)%2 == 0 {
				at = node
			}
			_, err := at.Redeem(t.Context(), ticket)
			if _, refused := errors.AsType[TokenError](err); err != nil && !refused {
				t.Error(err)
			}
			return err == nil
		})
		if n != 1 {
			t.Fatalf("%d of 16 got it", n)
		}
	}
}
