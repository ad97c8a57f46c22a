package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"wigwag/auth"
)

// methodScopes are what a token has to be good for to use a method of MCP. What
// is not here needs what reading does.
func methodScopes() map[string]auth.Scopes {
	return map[string]auth.Scopes{
		"initialize":      0,
		"ping":            0,
		"server/discover": 0,
	}
}

// toolScopes are what a token has to be good for to use a tool. A tool that is
// not here does not exist; so says the answer to who may read.
func toolScopes() map[string]auth.Scopes {
	return map[string]auth.Scopes{
		"send_message":      auth.ScopeChatWrite,
		"stream_message":    auth.ScopeChatWrite,
		"read_messages":     auth.ScopeChatRead,
		"wait_for_messages": auth.ScopeChatRead,
		"list_rooms":        auth.ScopeChatRead,
		"open_room":         auth.ScopeChatWrite,
		"list_people":       auth.ScopeChatRead,
		"notify":            auth.ScopeNotify,
		"write_log":         auth.ScopeLogsWrite,
	}
}

// permission decides what a request may use: what its token is for, and what
// its user's role allows, as of now. In which rooms is the hub's to decide.
type permission struct {
	methods, tools map[string]auth.Scopes
	resource       func(*http.Request) string // nil: there is no OAuth
	calls, sends   *auth.Limiter              // by user; nil: no limit
}

// needed are the scopes of a use of a method.
func (p *permission) needed(method, on string) auth.Scopes {
	table, name := p.methods, method
	if method == "tools/call" {
		table, name = p.tools, on
	}
	if scopes, ok := table[name]; ok {
		return scopes
	}
	return auth.ScopeChatRead
}

// permit is a [transport.PermitFunc].
func (p *permission) permit(ctx context.Context, method, on string) (challenge string, ok bool) {
	return p.allow(ctx, p.needed(method, on))
}

// allow tells whether a request has all scopes, and if not, with which ones to
// come again: those and the ones it has, since clients replace the token.
func (p *permission) allow(ctx context.Context, needed auth.Scopes) (challenge string, ok bool) {
	id, _ := auth.FromContext(ctx) // every route that asks sets it; without it nothing is allowed
	if id.Missing(needed) == 0 {
		return "", true
	}
	c := auth.Challenge{Error: "insufficient_scope", Description: "this needs " + needed.String(), Scopes: id.Scopes | needed}
	if v, ok := ctx.Value(visitKey{}).(*visitor); ok && p.resource != nil {
		c.Resource = p.resource(&http.Request{Host: v.host, URL: &url.URL{Path: v.path}})
	}
	return c.String(), false
}

// pace is a [transport.PaceFunc].
func (p *permission) pace(ctx context.Context, method, on string) time.Duration {
	return p.take(ctx, method == "tools/call" && p.tools[on]&^auth.ScopeChatRead != 0)
}

// take counts a request of a user, and returns how long to wait before it.
func (p *permission) take(ctx context.Context, writes bool) time.Duration {
	id, _ := auth.FromContext(ctx) // as above
	if p.calls != nil {
		if wait := p.calls.Take(id.Subject); wait > 0 {
			return wait
		}
	}
	if p.sends != nil && writes {
		return p.sends.Take(id.Subject)
	}
	return 0
}

// perSecond limits by user: so many a second, and what ten seconds allow at once.
func perSecond(rate int) *auth.Limiter {
	if rate == 0 {
		return nil
	}
	return auth.NewLimiter(time.Second/time.Duration(rate), 10*rate)
}
