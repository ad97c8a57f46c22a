package auth

import (
	"log/slog"
	"testing"
	"time"

	"wigwag/store"
)

// Users, tokens and revocation on the store that the program has, across a
// restart.
func TestAuth21UsersAndKeysSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	var token string
	var id Identity
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
		if list, err := users.List(); err != nil || len(users.Names()) != len(list) || restarted != (len(list) == 1) {
			t.Errorf("restarted %t: %+v, %v", restarted, list, err)
		}
		if !restarted {
			if _, err := users.Create(t.Context(), "alice", "password-a", RoleMember); err != nil {
				t.Fatal(err)
			}
			token, id = login(t, tokens, "alice", "password-a")
		}
		expectRevoked(t, tokens, token, id, false)
		if restarted {
			told := make(chan string, 10)
			stop := tokens.credentials.OnRevoked(func(r Revocation) { told <- r.User })
			if err := users.SetPassword(t.Context(), "alice", "password-c"); err != nil {
				t.Fatal(err)
			}
			expectRevoked(t, tokens, token, id, true)
			select {
			case user := <-told:
				if user != "alice" {
					t.Errorf("told %q", user)
				}
			case <-time.After(30 * time.Second):
				t.Error("nobody is told")
			}
			stop()
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}
