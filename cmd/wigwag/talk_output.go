package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"wigwag/client"
	"wigwag/terminal"
)

// output shows events.
type output struct {
	out, errOut io.Writer
	json        bool
	style       lineStyle
	shown       int // events
	// On a terminal, whose last line is what is being written; else nil.
	terminal *os.File
	screen   *terminal.Screen
}

func newOutput(cmd *cobra.Command, asJSON, colour bool) *output {
	return &output{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), json: asJSON, style: lineStyle{colour: colour, zone: time.Local}}
}

func (o *output) show(ev client.Event) error {
	if said := trouble(ev); said != "" {
		if err := o.draw(nil, ""); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(o.errOut, "wigwag: %s\n", said)
	}
	if ev.Message == nil && ev.Partial == nil && ev.Notification == nil && ev.Line == nil && ev.Presence == nil && ev.Typing == nil {
		if named, ok := eventJSON(ev); ok && o.json {
			return printJSON(o.out, named)
		}
		return nil
	}
	if p := ev.Partial; p != nil && o.screen != nil {
		if p.IsComplete && !p.Cancelled {
			return o.draw(nil, "")
		}
		return o.draw(nil, o.latest(ev))
	}
	o.shown++
	if o.json {
		named, _ := eventJSON(ev)
		return printJSON(o.out, named)
	}
	if o.screen != nil {
		o.style.columns, _ = terminal.Size(o.terminal)
	}
	return o.draw(o.style.event(ev, time.Now()), "")
}

// printJSON prints a line of JSON. What steers a terminal, or is not seen, is
// there as an escape: it is the same JSON, and harmless.
func printJSON(w io.Writer, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	var line strings.Builder
	for _, c := range strings.TrimSuffix(text.String(), "\n") {
		switch {
		case unicode.IsPrint(c):
			line.WriteRune(c)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			fmt.Fprintf(&line, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&line, `\u%04x`, c)
		}
	}
	_, err := io.WriteString(w, line.String()+"\n")
	return err
}

// latest is the end of a text that is being written, as one line.
func (o *output) latest(ev client.Event) string {
	columns, _ := terminal.Size(o.terminal)
	style := o.style
	style.columns = max(2, columns-1)
	lines := style.event(client.Event{Partial: ending(ev.Partial, columns)}, time.Now())
	return lines[len(lines)-1]
}

// draw writes lines, and the live one below them.
func (o *output) draw(lines []string, live string) error {
	if o.screen == nil {
		if len(lines) == 0 {
			return nil
		}
		_, err := io.WriteString(o.out, strings.Join(lines, "\n")+"\n")
		return err
	}
	columns, _ := terminal.Size(o.terminal)
	f := terminal.Frame{Above: lines}
	if live != "" {
		f.Live = []string{live}
	}
	return o.screen.Draw(f, columns)
}

// close leaves the terminal without the live line.
func (o *output) close() { _ = o.draw(nil, "") } // where it fails nobody looks any more
