package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"wigwag/auth"
)

func auditCommand(env environment) *cobra.Command {
	o := &operator{env: env}
	var since, user string
	cmd := o.command("audit", "Print who did what: sign-ins, tokens, consents, users and their roles, and refusals")
	cmd.Long = "Print the audit as lines of JSON, the oldest first, from the running server or, where none runs, from its folder.\n" +
		"It is for the server's own machine; administrators have GET /api/audit.\n\n" +
		"Of each event there is its time and action; who did it (actor; without one the operator, at the machine) and\n" +
		"with which app (client), on what (target), from which address (remote); and the outcome, \"ok\" or why not. There\n" +
		"are no secrets in it. When its 64 MiB are full the oldest events give way."
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		after, err := sinceTime(since, time.Now())
		if err != nil {
			return err
		}
		events, err := o.events(cmd.Context(), after)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetEscapeHTML(false)
		for _, e := range events {
			if user != "" && e.Actor != user && e.Target != user {
				continue
			}
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return nil
	}
	cmd.Flags().StringVar(&since, "since", "", "only what was since then: a time such as 2026-11-20T08:00:00Z, or how long ago, such as 24h")
	cmd.Flags().StringVar(&user, "user", "", "only what this user did, or what was done to this user")
	return cmd
}

// sinceTime reads a time, or how long before now it was; nothing is the zero
// time.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, form := range []string{time.RFC3339, dateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since is %q; it is a time such as 2026-11-20T08:00:00Z or 2026-11-20, or how long ago, such as 90m or 24h", text)
}

// events returns those since a time, in order. They are read from the end
// backwards.
func (o *operator) events(ctx context.Context, after time.Time) ([]auth.Event, error) {
	var pages [][]auth.Event
	err := o.run(ctx, func(c *deskClient) error {
		for before := uint64(0); ; {
			var page auditEvents
			if err := c.do(ctx, "GET", []string{"audit"}, auditPage{before}, &page); err != nil {
				return err
			}
			recent := slices.DeleteFunc(page.Events, func(e auth.Event) bool { return e.Time.Before(after) })
			pages = append(pages, recent)
			if before = page.Next; before == 0 || len(page.Events) > len(recent) {
				return nil
			}
		}
	})
	slices.Reverse(pages)
	return slices.Concat(pages...), err
}
