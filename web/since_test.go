package web

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wigwag/hub"
)

// TestSince: a stream begins with what was stored at a time or later; who
// comes back with an ID goes on there, whatever the address says.
func TestSince(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		first := f.send(t, alice, hub.General, "first")
		<-time.After(time.Minute)
		at := time.Now()
		f.send(t, alice, hub.General, "second")
		<-time.After(time.Minute)
		f.send(t, alice, hub.General, "third")
		since := func(at time.Time) string { return "?since=" + url.QueryEscape(at.Format(time.RFC3339Nano)) }
		for query, want := range map[string][]string{
			since(at.Add(-time.Hour)):                    {"message first", "message second", "message third"},
			since(at):                                    {"message second", "message third"},
			since(at.In(time.FixedZone("", 5*3600))):     {"message second", "message third"},
			since(at.Add(time.Second)):                   {"message third"},
			since(at) + "&types=message,partial-message": {"message second", "message third"},
		} {
			for _, token := range []string{"bob", guest} {
				s := f.open(t, token, query)
				s.want(t, want...)
				s.close()
			}
		}
		s := f.open(t, "bob", since(at.Add(-time.Hour)), "Last-Event-ID: "+first.ID)
		s.want(t, "message second", "message third")
		s.close()
		s = f.open(t, "bob", since(at.Add(time.Hour)))
		defer s.close()
		f.send(t, alice, hub.General, "live")
		s.want(t, "message live")
	})
}

func TestSinceRefused(t *testing.T) {
	f := start(t, Limits{})
	for query, detail := range map[string]string{
		"?since=yesterday":  "since: \"yesterday\" is not a time; allowed is one of RFC 3339",
		"?since=1700000000": "RFC 3339",
		"?since=":           "since is empty",
		"?since=2026-01-01T00:00:00Z&last_event_id=":   "give one of them",
		"?since=2026-01-01T00:00:00Z&last_event_id=x-": "give one of them",
	} {
		resp := f.ask(t, http.MethodGet, "bob", query)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(string(body), `\"`, `"`), detail) {
			t.Errorf("%s: %s: %s", query, resp.Status, body)
		}
	}
}
