package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// The suite finds its fixtures by these names, and wants a description with each.
func TestNames(t *testing.T) {
	type named struct{ Name, URI, Description string }
	type list struct{ Tools, Prompts, Resources []named }
	srv := newMCPServer()

	tools := handle[list](t, srv.HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).Tools
	wantNames(t, tools, func(n named) string { return n.Name }, []string{
		"json_schema_2020_12_tool", "test_audio_content", "test_elicitation", "test_elicitation_sep1034_defaults",
		"test_elicitation_sep1330_enums", "test_embedded_resource", "test_error_handling", "test_header_parameter",
		"test_image_content", "test_input_required_result_capabilities", "test_input_required_result_elicitation",
		"test_input_required_result_list_roots", "test_input_required_result_multi_round",
		"test_input_required_result_multiple_inputs", "test_input_required_result_request_state",
		"test_input_required_result_sampling", "test_input_required_result_tampered_state", "test_logging_tool",
		"test_missing_capability", "test_multiple_content_types", "test_reconnection", "test_sampling", "test_simple_text",
		"test_streaming_elicitation", "test_tool_with_logging", "test_tool_with_progress", "test_trigger_prompt_change",
		"test_trigger_tool_change",
	})
	prompts := handle[list](t, srv.HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`).Prompts
	wantNames(t, prompts, func(n named) string { return n.Name }, []string{
		"test_input_required_result_prompt", "test_prompt_with_arguments", "test_prompt_with_embedded_resource",
		"test_prompt_with_image", "test_simple_prompt",
	})
	for _, n := range slices.Concat(tools, prompts) {
		if n.Description == "" {
			t.Errorf("%s has no description", n.Name)
		}
	}
	resources := handle[list](t, srv.HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"resources/list"}`).Resources
	wantNames(t, resources, func(n named) string { return n.URI }, []string{
		"test://static-binary", "test://static-text", "test://watched-resource",
	})
}

func wantNames[T any](t *testing.T, listed []T, name func(T) string, want []string) {
	t.Helper()
	var have []string
	for _, item := range listed {
		have = append(have, name(item))
	}
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("listed\n%q, want\n%q", have, want)
	}
}

func TestContent(t *testing.T) {
	srv := newMCPServer()
	type content struct {
		Content []struct{ Type string }
		IsError bool
	}
	tests := []struct {
		tool    string
		types   []string
		isError bool
	}{
		{"test_simple_text", []string{"text"}, false},
		{"test_image_content", []string{"image"}, false},
		{"test_audio_content", []string{"audio"}, false},
		{"test_embedded_resource", []string{"resource"}, false},
		{"test_multiple_content_types", []string{"text", "image", "resource"}, false},
		{"test_error_handling", []string{"text"}, true},
		{"json_schema_2020_12_tool", []string{"text"}, false},
		{"test_trigger_tool_change", []string{"text"}, false},
		{"test_trigger_prompt_change", []string{"text"}, false},
	}
	for _, tt := range tests {
		result := handle[content](t, srv.HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tt.tool+`"}}`)
		var types []string
		for _, c := range result.Content {
			types = append(types, c.Type)
		}
		if !slices.Equal(types, tt.types) || result.IsError != tt.isError {
			t.Errorf("%s: %q, error %t; want %q, error %t", tt.tool, types, result.IsError, tt.types, tt.isError)
		}
	}
}

// A server may lose the keywords that it does not know itself.
func TestSchemaIsListedWhole(t *testing.T) {
	type list struct {
		Tools []struct {
			Name        string
			InputSchema json.RawMessage
		}
	}
	var want any
	if err := json.Unmarshal([]byte(schema2020), &want); err != nil {
		t.Fatal(err)
	}
	for _, tool := range handle[list](t, newMCPServer().HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).Tools {
		if tool.Name == "json_schema_2020_12_tool" {
			var have any
			if err := json.Unmarshal(tool.InputSchema, &have); err != nil {
				t.Fatal(err)
			}
			sameJSON(t, have, want)
			return
		}
	}
	t.Error("not listed")
}

func sameJSON(t *testing.T, have, want any) {
	t.Helper()
	h, err := json.Marshal(have)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(h) != string(w) {
		t.Errorf("have\n%s, want\n%s", h, w)
	}
}

func TestReadTemplate(t *testing.T) {
	type read struct{ Contents []mcp.TextResourceContents }
	contents := handle[read](t, newMCPServer().HandleMessage,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"test://template/123/data"}}`).Contents
	want := mcp.TextResourceContents{
		URI: "test://template/123/data", MIMEType: "application/json",
		Text: `{"data":"Data for ID: 123","id":"123","templateTest":true}`,
	}
	if len(contents) != 1 || contents[0].URI != want.URI || contents[0].MIMEType != want.MIMEType || contents[0].Text != want.Text {
		t.Errorf("have %+v, want %+v", contents, want)
	}
}

func TestPrompts(t *testing.T) {
	type prompt struct {
		Messages []struct {
			Content struct{ Type, Text string }
		}
	}
	tests := []struct {
		params string
		types  []string
		text   string // of the last message
	}{
		{`{"name":"test_simple_prompt"}`, []string{"text"}, "This is a simple prompt for testing."},
		{`{"name":"test_prompt_with_image"}`, []string{"image", "text"}, "Please analyze the image above."},
		{`{"name":"test_prompt_with_arguments","arguments":{"arg1":"one","arg2":"two"}}`, []string{"text"}, "Prompt with arguments: arg1='one', arg2='two'"},
		{`{"name":"test_prompt_with_embedded_resource","arguments":{"resourceUri":"test://x"}}`, []string{"resource", "text"}, "Please process the embedded resource above."},
	}
	srv := newMCPServer()
	for _, tt := range tests {
		messages := handle[prompt](t, srv.HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":`+tt.params+`}`).Messages
		var types []string
		var text string
		for _, m := range messages {
			types = append(types, m.Content.Type)
			text = m.Content.Text
		}
		if !slices.Equal(types, tt.types) || text != tt.text {
			t.Errorf("%s: %q %q, want %q %q", tt.params, types, text, tt.types, tt.text)
		}
	}
}

func TestCompletion(t *testing.T) {
	type completion struct {
		Completion struct{ Values []string }
	}
	srv := newMCPServer()
	for typed, want := range map[string][]string{"par": {"paris", "park", "party"}, "test1": {"test1"}, "x": {}} {
		values := handle[completion](t, srv.HandleMessage, `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{
			"ref":{"type":"ref/prompt","name":"test_prompt_with_arguments"},"argument":{"name":"arg1","value":"`+typed+`"}}}`).Completion.Values
		if values == nil || !slices.Equal(values, want) {
			t.Errorf("%q: %q, want %q", typed, values, want)
		}
	}
}
