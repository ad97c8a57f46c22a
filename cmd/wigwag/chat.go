package main

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"wigwag/client"
	"wigwag/hub"
	"wigwag/terminal"
)

// atStart is how many messages a chat begins with.
const atStart = 20

// chatting are the settings of wigwag chat.
type chatting struct {
	talker
	color string
}

func chatCommand(env environment) *cobra.Command {
	t := &chatting{talker: talker{env: env}}
	cmd := t.command("chat [ROOM]", "Talk in a room",
		"Talk in a room (general, if none is named), or with a user (--to). What is said appears above the line that you\n"+
			"write, and grows there while it is being written. /help says what else can be done. Ctrl-D leaves once all is\n"+
			"sent, Ctrl-C at once, both with exit code 0.\n\n"+
			"Where standard input or output is no terminal, each line of standard input is a message, what arrives is printed\n"+
			"as by wigwag tail, and the end of input is the end, once the server has all of it.",
		cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				t.target.Room = args[0]
			}
			in, isIn := cmd.InOrStdin().(*os.File)
			out, isOut := cmd.OutOrStdout().(*os.File)
			if isIn && isOut && terminal.Is(in) && terminal.Is(out) && t.env["TERM"] != "dumb" {
				return t.onTerminal(cmd.Context(), in, out)
			}
			return t.inPipe(cmd)
		})
	cmd.ValidArgsFunction = t.complete(roomNames)
	cmd.Flags().StringVar(&t.target.To, "to", "", "a user to talk with, in place of a room")
	cmd.Flags().BoolVar(&t.json, "json", false, "not on a terminal: print each event as a line of JSON")
	cmd.Flags().Var(oneOf(&t.color, "auto", "auto", "always", "never"), "color", "auto (on a terminal, without NO_COLOR), always or never")
	t.completeFlag(cmd, "to", userNames)
	completeValues(cmd, "color", "auto", "always", "never")
	return cmd
}

// open goes to a target's room and returns its last messages.
func open(ctx context.Context, c *client.Client, t client.Target) (room string, last client.Page, err error) {
	if room, err = roomOf(ctx, c, t); err != nil {
		return "", last, err
	}
	last, err = c.History(ctx, client.Target{Room: room}, client.HistoryQuery{Limit: atStart})
	return room, last, err
}

// echoWithin is how long the end of a chat waits for one's own last message to
// come back, which all that was said before it has then, too.
const echoWithin = 5 * time.Second

// inPipe sends lines and prints what arrives.
func (t *chatting) inPipe(cmd *cobra.Command) error {
	out := newOutput(cmd, t.json, colours(t.color, t.env, cmd.OutOrStdout()))
	return t.run(cmd.Context(), func(ctx context.Context, c *client.Client) error {
		ctx, end := context.WithCancelCause(ctx)
		defer end(nil)
		room, page, err := t.openWithin(ctx, c, t.target)
		if err != nil {
			return err
		}
		printed := make(chan string, 1) // the ID of the newest message that was
		listened := make(chan error, 1)
		go func() { // ends with ctx
			err := printRoom(ctx, c, client.ListenOptions{Rooms: []string{room}, Types: []string{"message"}, After: page.Next}, out, printed)
			end(err)
			listened <- err
		}()
		last := ""
		err = eachLine(stdin(ctx, cmd.InOrStdin()), hub.MaxText, func(line string) error {
			ctx, cancel := t.within(ctx)
			defer cancel()
			m, err := c.Send(ctx, client.Target{Room: room}, client.Draft{Text: line})
			last = m.ID
			return err
		})
		if err == nil && last != "" {
			waitFor(ctx, printed, last)
		}
		end(nil)
		return cmp.Or(<-listened, err) // where listening failed, that ended the lines
	})
}

// openWithin is open in the time that there is.
func (t *talker) openWithin(ctx context.Context, c *client.Client, to client.Target) (room string, last client.Page, err error) {
	ctx, cancel := t.within(ctx)
	defer cancel()
	return open(ctx, c, to)
}

// printRoom prints what is said until ctx ends, and tells what it has printed.
func printRoom(ctx context.Context, c *client.Client, o client.ListenOptions, out *output, printed chan string) error {
	for ev, err := range c.Listen(ctx, o) {
		if err == nil {
			err = out.show(ev)
		}
		if err != nil {
			return err
		}
		if m := ev.Message; m != nil {
			select {
			case <-printed: // an older one
			default:
			}
			printed <- m.ID
		}
	}
	return nil
}

// waitFor waits until a message was printed, or has had its time.
func waitFor(ctx context.Context, printed <-chan string, id string) {
	ctx, cancel := context.WithTimeout(ctx, echoWithin)
	defer cancel()
	for {
		select {
		case newest := <-printed:
			if sequence(newest) >= sequence(id) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
