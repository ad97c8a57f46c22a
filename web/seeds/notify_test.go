package seeds

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"wigwag/hub"
)

// TestNotifications: what is for a user arrives at that user only, what is for
// nobody in particular at everybody; the type is the level, or the title.
func TestNotifications(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		bob, alice := l.open(t, "bob", "/notifications?userId=bob"), l.open(t, "alice", "/notifications")
		defer bob.close()
		defer alice.close()
		for _, s := range []*stream{bob, alice} {
			ev, data := s.want(t, "", map[string]any{"type": "connected"})
			if wantTime(t, data, "timestamp"); data["message"] == "" || ev.ID == "" {
				t.Errorf("first %v", data)
			}
		}
		for body, want := range map[string]map[string]any{
			`{"userId":"bob","message":"m","type":"success"}`:           {"type": "success", "level": "success", "userId": "bob", "to": "bob", "message": "m"},
			`{"userId":"bob","message":"m","type":"like"}`:              {"type": "like", "level": "info", "title": "like", "userId": "bob"},
			`{"userId":"bob","message":"m","type":"A title"}`:           {"type": "info", "level": "info", "title": "A title"},
			`{"userId":"bob","message":"m"}`:                            {"type": "info", "level": "info", "title": nil},
			`{"userId":"bob","message":"m","type":"error","title":"T"}`: {"type": "error", "level": "error", "title": "T"},
		} {
			answer := l.post(t, http.StatusCreated, "alice", "/api/notify", body)
			if answer["success"] != true || answer["delivered"] != 1.0 {
				t.Errorf("answered %v", answer)
			}
			ev, data := bob.want(t, "notification", want)
			if ev.ID != answer["id"] || data["id"] != answer["id"] || fmt.Sprint(data["sender"]) != "map[name:alice]" {
				t.Errorf("got %s %v, answered %v", ev.ID, data, answer)
			}
			wantTime(t, data, "timestamp")
			wantTime(t, data, "time")
		}
		answer := l.post(t, http.StatusCreated, "alice", "/api/notify", `{"message":"to all","type":"warning"}`)
		if answer["delivered"] != 2.0 {
			t.Errorf("answered %v", answer)
		}
		for _, s := range []*stream{bob, alice} { // nothing of bob's came to alice before
			_, data := s.want(t, "notification", map[string]any{"message": "to all", "type": "warning"})
			if data["userId"] != nil {
				t.Errorf("%v is for one", data)
			}
		}
	})
}

// TestNotificationsResume: with Last-Event-ID a stream begins where another
// ended.
func TestNotificationsResume(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		var ids []string
		for i := range 3 {
			answer := l.post(t, http.StatusCreated, "alice", "/api/notify", fmt.Sprintf(`{"userId":"bob","message":"%d"}`, i))
			ids = append(ids, answer["id"].(string))
		}
		for _, how := range []struct{ query, header string }{{"", "Last-Event-ID: " + ids[0]}, {"?last_event_id=" + ids[0], "X: x"}, {"?userId=bob&last_event_id=" + ids[2], "Last-Event-ID: " + ids[0]}} {
			s := l.open(t, "bob", "/notifications"+how.query, how.header)
			s.want(t, "", map[string]any{"type": "connected"})
			s.want(t, "notification", map[string]any{"message": "1", "id": ids[1]})
			s.want(t, "notification", map[string]any{"message": "2", "id": ids[2]})
			s.close()
		}
		s := l.open(t, "bob", "/notifications", "Last-Event-ID: other-1")
		defer s.close()
		s.want(t, "", map[string]any{"type": "connected"})
		s.want(t, "reset", nil)
	})
}

func TestNotifyRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		for body, want := range map[string]struct {
			status int
			detail string
		}{
			`{"userId":"nobody","message":"m"}`:                          {404, "userId"},
			`{"userId":"bob"}`:                                           {400, "message"},
			`{"userId":"bob","message":"m","type":"like","title":"t"}`:   {400, "type: beside a title"},
			`{"userId":"bob","message":"m","type":"two\nlines"}`:         {400, "title"},
			`{"userId":7,"message":"m"}`:                                 {400, "userId has the wrong type"},
			`{"user":"bob","message":"m"}`:                               {400, "Allowed are userId, message, type, title"},
			`{"message":"` + strings.Repeat("x", hub.MaxNotice+1) + `"}`: {400, "message"},
		} {
			wantError(t, l.post(t, want.status, "alice", "/api/notify", body), want.detail)
		}
		wantError(t, l.post(t, http.StatusForbidden, "alice/chat.write", "/api/notify", `{"message":"m"}`), "notify")
	})
}

// TestNotificationsOfAnother: another user's are refused, there or not.
func TestNotificationsOfAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		for _, user := range []string{"bob", "nobody", "", "Mallory", "mallory%20"} {
			resp := l.ask(t, http.MethodGet, "mallory", "/notifications?userId="+user, "")
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"error":"userId: may be your own name only, which is mallory`) {
				t.Errorf("%q: %s, %v: %s", user, resp.Status, err, body)
			}
		}
	})
}
