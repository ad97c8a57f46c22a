package tools

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/hub"
)

// posted is the result of write_log, and the greater part of that of notify.
type posted struct {
	ID        string     `json:"id"`
	Time      hub.Time   `json:"time"`
	Sender    hub.Sender `json:"sender"`
	Duplicate bool       `json:"duplicate"`
}

// notified is the result of notify.
type notified struct {
	posted
	To string `json:"to,omitempty"`
}

func (t *toolset) notify() server.ServerTool {
	def := define("notify", "Notify people",
		"Show one person, or everybody if you give no `to`, a short note that asks for no answer: something is done, has failed, is so far along. "+
			"With a key it takes the place of your earlier one with that key, so that progress moves and does not pile up. To talk use send_message.",
		hints{openWorld: true},
		mcp.WithString("to", mcp.Description("Name of a person. Default: everybody."), mcp.Pattern(namePattern)),
		withLevel(hub.LevelInfo, hub.LevelSuccess, hub.LevelWarning, hub.LevelError),
		withNotice(),
		mcp.WithString("title", mcp.Description("A heading: one line, at most 256 bytes."), mcp.MaxLength(256)),
		mcp.WithInteger("progress", mcp.Description("How much is done, in percent."), mcp.Min(0), mcp.Max(100)),
		mcp.WithString("key", mcp.Description("Your own name for what this is about, such as build-42; ASCII. The same for all that replace each other."), mcp.MaxLength(128)),
		withKey(),
		withPosted(map[string]any{"to": text("Whom it is for; everybody if it is missing.")}),
	)
	return t.tool(def, func(ctx context.Context, c call) (answer, error) {
		draft := hub.NotificationDraft{
			To:             c.args.text("to"),
			Level:          oneOf(c.args, "level", hub.LevelInfo, hub.LevelSuccess, hub.LevelWarning, hub.LevelError),
			Message:        c.args.required("message"),
			Title:          c.args.text("title"),
			Progress:       c.args.optional("progress", 0, 100),
			Key:            c.args.text("key"),
			Tool:           def.Name,
			IdempotencyKey: c.args.text("idempotency_key"),
		}
		if err := c.args.err(); err != nil {
			return answer{}, err
		}
		n, duplicate, err := t.hub.Notify(ctx, c.actor, draft)
		if err != nil {
			return answer{}, err
		}
		r := notified{posted{n.ID, n.Time, n.Sender, duplicate}, n.To}
		done, to := "Everybody is notified.", ""
		if r.To != "" {
			done, to = "Notified.", "to: "+r.To+"\n"
		}
		return answer{doneText(done, duplicate) + to + r.text(), r}, nil
	})
}

func (t *toolset) writeLog() server.ServerTool {
	def := define("write_log", "Write a log line",
		"Write a line to the log that everybody here can follow: what you do, step by step, for those who want to look. "+
			"Write no secrets. For what somebody should notice use notify.",
		hints{openWorld: true},
		withLevel(hub.LineDebug, hub.LineInfo, hub.LineWarn, hub.LineError),
		withNotice(),
		mcp.WithString("logger", mcp.Description("What the line is about or comes from, such as build: one line, at most 64 bytes."), mcp.MaxLength(64)),
		mcp.WithObject("fields", mcp.Description(`Details as names and values, such as {"file": "a.go", "errors": 2}; at most 8,192 bytes of JSON, 8 levels deep.`),
			mcp.AdditionalProperties(true)),
		withKey(),
		withPosted(nil),
	)
	return t.tool(def, func(ctx context.Context, c call) (answer, error) {
		draft := hub.LineDraft{
			Level:          oneOf(c.args, "level", hub.LineDebug, hub.LineInfo, hub.LineWarn, hub.LineError),
			Message:        c.args.required("message"),
			Logger:         c.args.text("logger"),
			Fields:         c.args.object("fields"),
			Tool:           def.Name,
			IdempotencyKey: c.args.text("idempotency_key"),
		}
		if err := c.args.err(); err != nil {
			return answer{}, err
		}
		line, duplicate, err := t.hub.WriteLog(ctx, c.actor, draft)
		if err != nil {
			return answer{}, err
		}
		r := posted{line.ID, line.Time, line.Sender, duplicate}
		return answer{doneText("Written.", duplicate) + r.text(), r}, nil
	})
}

func (p posted) text() string {
	return fmt.Sprintf("id: %s\ntime: %s\nsender: %s\nduplicate: %t", p.ID, p.Time, senderText(p.Sender), p.Duplicate)
}

// doneText is the first line of a result: what was done, by this call or by an
// earlier one.
func doneText(done string, duplicate bool) string {
	if duplicate {
		done = "An earlier call with this idempotency_key had already done it; this is its answer."
	}
	return done + "\n"
}

// senderText is who did something, in the text of a result.
func senderText(s hub.Sender) string {
	var b strings.Builder
	b.WriteString(s.Name)
	if s.Via != "" {
		fmt.Fprintf(&b, " via %q", s.Via)
	}
	return b.String()
}
