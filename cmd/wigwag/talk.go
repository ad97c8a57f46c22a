package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"wigwag/client"
	"wigwag/hub"
)

// talker are the settings of the commands that talk to a server as a user.
type talker struct {
	env     environment
	server  string
	timeout time.Duration
	json    bool
	target  client.Target
	notes   io.Writer // where it is told that the server does not answer; nil: nowhere
}

// command makes such a command.
func (t *talker) command(use, short, long string, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			t.notes = cmd.ErrOrStderr()
			return run(cmd, args)
		},
		Long: long + "\n\n" +
			"It goes to the server you are signed in to (wigwag login URL). Without a sign-in, WIGWAG_SERVER and WIGWAG_TOKEN\n" +
			"(or WIGWAG_TOKEN_FILE) name the server and hold a token; with --auth=none the server alone is enough.\n\n" + exitCodes,
	}
	cmd.Flags().StringVar(&t.server, "server", "", "the server (default: $WIGWAG_SERVER, or the only one you are signed in to)")
	cmd.Flags().DurationVar(&t.timeout, "timeout", 30*time.Second, "how long to try to reach the server; 0 is forever")
	return cmd
}

// aimed gives a command the flags that say where a message goes.
func (t *talker) aimed(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&t.target.Room, "room", "", "the room (default: general)")
	cmd.Flags().StringVar(&t.target.To, "to", "", "a user, in place of a room")
	t.completeFlag(cmd, "room", roomNames)
	t.completeFlag(cmd, "to", userNames)
	return cmd
}

// account returns the server that is meant, and what returns a token for it,
// which is nil where there is none.
func (t *talker) account() (server string, token func(context.Context) (string, error), err error) {
	named := t.server
	if named == "" {
		if named, _, err = t.env.lookup("WIGWAG_SERVER"); err != nil {
			return "", nil, usageError{err}
		}
	}
	given, _, err := t.env.lookup("WIGWAG_TOKEN")
	if err != nil {
		return "", nil, usageError{err}
	}
	if given != "" {
		if named == "" {
			return "", nil, usagef("WIGWAG_TOKEN is set: say which server it is for with WIGWAG_SERVER or --server")
		}
		server, err = serverOrigin(named)
		return server, func(context.Context) (string, error) { return given, nil }, err
	}
	kept, err := newLogins(t.env)
	if err != nil {
		return "", nil, err
	}
	server, err = kept.choose(named)
	if _, signedOut := errors.AsType[signedOutError](err); signedOut && named != "" {
		server, err = serverOrigin(named) // which may want no sign-in; if it does, it says so
		return server, nil, err
	}
	return server, newRemote(server, kept).bearer, err
}

// bearer is token for package client, which is told what may pass.
func (r *remote) bearer(ctx context.Context) (string, error) {
	token, err := r.token(ctx)
	_, ended := errors.AsType[signedOutError](err)
	if refused, ok := errors.AsType[*refusedError](err); ok && !ended {
		return "", &client.Error{Status: refused.status, Detail: refused.why}
	}
	return token, err
}

// dial returns a client of the server that is meant, and the server's name.
func (t *talker) dial() (*client.Client, string, error) {
	if t.target.Room != "" && t.target.To != "" {
		return nil, "", usagef("a room and a user (--to) are given; give one of them")
	}
	server, token, err := t.account()
	if err != nil {
		return nil, "", err
	}
	return client.New(client.Options{Server: server, Token: token, Retrying: t.retrying(server)}), server, nil
}

// retrying says, once, that the server does not answer, when it has not done so
// twice in a row: who waits wants to know what for.
func (t *talker) retrying(server string) func(error) {
	var failures atomic.Int32
	return func(err error) {
		if t.notes == nil || failures.Add(1) != 2 {
			return
		}
		within := "until you end it"
		if t.timeout > 0 {
			within = fmt.Sprintf("for %v in all (--timeout)", t.timeout)
		}
		_, _ = fmt.Fprintf(t.notes, "wigwag: %s: %v; trying again, %s\n", server, cleanError{err}, within)
	}
}

// run calls fn with a client, for as long as it takes, and says of its error
// what can be done about it.
func (t *talker) run(ctx context.Context, fn func(context.Context, *client.Client) error) error {
	c, server, err := t.dial()
	if err != nil {
		return err
	}
	return explain(ctx, server, fn(ctx, c))
}

// call is run for what is done within the time that there is.
func (t *talker) call(ctx context.Context, fn func(context.Context, *client.Client) error) error {
	return t.run(ctx, func(ctx context.Context, c *client.Client) error {
		ctx, cancel := t.within(ctx)
		defer cancel()
		return fn(ctx, c)
	})
}

// within bounds the time for what is done until cancel is called.
func (t *talker) within(ctx context.Context) (_ context.Context, cancel func()) {
	if t.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, t.timeout, t.gaveUp())
}

func (t *talker) gaveUp() error { return fmt.Errorf("%w after %v", errGaveUp, t.timeout) }

// reaching bounds the time until reached is called.
func (t *talker) reaching(ctx context.Context) (_ context.Context, reached, cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	if t.timeout <= 0 {
		return ctx, func() {}, func() { end(nil) }
	}
	timer := time.AfterFunc(t.timeout, func() { end(t.gaveUp()) })
	return ctx, func() { timer.Stop() }, func() { timer.Stop(); end(nil) }
}

// explain says which server it was, and what can be done about it.
func explain(ctx context.Context, server string, err error) error {
	refused, ok := errors.AsType[*client.Error](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w (%w)", errInterrupted, err)
	case errors.Is(err, errGaveUp), errors.Is(err, client.ErrInterrupted):
		return fmt.Errorf("%s cannot be reached, or went away: %w", server, err)
	case ok && refused.Status == http.StatusUnauthorized:
		return fmt.Errorf("%s answers %w\nSign in: wigwag login %s", server, cleanError{err}, server)
	case ok && refused.Status == http.StatusForbidden:
		return fmt.Errorf("%s answers %w\nSign in again, and allow more of it in the browser, or take a token for it: wigwag login %s", server, cleanError{err}, server)
	case ok:
		return fmt.Errorf("%s answers %w", server, cleanError{err})
	}
	return err
}

// cleanError is an error that quotes somebody else.
type cleanError struct{ error }

func (e cleanError) Error() string { return oneLine(e.error.Error()) }
func (e cleanError) Unwrap() error { return e.error }

// text is what arguments say, or else standard input, without the end of its
// last line.
func text(cmd *cobra.Command, args []string) (string, error) {
	if !fromStdin(args) {
		return strings.Join(args, " "), nil
	}
	read, err := io.ReadAll(io.LimitReader(stdin(cmd.Context(), cmd.InOrStdin()), hub.MaxText+3))
	if cmd.Context().Err() != nil {
		return "", errInterrupted
	}
	if err != nil {
		return "", err
	}
	said := strings.TrimRight(string(read), "\r\n")
	switch {
	case said == "":
		return "", usagef("there is no text: give it as arguments or on standard input")
	case len(said) > hub.MaxText:
		return "", usagef("standard input is longer than one message may be (%d bytes): wigwag stream makes several of it", hub.MaxText)
	}
	return said, nil
}

// stdin is standard input until ctx ends: a read of a terminal or a pipe does not
// end by itself.
func stdin(ctx context.Context, in io.Reader) io.Reader {
	r, w := io.Pipe()
	go func() { // ends with the input, or else with the process
		_, err := io.Copy(w, in)
		w.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	return r
}

// fromStdin tells that the text is not among the arguments.
func fromStdin(args []string) bool { return len(args) == 0 || len(args) == 1 && args[0] == "-" }
