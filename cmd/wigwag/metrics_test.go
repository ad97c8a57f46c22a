package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// measured is a server with metrics.
type measured struct {
	user
	url string // of the metrics
}

func startMeasured(t *testing.T, args ...string) measured {
	t.Helper()
	p := start(t, withPassword, append(args, "--metrics-addr", "127.0.0.1:0")...)
	client := newClient(t)
	return measured{user{p, client, login(t, client, p)}, p.waitFor(t, `"msg":"metrics","url":"([^"]*)"`)}
}

// scrape returns all series and their values.
func (m measured) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	resp := request(t, m.client, http.MethodGet, m.url, "")
	text := body(t, resp)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	series := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		series[line[:i]] = value
	}
	return series
}

// await waits until series have values.
func (m measured) await(t *testing.T, want map[string]float64) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got := m.scrape(t)
		wrong := ""
		for name, value := range want {
			if got[name] != value {
				wrong += fmt.Sprintf("%s is %v, want %v\n", name, got[name], value)
			}
		}
		if wrong == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(wrong)
		}
	}
}

// Values move when things happen.
func TestMetrics(t *testing.T) {
	m := startMeasured(t, "--max-streams-per-user", "1")
	stream, _ := opened(t, m.get(t, "/events?types=message"))
	session := m.session(t)
	for _, one := range []string{
		call(1, "send_message", `{"message":"hello"}`),
		call(2, "send_message", `{"message":""}`),
		call(3, "no_such_tool_<script>", `{}`),
		call(4, "notify", `{"level":"info","message":"hello"}`),
		call(5, "write_log", `{"level":"info","message":"hello"}`),
		`{"jsonrpc":"2.0","id":6,"method":"no/such/method"}`,
	} {
		body(t, m.post(t, "/mcp", one, session))
	}
	if _, err := stream.Next(); err != nil {
		t.Fatal(err)
	}
	refused(t, "/events", m.get(t, "/events"), http.StatusTooManyRequests)
	for url, header := range map[string]string{"/mcp": "X-Nothing: x", "/events": "Host: evil.example"} {
		body(t, request(t, m.client, http.MethodGet, m.program.url+url, "", header))
	}
	body(t, request(t, m.client, http.MethodPost, m.program.url+"/api/login", `{"username":"admin","password":"wrong"}`))
	body(t, request(t, m.client, http.MethodOptions, m.program.url+"/mcp", "", // a preflight has no token and is not refused
		"Origin: "+m.program.url, "Access-Control-Request-Method: POST"))

	m.await(t, map[string]float64{
		`wigwag_streams{surface="events"}`: 1, `wigwag_streams{surface="mcp"}`: 0,
		`wigwag_sessions`: 1, `wigwag_calls_running`: 0, `wigwag_listeners`: 1,
		`wigwag_calls_total{method="tools/call",outcome="ok",tool="send_message"}`:         1,
		`wigwag_calls_total{method="tools/call",outcome="tool_error",tool="send_message"}`: 1,
		`wigwag_calls_total{method="tools/call",outcome="error",tool="other"}`:             1,
		`wigwag_calls_total{method="other",outcome="error",tool=""}`:                       1,
		`wigwag_call_duration_seconds_count{method="tools/call",tool="send_message"}`:      2,
		`wigwag_stored_total{type="message"}`:                                              1,
		`wigwag_stored_total{type="notification"}`:                                         1,
		`wigwag_stored_total{type="log"}`:                                                  1,
		`wigwag_fanout_lag_seconds_count`:                                                  1,
		`wigwag_refusals_total{reason="streams",surface="events"}`:                         1,
		`wigwag_refusals_total{reason="unauthenticated",surface="http"}`:                   1,
		`wigwag_refusals_total{reason="foreign",surface="http"}`:                           1,
		`wigwag_refusals_total{reason="password",surface="http"}`:                          1,
		`wigwag_ring_misses_total`:                                                         0, `wigwag_replay_pages_total`: 0, `wigwag_store_errors_total`: 0,
	})
	if name := "script"; strings.Contains(fmt.Sprint(m.scrape(t)), name) {
		t.Errorf("there is a client's %q", name)
	}

	for path, want := range map[string]int{"/": 404, "/mcp": 404, "/metrics": 200} {
		if resp := request(t, m.client, http.MethodGet, strings.TrimSuffix(m.url, "/metrics")+path, ""); resp.StatusCode != want {
			t.Errorf("%s on the address of the metrics: %s, want %d", path, resp.Status, want)
		}
	}
	if resp := request(t, m.client, http.MethodGet, m.program.url+"/metrics", "", m.auth); resp.StatusCode != http.StatusNotFound {
		t.Errorf("metrics on the address for clients: %s", resp.Status)
	}
	m.program.stop()
	if resp, err := m.client.Get(m.url); err == nil { //nolint:noctx // nobody answers
		resp.Body.Close()
		t.Error("metrics are served after the end")
	}
}

// However many names of tools clients make up, there are not more series.
func TestMetricsOfMadeUpTools(t *testing.T) {
	m := startMeasured(t, "--memory", "--max-calls-per-user", "100")
	const rounds, batch = 100, 100
	series := 0
	for round := range rounds {
		var calls []string
		for i := range batch {
			calls = append(calls, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"made_up_%d_%d","arguments":{}}}`, i, round, i))
		}
		resp := m.post(t, "/mcp", "["+strings.Join(calls, ",")+"]", "MCP-Protocol-Version: 2025-03-26")
		if text := body(t, resp); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", resp.Status, text)
		}
		if round == 0 {
			m.await(t, map[string]float64{`wigwag_calls_total{method="tools/call",outcome="error",tool="other"}`: batch})
			series = len(m.scrape(t))
		}
	}
	m.await(t, map[string]float64{`wigwag_calls_total{method="tools/call",outcome="error",tool="other"}`: rounds * batch})
	all := m.scrape(t)
	if strings.Contains(fmt.Sprint(all), "made_up") {
		t.Error("a client's text is a label")
	}
	if more := len(all) - series; more > 5 { // the runtime's, if any
		t.Errorf("there are %d more series than at first", more)
	}
}

func TestMetricsAddressInUse(t *testing.T) {
	p := start(t, withPassword, "--memory")
	var log strings.Builder
	code := run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0", "--memory", "--metrics-addr", strings.TrimPrefix(p.url, "http://")}, withPassword, nil, &log)
	if code == 0 || !strings.Contains(log.String(), "--metrics-addr") {
		t.Errorf("exit code %d: %s", code, log.String())
	}
	if strings.Contains(p.logs(), `"msg":"metrics"`) {
		t.Error("metrics are served unasked")
	}
}
