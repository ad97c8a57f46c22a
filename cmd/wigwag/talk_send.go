package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"wigwag/client"
	"wigwag/terminal"
)

func sendCommand(env environment) *cobra.Command {
	t := &talker{env: env}
	var draft client.Draft
	cmd := t.aimed(t.command("send [TEXT...]", "Send a message",
		"Send a message to a room or a user and print its ID. Without TEXT, or with -, the text is standard input.\n"+
			"It is tried again until the server has it, and is stored once however often that was.",
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) (err error) {
			if draft.Text, err = text(cmd, args); err != nil {
				return err
			}
			return t.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				m, err := c.Send(ctx, t.target, draft)
				if err != nil {
					return err
				}
				return t.print(cmd.OutOrStdout(), m.ID, m)
			})
		}))
	cmd.Flags().StringVar(&draft.ReplyTo, "reply-to", "", "the ID of the message that this one answers")
	cmd.Flags().StringVar(&draft.Key, "key", "", "a key of your own: what is sent again with the same key within 24 hours is not stored again")
	cmd.Flags().BoolVar(&t.json, "json", false, "print the message as a line of JSON")
	return cmd
}

// print prints what was made: its ID, or all of it as a line of JSON.
func (t *talker) print(w io.Writer, id string, made any) error {
	if t.json {
		return printJSON(w, made)
	}
	_, err := fmt.Fprintln(w, oneLine(id))
	return err
}

func streamCommand(env environment) *cobra.Command {
	t := &talker{env: env}
	var tee bool
	cmd := t.aimed(t.command("stream [TEXT...]", "Send a text while it is being written",
		"Send standard input to a room or a user as it comes, which see it grow, and print the ID of the message that it is\n"+
			"in the end; a text longer than a message may be (65,536 bytes) becomes several. Words of TEXT are sent one after\n"+
			"another, as somebody writes.\n\n"+
			"  make 2>&1 | wigwag stream --room builds --tee\n\n"+
			"When the connection breaks, the room keeps what had arrived, marked as interrupted, and the exit code is 5. What\n"+
			"is left of standard input is still read, and copied with --tee, so that what writes it is not stopped.",
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
			if tee && t.json {
				return usagef("--tee and --json both write to standard output; give one of them")
			}
			in, ids := &source{}, cmd.OutOrStdout()
			switch {
			case !fromStdin(args):
				in.in = &words{ctx: cmd.Context(), left: strings.Join(args, " ")}
			case tee:
				in.in, ids = io.TeeReader(stdin(cmd.Context(), cmd.InOrStdin()), ids), io.Discard
			default:
				in.in = stdin(cmd.Context(), cmd.InOrStdin())
			}
			err := t.run(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				ctx, reached, cancel := t.reaching(ctx)
				defer cancel()
				in.first = reached
				s, err := c.Stream(ctx, t.target, in)
				for _, m := range s.Messages {
					err = cmp.Or(err, t.print(ids, m.ID, m))
				}
				return err
			})
			if _, wrong := errors.AsType[usageError](err); err == nil || wrong || cmd.Context().Err() != nil || !fromStdin(args) || terminal.Is(cmd.InOrStdin()) {
				return err
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "wigwag: %v\n", err) // now: the text may take long
			_, _ = io.Copy(io.Discard, in)                             // nothing can be done about what fails here
			return toldError{err}
		}))
	cmd.Flags().BoolVar(&tee, "tee", false, "copy standard input to standard output, in place of the IDs")
	cmd.Flags().BoolVar(&t.json, "json", false, "print the messages, without their text, as lines of JSON")
	return cmd
}

// source is a text on its way. What is read of it at the same time by a request
// that has failed, and by who reads the rest, keeps its order.
type source struct {
	first func() // called before the first Read

	mu sync.Mutex // held during a Read
	in io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first()
	return s.in.Read(p)
}

// words are those of a text, one at a time.
type words struct {
	ctx  context.Context //nolint:containedctx // of one command
	left string
}

// betweenWords is how long a writer takes for one.
const betweenWords = 100 * time.Millisecond

func (w *words) Read(p []byte) (int, error) {
	if w.left == "" {
		return 0, io.EOF
	}
	pause := time.NewTimer(betweenWords)
	defer pause.Stop()
	select {
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	case <-pause.C:
	}
	word, _, _ := strings.Cut(w.left, " ")
	n := copy(p, w.left[:min(len(word)+1, len(w.left))])
	w.left = w.left[n:]
	return n, nil
}
