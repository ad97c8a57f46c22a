package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wigwag/client"
	"wigwag/terminal"
)

// tailing are the settings of wigwag tail.
type tailing struct {
	talker
	rooms    []string
	types    []string
	since    string
	logLevel string
	color    string
	last     int
	count    int
	noFollow bool
}

func tailCommand(env environment) *cobra.Command {
	t := &tailing{talker: talker{env: env}}
	cmd := t.command("tail", "Show what is said, as it is said",
		"Show messages and notifications as they come, over connections that break, each once and in order. In a pipe an\n"+
			"event is one line; on a terminal, texts that are still being written are shown in the last line.\n\n"+
			"What would steer the terminal is taken out of what others wrote; with --json it is there as escapes.",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return t.tail(cmd) })
	f := cmd.Flags()
	f.StringSliceVar(&t.rooms, "room", nil, "only this room; may be repeated (default: all that you may see, and notifications)")
	f.StringVar(&t.target.To, "to", "", "only what you and this user write to each other")
	f.StringVar(&t.since, "since", "", `begin with what was said before: a duration such as 10m, a time such as 2026-01-31T08:00:00Z, the ID of the message to go on from, or "all"`)
	f.IntVarP(&t.last, "last", "n", 0, "begin with the last so many messages, at most 100")
	f.IntVar(&t.count, "count", 0, "end after so many events (default: never)")
	f.BoolVar(&t.noFollow, "no-follow", false, "end after the messages of --last")
	f.StringSliceVar(&t.types, "types", nil, "what to show, of "+strings.Join(eventTypes, ", "))
	f.Var(oneOf(&t.logLevel, "", "debug", "info", "warn", "error"), "log-level", "the lowest level of log lines (default: info)")
	f.BoolVar(&t.json, "json", false, `print each event as a line of JSON, {"event":"message","data":{...}}`)
	f.Var(oneOf(&t.color, "auto", "auto", "always", "never"), "color", "auto (on a terminal, without NO_COLOR), always or never")
	t.completeFlag(cmd, "room", roomNames)
	t.completeFlag(cmd, "to", userNames)
	completeValues(cmd, "types", eventTypes...)
	completeValues(cmd, "log-level", "debug", "info", "warn", "error")
	completeValues(cmd, "color", "auto", "always", "never")
	return cmd
}

// eventTypes are what a listener can ask for.
var eventTypes = []string{"message", "partial-message", "notification", "log", "presence", "typing"}

func (t *tailing) tail(cmd *cobra.Command) error {
	options, err := t.options(time.Now())
	if err != nil {
		return err
	}
	out := newOutput(cmd, t.json, colours(t.color, t.env, cmd.OutOrStdout()))
	if f, ok := out.out.(*os.File); ok && terminal.Is(f) && !t.json && t.env["TERM"] != "dumb" {
		out.terminal, out.screen = f, terminal.NewScreen(f)
		if len(t.types) == 0 {
			options.Types = append(options.Types, "partial-message")
		}
	}
	return t.run(cmd.Context(), func(ctx context.Context, c *client.Client) error {
		ctx, reached, cancel := t.reaching(ctx)
		defer cancel()
		defer out.close()
		if t.target.To != "" {
			room, err := roomOf(ctx, c, t.target)
			if err != nil {
				return err
			}
			options.Rooms = []string{room}
		}
		shown := map[string]bool{}
		if t.last > 0 {
			recent, after, err := lastMessages(ctx, c, options.Rooms, t.last)
			if err != nil {
				return err
			}
			options.After = after
			for _, m := range recent {
				shown[m.ID] = true
				if err := out.show(client.Event{Message: &m}); err != nil || t.ended(out) {
					return err
				}
			}
			if t.noFollow {
				return nil
			}
		}
		for ev, err := range c.Listen(ctx, options) {
			if err != nil {
				return err
			}
			if s := ev.State; s != nil && s.State == client.Connected {
				reached()
			}
			if m := ev.Message; m != nil && shown[m.ID] {
				continue
			}
			if err := out.show(ev); err != nil || t.ended(out) {
				return err
			}
		}
		return context.Cause(ctx)
	})
}

func (t *tailing) ended(out *output) bool { return t.count > 0 && out.shown >= t.count }

