package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"

	"github.com/spf13/cobra"

	"wigwag/client"
)

// Exit codes. Commands that talk to no server know the first three.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitSignedOut   = 3
	exitRefused     = 4
	exitUnreachable = 5
	exitInterrupted = 130
)

// exitCodes is what --help says of them.
const exitCodes = "Exit codes: 0 done; 1 failed; 2 not called as it has to be; 3 not signed in; 4 refused (not allowed, not there, not\n" +
	"valid); 5 the server cannot be reached, or went away; 130 interrupted."

// usageError is a command that was not called as it has to be.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// signedOutError is a server at which nobody is signed in.
type signedOutError struct{ error }

func (e signedOutError) Unwrap() error { return e.error }

// toldError is one that the user has been told of already.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }

// Why a command has ended before it was done.
var (
	errInterrupted = errors.New("interrupted")
	errGaveUp      = errors.New("gave up")
)

// markUsage makes what is wrong with flags and arguments a [usageError].
func markUsage(cmd *cobra.Command) {
	help := func(cmd *cobra.Command, err error) error {
		if err == nil {
			return nil
		}
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	}
	cmd.SetFlagErrorFunc(help)
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return help(cmd, cmd.ValidateFlagGroups()) }
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return help(cmd, check(cmd, args)) }
	}
	for _, child := range cmd.Commands() {
		markUsage(child)
	}
}

// failed says what went wrong and returns the exit code of it. Who closed the
// pipe, or pressed Ctrl-C, need not be told.
func failed(errOut io.Writer, err error) int {
	code := exitCode(err)
	if _, told := errors.AsType[toldError](err); !told && code != exitInterrupted && !errors.Is(err, syscall.EPIPE) {
		_, _ = fmt.Fprintf(errOut, "wigwag: %v\n", err)
	}
	return code
}

func exitCode(err error) int {
	_, usage := errors.AsType[usageError](err)
	_, signedOut := errors.AsType[signedOutError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	answer, answered := errors.AsType[*client.Error](err)
	switch {
	case err == nil:
		return exitOK
	case usage:
		return exitUsage
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case signedOut, answered && answer.Status == http.StatusUnauthorized:
		return exitSignedOut
	case errors.Is(err, errGaveUp), errors.Is(err, client.ErrInterrupted), certificate:
		return exitUnreachable
	case answered && answer.Status >= 400 && answer.Status < 500 && answer.Status != http.StatusTooManyRequests:
		return exitRefused
	}
	return exitFailed
}
