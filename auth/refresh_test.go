package auth

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// newFamily has alice, who granted something to a client.
func newFamily(t *testing.T) (*Tokens, *recorder, Issued) {
	t.Helper()
	var audit recorder
	var f fakeHashes
	users, err := newUsers(NewMemoryStore(), &audit, f.hasher())
	if err != nil {
		t.Fatal(err)
	}
	alice, err := users.Create(t.Context(), "alice", "password-a", RoleMember)
	if err != nil {
		t.Fatal(err)
	}
	tokens := newTokensOf(t, users, loadKeys(t, NewMemoryStore()))
	issued, err := tokens.Authorize(t.Context(), alice, Authorization{
		Client: "client", ClientName: "The Client", Resource: testIssuer + "/mcp", Scopes: ScopesEveryday,
	})
	if err != nil {
		t.Fatal(err)
	}
	audit.take()
	return tokens, &audit, issued
}

// refresh fails the test unless want comes of it.
func refresh(t *testing.T, tokens *Tokens, token string, o Refresh, want error) Issued {
	t.Helper()
	issued, err := tokens.Refresh(t.Context(), token, o)
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
	if err != nil {
		if issued != (Issued{}) {
			t.Errorf("%v, and %+v", err, issued)
		}
		return issued
	}
	if id, err := tokens.Verify(t.Context(), issued.Access); err != nil || id != issued.Identity {
		t.Errorf("%+v, %v; want %+v", id, err, issued.Identity)
	}
	return issued
}

func TestAuth17Rotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, audit, first := newFamily(t)
		byClient := Refresh{Client: "client"}
		pass(tokenLifetime)
		second := refresh(t, tokens, first.Refresh, byClient, nil)
		if second.Refresh == first.Refresh || second.Identity.ID == first.Identity.ID {
			t.Error("the tokens are the same")
		}
		if second.Identity.Key() != first.Identity.Key() || second.Identity.Credential != first.Identity.Credential ||
			second.Identity.Scopes != ScopesEveryday || second.Identity.Resource != testIssuer+"/mcp" || second.Identity.ClientName != "The Client" {
			t.Errorf("%+v after %+v", second.Identity, first.Identity)
		}
		// It is good as long as it is used within 30 days.
		for range 3 {
			pass(refreshIdle - time.Second)
			second = refresh(t, tokens, second.Refresh, byClient, nil)
		}
		pass(refreshIdle)
		refresh(t, tokens, second.Refresh, byClient, ErrRefresh)
		if events := audit.take(); len(events) != 0 {
			t.Errorf("recorded: %q", events)
		}
	})
}

// Nothing that is stored is a token, or can be made one.
func TestAuth17RefreshTokensAreHashed(t *testing.T) {
	tokens, _, issued := newFamily(t)
	next := refresh(t, tokens, issued.Refresh, Refresh{Client: "client"}, nil)
	value, revision := tokens.credentials.store.Get(next.Identity.Credential)
	if revision == 0 {
		t.Fatal("nothing is stored")
	}
	for _, token := range []string{issued.Refresh, next.Refresh} {
		for secret := range strings.SplitSeq(token, ".") {
			if strings.Contains(string(value), secret) || strings.Contains(next.Identity.Credential, secret) {
				t.Errorf("%s is in %s", secret, value)
			}
		}
	}
}

// Clients that refresh at once get one and the same next token; for a minute.
func TestAuth17Grace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens, audit, first := newFamily(t)
		byClient := Refresh{Client: "client"}
		second := refresh(t, tokens, first.Refresh, byClient, nil)
		pass(refreshGrace - time.Millisecond)
		again := refresh(t, tokens, first.Refresh, byClient, nil)
		if again.Refresh != second.Refresh || again.Access == second.Access {
			t.Error("the answers differ in the refresh token, or not in the access token")
		}
		// Grace does not last longer for being used.
		pass(time.Millisecond)
		refresh(t, tokens, first.Refresh, byClient, ErrRefresh)
		if events := audit.take(); !slices.Equal(events, []string{"token.reuse revoked alice client"}) {
			t.Errorf("recorded: %q", events)
		}
	})
}

