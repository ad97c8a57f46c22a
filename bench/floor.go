package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// floor is the least a server on net/http can do for the same requests, without
// any of the checks that a server needs. For every request it
//
//   - reads the body and decodes it once, by encoding/json into floorRequest;
//   - answers a call of echo, and of send_message, with one write of as many
//     bytes as wigwag does, spliced out of constants, the ID and the text;
//   - answers a call of burst with 200 events, each spliced in the same way,
//     written and flushed, and then the response.
//
// No routing, no token, no session, no deadline, no goroutine of its own.
func floor(string) (*backend, error) {
	return plainBackend(http.HandlerFunc(serveFloor)), nil
}

// floorRequest is what the floor knows of a request.
type floorRequest struct {
	ID     json.RawMessage `json:"id"`
	Params struct {
		Name      string `json:"name"`
		Arguments struct {
			Text json.RawMessage `json:"text"`
		} `json:"arguments"`
		Meta struct {
			ProgressToken json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
}

func serveFloor(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var req floorRequest
	if err := json.Unmarshal(body, &req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch {
	case req.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	case req.Params.Name == "burst":
		floorBurst(w, &req)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(floorResult(&req, r.Header.Get("MCP-Protocol-Version") == modern))
	}
}

// floorSent has the length of what send_message says: its facts as text and as
// structured content.
var floorSent = []byte(`"` + strings.Repeat("s", 236) + `"`)

// floorResult is the response. On 2026-07-28 it says more.
func floorResult(req *floorRequest, modern bool) []byte {
	text := req.Params.Arguments.Text
	if req.Params.Name == "send_message" {
		text = floorSent
	}
	b := make([]byte, 0, 512)
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, req.ID...)
	b = append(b, `,"result":{`...)
	if modern {
		b = append(b, `"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench","version":"1"}},"resultType":"complete",`...)
	}
	b = append(b, `"content":[{"type":"text","text":`...)
	b = append(b, text...)
	return append(b, `}]}}`...)
}

func floorBurst(w http.ResponseWriter, req *floorRequest) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(w)
	b := make([]byte, 0, 512)
	for i := range notifications {
		b = fmt.Appendf(b[:0], "event: message\ndata: "+`{"jsonrpc":"2.0","method":"notifications/progress","params":{"message":%q,"progress":%d,"progressToken":%s,"total":%d}}`+"\n\n",
			burstText, i+1, req.Params.Meta.ProgressToken, notifications)
		if _, err := w.Write(b); err != nil {
			return
		}
		if err := flusher.Flush(); err != nil {
			return
		}
	}
	req.Params.Arguments.Text = json.RawMessage(`"done"`)
	b = append(append(append(b[:0], "event: message\ndata: "...), floorResult(req, false)...), "\n\n"...)
	_, _ = w.Write(b) // a client that is gone has no use for the error
}
