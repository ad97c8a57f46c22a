package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"wigwag/store"
)

func restoreCommand(env environment) *cobra.Command {
	o := &operator{env: env}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data folder of a backup",
		Long: "Make a data folder of a backup, in a folder that is empty or does not exist yet: whole, or not at all. Then start\n" +
			"the server on it. Passwords, tokens and sessions are those of the backup, also such as were changed or ended since.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := o.folder()
			if err != nil {
				return err
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			tar, err := unzipped(file)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			b, err := store.Restore(cmd.Context(), dir, tar, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			return printBackup(cmd.OutOrStdout(), dir+" is", b)
		},
	}
	o.register(cmd)
	return cmd
}
