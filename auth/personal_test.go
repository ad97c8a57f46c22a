package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newPersonal(t *testing.T, tokens *Tokens, name string, p Personal) (string, Credential) {
	t.Helper()
	token, c, err := tokens.NewPersonal(t.Context(), find(t, tokens, name), p)
	if err != nil {
		t.Fatal(err)
	}
	return token, c
}

func TestAuth25PersonalAccessTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice", "bob")
		script := Personal{Name: "Skript für den Bot", Scopes: ScopeChatRead | ScopeLogsWrite, Lifetime: 24 * time.Hour}
		token, made := newPersonal(t, tokens, "alice", script)
		if !strings.HasPrefix(token, "pat_") || len(token) != 4+52 || !isToken68(token) {
			t.Errorf("token %q", token)
		}
		id, err := tokens.Verify(t.Context(), token)
		want := Identity{
			Issuer: testIssuer, Subject: "alice", Kind: KindPersonal, Role: RoleMember, Scopes: script.Scopes,
			Credential: made.ID, ID: made.ID, Expires: made.Created.Add(24 * time.Hour), generation: "of alice",
		}
		if err != nil || id != want {
			t.Errorf("%+v, %v; want %+v", id, err, want)
		}
		value, _ := tokens.credentials.store.Get(made.ID)
		if strings.Contains(string(value), token[4:]) || strings.Contains(token, made.ID) {
			t.Errorf("stored in clear: %s", value)
		}
		list := tokens.credentials.List("alice")
		list = slices.DeleteFunc(list, func(c Credential) bool { return c.Kind != KindPersonal })
		if len(list) != 1 || list[0] != made || made.Name != script.Name || made.Scopes != script.Scopes {
			t.Errorf("listed: %+v, made %+v", list, made)
		}
		if slices.ContainsFunc(tokens.credentials.List("bob"), func(c Credential) bool { return c.User != "bob" }) {
			t.Error("bob sees what is not his")
		}

		pass(24*time.Hour - time.Millisecond)
		if _, err := tokens.Verify(t.Context(), token); err != nil {
			t.Errorf("just before its end: %v", err)
		}
		pass(time.Millisecond)
		if _, err := tokens.Verify(t.Context(), token); err == nil || len(tokens.credentials.List("alice")) != 1 {
			t.Errorf("at its end: %v, %+v", err, tokens.credentials.List("alice"))
		}
	})
}

func TestAuth25PersonalRules(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice")
	ok := Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour}
	for name, tc := range map[string]struct {
		change func(*Personal)
		want   string // the error's beginning
	}{
		"good":              {func(*Personal) {}, ""},
		"name of 64":        {func(p *Personal) { p.Name = strings.Repeat("ö", 64) }, ""},
		"no name":           {func(p *Personal) { p.Name = "" }, "name: "},
		"name of 65":        {func(p *Personal) { p.Name = strings.Repeat("a", 65) }, "name: "},
		"name of two lines": {func(p *Personal) { p.Name = "a\nb" }, "name: "},
		"name not UTF-8":    {func(p *Personal) { p.Name = "\xff" }, "name: "},
		"no scopes":         {func(p *Personal) { p.Scopes = 0 }, "scopes: "},
		"beyond the role":   {func(p *Personal) { p.Scopes = ScopeAdmin }, "scopes: "},
		"366 days":          {func(p *Personal) { p.Lifetime = 366 * 24 * time.Hour }, ""},
		"longer":            {func(p *Personal) { p.Lifetime = 366*24*time.Hour + 1 }, "lifetime: "},
		"for ever":          {func(p *Personal) { p.Lifetime = 0 }, "lifetime: "},
		"past":              {func(p *Personal) { p.Lifetime = -1 }, "lifetime: "},
	} {
		p := ok
		tc.change(&p)
		token, _, err := tokens.NewPersonal(t.Context(), find(t, tokens, "alice"), p)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.HasPrefix(err.Error(), tc.want) || token != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The 101st is refused: one that is in use somewhere does not give way.
func TestAuth25PersonalTokensAreBounded(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice", "bob")
	p := Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour}
	first, c := newPersonal(t, tokens, "alice", p)
	made := atOnce(150, func() bool {
		_, _, err := tokens.NewPersonal(t.Context(), find(t, tokens, "alice"), p)
		if err != nil && !errors.Is(err, ErrTooMany) {
			t.Error(err)
		}
		return err == nil
	})
	if most, _ := KindPersonal.limit(); made != most-1 {
		t.Errorf("%d were made", made+1)
	}
	newPersonal(t, tokens, "bob", p)
	if _, err := tokens.Verify(t.Context(), first); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := tokens.credentials.Revoke(t.Context(), "alice", c.ID); err != nil {
		t.Fatal(err)
	}
	newPersonal(t, tokens, "alice", p)
}

