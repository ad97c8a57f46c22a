package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/store"
)

// Every kind of credential, on the store that the program has, across a
// restart; revoked ones stay so.
func TestAuth21CredentialsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	var login, granted Issued
	var session, personal, revoked, ticket, invitation, link string
	for _, restarted := range []bool{false, true} {
		st, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() }) // again is harmless
		var f fakeHashes
		users, err := newUsers(st.Bucket(store.Users), nil, f.hasher())
		if err != nil {
			t.Fatal(err)
		}
		tokens := newTokensOf(t, users, loadKeys(t, st.Bucket(store.Keys)), st.Bucket(store.Credentials))
		signups, err := NewSignUps(SignUpInvite, users, tokens.credentials)
		if err != nil {
			t.Fatal(err)
		}
		if !restarted {
			alice, err := users.Create(t.Context(), "alice", "password-a", RoleMember)
			if err != nil {
				t.Fatal(err)
			}
			var errs [9]error
			login, errs[0] = tokens.Login(t.Context(), alice)
			granted, errs[1] = tokens.Authorize(t.Context(), alice, Authorization{Client: "c", Resource: "r", Scopes: ScopeChatRead})
			session, _, errs[2] = tokens.OpenSession(t.Context(), alice)
			personal, _, errs[3] = tokens.NewPersonal(t.Context(), alice, Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
			var c Credential
			revoked, c, errs[4] = tokens.NewPersonal(t.Context(), alice, Personal{Name: "y", Scopes: ScopeChatRead, Lifetime: time.Hour})
			ticket, errs[5] = tokens.NewTicket(t.Context(), login.Identity)
			invitation, _, errs[6] = signups.Invite(t.Context(), alice, RoleMember, time.Hour)
			link, errs[7] = users.NewLink(t.Context(), "alice")
			errs[8] = tokens.credentials.Revoke(t.Context(), "alice", c.ID)
			if err := errors.Join(errs[:]...); err != nil {
				t.Fatal(err)
			}
		} else {
			var errs []error
			add := func(_ any, err error) { errs = append(errs, err) }
			add(tokens.Verify(t.Context(), login.Access))
			add(tokens.Verify(t.Context(), granted.Access))
			add(tokens.Refresh(t.Context(), login.Refresh, Refresh{}))
			add(tokens.Refresh(t.Context(), granted.Refresh, Refresh{Client: "c"}))
			add(tokens.Session(session))
			add(tokens.Verify(t.Context(), personal))
			add(tokens.Redeem(t.Context(), ticket))
			add(signups.SignUp(t.Context(), home, "bob", "password-b", invitation))
			for i, err := range errs {
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
			if list := tokens.credentials.List(""); len(list) != 0 {
				t.Errorf("nobody has %+v", list)
			}
			if list := tokens.credentials.List("alice"); len(list) != 4 {
				t.Errorf("listed: %+v", list)
			}
			if _, err := users.RedeemLink(t.Context(), home, link, "password-l"); err != nil { // ends all of these
				t.Error(err)
			}
		}
		if _, err := tokens.Verify(t.Context(), revoked); err == nil {
			t.Error("what was revoked is good")
		}
		tokens.credentials.Close()
		tokens.credentials.close = func() {}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

// How credentials are stored is what later versions have to read.
func TestStoredCredential(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	_, granted := issue(t, tokens, "alice", "client")
	value, _ := tokens.credentials.store.Get(granted.Credential)
	var got map[string]any
	if err := json.Unmarshal(value, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"version": 1.0, "kind": "oauth", "user": "alice", "client": "client", "client_name": "The Client",
		"resource": testIssuer + "/mcp", "scopes": "chat:read chat:write notify", "generation": "of alice",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, not %v", name, got[name], want)
		}
	}
	for _, name := range []string{"created", "used"} {
		expectMilliseconds(t, got[name].(string))
	}
	if len(got) != 12 || len(got["rotation"].(map[string]any)) != 1 {
		t.Errorf("stored: %v", got)
	}
	// And as they were stored once.
	secret, id := newSecret()
	write(t, tokens.credentials.store, id, `{"version":1,"kind":"personal","user":"alice","name":"x","scopes":"notify","created":"2026-01-02T03:04:05.678Z","used":"2026-01-02T03:04:05.678Z","expires":"2126-01-02T03:04:05.678Z","generation":"of alice"}`)
	if id, err := tokens.Verify(t.Context(), "pat_"+secret); err != nil || id.Subject != "alice" || id.Scopes != ScopeNotify {
		t.Errorf("%+v, %v", id, err)
	}
}

// What cannot be read is good for nothing, and not deleted: a newer version may
// have written it.
func TestCredentialThatCannotBeRead(t *testing.T) {
	for _, value := range []string{"", "{", `{"version":2}`, `{"version":1,"scopes":"root"}`} {
		synctest.Test(t, func(t *testing.T) {
			tokens := newTokens(t, newKey(t), "alice")
			token, id := issue(t, tokens, "alice", "")
			session, opened := openSession(t, tokens, "alice")
			write(t, tokens.credentials.store, id.Credential, value)
			write(t, tokens.credentials.store, opened.Credential, value)
			_, err := tokens.Verify(t.Context(), token)
			if _, refused := errors.AsType[TokenError](err); err == nil || refused {
				t.Errorf("%q: %v", value, err)
			}
			if _, err := tokens.Session(session); err == nil || !tokens.Revoked(id) {
				t.Errorf("%q: %v, revoked %t", value, err, tokens.Revoked(id))
			}
			pass(sweepEvery * upkeepEvery)
			if _, revision := tokens.credentials.store.Get(id.Credential); revision == 0 {
				t.Errorf("%q was deleted", value)
			}
		})
	}
}

// What has ended is swept, and nothing else; other nodes hear of it.
func TestCredentialsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice", "bob")
		node := newTokensOf(t, tokens.users, tokens.keys, tokens.credentials.store)
		_, stays := issue(t, tokens, "bob", "")
		_, ends := newPersonal(t, tokens, "bob", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Minute})
		_, session := openSession(t, tokens, "alice")
		if _, err := tokens.NewTicket(t.Context(), session); err != nil {
			t.Fatal(err)
		}
		if err := tokens.users.SetDisabled(t.Context(), "alice", true); err != nil {
			t.Fatal(err)
		}
		pass((sweepEvery + 1) * upkeepEvery)
		for _, id := range []string{ends.ID, session.Credential, "login of alice"} {
			if _, revision := tokens.credentials.store.Get(id); revision != 0 {
				t.Errorf("%s is there", id)
			}
		}
		want := []string{stays.Credential, "login of bob"}
		slices.Sort(want)
		for _, c := range []*Credentials{tokens.credentials, node.credentials} {
			ids := c.index.all()
			slices.Sort(ids)
			if !slices.Equal(ids, want) {
				t.Errorf("left are %q, not %q", ids, want)
			}
		}
	})
}

