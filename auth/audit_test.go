package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/store"
)

// lines is a [Log] in memory.
type lines struct {
	mu      sync.Mutex
	records []LogRecord
	fail    error
}

func (l *lines) Append(ctx context.Context, e LogEntry) (LogRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil || l.fail != nil {
		return LogRecord{}, errors.Join(err, l.fail)
	}
	r := LogRecord{Seq: uint64(len(l.records) + 1), Time: time.Now(), Subject: e.Subject, Data: slices.Clone(e.Data)}
	l.records = append(l.records, r)
	return r, nil
}

func (l *lines) Read(_ context.Context, r LogRange) ([]LogRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, l.fail
	}
	var found []LogRecord
	for _, one := range l.records {
		if slices.Contains(r.Subjects, one.Subject) && one.Seq > r.After && (r.Before == 0 || one.Seq < r.Before) {
			found = append(found, one)
		}
	}
	if r.Latest && len(found) > r.Limit {
		found = found[len(found)-r.Limit:]
	}
	return found[:min(len(found), r.Limit)], nil
}

func newAudit(t *testing.T) (*AuditLog, *lines, *logBuffer) {
	t.Helper()
	logger, logs := newLogger()
	var l lines
	return NewAuditLog(&l, logger), &l, logs
}

func TestAuditTakesWhatTheContextKnows(t *testing.T) {
	a, l, _ := newAudit(t)
	ctx := NewContext(t.Context(), Identity{Subject: "admin", Client: "client"})
	ctx = WithRemote(ctx, netip.MustParseAddr("192.0.2.7"))
	gone, cancel := context.WithCancel(ctx)
	cancel()
	a.Record(gone, Event{Action: "user.role", Target: "alice", Detail: "member"})
	a.Record(ctx, Event{Action: "sign-in", Actor: "bob", Client: "other", Remote: "192.0.2.8", Outcome: "refused", Time: time.Unix(7, 0).UTC()})
	a.Record(t.Context(), Event{Action: "user.create", Target: "carol"})
	a.Record(WithRemote(t.Context(), netip.Addr{}), Event{Action: "user.create", Target: "dave"})

	events, next, err := a.Read(t.Context(), 0, 10)
	if err != nil || next != 0 || len(events) != 4 {
		t.Fatalf("%+v, %d, %v", events, next, err)
	}
	for i := range events {
		if at := events[i].Time; i != 1 {
			if age := time.Since(at); age < 0 || age > time.Hour {
				t.Errorf("at %v", at)
			}
			events[i].Time = time.Time{}
		}
	}
	for i, want := range []Event{
		{Action: "user.role", Actor: "admin", Client: "client", Target: "alice", Remote: "192.0.2.7", Outcome: "ok", Detail: "member"},
		{Time: time.Unix(7, 0).UTC(), Action: "sign-in", Actor: "bob", Client: "other", Remote: "192.0.2.8", Outcome: "refused"},
		{Action: "user.create", Target: "carol", Outcome: "ok"},
		{Action: "user.create", Target: "dave", Outcome: "ok"},
	} {
		if events[i] != want {
			t.Errorf("%+v, not %+v", events[i], want)
		}
	}
	if line := string(l.records[2].Data); strings.Contains(line, "actor") || strings.ContainsAny(line, "\r\n") || l.records[2].Subject != "audit" {
		t.Errorf("%s", line)
	}
}

func TestAuditFieldsAreBounded(t *testing.T) {
	a, l, _ := newAudit(t)
	long := strings.Repeat("x", 10_000)
	a.Record(t.Context(), Event{Action: long, Actor: long, Client: long, Target: long, Remote: long, Outcome: long, Detail: long + "\n"})
	if n := len(l.records[0].Data); n > 8*maxAuditField {
		t.Errorf("%d bytes", n)
	}
}

// A path, which anybody can make up, must not steer the terminal that the audit
// is read on, nor look like something else there.
func TestAuditFieldsAreText(t *testing.T) {
	a, l, _ := newAudit(t)
	a.Record(t.Context(), Event{Action: "request", Target: "GET /\n\u001b[2J\u009b2J\u202etxt.\u200bé 名"})
	var e Event
	if err := json.Unmarshal(l.records[0].Data, &e); err != nil {
		t.Fatal(err)
	}
	if want := "GET /··[2J·2J·txt.·é 名"; e.Target != want {
		t.Errorf("%q, want %q", e.Target, want)
	}
}

// Anybody can cause refusals: they do not push the rest out of the log.
func TestAuditRefusalsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, _ := newAudit(t)
		for range 1000 {
			a.Record(t.Context(), Event{Action: "sign-in", Outcome: "refused"})
			a.Record(t.Context(), Event{Action: "user.role"})
		}
		if len(l.records) != 1000+50 {
			t.Errorf("%d are recorded", len(l.records))
		}
		pass(time.Second)
		a.Record(t.Context(), Event{Action: "sign-in", Outcome: "refused"})
		events, _, err := a.Read(t.Context(), 0, 1)
		if err != nil || len(events) != 1 || events[0].Left != 950 {
			t.Errorf("%+v, %v", events, err)
		}
	})
}

