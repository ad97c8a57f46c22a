package mcpgo

import (
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/clients/servertest"
)

func TestTools(t *testing.T) {
	server := servertest.Start(t)
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			c := connect(t, server.URL, server.Token, revision)
			listed, err := c.ListTools(bounded(t), mcp.ListToolsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, tool := range listed.Tools {
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
			id, _ := sent["id"].(string)
			if id == "" || sent["room"] != room || sent["duplicate"] != false || !strings.Contains(text, id) {
				t.Errorf("send_message answered %v, text %q", sent, text)
			}
			if got := c.texts(t, room); !slices.Equal(got, []string{"hello"}) {
				t.Errorf("read_messages gave %q", got)
			}
			waited, _ := c.call(t, "wait_for_messages", "", map[string]any{"rooms": []string{room}, "after": "0"})
			if got := textsOf(t, waited); !slices.Equal(got, []string{"hello"}) {
				t.Errorf("wait_for_messages gave %q", got)
			}
		})
	}
}

func TestWaitIsWoken(t *testing.T) {
	server := servertest.Start(t)
	for _, revision := range everyRevision() {
		t.Run(revision, func(t *testing.T) {
			listener := connect(t, server.URL, server.Token, revision)
			sender := connect(t, server.URL, server.Token, revision)
			room := "wait-" + revision
			sender.call(t, "open_room", "", map[string]any{"room": room})
			first, _ := sender.call(t, "send_message", "", map[string]any{"room": room, "message": "first"})

			got := make(chan map[string]any, 1)
			go func() {
				waited, _ := listener.call(t, "wait_for_messages", "", map[string]any{
					"rooms": []string{room}, "after": first["id"], "timeout_s": 50,
				})
				got <- waited
			}()
			sender.call(t, "send_message", "", map[string]any{"room": room, "message": "second"})
			if texts := textsOf(t, <-got); !slices.Equal(texts, []string{"second"}) {
				t.Errorf("wait_for_messages gave %q", texts)
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
			if revision == modern {
				stop, err := c.ListenAsync(t.Context(), mcp.SubscriptionFilter{
					ResourcesListChanged:  true,
					ResourceSubscriptions: []string{uri},
				}, func(err error) { t.Errorf("listen: %v", err) })
				if err != nil {
					t.Fatal(err)
				}
				defer stop()
				if got := await(t, "the acknowledgement", c.other); got != "notifications/subscriptions/acknowledged" {
					t.Fatalf("%s came first", got)
				}
			} else if err := c.Subscribe(bounded(t), mcp.SubscribeRequest{Params: mcp.SubscribeParams{URI: uri}}); err != nil {
				t.Fatal(err)
			}

			sender := connect(t, server.URL, server.Token, revision)
			sender.call(t, "send_message", "", map[string]any{"message": "news"})
			if got := await(t, "the update", c.updates); got != uri {
				t.Errorf("%s was updated, want %s", got, uri)
			}
			sender.call(t, "open_room", "", map[string]any{"room": "new-" + revision})
			if got := await(t, "the change of the list", c.other); got != "notifications/resources/list_changed" {
				t.Errorf("%s came", got)
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
			read, err := c.ReadResource(bounded(t), mcp.ReadResourceRequest{
				Params: mcp.ReadResourceParams{URI: "wigwag://rooms/general"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(read.Contents) != 1 {
				t.Fatalf("the room's resource has %d contents, want 1", len(read.Contents))
			}
			content, ok := read.Contents[0].(mcp.TextResourceContents)
			if !ok || content.MIMEType != "text/markdown" || !strings.Contains(content.Text, "mentioned-"+revision) {
				t.Errorf("the room's resource is %+v", read.Contents[0])
			}

			prompts, err := c.ListPrompts(bounded(t), mcp.ListPromptsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, prompt := range prompts.Prompts {
				names = append(names, prompt.Name)
			}
			slices.Sort(names)
			if !slices.Equal(names, []string{"catch_up", "hand_off"}) {
				t.Errorf("prompts %v", names)
			}
			prompt, err := c.GetPrompt(bounded(t), mcp.GetPromptRequest{Params: mcp.GetPromptParams{
				Name: "catch_up", Arguments: map[string]string{"room": "general"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if len(prompt.Messages) == 0 {
				t.Error("catch_up has no message")
			}

			completed, err := c.Complete(bounded(t), mcp.CompleteRequest{Params: mcp.CompleteParams{
				Ref:      mcp.ResourceReference{Type: "ref/resource", URI: "wigwag://rooms/{room}"},
				Argument: mcp.CompleteArgument{Name: "room", Value: "gener"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got := completed.Completion.Values; !slices.Equal(got, []string{"general"}) {
				t.Errorf("rooms that start with gener: %q", got)
			}
		})
	}
}