func TestAuth25RevokePersonal(t *testing.T) {
	tokens := newTokens(t, newKey(t), "alice", "bob")
	p := Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour}
	token, c := newPersonal(t, tokens, "alice", p)
	other, _ := newPersonal(t, tokens, "alice", p)
	id, err := tokens.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"bob", ""} {
		if err := tokens.credentials.Revoke(t.Context(), who, c.ID); !errors.Is(err, ErrUnknownCredential) || tokens.Revoked(id) {
			t.Errorf("by %q: %v", who, err)
		}
	}
	if err := tokens.credentials.Revoke(t.Context(), "alice", c.ID); err != nil {
		t.Error(err)
	}
	if _, err := tokens.Verify(t.Context(), token); err == nil || !tokens.Revoked(id) {
		t.Errorf("after: %v, revoked %t", err, tokens.Revoked(id))
	}
	if err := tokens.credentials.Revoke(t.Context(), "alice", c.ID); !errors.Is(err, ErrUnknownCredential) {
		t.Errorf("again: %v", err)
	}
	if _, err := tokens.Verify(t.Context(), other); err != nil {
		t.Errorf("the other: %v", err)
	}
}

// The last use is shown at once where it was, and stored within a minute, not
// with every request.
func TestAuth25LastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t, newKey(t), "alice")
		token, c := newPersonal(t, tokens, "alice", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: 24 * time.Hour})
		node := newTokensOf(t, tokens.users, tokens.keys, tokens.credentials.store)
		used := func(tokens *Tokens) time.Duration {
			t.Helper()
			for _, one := range tokens.credentials.List("alice") {
				if one.ID == c.ID {
					return one.Used.Sub(c.Created)
				}
			}
			t.Fatal("it is not listed")
			return 0
		}
		use := func() {
			t.Helper()
			if _, err := tokens.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		_, first := tokens.credentials.store.Get(c.ID)
		pass(writtenAfter - time.Second)
		use()
		if used(tokens) != 0 {
			t.Errorf("too soon: %v", used(tokens))
		}
		pass(time.Second + time.Millisecond)
		at := time.Since(c.Created)
		for range 100 {
			use()
		}
		if used(tokens) != at || used(node) != 0 {
			t.Errorf("used after %v, elsewhere %v", used(tokens), used(node))
		}
		pass(upkeepEvery)
		if _, now := tokens.credentials.store.Get(c.ID); used(node) != at || now != first+1 {
			t.Errorf("a minute later, elsewhere %v, after %d writes", used(node), now-first)
		}
		pass(time.Hour)
		use()
		tokens.credentials.Close() // stores the rest
		tokens.credentials.close = func() {}
		if used(node) < time.Hour {
			t.Errorf("at the end, elsewhere %v", used(node))
		}
	})
}

func FuzzPersonalToken(f *testing.F) {
	for _, s := range []string{"", "pat_", "pat_" + strings.Repeat("a", 52), strings.Repeat("a", 52), "PAT_x", "pat_\x00"} {
		f.Add(s)
	}
	var h fakeHashes
	users, err := newUsers(NewMemoryStore(), nil, h.hasher())
	if err != nil {
		f.Fatal(err)
	}
	logger, _ := newLogger()
	credentials := NewCredentials(CredentialsOptions{Store: NewMemoryStore(), Users: users, Logger: logger})
	f.Cleanup(credentials.Close)
	keys, err := LoadKeys(f.Context(), NewMemoryStore())
	if err != nil {
		f.Fatal(err)
	}
	tokens, err := NewTokens(TokensOptions{Issuer: testIssuer, Keys: keys, Users: users, Credentials: credentials, Logger: logger})
	if err != nil {
		f.Fatal(err)
	}
	alice, err := users.Create(f.Context(), "alice", "password-a", RoleMember)
	if err != nil {
		f.Fatal(err)
	}
	good, c, err := tokens.NewPersonal(f.Context(), alice, Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.ID)
	f.Fuzz(func(t *testing.T, token string) {
		for _, s := range []string{token, personalPrefix + token} {
			if s == good {
				continue
			}
			id, err := tokens.Verify(t.Context(), s)
			if _, refused := errors.AsType[TokenError](err); !refused || id != (Identity{}) {
				t.Errorf("%q: %+v, %v", s, id, err)
			}
			if _, err := tokens.Session(s); err == nil {
				t.Errorf("%q is a session", s)
			}
			if _, err := tokens.Redeem(t.Context(), s); err == nil {
				t.Errorf("%q is a ticket", s)
			}
		}
	})
}

