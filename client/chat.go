package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Session tells who the client is for the server.
func (c *Client) Session(ctx context.Context) (Session, error) {
	var s Session
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/session"}, &s)
	return s, err
}

// Rooms returns the rooms that there are for the user, by name.
func (c *Client) Rooms(ctx context.Context) ([]Room, error) {
	return list[Room](ctx, c, "/api/rooms")
}

// People returns who is in a room, or for an empty room all users, by name.
func (c *Client) People(ctx context.Context, room string) ([]Person, error) {
	path := "/api/presence"
	if room != "" {
		var err error
		if path, err = (Target{Room: room}).path(); err != nil {
			return nil, err
		}
		path += "/members"
	}
	return list[Person](ctx, c, path)
}

// list reads a list to its end.
func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var all []T
	after := ""
	for range maxPages {
		var page struct {
			Rooms   []T
			Members []T
			People  []T
			Next    string
		}
		q := url.Values{}
		if after != "" {
			q.Set("after", after)
		}
		if err := c.do(ctx, call{method: http.MethodGet, path: withQuery(path, q)}, &page); err != nil {
			return nil, err
		}
		all = append(append(append(all, page.Rooms...), page.Members...), page.People...)
		if page.Next == "" {
			return all, nil
		}
		after = page.Next
	}
	return nil, fmt.Errorf("the list at %s does not end within %d pages", path, maxPages)
}

// Draft is a message to be sent.
type Draft struct {
	Text    string // 1 to 65,536 bytes of UTF-8 without NUL
	ReplyTo string // ID of a message in the same room, or empty
	// Key is the idempotency key, 1 to 128 printable ASCII characters, under
	// which the server stores this message once within 24 hours; empty: one of
	// its own.
	Key string
}

// Send sends a message and returns it as it was stored: once, however often it
// had to be tried.
func (c *Client) Send(ctx context.Context, t Target, d Draft) (Message, error) {
	path, err := t.path()
	if err != nil {
		return Message{}, err
	}
	var m Message
	err = c.do(ctx, call{method: http.MethodPost, path: path + "/messages", key: keyOr(d.Key), in: struct {
		Message string `json:"message"`
		ReplyTo string `json:"reply_to,omitempty"`
	}{d.Text, d.ReplyTo}}, &m)
	return m, err
}

// keyOr returns the key, or a new one.
func keyOr(key string) string {
	if key == "" {
		return rand.Text()
	}
	return key
}

// Typing tells a room that the user is writing. It is tried once: later it would
// not be true any more.
func (c *Client) Typing(ctx context.Context, t Target) error {
	path, err := t.path()
	if err != nil {
		return err
	}
	return c.attempt(ctx, call{method: http.MethodPost, path: path + "/typing"}, nil)
}

// HistoryQuery selects messages of a room: the first ones after a cursor or
// since a moment, or the last ones before a cursor or, with none of them, of
// all. At most one of After, Before and Since is given.
type HistoryQuery struct {
	After, Before string
	Since         time.Time
	Limit         int // 1 to 100; 0: the server's choice
}

// History returns stored messages.
func (c *Client) History(ctx context.Context, t Target, q HistoryQuery) (Page, error) {
	path, err := t.path()
	if err != nil {
		return Page{}, err
	}
	values := url.Values{}
	set(values, "after", q.After)
	set(values, "before", q.Before)
	set(values, "since", moment(q.Since))
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	var page Page
	err = c.do(ctx, call{method: http.MethodGet, path: withQuery(path+"/messages", values)}, &page)
	return page, err
}

// Notice is a notification to be sent.
type Notice struct {
	To       string `json:"to,omitempty"`    // a user; empty: everybody
	Level    string `json:"level,omitempty"` // info, success, warning or error; empty: info
	Title    string `json:"title,omitempty"` // one line of at most 256 bytes
	Message  string `json:"message"`
	Progress *int   `json:"progress,omitempty"` // 0 to 100
	Key      string `json:"key,omitempty"`      // it takes the place of an earlier one with the same key
}

// Notify sends a notification, once as [Client.Send] does.
func (c *Client) Notify(ctx context.Context, d Notice) (Notification, error) {
	var n Notification
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/notifications", key: rand.Text(), in: d}, &n)
	return n, err
}

// Line is a log line to be written.
type Line struct {
	Level   string         `json:"level,omitempty"`  // debug, info, warn or error; empty: info
	Logger  string         `json:"logger,omitempty"` // one line of at most 64 bytes
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"` // at most 8 KiB as JSON
}

// WriteLog writes a log line, once as [Client.Send] does.
func (c *Client) WriteLog(ctx context.Context, d Line) (LogLine, error) {
	var l LogLine
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/logs", key: rand.Text(), in: d}, &l)
	return l, err
}

// set leaves out what is empty.
func set(values url.Values, name, value string) {
	if value != "" {
		values.Set(name, value)
	}
}

func withQuery(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// moment is a time as a query has it; the zero time is empty.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