// options are what the flags ask to listen to, but for what only the server
// knows.
func (t *tailing) options(now time.Time) (o client.ListenOptions, err error) {
	o = client.ListenOptions{Rooms: t.rooms, Types: t.types, LogLevel: t.logLevel}
	switch {
	case t.target.To != "" && len(t.rooms) > 0:
		return o, usagef("--room and --to are given; give one of them")
	case t.last < 0 || t.last > maxLast:
		return o, usagef("--last is %d; it is at most %d", t.last, maxLast)
	case t.last > 0 && t.since != "":
		return o, usagef("--last and --since are given; give one of them")
	case t.noFollow && t.last == 0:
		return o, usagef("--no-follow needs --last, which says what to show then")
	case t.count < 0:
		return o, usagef("--count is %d; it is more than 0", t.count)
	case len(t.types) == 0 && (t.target.To != "" || len(t.rooms) > 0):
		o.Types = []string{"message"}
	case len(t.types) == 0:
		o.Types = []string{"message", "notification"}
	}
	if t.logLevel != "" && !slices.Contains(o.Types, "log") {
		return o, usagef("--log-level is of log lines, which are shown with --types log")
	}
	for _, name := range o.Types {
		if !slices.Contains(eventTypes, name) {
			return o, usagef("--types is %q; it is of %s", name, strings.Join(eventTypes, ", "))
		}
	}
	o.Since, o.After, err = begin(t.since, now)
	return o, err
}

// begin reads where to begin: a moment, or a cursor.
func begin(since string, now time.Time) (at time.Time, after string, err error) {
	if since == "" {
		return at, "", nil
	}
	if since == "all" {
		return at, "0", nil
	}
	if d, err := time.ParseDuration(since); err == nil && d > 0 {
		return now.Add(-d), "", nil
	}
	for _, layout := range []string{time.RFC3339, dateOnly} {
		if at, err := time.ParseInLocation(layout, since, time.Local); err == nil {
			return at, "", nil
		}
	}
	if epoch, seq, ok := strings.Cut(since, "-"); ok && epoch != "" {
		if _, err := strconv.ParseUint(seq, 10, 64); err == nil {
			return at, since, nil
		}
	}
	return at, "", usagef(`--since is %q; it is a duration (10m), a time (2026-01-31T08:00:00Z), the ID of a message, or "all"`, since)
}

// roomOf is the name of a target's room.
func roomOf(ctx context.Context, c *client.Client, t client.Target) (string, error) {
	if t.To == "" {
		return cmp.Or(t.Room, "general"), nil
	}
	me, err := c.Session(ctx)
	if err != nil {
		return "", err
	}
	return "dm/" + min(me.Username, t.To) + "/" + max(me.Username, t.To), nil
}

// maxLast is how many messages tail and chat can begin with: a page of history.
const maxLast = 100

// lastMessages returns the last so many messages of some rooms, or of all, in
// order, and the cursor of what comes after them: some of them, too, may be
// given again there, but none is missing.
func lastMessages(ctx context.Context, c *client.Client, rooms []string, n int) (last []client.Message, after string, err error) {
	if len(rooms) == 0 {
		all, err := c.Rooms(ctx)
		if err != nil {
			return nil, "", err
		}
		// The newest of a room is no older than any other of it: more rooms than
		// messages are not needed.
		all = slices.DeleteFunc(all, func(r client.Room) bool { return r.Last == "" })
		slices.SortFunc(all, func(a, b client.Room) int { return sequence(b.Last) - sequence(a.Last) })
		for _, r := range all[:min(n, len(all))] {
			rooms = append(rooms, r.Name)
		}
		after = "0" // all that comes, where nothing has been said yet
		if len(all) > 0 {
			after = all[0].Last
		}
	}
	for _, room := range rooms {
		page, err := c.History(ctx, client.Target{Room: room}, client.HistoryQuery{Limit: n})
		if err != nil {
			return nil, "", err
		}
		last = append(last, page.Messages...)
		if after == "" { // what the first room has now: the others may have more by then
			after = page.Next
		}
	}
	slices.SortFunc(last, func(a, b client.Message) int { return sequence(a.ID) - sequence(b.ID) })
	return last[max(0, len(last)-n):], after, nil
}

// sequence is where a cursor is among those of the same server.
func sequence(cursor string) int {
	_, digits, _ := strings.Cut(cursor, "-")
	n, _ := strconv.Atoi(digits) // no cursor: before all
	return n
}