func TestAuth17ReuseRevokesTheFamily(t *testing.T) {
	for name, reuse := range map[string]func(t *testing.T, tokens *Tokens, first, second Issued) string{
		"the first, a minute later": func(_ *testing.T, _ *Tokens, first, _ Issued) string {
			pass(refreshGrace)
			return first.Refresh
		},
		"the first, after the second": func(t *testing.T, tokens *Tokens, first, second Issued) string {
			refresh(t, tokens, second.Refresh, Refresh{Client: "client"}, nil)
			return first.Refresh
		},
		"a guess by whoever had one": func(_ *testing.T, _ *Tokens, first, _ Issued) string {
			made, _ := newSecret()
			return first.Refresh[:53] + made
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tokens, _, first := newFamily(t)
				second := refresh(t, tokens, first.Refresh, Refresh{Client: "client"}, nil)
				other, _ := issue(t, tokens, "alice", "client")
				refresh(t, tokens, reuse(t, tokens, first, second), Refresh{Client: "client"}, ErrRefresh)
				refresh(t, tokens, second.Refresh, Refresh{Client: "client"}, ErrRefresh)
				for _, token := range []string{first.Access, second.Access} {
					if _, err := tokens.Verify(t.Context(), token); !errors.Is(err, errRevoked) {
						t.Errorf("an access token of the family: %v", err)
					}
				}
				if !tokens.Revoked(first.Identity) {
					t.Error("the family is not revoked")
				}
				if _, err := tokens.Verify(t.Context(), other); err != nil {
					t.Errorf("another family: %v", err)
				}
			})
		})
	}
}

// Narrow, never widen; and the next refresh may have all again.
func TestAuth17Narrow(t *testing.T) {
	tokens, _, first := newFamily(t)
	narrow := refresh(t, tokens, first.Refresh, Refresh{Client: "client", Scopes: ScopeChatRead}, nil)
	if narrow.Identity.Scopes != ScopeChatRead {
		t.Errorf("scopes %s", narrow.Identity.Scopes)
	}
	for _, scopes := range []Scopes{ScopeLogsRead, ScopeAdmin, ScopesEveryday | ScopeLogsWrite} {
		refresh(t, tokens, narrow.Refresh, Refresh{Client: "client", Scopes: scopes}, ErrScope)
	}
	refresh(t, tokens, narrow.Refresh, Refresh{Client: "client", Resource: testIssuer + "/sse"}, ErrResource)
	// What was refused has not used up the token.
	all := refresh(t, tokens, narrow.Refresh, Refresh{Client: "client", Resource: testIssuer + "/mcp"}, nil)
	if all.Identity.Scopes != ScopesEveryday {
		t.Errorf("scopes %s", all.Identity.Scopes)
	}
}

