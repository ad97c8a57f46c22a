package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/terminal"
)

// operator are the settings of the commands that manage a data folder, whether
// a server runs on it or not.
type operator struct {
	env  environment
	data string
	json bool
}

// command makes a parent for such commands.
func (o *operator) command(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	o.register(cmd)
	cmd.AddCommand(children...)
	return cmd
}

func (o *operator) register(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&o.data, "data", "", "the server's data folder (default: as for serve)")
}

// folder is the data folder.
func (o *operator) folder() (string, error) {
	set := o.data
	if set == "" {
		set = o.env["WIGWAG_DATA"]
	}
	return dataFolder(set, o.env)
}

// run lets fn talk to the desk of the data folder.
func (o *operator) run(ctx context.Context, fn func(*deskClient) error) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	return callDesk(ctx, dir, fn)
}

// change is a command that changes one thing and says so.
func (o *operator) change(use, short string, args cobra.PositionalArgs, done string, fn func(context.Context, *deskClient, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		err := o.run(cmd.Context(), func(c *deskClient) error { return fn(cmd.Context(), c, args) })
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), done+"\n", anySlice(args)...)
		return err
	}}
}

func anySlice(args []string) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a
	}
	return out
}

func userCommand(env environment) *cobra.Command {
	o := &operator{env: env}
	disable := func(disabled bool) func(context.Context, *deskClient, []string) error {
		return func(ctx context.Context, c *deskClient, args []string) error {
			return c.do(ctx, "PUT", []string{"users", args[0], "disabled"}, map[string]bool{"disabled": disabled}, nil)
		}
	}
	list := &cobra.Command{Use: "list", Short: "List users", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var users []auth.User
		err := o.run(cmd.Context(), func(c *deskClient) error {
			return c.do(cmd.Context(), "GET", []string{"users"}, nil, &users)
		})
		if err != nil {
			return err
		}
		return printList(o, cmd.OutOrStdout(), users, "NAME\tROLE\tSTATE\tCREATED", func(u auth.User) []any {
			state := "active"
			if u.Disabled {
				state = "disabled"
			}
			return []any{u.Name, u.Role, state, u.Created.UTC().Format(dateOnly)}
		})
	}}
	list.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return o.command("user", "Manage the people who can log in",
		o.addUser(), list, o.setPassword(),
		o.linkCommand(),
		o.change("role NAME ROLE", "Make a user an admin or a member; tokens and streams end", cobra.ExactArgs(2), "%s is now %s",
			func(ctx context.Context, c *deskClient, args []string) error {
				return c.do(ctx, "PUT", []string{"users", args[0], "role"}, map[string]string{"role": args[1]}, nil)
			}),
		o.change("disable NAME", "Let a user in no longer; tokens and streams end at once", cobra.ExactArgs(1), "%s is disabled", disable(true)),
		o.change("enable NAME", "Let a disabled user in again", cobra.ExactArgs(1), "%s is enabled", disable(false)),
	)
}

// addUser adds a user, with a link to begin with or with a password.
func (o *operator) addUser() *cobra.Command {
	var (
		role      string
		fromStdin bool
	)
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user, and print a link to sign in with",
		Long: "Add a user. What is printed is a link with which the user signs in, once, within 24 hours, and chooses a password.\n" +
			"With --password-stdin the user has the password that is the first line of standard input, and no link is made.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !fromStdin {
				return o.printUserLink(cmd, args[0], role)
			}
			password, err := readPassword(cmd.InOrStdin())
			if err != nil {
				return err
			}
			err = o.run(cmd.Context(), func(c *deskClient) error {
				return c.do(cmd.Context(), "POST", []string{"users", args[0]}, map[string]string{"password": password, "role": role}, nil)
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s can sign in\n", args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&role, "role", string(auth.RoleMember), "member or admin")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read a password from standard input, instead of making a link")
	return cmd
}

// linkCommand makes a link for a user who is there.
func (o *operator) linkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "link NAME",
		Short: "Print a link with which a user who has forgotten the password signs in, once",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return o.printUserLink(cmd, args[0], "") },
	}
}

// printUserLink makes a link for a user. With a role, it makes the user, too.
func (o *operator) printUserLink(cmd *cobra.Command, name, role string) error {
	var made linkInfo
	err := o.run(cmd.Context(), func(c *deskClient) error {
		return c.do(cmd.Context(), "POST", []string{"users", name, "link"}, map[string]string{"role": role}, &made)
	})
	if err != nil {
		return err
	}
	return printLink(cmd, fmt.Sprintf("With this link %s signs in, once, within 24 hours.", name), made)
}

// setPassword changes a password: to one line of standard input, or to one that
// is made up and printed.
func (o *operator) setPassword() *cobra.Command {
	var fromStdin bool
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Change a user's password; tokens and streams end",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password := auth.GeneratePassword()
			if fromStdin {
				var err error
				if password, err = readPassword(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			err := o.run(cmd.Context(), func(c *deskClient) error {
				return c.do(cmd.Context(), "PUT", []string{"users", args[0], "password"}, map[string]string{"password": password}, nil)
			})
			if err != nil || fromStdin {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The password of %s, shown only now: %s\n", args[0], password)
			return err
		},
	}
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input, instead of making one up")
	return cmd
}

// readPassword reads a line, as it is.
func readPassword(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 4<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func roomCommand(env environment) *cobra.Command {
	o := &operator{env: env}
	list := &cobra.Command{Use: "list", Short: "List rooms, also private ones", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var rooms []hub.Room
		err := o.run(cmd.Context(), func(c *deskClient) error {
			return c.do(cmd.Context(), "GET", []string{"rooms"}, nil, &rooms)
		})
		if err != nil {
			return err
		}
		return printList(o, cmd.OutOrStdout(), rooms, "ROOM\tKIND\tMEMBERS\tTOPIC", func(r hub.Room) []any {
			return []any{r.Name, r.Kind, strings.Join(r.Members, " "), r.Topic}
		})
	}}
	list.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return o.command("room", "Manage rooms and their members", list,
		o.change("add ROOM NAME", "Add a member to a private room", cobra.ExactArgs(2), "%[2]s is a member of %[1]s",
			func(ctx context.Context, c *deskClient, args []string) error {
				return c.do(ctx, "PUT", []string{"rooms", args[0], "members", args[1]}, nil, nil)
			}),
		o.change("remove ROOM NAME", "Remove a member of a private room", cobra.ExactArgs(2), "%[2]s is no member of %[1]s",
			func(ctx context.Context, c *deskClient, args []string) error {
				return c.do(ctx, "DELETE", []string{"rooms", args[0], "members", args[1]}, nil, nil)
			}),
	)
}

// printList writes a list as JSON, or as a table.
func printList[T any](o *operator, w io.Writer, all []T, head string, row func(T) []any) error {
	if o.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(append([]T{}, all...)) // of nothing, too, it is a list
	}
	return printTable(w, all, head, row)
}

// printTable writes a list as a table, whose cells are what others may have
// written.
func printTable[T any](w io.Writer, all []T, head string, row func(T) []any) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, head) // the table keeps the error until Flush
	for _, item := range all {
		cells := row(item)
		line := make([]string, len(cells))
		for i, c := range cells {
			line[i] = terminal.Line(fmt.Sprint(c))
		}
		_, _ = fmt.Fprintln(table, strings.Join(line, "\t"))
	}
	return table.Flush()
}
