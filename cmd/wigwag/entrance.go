package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport"
)

// entrance is who may come in, and how.
type entrance struct {
	users     hub.Users
	identify  func(http.Handler) http.Handler // puts the identity into the context, or refuses
	guard     func(http.Handler) http.Handler // Host and Origin
	login     http.Handler                    // nil where there is nothing to log in to
	limits    transport.Limits
	origins   []string
	password  string // of the admin, if it was made up
	firstPass func() (string, error)
}

// newEntrance sets up authentication. Users live in memory.
func newEntrance(ctx context.Context, s settings, env environment, urls []string, logger *slog.Logger) (*entrance, error) {
	in := &entrance{limits: s.limits, origins: append(append([]string(nil), urls...), s.allowedOrigins...)}
	var err error
	in.guard, err = auth.Guard(auth.GuardOptions{
		PublicURLs: urls, Origins: s.allowedOrigins, Exempt: []string{"/healthz", "/readyz"}, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if s.auth == "none" {
		in.users, in.identify = everybody{}, auth.Anonymous
		// All clients are one user here: limits of one user would be limits of all.
		in.limits.MaxStreamsPerUser, in.limits.MaxCallsPerUser, in.limits.MaxSessionsPerUser = -1, -1, -1
		return in, nil
	}

	users, err := auth.NewUsers(auth.NewMemoryStore())
	if err != nil {
		return nil, err
	}
	password, given, err := env.lookup("WIGWAG_ADMIN_PASSWORD")
	if err != nil {
		return nil, err
	}
	if !given {
		password = auth.GeneratePassword()
		in.password = password
	}
	if err := users.Create(ctx, admin, password); err != nil {
		return nil, fmt.Errorf("WIGWAG_ADMIN_PASSWORD: %w", err)
	}
	key, err := newSigningKey()
	if err != nil {
		return nil, err
	}
	tokens, err := auth.NewTokens(urls[0], key, users)
	if err != nil {
		return nil, err
	}
	in.users = users
	in.identify = auth.Bearer(tokens, logger)
	in.login = auth.Login(auth.LoginOptions{Users: users, Tokens: tokens, Logger: logger})
	in.firstPass = func() (string, error) {
		token, _, err := tokens.Issue(admin, "")
		return token, err
	}
	return in, nil
}

// everybody are the users where authentication is off.
type everybody struct{}

func (everybody) Exists(name string) bool { return name == auth.AnonymousName }

// welcome tells whoever started the server how to begin.
func (in *entrance) welcome(w io.Writer, url string) error {
	const call = `curl --json '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send_message","arguments":{"message":"Hello"}}}'`
	text := fmt.Sprintf("\nSay something (authentication is off):\n\n  %s %s/mcp\n\n", call, url)
	switch {
	case in.password != "":
		token, err := in.firstPass()
		if err != nil {
			return err
		}
		text = fmt.Sprintf("\nThe password of the user %q, shown only now:\n\n  %s\n\nSay something (the token is good for one hour; POST /api/login gives the next):\n\n  %s -H 'Authorization: Bearer %s' %s/mcp\n\n",
			admin, in.password, call, token, url)
	case in.login != nil:
		text = fmt.Sprintf("\nLog in as %q for a token:\n\n  curl --json '{\"username\":\"%s\",\"password\":\"…\"}' %s/api/login\n\n", admin, admin, url)
	}
	_, err := io.WriteString(w, text)
	return err
}
