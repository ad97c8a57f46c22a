package gosdk

import (
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"wigwag/clients/servertest"
)

func TestTools(t *testing.T) {
	server := servertest.Start(t)
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, server.URL, server.Token, revision)
			var names []string
			for tool, err := range c.Tools(bounded(t), nil) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, tool.Name)
			}
			slices.Sort(names)
			want := []string{"list_people", "list_rooms", "notify", "open_room", "read_messages", "send_message", "stream_message", "wait_for_messages", "write_log"}
			if !slices.Equal(names, want) {
				t.Errorf("tools %v, want %v", names, want)
			}

			room := "tools-" + revision
			c.call(t, "open_room", "", map[string]any{"room": room, "topic": "a test"})
			if _, text := c.call(t, "list_rooms", "", nil); !strings.Contains(text, room) {
				t.Errorf("list_rooms does not tell of %s: %s", room, text)
			}

			sent, text := c.call(t, "send_message", "", map[string]any{"room": room, "message": "hello"})
			if sent.ID == "" || sent.Room != room || sent.Duplicate || !strings.Contains(text, sent.ID) {
				t.Errorf("send_message answered %+v, text %q", sent, text)
			}
			if got := c.texts(t, room); !slices.Equal(got, []string{"hello"}) {
				t.Errorf("read_messages gave %q", got)
			}
			waited, _ := c.call(t, "wait_for_messages", "", map[string]any{"rooms": []string{room}, "after": "0"})
			if got := waited.texts(); !slices.Equal(got, []string{"hello"}) {
				t.Errorf("wait_for_messages gave %q", got)
			}
		})
	}
}

func TestSubscribe(t *testing.T) {
	const uri = "wigwag://rooms/general"
	server := servertest.Start(t)
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, server.URL, server.Token, revision)
			if err := c.Subscribe(bounded(t), &mcp.SubscribeParams{URI: uri}); err != nil {
				t.Fatal(err)
			}
			sender := connect(t, server.URL, server.Token, revision)
			sender.call(t, "send_message", "", map[string]any{"message": "news"})
			select {
			case got := <-c.updates:
				if got != uri {
					t.Errorf("%s was updated, want %s", got, uri)
				}
			case <-bounded(t).Done():
				t.Error("the update did not come")
			}
			sender.call(t, "open_room", "", map[string]any{"room": "new-" + revision})
			select {
			case <-c.changes:
			case <-bounded(t).Done():
				t.Error("the change of the list did not come")
			}
		})
	}
}

func TestResourcesPromptsAndCompletion(t *testing.T) {
	server := servertest.Start(t)
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, server.URL, server.Token, revision)
			c.call(t, "send_message", "", map[string]any{"message": "mentioned-" + revision})
			read, err := c.ReadResource(bounded(t), &mcp.ReadResourceParams{URI: "wigwag://rooms/general"})
			if err != nil {
				t.Fatal(err)
			}
			if len(read.Contents) != 1 || read.Contents[0].MIMEType != "text/markdown" ||
				!strings.Contains(read.Contents[0].Text, "mentioned-"+revision) {
				t.Errorf("the room's resource is %+v", read.Contents)
			}

			var names []string
			for prompt, err := range c.Prompts(bounded(t), nil) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, prompt.Name)
			}
			slices.Sort(names)
			if !slices.Equal(names, []string{"catch_up", "hand_off"}) {
				t.Errorf("prompts %v", names)
			}
			prompt, err := c.GetPrompt(bounded(t), &mcp.GetPromptParams{
				Name: "catch_up", Arguments: map[string]string{"room": "general"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(prompt.Messages) == 0 {
				t.Error("catch_up has no message")
			}

			completed, err := c.Complete(bounded(t), &mcp.CompleteParams{
				Ref:      &mcp.CompleteReference{Type: "ref/resource", URI: "wigwag://rooms/{room}"},
				Argument: mcp.CompleteParamsArgument{Name: "room", Value: "gener"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := completed.Completion.Values; !slices.Equal(got, []string{"general"}) {
				t.Errorf("rooms that start with gener: %q", got)
			}
		})
	}
}
