package metrics

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"wigwag/hub"
	"wigwag/transport"
)

// everything makes every number move.
func everything() *Metrics {
	m := New()
	m.Watch(Sources{
		Transport: func() transport.Stats { return transport.Stats{Sessions: 1, Streams: 2, Calls: 3} },
		Hub:       func() hub.Stats { return hub.Stats{Listeners: 4, Streams: 5} },
		Events:    func() int { return 6 },
	})
	t, h := m.Transport(), m.Hub()
	t.Call("tools/call", "send_message", transport.OutcomeOK, 3*time.Millisecond)
	t.Refused(transport.RefusedBody)
	t.Replayed(7)
	m.EventsRefused("streams")
	m.HTTPRefused("unauthenticated")
	h.Stored("message")
	h.Delivered(20 * time.Millisecond)
	h.FellBehind()
	h.Replayed(8)
	h.StoreFailed("append", "full")
	return m
}

// scrape asks as Prometheus does.
func scrape(t *testing.T, m *Metrics) (text string, families map[string]*dto.MetricFamily) {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	text = answer.Body.String()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("%d, %v: %s", answer.Code, err, text)
	}
	return text, families
}

func TestScrape(t *testing.T) {
	text, _ := scrape(t, everything())
	for _, line := range []string{
		`wigwag_calls_total{method="tools/call",outcome="ok",tool="send_message"} 1`,
		`wigwag_call_duration_seconds_bucket{method="tools/call",tool="send_message",le="0.0025"} 0`,
		`wigwag_call_duration_seconds_bucket{method="tools/call",tool="send_message",le="0.005"} 1`,
		`wigwag_refusals_total{reason="body",surface="mcp"} 1`,
		`wigwag_refusals_total{reason="streams",surface="events"} 1`,
		`wigwag_refusals_total{reason="unauthenticated",surface="http"} 1`,
		`wigwag_stream_resumes_total 1`,
		`wigwag_stream_resumed_events_total 7`,
		`wigwag_stored_total{type="message"} 1`,
		`wigwag_fanout_lag_seconds_bucket{le="0.01"} 0`,
		`wigwag_fanout_lag_seconds_bucket{le="0.025"} 1`,
		`wigwag_ring_misses_total 1`,
		`wigwag_replay_pages_total 1`,
		`wigwag_replay_records_total 8`,
		`wigwag_store_errors_total{kind="full",operation="append"} 1`,
		`wigwag_sessions 1`,
		`wigwag_streams{surface="mcp"} 2`,
		`wigwag_calls_running 3`,
		`wigwag_listeners 4`,
		`wigwag_messages_in_parts 5`,
		`wigwag_streams{surface="events"} 6`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total"} {
		if !strings.Contains(text, "\n"+name+" ") {
			t.Errorf("there is no %s", name)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestLabelsAreBounded: what should not come, text of clients as a name, makes
// a bounded number of series all the same.
func TestLabelsAreBounded(t *testing.T) {
	m := everything()
	for i := range 10_000 {
		made := fmt.Sprint("made_up_", i)
		m.Transport().Call("tools/call", made, "ok", time.Millisecond)
		m.Transport().Call(made, "", made, time.Millisecond)
		m.Transport().Refused(made)
		m.Hub().Stored(made)
		m.Hub().StoreFailed(made, made)
	}
	_, families := scrape(t, m)
	for name, f := range families {
		if n := len(f.GetMetric()); n > 3*(maxValues+1) {
			t.Errorf("%s has %d series", name, n)
		}
	}
	m.Transport().Call("tools/call", "send_message", transport.OutcomeOK, time.Millisecond)
	if text, _ := scrape(t, m); !strings.Contains(text, `wigwag_calls_total{method="tools/call",outcome="ok",tool="send_message"} 2`) {
		t.Error("what was known before is no longer told by name")
	}
}

// TestDocs: the table in docs/operations.md is what a scrape has.
func TestDocs(t *testing.T) {
	_, families := scrape(t, everything())
	var rows []string
	for name, f := range families {
		if !strings.HasPrefix(name, "wigwag_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()))
	}
	slices.Sort(rows)
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range bytes.Lines(docs) {
		if bytes.HasPrefix(line, []byte("| `wigwag_")) {
			documented = append(documented, string(bytes.TrimSpace(line)))
		}
	}
	if !slices.Equal(rows, documented) {
		t.Errorf("docs/operations.md has another table than\n%s", strings.Join(rows, "\n"))
	}
}
