package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"wigwag/auth"
)

func TestLine16CodesAreBound(t *testing.T) {
	l := newLab(t)
	client, other := l.register(callback), l.register(callback)
	code := l.code(ask(client))
	for name, form := range map[string]url.Values{
		"another client":   trade(other, code),
		"another redirect": trade(client, code, "redirect_uri", "http://127.0.0.1:1/callback"),
		"another verifier": trade(client, code, "code_verifier", strings.Repeat("w", 43)),
		"the challenge":    trade(client, code, "code_verifier", challengeOf(verifier)),
	} {
		t.Log(name)
		wantError(t, l.post(tokenPath, form), http.StatusBadRequest, "invalid_grant")
	}
	wantError(t, l.post(tokenPath, trade(client, code, "resource", l.http.URL+"/sse")), http.StatusBadRequest, "invalid_target")
	if a := l.post(tokenPath, trade(client, code, "resource", l.http.URL+"/mcp", "redirect_uri", "")); a.status != http.StatusOK {
		t.Errorf("the client itself: %d %s", a.status, a.body)
	}
	if !l.audit.has("token", "invalid_grant") {
		t.Error("no trace in the audit")
	}
}

func TestLine16CodesLastAMinute(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	code, late := l.code(ask(client)), l.code(ask(client))
	l.clock.advance(50 * time.Second)
	if a := l.post(tokenPath, trade(client, code)); a.status != http.StatusOK {
		t.Errorf("after 50 s: %d %s", a.status, a.body)
	}
	l.clock.advance(10 * time.Second)
	wantError(t, l.post(tokenPath, trade(client, late)), http.StatusBadRequest, "invalid_grant")
}

func TestLine16AReplayRevokesAllThatCameOfACode(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	code := l.code(ask(client))
	first := l.post(tokenPath, trade(client, code))
	second := l.post(tokenPath, refreshForm(client, first.field(t, "refresh_token")))
	if second.status != http.StatusOK || !l.good(second.field(t, "access_token")) {
		t.Fatalf("%d %s", second.status, second.body)
	}
	wantError(t, l.post(tokenPath, trade(client, code)), http.StatusBadRequest, "invalid_grant")
	for _, a := range []answer{first, second} {
		if l.good(a.field(t, "access_token")) {
			t.Error("an access token is good after the replay")
		}
	}
	wantError(t, l.post(tokenPath, refreshForm(client, second.field(t, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
	wantError(t, l.post(tokenPath, trade(client, code)), http.StatusBadRequest, "invalid_grant")
	if !l.audit.has("code.replay", "revoked") {
		t.Error("no trace in the audit")
	}
}

// gate lets changes of codes through once there are n of them.
type gate struct {
	auth.Store
	mu     sync.Mutex
	n      int           // to wait for; guarded by mu
	opened chan struct{} // closed when they are there
}

func (g *gate) Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error) {
	if strings.HasPrefix(key, codePrefix) && revision != 0 {
		g.mu.Lock()
		if g.n--; g.n == 0 {
			close(g.opened)
		}
		g.mu.Unlock()
		<-g.opened
	}
	return g.Store.Put(ctx, key, value, revision)
}

func TestLine16OneOfSixteenRedemptionsWins(t *testing.T) {
	const many = 16
	l := newLab(t, func(o *Options) { o.Store = &gate{Store: o.Store, n: many, opened: make(chan struct{})} })
	client := l.register(callback)
	code := l.code(ask(client))
	answers := make([]answer, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() { answers[i] = l.post(tokenPath, trade(client, code)) })
	}
	all.Wait()
	var won []string
	for _, a := range answers {
		if a.status == http.StatusOK {
			won = append(won, a.field(t, "access_token"))
		} else {
			wantError(t, a, http.StatusBadRequest, "invalid_grant")
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d of %d got tokens, want one", len(won), many)
	}
	if !l.good(won[0]) {
		t.Error("those who came at once have revoked the winner's token")
	}
}

func TestLine16WhoCameBeforeTheRedemptionReplaysNothing(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	code, arrived := l.code(ask(client)), l.clock.now()
	won := l.post(tokenPath, trade(client, code))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.http.URL+tokenPath, nil)
	must(t, err)
	late := exchange{code: code, client: client, redirect: callback, verifier: verifier, arrived: arrived}
	if _, err := l.server.Load().redeem(r, late); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("%v, want invalid_grant", err)
	}
	if !l.good(won.field(t, "access_token")) {
		t.Error("who came at the same time has revoked the winner's token")
	}
}

func TestLine16AReplayBeforeTheTokensAreThereEndsThem(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	code := l.code(ask(client))
	// The replay comes when the code is marked and the tokens are being made.
	l.options.Tokens = &meanwhile{Tokens: l.options.Tokens, do: func() {
		wantError(t, l.post(tokenPath, trade(client, code)), http.StatusBadRequest, "invalid_grant")
	}}
	l.restart()
	wantError(t, l.post(tokenPath, trade(client, code)), http.StatusBadRequest, "invalid_grant")
	if n := len(l.credentials.List("alice")); n != 1 { // the web session
		t.Errorf("%d credentials are left, want the web session alone", n)
	}
}

type meanwhile struct {
	Tokens
	do func()
}

func (m *meanwhile) Authorize(ctx context.Context, user auth.User, a auth.Authorization) (auth.Issued, error) {
	m.do()
	return m.Tokens.Authorize(ctx, user, a)
}

func TestLine21RestartInMidFlowLosesNothing(t *testing.T) {
	l := newLab(t)
	client := l.register(callback)
	l.restart()
	b := l.browser()
	page := b.authorize(ask(client))
	l.restart()
	page = b.signIn(page, "alice")
	l.restart()
	_, params := b.allow(page).location(t)
	l.restart()
	a := l.post(tokenPath, trade(client, params.Get("code")))
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	l.restart()
	a = l.post(tokenPath, refreshForm(client, a.field(t, "refresh_token")))
	if a.status != http.StatusOK || !l.good(a.field(t, "access_token")) {
		t.Errorf("%d %s", a.status, a.body)
	}
	l.restart()
	wantError(t, l.post(tokenPath, trade(client, params.Get("code"))), http.StatusBadRequest, "invalid_grant")
	if l.good(a.field(t, "access_token")) {
		t.Error("a replay after a restart is not seen")
	}
}

func TestLine21NodesShareAll(t *testing.T) {
	l := newLab(t)
	first := l.server.Load()
	l.start() // a second one on the same store
	second := l.server.Load()
	defer first.Close()
	on := func(s *Server) { l.server.Store(s) }

	on(first)
	client := l.register(callback)
	on(second)
	b := l.browser()
	page := b.authorize(ask(client))
	on(first)
	page = b.signIn(page, "alice")
	on(second)
	_, params := b.allow(page).location(t)
	on(first)
	a := l.post(tokenPath, trade(client, params.Get("code")))
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	on(second)
	wantError(t, l.post(tokenPath, trade(client, params.Get("code"))), http.StatusBadRequest, "invalid_grant")
	on(first)
	wantError(t, l.post(tokenPath, refreshForm(client, a.field(t, "refresh_token"))), http.StatusBadRequest, "invalid_grant")
	on(second) // closed at the end
}