func TestAuditRead(t *testing.T) {
	a, l, logs := newAudit(t)
	for i := range 25 {
		a.Record(t.Context(), Event{Action: fmt.Sprint(i)})
	}
	l.records = append(l.records, LogRecord{Seq: 26, Subject: "room.general", Data: []byte("no event")}, LogRecord{Seq: 27, Subject: "audit", Data: []byte("{")})
	var got []string
	var before uint64
	for range 3 {
		events, next, err := a.Read(t.Context(), before, 10)
		if err != nil {
			t.Fatal(err)
		}
		var page []string
		for _, e := range events {
			page = append(page, e.Action)
		}
		got, before = append(page, got...), next
	}
	if before != 0 || len(got) != 26 || got[0] != "0" || got[24] != "24" || got[25] != "damaged" {
		t.Errorf("%q, %d", got, before)
	}
	if events, _, err := a.Read(t.Context(), 0, -1); err != nil || len(events) != 1 {
		t.Errorf("at least one: %d, %v", len(events), err)
	}
	l.fail = errFull
	if _, _, err := a.Read(t.Context(), 0, 10); !errors.Is(err, errFull) {
		t.Error(err)
	}
	a.Record(t.Context(), Event{Action: "user.role", Target: "alice"})
	if out := logs.String(); !strings.Contains(out, "level=ERROR") || !strings.Contains(out, "user.role") || !strings.Contains(out, "full") {
		t.Errorf("log: %s", out)
	}
}

// What people do to accounts is recorded, by whom, and without a secret.
func TestAuditOfAccounts(t *testing.T) {
	a, l, _ := newAudit(t)
	var f fakeHashes
	users, err := newUsers(NewMemoryStore(), a, f.hasher())
	if err != nil {
		t.Fatal(err)
	}
	tokens := newTokensOf(t, users, loadKeys(t, NewMemoryStore()))
	ctx := NewContext(t.Context(), Identity{Subject: "admin"})
	var secrets []string
	keep := func(secret string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		_, random, ok := strings.Cut(secret, ".")
		if !ok {
			random = strings.TrimPrefix(secret, "pat_")
		}
		secrets = append(secrets, secret, random)
	}
	alice, err := users.Create(ctx, "alice", "password-a", RoleMember)
	keep("password-a", err)
	_, err = users.Authenticate(t.Context(), home, "alice", "password-x")
	if !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
	_, err = users.Authenticate(t.Context(), home, "password-a", "alice") // the wrong fields
	if !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
	secrets = append(secrets, "password-x")
	_, err = users.Authenticate(t.Context(), home, "alice", "password-a")
	keep("password-a", err)
	login, err := tokens.Login(ctx, alice)
	keep(login.Refresh, err)
	secrets = append(secrets, login.Access)
	token, c, err := tokens.NewPersonal(ctx, alice, Personal{Name: "x", Scopes: ScopeChatRead, Lifetime: time.Hour})
	keep(token, err)
	keep("password-a", tokens.credentials.Revoke(ctx, "alice", c.ID))
	link, err := users.NewLink(ctx, "alice")
	keep(link, err)
	_, err = users.RedeemLink(t.Context(), home, link, "password-l")
	keep(link, err)
	keep("password-b", users.SetPassword(ctx, "alice", "password-b"))
	keep("password-b", users.SetRole(ctx, "alice", RoleAdmin))
	keep("password-b", users.SetRole(ctx, "alice", RoleAdmin)) // no change, no event
	keep("password-b", users.SetDisabled(ctx, "alice", true))
	keep("password-b", users.SetDisabled(ctx, "alice", false))

	events, _, err := a.Read(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, strings.Join(strings.Fields(fmt.Sprintln(e.Actor, e.Action, e.Target, e.Outcome, e.Remote)), " "))
	}
	if want := []string{
		"admin user.create alice ok",
		"alice sign-in refused 192.0.2.1",
		"(unknown) sign-in refused 192.0.2.1",
		"alice sign-in ok 192.0.2.1",
		"admin token.create alice ok",
		"admin token.create alice ok",
		"admin token.revoke alice ok",
		"admin user.link alice ok",
		"alice sign-in ok 192.0.2.1",
		"alice user.password alice ok 192.0.2.1",
		"admin user.password alice ok",
		"admin user.role alice ok",
		"admin user.disable alice ok",
		"admin user.enable alice ok",
	}; !slices.Equal(got, want) {
		t.Errorf("recorded:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, r := range l.records {
		for _, secret := range secrets {
			if strings.Contains(string(r.Data), secret) {
				t.Errorf("a secret is in %s", r.Data)
			}
		}
	}
}

// The audit, in a log of the store that the program has, across a restart.
func TestAuditSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	for _, restarted := range []bool{false, true} {
		logger := slog.New(slog.DiscardHandler)
		st, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() }) // again is harmless
		a := NewAuditLog(st.Lines(), logger)
		if !restarted {
			a.Record(t.Context(), Event{Action: "user.role", Actor: "admin", Target: "alice"})
			a.Record(t.Context(), Event{Action: "user.disable", Actor: "admin", Target: "bob"})
		}
		events, next, err := a.Read(t.Context(), 0, 1)
		if err != nil || len(events) != 1 || events[0].Target != "bob" || next == 0 {
			t.Errorf("%+v, %d, %v", events, next, err)
		}
		events, _, err = a.Read(t.Context(), next, 10)
		if err != nil || len(events) != 1 || events[0].Target != "alice" || events[0].Outcome != "ok" {
			t.Errorf("%+v, %v", events, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}
