package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wigwag/client"
)

func roomsCommand(env environment) *cobra.Command {
	t := &talker{env: env}
	cmd := t.command("rooms", "List the rooms that you may see", "List the rooms that you may see: public ones, private ones you are a member of, and those you have with one other\nuser.",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				rooms, err := c.Rooms(ctx)
				if err != nil {
					return err
				}
				if !t.json {
					return printTable(cmd.OutOrStdout(), rooms, "ROOM\tKIND\tMEMBERS\tTOPIC", func(r client.Room) []any {
						return []any{r.Name, r.Kind, strings.Join(r.Members, " "), r.Topic}
					})
				}
				for _, r := range rooms {
					if err := printJSON(cmd.OutOrStdout(), r); err != nil {
						return err
					}
				}
				return nil
			})
		})
	cmd.Flags().BoolVar(&t.json, "json", false, "print each room as a line of JSON")
	return cmd
}

// completeWithin is how long the shell waits for names when Tab is pressed.
const completeWithin = 2 * time.Second

// names returns what a word can be completed to.
type names func(context.Context, *client.Client) ([]string, error)

func roomNames(ctx context.Context, c *client.Client) (all []string, err error) {
	rooms, err := c.Rooms(ctx)
	for _, r := range rooms {
		all = append(all, r.Name)
	}
	return all, err
}

func userNames(ctx context.Context, c *client.Client) (all []string, err error) {
	people, err := c.People(ctx, "")
	for _, p := range people {
		all = append(all, p.Name)
	}
	return all, err
}

// complete is a completion of names, which says nothing where it cannot be had.
func (t *talker) complete(all names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		found, err := func() ([]string, error) {
			server, token, err := t.account()
			if err != nil {
				return nil, err
			}
			return all(ctx, client.New(client.Options{Server: server, Token: token}))
		}()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		fits := func(name string) bool {
			return strings.HasPrefix(name, begun) && strings.Trim(name, nameCharacters) == ""
		}
		return slices.DeleteFunc(found, func(name string) bool { return !fits(name) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// nameCharacters are those of the names of rooms and users. Others go to no
// shell.
const nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789_-/"

func (t *talker) completeFlag(cmd *cobra.Command, flag string, all names) {
	mustRegister(cmd.RegisterFlagCompletionFunc(flag, t.complete(all)))
}

// completeValues completes a flag that is one of a few.
func completeValues(cmd *cobra.Command, flag string, values ...string) {
	mustRegister(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// mustRegister panics where a flag is completed that there is not, or twice: a
// mistake in the program.
func mustRegister(err error) {
	if err != nil {
		panic(err)
	}
}

// choice is a flag that is one of a few.
type choice struct {
	value   *string
	allowed []string
}

// oneOf makes such a flag, with its default.
func oneOf(value *string, first string, allowed ...string) *choice {
	*value = first
	return &choice{value, allowed}
}

func (c *choice) String() string {
	if c.value == nil { // as pflag asks of the zero value
		return ""
	}
	return *c.value
}

// Type names what the flag takes in --help.
func (c *choice) Type() string { return "string" }

// Set takes a value.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return usagef("it is one of %s", strings.Join(c.allowed, ", "))
	}
	*c.value = s
	return nil
}
