package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"wigwag/store"
)

func doctorCommand(env environment) *cobra.Command {
	o := &operator{env: env}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the data folder, and change nothing in it",
		Long: "Check the data folder: whether a server runs on it, permissions, version, what is in it, free space and clock. A\n" +
			"server that runs is asked; otherwise a temporary copy is opened and read to its end. The exit code is 1 if a check\n" +
			"fails, and 0 otherwise, with warnings too.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.folder()
			if err != nil {
				return err
			}
			found := examine(cmd.Context(), dir)
			if err := o.printFindings(cmd.OutOrStdout(), found); err != nil {
				return err
			}
			if slices.ContainsFunc(found, func(f store.Finding) bool { return f.Level == store.LevelFail }) {
				return errors.New("something is wrong with the data folder")
			}
			return nil
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// examine makes all checks of a data folder.
func examine(ctx context.Context, dir string) []store.Finding {
	found, running := store.InspectFolder(dir)
	if slices.ContainsFunc(found, func(f store.Finding) bool { return f.Check != "permissions" && f.Level == store.LevelFail }) {
		return found
	}
	if !running {
		return append(found, store.InspectCopy(ctx, dir)...)
	}
	var inside []store.Finding
	if err := askDesk(dir, func(c *deskClient) error { return c.do(ctx, http.MethodGet, []string{"doctor"}, nil, &inside) }); err != nil {
		inside = []store.Finding{{Check: "server", Level: store.LevelFail, Text: err.Error(), Do: "look at what it logs; start it again"}}
	}
	return append(found, inside...)
}

func (o *operator) printFindings(w io.Writer, found []store.Finding) error {
	if o.json {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(found)
	}
	for _, f := range found {
		if _, err := fmt.Fprintf(w, "%-4s  %-12s %s\n", f.Level, f.Check, f.Text); err != nil {
			return err
		}
		if f.Do == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-4s  %-12s → %s\n", "", "", f.Do); err != nil {
			return err
		}
	}
	return nil
}
