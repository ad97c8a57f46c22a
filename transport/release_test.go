package transport_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"wigwag/transport"
)

// TestAnswerFreesItsPlace: who has the answer of a call can make the next one,
// within a limit of one and with the same ID.
func TestAnswerFreesItsPlace(t *testing.T) {
	l := newLab(t, transport.Options{Limits: transport.Limits{MaxCallsPerUser: 1}})
	session := l.open("2025-11-25")
	for i := range 300 {
		for name, headers := range map[string]string{"no session": "User: bob", "session": session} {
			if a := l.post(headers, ping).finish(); a.status != http.StatusOK {
				t.Fatalf("call %d, %s: %d %s", i, name, a.status, a.body)
			}
		}
	}
}

// TestLogSaysNothingOfArguments: what a client sent is not the log's.
func TestLogSaysNothingOfArguments(t *testing.T) {
	var log strings.Builder
	l := newLab(t, transport.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, tool := range []string{"ask_nothing", "not_json", "fail"} {
		headers, body := modern("tools/call", tool, fmt.Sprintf(`"name":%q,"arguments":{"text":"my secret"}`, tool))
		l.post(headers, body).finish()
	}
	l.cutOff()
	if strings.Contains(log.String(), "my secret") || strings.Count(log.String(), "call failed") != 3 {
		t.Errorf("log:\n%s", log.String())
	}
}
