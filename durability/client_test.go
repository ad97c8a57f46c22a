//go:build linux

package durability_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// message is what these tests look at in a message.
type message struct {
	ID      string
	Room    string
	Message string
}

// place splits the ID of a message into its epoch and sequence.
func place(t *testing.T, id string) (epoch string, seq int) {
	t.Helper()
	epoch, number, _ := strings.Cut(id, "-")
	seq, err := strconv.Atoi(number)
	if err != nil || epoch == "" {
		t.Fatalf("%q is not the ID of a message", id)
	}
	return epoch, seq
}

// client is a user of a server.
type client struct{ url, token string }

// login signs in; an answer other than 200 is an error that begins with it.
func login(ctx context.Context, url, user, password string) (*client, error) {
	c := &client{url: url}
	var out struct{ Token string }
	err := c.post(ctx, "/api/login", map[string]string{"username": user, "password": password}, &out)
	c.token = out.Token
	return c, err
}

// as is login for who has to get in.
func (s *server) as(user, password string) *client {
	s.t.Helper()
	c, err := login(s.t.Context(), s.URL, user, password)
	if err != nil {
		s.t.Fatalf("logging in as %s: %v", user, err)
	}
	return c
}

func (c *client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return refused{res.StatusCode, string(text)}
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		text = text[bytes.LastIndex(text, []byte("data: "))+len("data: "):] // the answer comes last
	}
	return json.Unmarshal(text, out)
}

// refused is an answer of the server other than 200.
type refused struct {
	status int
	text   string
}

func (r refused) Error() string { return fmt.Sprintf("%d: %s", r.status, r.text) }

// toolError is what a tool answers when it failed.
type toolError string

func (e toolError) Error() string { return string(e) }

// call calls a tool, without a session.
func (c *client) call(ctx context.Context, tool string, arguments map[string]any, out any) error {
	var answer struct {
		Result struct {
			IsError           bool
			Content           []struct{ Text string }
			StructuredContent json.RawMessage
		}
		Error *struct{ Message string }
	}
	err := c.post(ctx, "/mcp", map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call",
		"params": map[string]any{"name": tool, "arguments": arguments},
	}, &answer)
	switch {
	case err != nil:
		return err
	case answer.Error != nil:
		return toolError(answer.Error.Message)
	case answer.Result.IsError && len(answer.Result.Content) > 0:
		return toolError(answer.Result.Content[0].Text)
	case answer.Result.IsError:
		return toolError("an error without a text")
	}
	return json.Unmarshal(answer.Result.StructuredContent, out)
}

// do is call for what has to work.
func (c *client) do(t *testing.T, tool string, arguments map[string]any, out any) {
	t.Helper()
	if err := c.call(t.Context(), tool, arguments, out); err != nil {
		t.Fatalf("%s %v: %v", tool, arguments, err)
	}
}

// send sends a message and returns its ID.
func (c *client) send(t *testing.T, room, text string) string {
	t.Helper()
	var sent message
	c.do(t, "send_message", map[string]any{"room": room, "message": text}, &sent)
	return sent.ID
}

// open makes a room if it is not there.
func (c *client) open(t *testing.T, room string, private bool) {
	t.Helper()
	var out any
	c.do(t, "open_room", map[string]any{"room": room, "private": private}, &out)
}

// history reads a room from its beginning, page by page.
func (c *client) history(t *testing.T, room string) (all []message) {
	t.Helper()
	for after := "0"; ; {
		var page struct {
			Messages []message
			Next     string
			More     bool
		}
		c.do(t, "read_messages", map[string]any{"room": room, "after": after, "limit": 100, "max_chars": 100_000}, &page)
		all = append(all, page.Messages...)
		if !page.More {
			return all
		}
		if len(page.Messages) == 0 || page.Next == after {
			t.Fatalf("read_messages of %s does not get on after %s", room, after)
		}
		after = page.Next
	}
}

// event is one of /events.
type event struct{ id, kind, data string }

// listen follows /events from the cursor after (from now on if it is "") and
// hands every event to took, until that returns false: then the error is nil.
func (c *client) listen(ctx context.Context, after string, took func(event) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/events", http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body) // what there is of it
		return refused{res.StatusCode, string(text)}
	}
	var ev event
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			ev.id = value
		case "event":
			ev.kind = value
		case "data":
			ev.data = value
		case "":
			if line == "\n" && ev != (event{}) {
				if !took(ev) {
					return nil
				}
				ev = event{}
			}
		}
	}
}

// await listens until an event of a kind comes and returns it.
func (c *client) await(t *testing.T, after, kind string) (found event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := c.listen(ctx, after, func(ev event) bool {
		found = ev
		return ev.kind != kind
	})
	if err != nil {
		t.Fatalf("waiting for %s after %q on /events: %v", kind, after, err)
	}
	return found
}

// isUnauthorized tells whether an error is such an answer.
func isUnauthorized(err error) bool {
	r, ok := errors.AsType[refused](err)
	return ok && r.status == http.StatusUnauthorized
}

// pause waits a moment before something is tried again.
func pause(ctx context.Context) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
