package main

import (
	"fmt"
	"strings"
	"testing"
)

const testID = "12345678"

func TestCheckEcho(t *testing.T) {
	good := `{"jsonrpc":"2.0","id":` + testID + `,"result":{"content":[{"type":"text","text":"` + echoText(testID) + `"}]}}`
	for name, tt := range map[string]struct{ body, want string }{
		"good":             {good, ""},
		"ID at the end":    {`{"result":{"text":"` + echoText(testID) + `"},"id":` + testID + `}`, ""},
		"nothing":          {"", "no response"},
		"another's ID":     {strings.Replace(good, testID, "12345679", 1), "not the response to"},
		"a longer ID":      {strings.Replace(good, testID, testID+"0", 1), "not the response to"},
		"another's text":   {strings.Replace(good, echoText(testID), echoText("12345679"), 1), "not the text of request"},
		"a JSON-RPC error": {`{"jsonrpc":"2.0","id":` + testID + `,"error":{"code":-32603}}`, "failed"},
		"a tool's error":   {strings.Replace(good, `"content"`, `"isError":true,"content"`, 1), "failed"},
	} {
		arrived, lost, err := checkEcho(&response{body: []byte(tt.body)}, []byte(testID))
		if tt.want == "" && (arrived != 1 || lost != 0 || err != nil) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %d arrived, %d lost, %v, want %q", name, arrived, lost, err, tt.want)
		}
	}
}

func TestCheckBurst(t *testing.T) {
	const done = "data: {\"jsonrpc\":\"2.0\",\"id\":" + testID + ",\"result\":{}}\n\n"
	events := func(numbers ...int) string {
		var b strings.Builder
		for _, n := range numbers {
			fmt.Fprintf(&b, "event: message\ndata: {\"method\":\"notifications/progress\",\"params\":{\"message\":\"m\",\"progress\":%d,\"progressToken\":\"%s\",\"total\":200}}\n\n", n, testID)
		}
		return b.String()
	}
	all := make([]int, notifications)
	for i := range all {
		all[i] = i + 1
	}
	for name, tt := range map[string]struct {
		body          string
		arrived, lost int
		err           string
	}{
		"all":           {body: events(all...) + done, arrived: notifications},
		"some missing":  {body: events(all[3:100]...) + events(all[101:]...) + done, arrived: notifications - 4, lost: 4},
		"none":          {body: done, lost: notifications},
		"twice":         {body: events(1, 1) + done, err: "out of turn, after 1"},
		"out of order":  {body: events(2, 1) + done, err: "out of turn, after 2"},
		"one too many":  {body: events(notifications+1) + done, err: "out of turn"},
		"late":          {body: done + events(1), err: "after the response"},
		"of another":    {body: strings.Replace(events(1), testID, "87654321", 1) + done, err: "of another request"},
		"no response":   {body: events(all...), err: "no response"},
		"two responses": {body: done + done, err: "after the response"},
	} {
		arrived, lost, err := checkBurst(&response{events: true, body: []byte(tt.body)}, []byte(testID))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", name, err, tt.err)
			}
			continue
		}
		if arrived != tt.arrived || lost != tt.lost || err != nil {
			t.Errorf("%s: %d arrived, %d lost, %v", name, arrived, lost, err)
		}
	}
}