// A token in other hands is no token, and ends nothing.
func TestAuth17RefreshOfAnotherClient(t *testing.T) {
	tokens, _, first := newFamily(t)
	login, err := tokens.Login(t.Context(), find(t, tokens, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"", "other", "client "} {
		refresh(t, tokens, first.Refresh, Refresh{Client: client}, ErrRefresh)
	}
	refresh(t, tokens, login.Refresh, Refresh{Client: "client"}, ErrRefresh)
	for _, token := range []string{
		"", ".", first.Access, first.Refresh[:52], first.Refresh + ".", first.Refresh + "a", strings.ToUpper(first.Refresh),
		first.Refresh[53:] + "." + first.Refresh[:52], login.Refresh[:53] + first.Refresh[53:105-1],
	} {
		refresh(t, tokens, token, Refresh{Client: "client"}, ErrRefresh)
	}
	refresh(t, tokens, first.Refresh, Refresh{Client: "client"}, nil)
	refresh(t, tokens, login.Refresh, Refresh{}, nil)
}

// Of 16 at once, one moves the family on; all get its next token.
func TestAuth17RefreshAtOnce(t *testing.T) {
	tokens, _, first := newFamily(t)
	_, before := tokens.credentials.store.Get(first.Identity.Credential)
	var mu sync.Mutex
	next, ids := map[string]int{}, map[string]int{}
	n := atOnce(16, func() bool {
		issued, err := tokens.Refresh(t.Context(), first.Refresh, Refresh{Client: "client"})
		if err != nil {
			t.Error(err)
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		next[issued.Refresh]++
		ids[issued.Identity.ID]++
		return true
	})
	_, after := tokens.credentials.store.Get(first.Identity.Credential)
	if n != 16 || len(next) != 1 || len(ids) != 16 || after != before+1 {
		t.Errorf("%d refreshed to %d tokens and %d IDs, in %d changes", n, len(next), len(ids), after-before)
	}
	for token := range next {
		refresh(t, tokens, token, Refresh{Client: "client"}, nil)
	}
}

// Whoever comes second, by as little as it may be, gets what the first got.
func TestAuth17RefreshASecondTooLate(t *testing.T) {
	tokens, _, first := newFamily(t)
	store := &hookedStore{Store: tokens.credentials.store}
	node := newTokensOf(t, tokens.users, tokens.keys, store)
	var faster Issued
	store.beforePut = func(string) { faster = refresh(t, tokens, first.Refresh, Refresh{Client: "client"}, nil) }
	slower := refresh(t, node, first.Refresh, Refresh{Client: "client"}, nil)
	if faster.Refresh == "" || slower.Refresh != faster.Refresh {
		t.Error("the family went two ways")
	}
	refresh(t, tokens, slower.Refresh, Refresh{Client: "client"}, nil)
}

// Another node, after a restart, goes on where the first was.
func TestAuth21FamiliesSurviveARestart(t *testing.T) {
	tokens, _, first := newFamily(t)
	second := refresh(t, tokens, first.Refresh, Refresh{Client: "client"}, nil)
	node := newTokensOf(t, tokens.users, loadKeys(t, tokens.keys.store), tokens.credentials.store)
	if again := refresh(t, node, first.Refresh, Refresh{Client: "client"}, nil); again.Refresh != second.Refresh {
		t.Error("grace gives another token there")
	}
	third := refresh(t, node, second.Refresh, Refresh{Client: "client"}, nil)
	refresh(t, tokens, third.Refresh, Refresh{Client: "client"}, nil)
	refresh(t, tokens, first.Refresh, Refresh{Client: "client"}, ErrRefresh)
	refresh(t, node, third.Refresh, Refresh{Client: "client"}, ErrRefresh)
}

func TestAuth19RevokeToken(t *testing.T) {
	for name, of := range map[string]func(Issued) string{
		"refresh": func(i Issued) string { return i.Refresh },
		"access":  func(i Issued) string { return i.Access },
	} {
		t.Run(name, func(t *testing.T) {
			tokens, audit, issued := newFamily(t)
			other, err := tokens.Login(t.Context(), find(t, tokens, "alice"))
			if err != nil {
				t.Fatal(err)
			}
			audit.take()
			for _, unknown := range []string{"", "garbage", "pat_" + strings.Repeat("a", 52), strings.Repeat("a", 52) + "." + strings.Repeat("a", 52)} {
				if err := tokens.RevokeToken(t.Context(), unknown, "client"); err != nil {
					t.Errorf("%q: %v", unknown, err)
				}
			}
			for _, client := range []string{"", "other"} { // not theirs
				if err := tokens.RevokeToken(t.Context(), of(issued), client); err != nil || tokens.Revoked(issued.Identity) {
					t.Errorf("by %q: %v, revoked %t", client, err, tokens.Revoked(issued.Identity))
				}
			}
			if events := audit.take(); len(events) != 0 {
				t.Errorf("recorded: %q", events)
			}
			for range 2 { // again is harmless
				if err := tokens.RevokeToken(t.Context(), of(issued), "client"); err != nil || !tokens.Revoked(issued.Identity) {
					t.Errorf("%v, revoked %t", err, tokens.Revoked(issued.Identity))
				}
			}
			if events := audit.take(); !slices.Equal(events, []string{"token.revoke alice client"}) {
				t.Errorf("recorded: %q", events)
			}
			refresh(t, tokens, issued.Refresh, Refresh{Client: "client"}, ErrRefresh)
			if tokens.Revoked(other.Identity) {
				t.Error("the login is revoked as well")
			}
			if err := tokens.RevokeToken(t.Context(), of(other), ""); err != nil || !tokens.Revoked(other.Identity) {
				t.Errorf("logout: %v, revoked %t", err, tokens.Revoked(other.Identity))
			}
		})
	}
}

// A client gets no more than the user's role allows.
func TestAuth5GrantsWithinTheRole(t *testing.T) {
	tokens, _, _ := newFamily(t)
	alice := find(t, tokens, "alice")
	a := Authorization{Client: "client", Resource: testIssuer + "/mcp", Scopes: ScopeAdmin}
	issued, err := tokens.Authorize(t.Context(), alice, a)
	if err != nil || issued.Identity.Scopes != RoleMember.Scopes() {
		t.Errorf("%s, %v", issued.Identity.Scopes, err)
	}
	for _, incomplete := range []Authorization{
		{Resource: a.Resource, Scopes: a.Scopes}, {Client: "c", Scopes: a.Scopes}, {Client: "c", Resource: a.Resource},
	} {
		if _, err := tokens.Authorize(t.Context(), alice, incomplete); err == nil {
			t.Errorf("%+v is granted", incomplete)
		}
	}
	alice.Role = ""
	if _, err := tokens.Authorize(t.Context(), alice, a); !errors.Is(err, ErrScope) {
		t.Errorf("without a role: %v", err)
	}
}
