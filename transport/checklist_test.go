package transport_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"wigwag/transport"
)

// line is one line of the checklist: what the specification asks of a server
// over HTTP, revision by revision, one thing a line. It is shown by the
// transcripts testdata/line-NN-*.txtar, and by a test in Go where it is about
// time, chance or numbers.
type line struct {
	rule      string
	inGo      func(*testing.T)
	elsewhere string // the package that shows it, if it is not this one's to keep
}

// checklist is in the order of the lines, from 1.
func checklist() []line {
	return []line{
		// All revisions.
		{rule: "one path takes POST and GET"},
		{rule: "foreign Host or Origin: 403", elsewhere: "auth: the guard in front of every route"},
		{rule: "bind to loopback, authenticate", elsewhere: "cmd/wigwag"},
		{rule: "notifications and responses: 202 or 4xx"},
		{rule: "requests: JSON or SSE", inGo: testQuiet},
		{rule: "what Accept allows"},
		{rule: "IDs come back as sent, null is refused"},
		{rule: "no token: 401, too small a scope: 403", elsewhere: "auth"},
		// 2025-03-26.
		{rule: "batches"},
		{rule: "how batches are answered"},
		{rule: "the stream of a batch ends after all responses"},
		{rule: "a broken connection is not a cancellation", inGo: testDisconnect},
		// 2025-06-18, 2025-11-25.
		{rule: "one message a body"},
		{rule: "unknown version: 400"},
		{rule: "no version: the session's, else 2025-03-26"},
		{rule: "version negotiation"},
		// GET.
		{rule: "GET is an SSE stream"},
		{rule: "no response on it"},
		{rule: "what belongs to which stream", inGo: testCallsDoNotMix},
		{rule: "each message on one stream"},
		// Sessions.
		{rule: "session IDs", inGo: testSessionIDs},
		{rule: "no session is required"},
		{rule: "ended, unknown, foreign session: one and the same 404", inGo: testUnknownToTheByte},
		{rule: "DELETE, or a long silence, ends a session", inGo: testIdleSession},
		// Resuming.
		{rule: "event IDs"},
		{rule: "Last-Event-ID replays and goes on", inGo: testFinishedStream},
		{rule: "nothing of another stream is replayed"},
		// 2025-11-25.
		{rule: "the priming event"},
		{rule: "the connection closes, the stream does not"},
		{rule: "so on GET", inGo: testGetLifetime},
		{rule: "after the response the stream ends"},
		{rule: "cancellation"},
		// 2026-07-28, envelope.
		{rule: "_meta is required"},
		{rule: "the version header equals _meta"},
		{rule: "version not served: 400"},
		{rule: "Mcp-Method and Mcp-Name"},
		{rule: "encoded headers"},
		{rule: "Mcp-Param-*"},
		{rule: "unknown method: 404"},
		{rule: "missing capability: 400"},
		{rule: "no responses"},
		{rule: "POST only, no sessions"},
		{rule: "both eras at once"},
		// 2026-07-28, results and streams.
		{rule: "server/discover"},
		{rule: "resultType"},
		{rule: "ttlMs and cacheScope"},
		{rule: "error codes"},
		{rule: "no requests of the server"},
		{rule: "log levels"},
		{rule: "keep-alives, no buffering", inGo: testHeartbeats},
		{rule: "closing the stream cancels"},
		{rule: "input_required"},
		{rule: "requestState", inGo: testStateExpiry},
		{rule: "subscriptions/listen is acknowledged"},
		{rule: "its messages are tagged"},
		{rule: "its filter"},
		{rule: "its end", inGo: testListenLifetime},
		// HTTP+SSE.
		{rule: "the endpoint event"},
		{rule: "everything on the one stream"},
		{rule: "beside Streamable HTTP"},
		// What clients need beyond the text.
		{rule: "sessions outlive the process", inGo: testOutlive},
		{rule: "draining: 503, never 404", inGo: testDrain},
		{rule: "a second GET replaces the first", inGo: testManyGets},
		{rule: "comments on every stream", inGo: testHeartbeats},
	}
}

// TestChecklist has a subtest for each line, "line 13" for the thirteenth.
func TestChecklist(t *testing.T) {
	for i, line := range checklist() {
		t.Run(fmt.Sprint("line ", i+1), func(t *testing.T) {
			cases := transcripts(t, fmt.Sprintf("line-%02d-*", i+1))
			for _, file := range cases {
				t.Run(title(file), func(t *testing.T) { runTranscript(t, file) })
			}
			if line.inGo != nil {
				t.Run("in Go", line.inGo)
			}
			if shown := len(cases) > 0 || line.inGo != nil; shown == (line.elsewhere != "") {
				t.Errorf("%s: shown here: %t, elsewhere: %q; it must be one or the other", line.rule, shown, line.elsewhere)
			}
		})
	}
}

// TestTranscripts runs the transcripts that are of no line.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	ofLines := 0
	for n := range checklist() {
		ofLines += len(transcripts(t, fmt.Sprintf("line-%02d-*", n+1)))
	}
	others := transcripts(t, "also-*")
	for _, file := range others {
		t.Run(title(file), func(t *testing.T) { runTranscript(t, file) })
	}
	if all := len(transcripts(t, "*")); all != ofLines+len(others) {
		t.Errorf("%d transcripts, but %d of lines and %d others are run", all, ofLines, len(others))
	}
}

// TestTranscriptsHTTP2: nothing depends on HTTP/1.1, nor on direct tools.
func TestTranscriptsHTTP2(t *testing.T) {
	t.Parallel()
	http2 := new(http.Protocols)
	http2.SetUnencryptedHTTP2(true)
	for _, file := range transcripts(t, "*") {
		t.Run(title(file), func(t *testing.T) {
			t.Parallel()
			play(t, newLabOver(t, http2, transport.Options{}), file)
		})
	}
}

func transcripts(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func title(file string) string { return strings.TrimSuffix(filepath.Base(file), ".txtar") }
