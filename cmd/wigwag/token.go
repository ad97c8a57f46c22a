package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"wigwag/auth"
)

// tokenHolder says whose tokens are meant: of whoever is signed in at a server,
// or, on the server's own machine, of any user.
type tokenHolder struct {
	operator
	server string
	user   string
}

// do asks for tokens: path is below those of the holder.
func (h *tokenHolder) do(ctx context.Context, method string, id string, in, out any) error {
	if h.user != "" {
		segments := []string{"users", h.user, "tokens"}
		if id != "" {
			segments = append(segments, id)
		}
		return h.run(ctx, func(c *deskClient) error { return c.do(ctx, method, segments, in, out) })
	}
	kept, err := newLogins(h.env)
	if err != nil {
		return err
	}
	server, err := kept.choose(h.server)
	if _, signedOut := errors.AsType[signedOutError](err); signedOut {
		return fmt.Errorf("%w; on the server's own machine, give --user NAME", err)
	}
	if err != nil {
		return err
	}
	path := "/api/tokens"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	return newRemote(server, kept).do(ctx, method, path, in, out)
}

func tokenCommand(env environment) *cobra.Command {
	h := &tokenHolder{operator: operator{env: env}}
	cmd := h.command("token", "Manage personal access tokens", h.create(), h.list(), h.revoke())
	cmd.Long = "Manage personal access tokens: for scripts, for agents, and for clients that take a token instead of signing in.\n\n" +
		"With a sign-in of wigwag login they are your own. It must be for all that you may do: a token for less does not\n" +
		"make one for more. On the server's own machine --user NAME stands for anybody, without a sign-in."
	cmd.PersistentFlags().StringVar(&h.server, "server", "", "the server to ask (default: the only one you are signed in to)")
	cmd.PersistentFlags().StringVar(&h.user, "user", "", "whose tokens, asked for on the server's own machine")
	cmd.MarkFlagsMutuallyExclusive("server", "user")
	return cmd
}

func (h *tokenHolder) create() *cobra.Command {
	var (
		scope string
		days  int64
	)
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token, and print it: it is shown only then",
		Long: "Make a personal access token and print it on standard output, where it is shown only then. NAME is for you: it\n" +
			"stands in lists. Send the token as \"Authorization: Bearer TOKEN\".",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			scopes, known := auth.ParseScopes(scope)
			if !known || scopes == 0 {
				return fmt.Errorf("--scope is %q; it is one or more of %s, separated by spaces", scope, auth.ScopeAdmin)
			}
			if days < 1 || days > 366 {
				return fmt.Errorf("--days is %d; it is 1 to 366", days)
			}
			var made tokenInfo
			err := h.do(cmd.Context(), "POST", "", newToken{Name: args[0], Scopes: scopes, ExpiresIn: days * secondsOfDay}, &made)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "The token %s, for %s, until %s. It is shown only now:\n", made.ID, made.Scopes, made.Expires.UTC().Format(dateOnly))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Token)
			return err
		},
	}
	cmd.Flags().StringVar(&scope, "scope", auth.ScopesEveryday.String(), "what it is for")
	cmd.Flags().Int64Var(&days, "days", 90, "how many days it is good, at most 366")
	return cmd
}

func (h *tokenHolder) list() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tokens, sign-ins and what apps were allowed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all tokenList
			if err := h.do(cmd.Context(), "GET", "", nil, &all); err != nil {
				return err
			}
			return printList(&h.operator, cmd.OutOrStdout(), all.Tokens, "ID\tKIND\tNAME\tSCOPES\tLAST USED\tEXPIRES", func(t tokenInfo) []any {
				name, used := t.Name, "never"
				switch {
				case name == "":
					name = t.Client
				case t.Client != "":
					name += " (by " + t.Client + ")"
				}
				if !t.Used.IsZero() {
					used = t.Used.UTC().Format(dateOnly)
				}
				return []any{t.ID, t.Kind, name, t.Scopes, used, t.Expires.UTC().Format(dateOnly)}
			})
		},
	}
	cmd.Flags().BoolVar(&h.json, "json", false, "print JSON")
	return cmd
}

func (h *tokenHolder) revoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End what wigwag token list shows under an ID, at once, with the streams that are open with it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := h.do(cmd.Context(), "DELETE", args[0], nil, nil); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked\n", args[0])
			return err
		},
	}
}

const (
	secondsOfDay = 24 * 60 * 60
	dateOnly     = "2006-01-02"
)