// FuzzVerify: whatever is done to a token, it is refused, or it is the token.
func FuzzVerify(f *testing.F) {
	var h fakeHashes
	users, err := newUsers(NewMemoryStore(), nil, h.hasher())
	if err != nil {
		f.Fatal(err)
	}
	logger, _ := newLogger()
	credentials := NewCredentials(CredentialsOptions{Store: NewMemoryStore(), Users: users, Logger: logger})
	f.Cleanup(credentials.Close)
	keys, err := LoadKeys(f.Context(), NewMemoryStore())
	if err != nil {
		f.Fatal(err)
	}
	tokens, err := NewTokens(TokensOptions{Issuer: testIssuer, Keys: keys, Users: users, Credentials: credentials, Logger: logger})
	if err != nil {
		f.Fatal(err)
	}
	alice, err := users.Create(f.Context(), "alice", "password-a", RoleMember)
	if err != nil {
		f.Fatal(err)
	}
	issued, err := tokens.Login(f.Context(), alice)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, 0, issued.Access)
	f.Add(10, 20, "eyJhbGciOiJub25lIn0")
	f.Add(0, 1, "..")
	f.Add(36, 36, "\x00")
	f.Fuzz(func(t *testing.T, from, to int, with string) {
		good := issued.Access
		from, to = min(max(from, 0), len(good)), min(max(to, 0), len(good))
		changed := good[:min(from, to)] + with + good[max(from, to):]
		for _, token := range []string{changed, with} {
			id, err := tokens.Verify(t.Context(), token)
			if _, refused := errors.AsType[TokenError](err); token == good != (err == nil) || err != nil && (!refused || id != (Identity{})) {
				t.Errorf("%q: %+v, %v", token, id, err)
			}
		}
	})
}

// TestAuth25AppsTokens: a token that an app made, or that one made with such a
// token, ends when the app is revoked; one that the user made goes on.
func TestAuth25AppsTokens(t *testing.T) {
	for name, end := range map[string]func(*Tokens, Issued) error{
		"by the user": func(tk *Tokens, app Issued) error {
			return tk.credentials.Revoke(t.Context(), "alice", app.Identity.Credential)
		},
		"all of it": func(tk *Tokens, _ Issued) error { return tk.credentials.RevokeClient(t.Context(), "", "client") },
		"by a reuse": func(tk *Tokens, app Issued) error {
			handle, _, _ := strings.Cut(app.Refresh, ".")
			another, _ := newSecret()
			refresh(t, tk, handle+"."+another, Refresh{Client: "client"}, ErrRefresh)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, _, app := newFamily(t)
			p := Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour}
			own, mine := newPersonal(t, tokens, "alice", p)
			p.By = mine.ID
			fromOwn, _ := newPersonal(t, tokens, "alice", p)
			p.By = app.Identity.Credential
			made, first := newPersonal(t, tokens, "alice", p)
			p.By = first.ID
			again, _ := newPersonal(t, tokens, "alice", p)
			if err := tokens.credentials.Revoke(t.Context(), "alice", first.ID); err != nil { // what is between may be gone
				t.Fatal(err)
			}
			if err := end(tokens, app); err != nil {
				t.Fatal(err)
			}
			for what, token := range map[string]string{"made by the app": made, "made with that": again} {
				if _, err := tokens.Verify(t.Context(), token); err == nil {
					t.Errorf("a token %s is good", what)
				}
			}
			for _, token := range []string{own, fromOwn} {
				if _, err := tokens.Verify(t.Context(), token); err != nil {
					t.Errorf("the user's own token: %v", err)
				}
			}
			p.By = app.Identity.Credential
			if _, _, err := tokens.NewPersonal(t.Context(), find(t, tokens, "alice"), p); !errors.Is(err, errInvalid) {
				t.Errorf("the revoked app makes a token: %v", err)
			}
		})
	}
}

// TestAuth25SignedOut: a token outlives the sign-in by which it was made, and
// says of which client it was.
func TestAuth25SignedOut(t *testing.T) {
	tokens, _, app := newFamily(t)
	token, made := newPersonal(t, tokens, "alice", Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour, By: app.Identity.Credential})
	if made.MadeBy != "The Client" {
		t.Errorf("made by %q", made.MadeBy)
	}
	if err := tokens.RevokeToken(t.Context(), app.Refresh, "client"); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(t.Context(), app.Access); err == nil {
		t.Error("the sign-in goes on")
	}
	if _, err := tokens.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}