// When there are too many in all, whoever has the most gives one, but none that
// somebody wrote down.
func TestCredentialsAreBounded(t *testing.T) {
	x := newIndex()
	add := func(user string, kind Kind, n int) string {
		t.Helper()
		id := fmt.Sprint(user, " ", kind, " ", n)
		giveWay, err := x.reserve(id, Credential{User: user, Kind: kind, Used: time.Unix(int64(n), 0)})
		if err != nil {
			t.Fatal(err)
		}
		if giveWay != "" {
			x.drop(giveWay)
		}
		return giveWay
	}
	most, _ := KindPersonal.limit()
	for n := range most {
		add("alice", KindPersonal, n)
	}
	add("alice", KindWeb, 1)
	add("alice", KindWeb, 2)
	for i := 0; len(x.items) < maxCredentials; i++ {
		if way := add(fmt.Sprint("user", i/50), KindWeb, i%50); way != "" {
			t.Fatalf("%s gave way to the %dth", way, i)
		}
	}
	for _, want := range []string{"alice web 1", "alice web 2"} {
		if way := add("newcomer", KindWeb, len(want)+int(want[len(want)-1])); way != want {
			t.Errorf("%q gave way, not %q", way, want)
		}
	}
	// Now alice has only what is kept, and the most of all.
	if _, err := x.reserve("one more", Credential{User: "newcomer", Kind: KindLogin}); !errors.Is(err, ErrTooMany) {
		t.Errorf("%v", err)
	}
	if len(x.items) != maxCredentials {
		t.Errorf("there are %d", len(x.items))
	}
}

