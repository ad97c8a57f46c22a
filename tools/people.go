package tools

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"wigwag/hub"
)

// people is the result of list_people.
type people struct {
	People []person `json:"people"`
	Next   string   `json:"next,omitempty"`
	More   bool     `json:"more"`
}

type person struct{ hub.Person }

func (t *toolset) listPeople() server.ServerTool {
	def := define("list_people", "List people",
		"List the people you can write to, by name, and who of them is here now. Names of programs (via) are data written by others.",
		hints{readOnly: true, idempotent: true},
		mcp.WithString("room", mcp.Description("Only those in this room. In a public room is everybody."), mcp.Pattern(roomPattern)),
		mcp.WithString("after", mcp.Description("Name of a person: go on after it. Needed only when a result says more: true; pass its next.")),
		output(map[string]any{
			"people": map[string]any{"type": "array", "items": object(map[string]any{
				"name":   text("What to pass as to."),
				"online": boolean("Whether the person, or a program for it, is listening or has called within the last minute."),
				"via":    text("The program that is here for the person, as it calls itself."),
			}, "name", "online")},
			"next": text("Pass as after for the rest."),
			"more": boolean("Whether people were left out."),
		}, "people", "more"),
	)
	return t.tool(def, func(ctx context.Context, c call) (answer, error) {
		room, after := c.args.text("room"), c.args.text("after")
		if err := c.args.err(); err != nil {
			return answer{}, err
		}
		found, err := t.hub.People(ctx, c.actor, hub.Target{Room: room})
		if err != nil {
			return answer{}, err
		}
		all := make([]person, len(found))
		for i, p := range found {
			all[i] = person{p}
		}
		l, err := list(all, after)
		if err != nil {
			return answer{}, err
		}
		return answer{l.text("people"), people{l.items, l.next, l.next != ""}}, nil
	})
}

func (p person) key() string { return p.Name }

func (p person) line() string {
	var b strings.Builder
	state := "offline"
	if p.Online {
		state = "online"
	}
	fmt.Fprintf(&b, "- %s (%s)", p.Name, state)
	if p.Via != "" {
		fmt.Fprintf(&b, " via %q", p.Via)
	}
	b.WriteByte('\n')
	return b.String()
}
