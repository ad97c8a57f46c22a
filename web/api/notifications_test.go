package api_test

import (
	"fmt"
	"strings"
	"testing"
)

type inbox struct {
	Notifications []struct{ ID, Message, To string }
	Next          string
	Unread        int
	UnreadMore    bool   `json:"unread_more"`
	ReadTo        string `json:"read_to"`
}

// What somebody was notified of is read and marked, by nobody else.
func TestNotifications(t *testing.T) {
	l := newLab(t, nil)
	read := func(user, query string) (got inbox) {
		t.Helper()
		l.want(t, 200, "", user, "GET /api/notifications"+query, "").into(t, &got)
		return got
	}
	if got := read("bob", ""); got.Notifications == nil || got.Unread != 0 || got.Next == "" {
		t.Errorf("nothing: %+v", got)
	}
	l.want(t, 201, `"level":"info"`, "alice", "POST /api/notifications", `{"message":"one","to":"bob"}`)
	l.want(t, 201, `"progress":0`, "alice", "POST /api/notifications", `{"message":"two","progress":0,"level":"success","title":"t","key":"k"}`)
	l.want(t, 201, "", "carol", "POST /api/notifications", `{"message":"for alice","to":"alice"}`)
	got := read("bob", "?unread=true&after=0")
	if len(got.Notifications) != 2 || got.Unread != 2 || got.ReadTo != "" || got.UnreadMore {
		t.Errorf("of bob: %+v", got)
	}
	first := got.Notifications[0].ID
	l.want(t, 200, fmt.Sprintf(`{"unread":1,"unread_more":false,"read_to":%q}`, first), "bob", "POST /api/notifications/read", fmt.Sprintf(`{"up_to":%q}`, first))
	l.want(t, 200, `{"unread":1,`, "bob", "GET /api/notifications/unread", "")
	if got := read("bob", "?unread=true"); len(got.Notifications) != 1 || got.Notifications[0].Message != "two" || got.ReadTo != first {
		t.Errorf("of bob, unread: %+v", got)
	}
	if got := read("bob", "?limit=1&before="+got.Notifications[1].ID); len(got.Notifications) != 1 || got.Notifications[0].ID != first {
		t.Errorf("of bob, before: %+v", got)
	}
	if got := read("carol", ""); len(got.Notifications) != 2 || got.Unread != 1 || got.ReadTo != "" {
		t.Errorf("of carol: %+v", got)
	}
}

// Log lines are found by level, logger and time; and their numbers are what
// they were.
func TestLogs(t *testing.T) {
	l := newLab(t, nil)
	l.want(t, 201, `"level":"info"`, "alice", "POST /api/logs", `{"message":"one","logger":"build"}`)
	l.want(t, 201, `"fields":{"id":12345678901234567890}`, "alice", "POST /api/logs", `{"message":"two","level":"error","fields":{"id":12345678901234567890}}`)
	l.want(t, 201, "", "bob", "POST /api/logs", `{"message":"three","level":"debug","logger":"build"}`)
	for query, want := range map[string]string{
		"":                                   "one two three",
		"?level=info":                        "one two",
		"?logger=build":                      "one three",
		"?logger=build&level=info":           "one",
		"?since=2100-01-01T00:00:00Z":        "",
		"?until=2100-01-01T00:00:00Z":        "one two three",
		"?until=2000-01-01T00:00:00%2B01:00": "",
		"?limit=1":                           "three",
		"?after=0&limit=1":                   "one",
	} {
		var got struct {
			Lines []struct{ Message string }
			Next  string
			Cut   bool
		}
		l.want(t, 200, "", "carol", "GET /api/logs"+query, "").into(t, &got)
		var texts []string
		for _, line := range got.Lines {
			texts = append(texts, line.Message)
		}
		if strings.Join(texts, " ") != want || got.Lines == nil || got.Cut {
			t.Errorf("%s: %+v", query, got)
		}
	}
}
