package tools

import (
	"context"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/hub"
)

const (
	maxParts      = 200
	longestStream = 30 * time.Second // from the first part to the last
)

// sent is the result of send_message.
type sent struct {
	ID        string     `json:"id"`
	Room      string     `json:"room"`
	Time      hub.Time   `json:"time"`
	Sender    hub.Sender `json:"sender"`
	Duplicate bool       `json:"duplicate"`
}

// streamed is the result of stream_message. It repeats the text, because some
// clients show no progress.
type streamed struct {
	sent
	StreamID string `json:"stream_id"`
	Parts    int    `json:"parts"`
	Message  string `json:"message"`
}

func (t *toolset) sendMessage() server.ServerTool {
	def := define("send_message", "Send a message",
		"Send a message to a room, or to one person with `to`. For long texts that others should see as they arrive use stream_message.",
		hints{openWorld: true},
		withTarget(), withText(),
		mcp.WithString("reply_to", mcp.Description("ID of the message in the same room that this one answers.")),
		withKey(),
		withSent(nil, nil),
	)
	return t.tool(def, func(ctx context.Context, c call) (answer, error) {
		draft := c.draft(def.Name)
		draft.ReplyTo = c.args.text("reply_to")
		if err := c.args.err(); err != nil {
			return answer{}, err
		}
		m, duplicate, err := t.hub.Send(ctx, c.actor, draft)
		if err != nil {
			return answer{}, err
		}
		c.caller.progress(ctx, 1, 1, "sent to "+m.Room, nil)
		s := newSent(m, duplicate)
		return answer{s.text(), s}, nil
	})
}

func (t *toolset) streamMessage() server.ServerTool {
	def := define("stream_message", "Send a message part by part",
		"Send a message that people see arrive word by word. It is stored once, when the last part is out; cancelled before that, nothing is stored. "+
			"You get every part as progress and the whole text in the result.",
		hints{openWorld: true},
		withTarget(), withText(),
		mcp.WithString("chunk_by", mcp.Description("What one part is. At most 200 parts are sent, so of a long text each holds several."),
			mcp.Enum(string(hub.Word), string(hub.Sentence), string(hub.Line)), mcp.DefaultString(string(hub.Word))),
		mcp.WithInteger("interval_ms", mcp.Description("Milliseconds from one part to the next; shortened so that all takes 30 s at most."),
			mcp.Min(0), mcp.Max(2000), mcp.DefaultNumber(40)),
		withKey(),
		withSent(map[string]any{
			"stream_id": text("On every part and on the stored message."),
			"parts":     integer("How many parts the text has."),
			"message":   text("The whole text."),
		}, []string{"stream_id", "parts", "message"}),
	)
	return t.tool(def, func(ctx context.Context, c call) (answer, error) {
		draft := c.draft(def.Name)
		by := hub.ChunkBy(c.args.choice("chunk_by", string(hub.Word), string(hub.Sentence), string(hub.Line)))
		interval := time.Duration(c.args.integer("interval_ms", 0, 2000, 40)) * time.Millisecond
		if err := c.args.err(); err != nil {
			return answer{}, err
		}
		stream, duplicate, err := t.hub.Stream(ctx, c.actor, draft)
		if err != nil {
			return answer{}, err
		}
		parts := hub.Split(draft.Text, by, maxParts)
		if duplicate != nil {
			return newStreamed(*duplicate, len(parts), true), nil
		}
		defer stream.Cancel() // whatever ends the call before Finish
		if err := c.play(ctx, stream, parts, interval); err != nil {
			return answer{}, err
		}
		m, err := stream.Finish(ctx)
		if err != nil {
			return answer{}, err
		}
		return newStreamed(m, len(parts), m.StreamID != stream.ID()), nil
	})
}

// play shows the parts, first to the room, then to the caller, an interval
// apart. Its only error is that the call was cancelled.
func (c call) play(ctx context.Context, stream *hub.Streaming, parts []string, interval time.Duration) error {
	total := len(parts)
	interval = min(interval, longestStream/time.Duration(max(total-1, 1)))
	start := time.Now()
	for i, part := range parts {
		if err := pause(ctx, start.Add(time.Duration(i)*interval)); err != nil {
			return err
		}
		done := i + 1
		stream.Part(part, done, total)
		partial := map[string]any{
			"stream_id":  stream.ID(),
			"delta":      part,
			"progress":   100 * done / total,
			"isComplete": done == total,
		}
		if c.caller.token != nil {
			c.caller.progress(ctx, done, total, part, map[string]any{"wigwag/partial": partial})
		} else {
			c.caller.log(ctx, partial)
		}
	}
	return ctx.Err()
}

// pause waits until a moment. Its only error is that ctx ended first.
func pause(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// draft reads what both sending tools take.
func (c call) draft(tool string) hub.Draft {
	return hub.Draft{
		Target: c.target(),
		Text:   c.args.required("message"),
		Tool:   tool,
		Key:    c.args.text("idempotency_key"),
	}
}

func (c call) target() hub.Target {
	return hub.Target{Room: c.args.text("room"), To: c.args.text("to")}
}

func newSent(m hub.Message, duplicate bool) sent {
	return sent{ID: m.ID, Room: m.Room, Time: m.Time, Sender: m.Sender, Duplicate: duplicate}
}

func newStreamed(m hub.Message, parts int, duplicate bool) answer {
	s := streamed{sent: newSent(m, duplicate), StreamID: m.StreamID, Parts: parts, Message: m.Message}
	return answer{
		text:       fmt.Sprintf("%s\nstream_id: %s\nparts: %d\nmessage:\n%s", s.text(), s.StreamID, s.Parts, s.Message),
		structured: s,
	}
}

func (s sent) text() string {
	return fmt.Sprintf("%sid: %s\nroom: %s\ntime: %s\nsender: %s\nduplicate: %t",
		doneText("Sent.", s.Duplicate), s.ID, s.Room, s.Time, senderText(s.Sender), s.Duplicate)
}
