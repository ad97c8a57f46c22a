package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wigwag/auth"
)

// signInWithin is how long "wigwag login" waits for the browser.
const signInWithin = 5 * time.Minute

func loginCommand(env environment) *cobra.Command {
	var (
		fromStdin, noBrowser bool
		scope                string
	)
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Sign in to a server, for the other commands",
		Long: "Sign in to the server at URL, such as https://chat.example.com, in the browser. What the command line may do\n" +
			"is decided there: wigwag token needs all that you may do, which for an administrator includes the box that is\n" +
			"not ticked.\n\n" +
			"What it gets is kept in $XDG_CONFIG_HOME/wigwag/credentials.json (else in ~/.config/wigwag), which only you can\n" +
			"read, and is refreshed by itself until it is not used for 30 days.\n\n" +
			"Without a browser on this machine, open the printed address in one that can reach this machine's loopback\n" +
			"address, or make a personal access token elsewhere and give it on standard input:\n\n" +
			"  wigwag login URL --token < file-with-the-token",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kept, err := newLogins(env)
			if err != nil {
				return err
			}
			server, err := serverOrigin(args[0])
			if err != nil {
				return err
			}
			var got storedLogin
			if fromStdin {
				got.Token, err = readSecret(cmd.InOrStdin())
			} else {
				asked, known := auth.ParseScopes(scope)
				if !known || asked == 0 {
					return fmt.Errorf("--scope is %q; it is one or more of %s, separated by spaces", scope, auth.ScopeAdmin)
				}
				got, err = browserLogin(cmd.Context(), server, scope, opener(env, noBrowser), cmd.ErrOrStderr())
			}
			if err != nil {
				return err
			}
			who, err := whoami(cmd.Context(), server, got.Token)
			if err != nil {
				return err
			}
			got.User = who.User
			var before storedLogin
			err = kept.change(func(servers map[string]storedLogin) error {
				before, servers[server] = servers[server], got
				return nil
			})
			if err != nil {
				return err
			}
			if before.Refresh != "" {
				if err := endGrant(cmd.Context(), server, before); err != nil {
					_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "(The sign-in before goes on at the server until it is revoked: %v.)\n", err)
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Signed in to %s as %s, for: %s\n", server, who.User, who.Scopes)
			return err
		},
	}
	cmd.Flags().BoolVar(&fromStdin, "token", false, "read a token from standard input, instead of signing in in the browser")
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "only print the address to open")
	cmd.Flags().StringVar(&scope, "scope", auth.ScopeAdmin.String(), "what to ask for; the browser's page asks you which of it to allow")
	return cmd
}

func logoutCommand(env environment) *cobra.Command {
	return &cobra.Command{
		Use:   "logout URL",
		Short: "Forget the sign-in at a server, and end it there",
		Long: "Forget the sign-in at the server at URL. One made in the browser is ended at the server, too. A personal access\n" +
			"token is only forgotten: others may use it. To end it, see wigwag token revoke.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kept, err := newLogins(env)
			if err != nil {
				return err
			}
			server, err := serverOrigin(args[0])
			if err != nil {
				return err
			}
			var was storedLogin
			err = kept.change(func(servers map[string]storedLogin) error {
				var ok bool
				if was, ok = servers[server]; !ok {
					return fmt.Errorf("you are not signed in to %s", server)
				}
				delete(servers, server)
				return nil
			})
			if err != nil {
				return err
			}
			if was.Refresh != "" {
				if err := endGrant(cmd.Context(), server, was); err != nil {
					return fmt.Errorf("forgotten on this machine, but %s could not be told, and the sign-in goes on there until it is revoked: %w", server, err)
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Signed out of %s\n", server)
			return err
		},
	}
}

// readSecret reads a line that is not to stand among a process's arguments.
func readSecret(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 16<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("there is nothing on standard input")
	}
	return line, nil
}

// identity is who a server says one is.
type identity struct {
	User   string `json:"username"`
	Scopes string `json:"scopes"`
}

// whoami asks the server whose a token is, which says that it is good, too.
func whoami(ctx context.Context, server, token string) (identity, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/api/session", nil)
	if err != nil {
		return identity{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	var who identity
	if err := send(newRemoteClient(), req, &who); err != nil {
		return identity{}, err
	}
	who.User, who.Scopes = oneLine(who.User), oneLine(who.Scopes)
	return who, nil
}

// browserLogin signs in as an app on this computer does (RFC 8252): by a code
// that the browser brings to a port of this machine, and PKCE.
func browserLogin(ctx context.Context, server, scope string, open func(string) error, errOut io.Writer) (storedLogin, error) {
	ctx, cancel := context.WithTimeout(ctx, signInWithin)
	defer cancel()
	client := newRemoteClient()
	found, err := discover(ctx, client, server)
	if err != nil {
		return storedLogin{}, err
	}
	back, err := listenForCode(ctx, found.Issuer)
	if err != nil {
		return storedLogin{}, err
	}
	defer back.close()
	id, err := found.register(ctx, client, back.address)
	if err != nil {
		return storedLogin{}, err
	}
	verifier := newVerifier()
	address := found.Authorize + "?" + url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {back.address}, "state": {back.state}, "scope": {scope},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}, "resource": {server + "/mcp"},
	}.Encode()
	_, _ = fmt.Fprintf(errOut, "To sign in, open this address in a browser on this machine:\n\n  %s\n\n", address)
	if err := open(address); err != nil {
		_, _ = fmt.Fprintf(errOut, "(No browser could be opened: %v.)\n", err)
	}
	code, err := back.wait(ctx)
	if err != nil {
		return storedLogin{}, err
	}
	tokens, err := found.trade(ctx, client, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {id}, "code": {code}, "redirect_uri": {back.address}, "code_verifier": {verifier},
	})
	if err != nil {
		return storedLogin{}, err
	}
	got := storedLogin{Client: id}
	got.take(tokens)
	return got, nil
}

// endGrant ends what a sign-in gave (RFC 7009).
func endGrant(ctx context.Context, server string, l storedLogin) error {
	client := newRemoteClient()
	found, err := discover(ctx, client, server)
	if err != nil {
		return err
	}
	return postForm(ctx, client, found.Revoke, url.Values{"token": {l.Refresh}, "client_id": {l.Client}}, nil)
}

// opener returns what opens an address in a browser: that of $BROWSER, or the
// system's.
func opener(env environment, none bool) func(string) error {
	if none {
		return func(string) error { return nil }
	}
	program := systemBrowser()
	if b := env["BROWSER"]; b != "" {
		program = []string{b}
	}
	return func(address string) error { return openBrowser(program, address) }
}
