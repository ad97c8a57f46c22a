package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"wigwag/auth"
)

func inviteCommand(env environment) *cobra.Command {
	o := &operator{env: env}
	cmd := o.command("invite", "Invite people to make an account for themselves", o.createInvitation(), o.listInvitations(),
		o.change("withdraw ID", "End an invitation that has not been used", cobra.ExactArgs(1), "%s is withdrawn",
			func(ctx context.Context, c *deskClient, args []string) error {
				return c.do(ctx, "DELETE", []string{"invitations", args[0]}, nil, nil)
			}))
	cmd.Long = "Invite people to make an account for themselves, where the server runs with --signup=invite or open. It is for\n" +
		"the server's own machine. An invitation is good for one account; its link may be seen by nobody else."
	return cmd
}

func (o *operator) createInvitation() *cobra.Command {
	var (
		role string
		days int64
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make an invitation, and print its link: it is shown only then",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 1 || days > 30 {
				return fmt.Errorf("--days is %d; it is 1 to 30", days)
			}
			var made linkInfo
			err := o.run(cmd.Context(), func(c *deskClient) error {
				return c.do(cmd.Context(), "POST", []string{"invitations"}, newInvitation{auth.Role(role), days * secondsOfDay}, &made)
			})
			if err != nil {
				return err
			}
			return printLink(cmd, fmt.Sprintf("An invitation for one account, good for %d days.", days), made)
		},
	}
	cmd.Flags().StringVar(&role, "role", string(auth.RoleMember), "what the account is to be: member or admin")
	cmd.Flags().Int64Var(&days, "days", 7, "how many days it is good, at most 30")
	return cmd
}

func (o *operator) listInvitations() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the invitations that are good",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []auth.Credential
			err := o.run(cmd.Context(), func(c *deskClient) error {
				return c.do(cmd.Context(), "GET", []string{"invitations"}, nil, &all)
			})
			if err != nil {
				return err
			}
			return printList(o, cmd.OutOrStdout(), all, "ID\tROLE\tBY\tEXPIRES", func(i auth.Credential) []any {
				return []any{i.ID, i.Role, cmp.Or(i.User, "(operator)"), i.Expires.UTC().Format(dateOnly)}
			})
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// printLink prints a link on standard output, and what it is beside it.
func printLink(cmd *cobra.Command, what string, l linkInfo) error {
	if l.Link[:1] == "/" {
		what += " No server runs that could say where it is: put its address, such as https://chat.example.com, in front."
	}
	_, _ = fmt.Fprintln(cmd.ErrOrStderr(), what+" It is shown only now:")
	_, err := fmt.Fprintln(cmd.OutOrStdout(), l.Link)
	return err
}
