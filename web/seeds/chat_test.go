package seeds

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/hub"
)

func TestSendMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		for _, path := range []string{"/events", "/secure-events"} {
			s := l.open(t, "bob", path)
			defer s.close()
			s.want(t, "system", map[string]any{"message": "connected"})
			answer := l.post(t, http.StatusOK, "alice", "/send-message", `{"message":"hello, everybody"}`)
			if answer["success"] != true || answer["recipients"] != float64(l.events.Streams()) || answer["message"] == "" {
				t.Errorf("answered %v", answer)
			}
			ev, data := s.want(t, "message", map[string]any{"message": "hello, everybody", "room": "general"})
			wantTime(t, data, "time")
			if ev.ID == "" || ev.ID != answer["id"] {
				t.Errorf("the ID is %q, answered %v", ev.ID, answer)
			}
		}
	})
}

// TestStreamMessage: the answer comes at once, the words 100 ms apart, each with
// the text so far, and the last one alone is complete.
func TestStreamMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		s := l.open(t, "bob", "/secure-events")
		defer s.close()
		s.want(t, "system", nil)
		began := time.Now()
		answer := l.post(t, http.StatusOK, "alice", "/stream-message", `{"message":"one two three four"}`)
		if answer["success"] != true || answer["recipients"] != 1.0 || answer["stream_id"] == "" || time.Since(began) != 0 {
			t.Errorf("answered %v after %v", answer, time.Since(began))
		}
		for i, want := range []string{"one ", "one two ", "one two three ", "one two three four"} {
			_, data := s.want(t, "partial-message", map[string]any{"message": want, "progress": 25 * (i + 1), "stream_id": answer["stream_id"]})
			due := time.Duration(i) * partInterval
			if since := time.Since(began); since < due || since > due+50*time.Millisecond {
				t.Errorf("part %d after %v", i, since)
			}
			if data["isComplete"] == true && i < 3 {
				t.Errorf("complete too early: %v", data)
			} else if data["isComplete"] == false && i == 3 { // shown before it was stored
				s.want(t, "partial-message", map[string]any{"message": want, "isComplete": true})
			}
		}
		s.want(t, "message", map[string]any{"message": "one two three four", "stream_id": answer["stream_id"]})
	})
}

// TestStreamMessageLong: however many words, it does not take longer.
func TestStreamMessageLong(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		s := l.open(t, "bob", "/events?types=message")
		defer s.close()
		s.want(t, "system", nil)
		began := time.Now()
		text := strings.TrimSpace(strings.Repeat("word ", 12_000))
		l.post(t, http.StatusOK, "alice", "/stream-message", `{"message":"`+text+`"}`)
		s.want(t, "message", map[string]any{"message": text})
		if took := time.Since(began); took < 10*time.Second || took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestStreamMessageAtDrain: what is on its way when the server stops arrives at
// once, and in whole; nothing new is taken.
func TestStreamMessageAtDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		l.post(t, http.StatusOK, "alice", "/stream-message", `{"message":"all of this is said"}`)
		<-time.After(250 * time.Millisecond)
		began := time.Now()
		if err := l.seeds.Shutdown(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("Shutdown: %v after %v", err, time.Since(began))
		}
		page, err := l.hub.History(t.Context(), hub.Actor{Name: "bob"}, hub.HistoryQuery{Target: hub.Target{Room: hub.General}})
		if err != nil || len(page.Messages) != 1 || page.Messages[0].Message != "all of this is said" {
			t.Errorf("stored: %+v, %v", page.Messages, err)
		}
		wantError(t, l.post(t, http.StatusServiceUnavailable, "alice", "/stream-message", `{"message":"too late"}`), "shutting down")
	})
}

// TestStreamMessageRevoked: who may no longer come in says no more.
func TestStreamMessageRevoked(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		s := l.open(t, "bob", "/events?types=message,partial-message")
		defer s.close()
		s.want(t, "system", nil)
		l.post(t, http.StatusOK, "alice", "/stream-message", `{"message":"said not said"}`)
		s.want(t, "partial-message", map[string]any{"message": "said "})
		l.revoked.Store(true)
		s.want(t, "partial-message", map[string]any{"message": "said ", "isComplete": true, "cancelled": true})
		synctest.Wait()
		page, err := l.hub.History(t.Context(), hub.Actor{Name: "bob"}, hub.HistoryQuery{Target: hub.Target{Room: hub.General}})
		if err != nil || len(page.Messages) != 0 {
			t.Errorf("stored: %+v, %v", page.Messages, err)
		}
	})
}

func TestMessageRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		for _, path := range []string{"/send-message", "/stream-message"} {
			for body, want := range map[string]struct {
				status int
				detail string
			}{
				`{}`:                           {400, "message: is missing"},
				`{"message":null}`:             {400, "message: is missing"},
				`{"message":""}`:               {400, "message"},
				`{"message":7}`:                {400, "message has the wrong type"},
				`{"message":"x","room":"den"}`: {400, "Allowed are message"},
				`{"message":"x"`:               {400, "not one JSON object"},
				`"x"`:                          {400, "not a JSON object"},
				`{"message":"` + strings.Repeat("x", hub.MaxText+1) + `"}`: {400, "message"},
				strings.Repeat(" ", maxMessage+1):                          {413, "longer than"},
			} {
				wantError(t, l.post(t, want.status, "alice", path, body), want.detail)
			}
			wantError(t, l.post(t, http.StatusUnsupportedMediaType, "alice", path, `{"message":"x"}`, "Content-Type: text/plain"), "application/json")
			wantError(t, l.post(t, http.StatusForbidden, "alice/chat.read", path, `{"message":"x"}`), "chat:write")
			resp := l.ask(t, http.MethodGet, "alice", path, "")
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" {
				t.Errorf("GET %s: %s, Allow %q", path, resp.Status, resp.Header.Get("Allow"))
			}
		}
		if page, err := l.hub.History(t.Context(), hub.Actor{Name: "bob"}, hub.HistoryQuery{Target: hub.Target{Room: hub.General}}); err != nil || len(page.Messages) != 0 {
			t.Errorf("stored: %+v, %v", page.Messages, err)
		}
	})
}
