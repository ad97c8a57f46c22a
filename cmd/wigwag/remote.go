package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wigwag/terminal"
)

const (
	remoteTimeout = 30 * time.Second
	maxAnswer     = 4 << 20 // bytes of an answer that is read
	// refreshBefore is how long before its end a token is not used any more.
	refreshBefore = time.Minute
)

// remote is a server as somebody sees it who is signed in there.
type remote struct {
	server string // its origin
	logins *logins
	http   *http.Client
}

func newRemote(server string, l *logins) *remote { return &remote{server, l, newRemoteClient()} }

// newRemoteClient follows no redirects: what it sends is for one server.
func newRemoteClient() *http.Client {
	return &http.Client{
		Timeout:       remoteTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// do asks the server's REST, and takes the answer into out unless that is nil.
func (r *remote) do(ctx context.Context, method, path string, in, out any) error {
	token, err := r.token(ctx)
	if err != nil {
		return err
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	err = send(r.http, req, out)
	refused, ok := errors.AsType[*refusedError](err)
	switch {
	case ok && refused.status == http.StatusUnauthorized:
		return fmt.Errorf("%w\nSign in again: wigwag login %s", err, r.server)
	case ok && refused.status == http.StatusForbidden:
		return fmt.Errorf("%w\nSign in again, and allow all of it in the browser: wigwag login %s", err, r.server)
	}
	return err
}

// token returns a token that is good for a while. Of several processes one
// refreshes it: a refresh token is good once.
func (r *remote) token(ctx context.Context) (string, error) {
	servers, err := r.logins.read()
	if err != nil {
		return "", err
	}
	if l := servers[r.server]; !l.due() {
		return l.Token, nil
	}
	var token string
	err = r.logins.change(func(servers map[string]storedLogin) error {
		l := servers[r.server]
		if l.due() { // nobody else did meanwhile
			fresh, err := r.refresh(ctx, l)
			if err != nil {
				return err
			}
			l.take(fresh)
			servers[r.server] = l
		}
		token = l.Token
		return nil
	})
	return token, err
}

// due reports whether a token has to be refreshed. One that cannot be is used
// as it is: the server says when it has ended.
func (l storedLogin) due() bool {
	return l.Refresh != "" && !l.Expires.IsZero() && time.Until(l.Expires) < refreshBefore
}

// take keeps tokens.
func (l *storedLogin) take(t grant) {
	l.Token, l.Refresh = t.AccessToken, cmp.Or(t.RefreshToken, l.Refresh)
	l.Expires = time.Now().Add(time.Duration(t.ExpiresIn) * time.Second).UTC().Truncate(time.Second)
}

func (r *remote) refresh(ctx context.Context, l storedLogin) (grant, error) {
	found, err := discover(ctx, r.http, r.server)
	if err != nil {
		return grant{}, err
	}
	fresh, err := found.trade(ctx, r.http, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {l.Client}, "refresh_token": {l.Refresh},
	})
	if refused, ok := errors.AsType[*refusedError](err); ok && refused.status < http.StatusInternalServerError && refused.status != http.StatusTooManyRequests {
		return grant{}, signedOutError{fmt.Errorf("the sign-in at %s has ended (%w): run wigwag login %s", r.server, err, r.server)}
	}
	return fresh, err
}

// refusedError is an answer that is no success.
type refusedError struct {
	status int
	why    string
}

func (e *refusedError) Error() string { return e.why }

// send takes the answer to a request into out, unless that is nil. An answer
// that is no success is a [*refusedError].
func send(client *http.Client, req *http.Request, out any) error {
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s cannot be reached: %w", req.URL.Host, plainCause(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s did not arrive in whole: %w", req.URL.Host, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &refusedError{resp.StatusCode, whyRefused(resp, text)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as a wigwag server does: %w", req.URL.Host, err)
	}
	return nil
}

// plainCause leaves out the address, which may hold what is not to be shown.
func plainCause(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// whyRefused is what an answer says, as a problem (RFC 9457) or as OAuth does.
func whyRefused(resp *http.Response, text []byte) string {
	var said struct {
		Detail      string `json:"detail"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(text, &said) // what is no JSON says nothing
	why := cmp.Or(said.Detail, said.Description, said.Error, strings.ToLower(http.StatusText(resp.StatusCode)))
	return fmt.Sprintf("%s answers %d: %s", resp.Request.URL.Host, resp.StatusCode, oneLine(why))
}

// oneLine is a text of somebody else as it may stand on a terminal.
func oneLine(s string) string {
	s = terminal.Line(s)
	if runes := []rune(s); len(runes) > 500 {
		return string(runes[:500]) + "…"
	}
	return s
}
