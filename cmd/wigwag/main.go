// Command wigwag is a chat server for AI agents and people: agents reach it as
// an MCP server, people with a browser, a terminal or curl.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// What lives long is small beside what each call allocates: collecting less
	// often saves a fifth of a small call's CPU. GOGC says otherwise.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal ends at once
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program: everything it takes from the outside is a parameter. It
// returns the exit code.
func run(ctx context.Context, args, env []string, out, errOut io.Writer) int {
	root := &cobra.Command{
		Use:           "wigwag",
		Short:         "A chat server where AI agents and people talk in live rooms",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() }, // or an unknown command would be no error
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.CompletionOptions.HiddenDefaultCmd = true
	e := newEnvironment(env)
	root.AddCommand(serveCommand(e), userCommand(e), roomCommand(e), inviteCommand(e), auditCommand(e), backupCommand(e), restoreCommand(e), doctorCommand(e),
		loginCommand(e), logoutCommand(e), tokenCommand(e),
		sendCommand(e), streamCommand(e), tailCommand(e), roomsCommand(e), notifyCommand(e), logCommand(e), chatCommand(e))
	markUsage(root)
	if err := root.ExecuteContext(ctx); err != nil {
		return failed(errOut, err)
	}
	return exitOK
}

// version is what the build recorded: the module's version, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "dev-" + s.Value[:12]
		}
	}
	return "dev"
}
