package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"wigwag/client"
	"wigwag/hub"
)

func notifyCommand(env environment) *cobra.Command {
	t := &talker{env: env}
	var (
		notice   client.Notice
		progress int
	)
	cmd := t.command("notify [TEXT...]", "Send a notification",
		"Send a notification to a user, or to everybody, and print its ID. Without TEXT, or with -, the text is standard\n"+
			"input. One with the same --key as an earlier one of yours takes its place where it is shown.",
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) (err error) {
			if cmd.Flags().Changed("progress") {
				if progress < 0 || progress > 100 {
					return usagef("--progress is %d; it is 0 to 100", progress)
				}
				notice.Progress = &progress
			}
			if notice.Message, err = text(cmd, args); err != nil {
				return err
			}
			return t.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				n, err := c.Notify(ctx, notice)
				if err != nil {
					return err
				}
				return t.print(cmd.OutOrStdout(), n.ID, n)
			})
		})
	cmd.Flags().StringVar(&notice.To, "to", "", "who is to get it (default: everybody)")
	cmd.Flags().Var(oneOf(&notice.Level, "info", "info", "success", "warning", "error"), "level", "info, success, warning or error")
	cmd.Flags().StringVar(&notice.Title, "title", "", "a line above the text")
	cmd.Flags().IntVar(&progress, "progress", 0, "how far it is, 0 to 100")
	cmd.Flags().StringVar(&notice.Key, "key", "", "what it is about: it takes the place of an earlier one with the same key")
	cmd.Flags().BoolVar(&t.json, "json", false, "print the notification as a line of JSON")
	t.completeFlag(cmd, "to", userNames)
	completeValues(cmd, "level", "info", "success", "warning", "error")
	return cmd
}

func logCommand(env environment) *cobra.Command {
	t := &talker{env: env}
	var (
		line   client.Line
		fields []string
	)
	cmd := t.command("log [TEXT...]", "Write log lines",
		"Write a line to the server's log of what agents and programs do, which wigwag tail --types log shows. Without TEXT,\n"+
			"or with -, every line of standard input is one; empty lines are left out, and one of more than 8,192 bytes becomes\n"+
			"several. Each is there once before the next is read. It prints nothing unless it is asked to.",
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
			var err error
			if line.Fields, err = parseFields(fields); err != nil {
				return err
			}
			return t.run(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				write := func(said string) error {
					ctx, cancel := t.within(ctx)
					defer cancel()
					l := line
					l.Message = said
					written, err := c.WriteLog(ctx, l)
					if err != nil || !t.json {
						return err
					}
					return printJSON(cmd.OutOrStdout(), written)
				}
				if fromStdin(args) {
					return eachLine(stdin(ctx, cmd.InOrStdin()), hub.MaxNotice, write)
				}
				return write(strings.Join(args, " "))
			})
		})
	cmd.Flags().Var(oneOf(&line.Level, "info", "debug", "info", "warn", "error"), "level", "debug, info, warn or error")
	cmd.Flags().StringVar(&line.Logger, "logger", "", "what writes it, such as the name of a program")
	cmd.Flags().StringArrayVar(&fields, "field", nil, "a further fact as NAME=VALUE; may be repeated")
	cmd.Flags().BoolVar(&t.json, "json", false, "print what was written as lines of JSON")
	completeValues(cmd, "level", "debug", "info", "warn", "error")
	return cmd
}

func parseFields(given []string) (map[string]any, error) {
	fields := make(map[string]any, len(given))
	for _, f := range given {
		name, value, ok := strings.Cut(f, "=")
		if _, twice := fields[name]; !ok || name == "" || twice {
			return nil, usagef("--field is %q; it is NAME=VALUE, each NAME once", f)
		}
		fields[name] = value
	}
	return fields, nil
}

// eachLine calls fn with every line that holds something, in parts of at most so
// many bytes.
func eachLine(in io.Reader, most int, fn func(string) error) error {
	for part, err := range lines(in, most) {
		switch {
		case err != nil:
			return err
		case strings.TrimSpace(part) == "":
			continue
		}
		if err := fn(part); err != nil {
			return err
		}
	}
	return nil
}

// lines are those of a text, without their ends. One of more than so many bytes
// comes in parts, none of which ends within a character.
func lines(in io.Reader, most int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		r := bufio.NewReaderSize(in, most-utf8.UTFMax)
		rest := "" // of a character
		for {
			read, isPart, err := r.ReadLine()
			part := rest + string(read)
			if rest = ""; isPart {
				whole := wholeCharacters(part)
				part, rest = part[:whole], part[whole:]
			}
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield("", err)
				return
			case !yield(part, nil):
				return
			}
		}
	}
}

// wholeCharacters is how much of s does not end within a character.
func wholeCharacters(s string) int {
	for back := 1; back < utf8.UTFMax && back <= len(s); back++ {
		if c := s[len(s)-back]; utf8.RuneStart(c) {
			if !utf8.FullRuneInString(s[len(s)-back:]) {
				return len(s) - back
			}
			break
		}
	}
	return len(s)
}