func TestRevokeClient(t *testing.T) {
	ctx := t.Context()
	tokens := newTokens(t, newKey(t), "alice", "bob")
	_, alice := issue(t, tokens, "alice", "client")
	_, again := issue(t, tokens, "alice", "client")
	_, other := issue(t, tokens, "alice", "other")
	_, bob := issue(t, tokens, "bob", "client")
	_, login := issue(t, tokens, "alice", "")
	expect := func(step string, revoked ...Identity) {
		t.Helper()
		for _, id := range []Identity{alice, again, other, bob, login} {
			if tokens.Revoked(id) != slices.Contains(revoked, id) {
				t.Errorf("%s: %+v is revoked: %t", step, id, tokens.Revoked(id))
			}
		}
	}
	for _, step := range []struct {
		user, client string
		revoked      []Identity
	}{
		{"alice", "nobody", nil},
		{"alice", "", nil},
		{"alice", "client", []Identity{alice, again}},
		{"", "client", []Identity{alice, again, bob}},
	} {
		if err := tokens.credentials.RevokeClient(ctx, step.user, step.client); err != nil {
			t.Error(err)
		}
		expect(fmt.Sprintf("%+v", step), step.revoked...)
	}
}

func TestStoreOfCredentialsIsFull(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	alice := find(t, tokens, "alice")
	before := len(tokens.credentials.index.of("alice"))
	tokens.credentials.store = fullStore{tokens.credentials.store}
	if _, err := tokens.Login(t.Context(), alice); !errors.Is(err, errFull) {
		t.Error(err)
	}
	if secret, _, err := tokens.OpenSession(t.Context(), alice); !errors.Is(err, errFull) || secret != "" {
		t.Error(secret, err)
	}
	if ticket, err := tokens.NewTicket(t.Context(), Identity{Subject: "alice"}); !errors.Is(err, errFull) || ticket != "" {
		t.Error(ticket, err)
	}
	if n := len(tokens.credentials.index.of("alice")); n != before {
		t.Errorf("%d are counted that are not there", n-before)
	}
}

func TestSecrets(t *testing.T) {
	secret, id := newSecret()
	other, otherID := newSecret()
	if !isSecret(secret) || secret == other || id == otherID || id != idOf(secret) || len(id) != 26 {
		t.Errorf("%q, %q; %q, %q", secret, id, other, otherID)
	}
	for _, s := range []string{"", secret[1:], secret + "a", strings.ToUpper(secret), strings.Repeat("1", 52), strings.Repeat("é", 26)} {
		if isSecret(s) {
			t.Errorf("%q is a secret", s)
		}
	}
}

// A user who makes credentials without end has to wait, and nobody else.
func TestCredentialsAreMadeSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice", "bob")
		n := 0
		for ; n < 2000; n++ {
			if _, err := tokens.Login(t.Context(), find(t, tokens, "alice")); err != nil {
				throttled, ok := errors.AsType[*ThrottledError](err)
				if !ok || throttled.RetryAfter <= 0 || throttled.RetryAfter > time.Second {
					t.Errorf("%v", err)
				}
				break
			}
		}
		if n < 400 || n > 500 {
			t.Errorf("%d logins", n)
		}
		issue(t, tokens, "bob", "")
		pass(time.Second)
		issue(t, tokens, "alice", "")
	})
}
