// Package metrics is what the server does, as numbers for Prometheus. It is the
// only package that knows Prometheus: those that do something tell an observer
// of their own, or say what there is when they are asked, and cmd connects them.
//
// Label values come from small, fixed sets and never from a client's text. In
// case one should, a label takes a bounded number of values and "other" beyond
// it.
package metrics

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wigwag/hub"
	"wigwag/transport"
)

const (
	// maxValues bounds the values of a label.
	maxValues = 64
	// maxScrapes is how many are answered at a time; more get 503.
	maxScrapes = 4
	// scrapeWithin bounds one.
	scrapeWithin = 10 * time.Second
)

// Metrics are all numbers of one server.
type Metrics struct {
	registry *prometheus.Registry

	calls    *prometheus.CounterVec   // by method, tool, outcome
	took     *prometheus.HistogramVec // by method, tool
	refused  *prometheus.CounterVec   // by surface, reason
	resumes  prometheus.Counter
	resumed  prometheus.Counter
	stored   *prometheus.CounterVec // by type
	lag      prometheus.Histogram
	misses   prometheus.Counter
	pages    prometheus.Counter
	replayed prometheus.Counter
	failed   *prometheus.CounterVec // by operation, kind

	methods, tools, reasons, kinds *values
}

// New makes the numbers, all of them zero.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		methods:  newValues(), tools: newValues(), reasons: newValues(), kinds: newValues(),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.calls = m.counters("wigwag_calls_total", "MCP requests that have ended.", "method", "tool", "outcome")
	m.took = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "wigwag_call_duration_seconds", Help: "How long MCP requests took. Some wait on purpose: wait_for_messages, stream_message, subscriptions/listen.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}, []string{"method", "tool"})
	m.refused = m.counters("wigwag_refusals_total", "What was not let in.", "surface", "reason")
	m.resumes = m.counter("wigwag_stream_resumes_total", "MCP streams that a client resumed.")
	m.resumed = m.counter("wigwag_stream_resumed_events_total", "Events that were sent again for that.")
	m.stored = m.counters("wigwag_stored_total", "What was stored.", "type")
	m.lag = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "wigwag_fanout_lag_seconds", Help: "From the time something was stored until it was given to a listener that had everything before; a sample of one in 16.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})
	m.misses = m.counter("wigwag_ring_misses_total", "Listeners that fell so far behind that they had to read the log.")
	m.pages = m.counter("wigwag_replay_pages_total", "Pages of the log that were read for listeners and waits.")
	m.replayed = m.counter("wigwag_replay_records_total", "Records on those pages.")
	m.failed = m.counters("wigwag_store_errors_total", "Errors of the store.", "operation", "kind")
	m.registry.MustRegister(m.took, m.lag)
	return m
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

// Sources tell what there is at the moment.
type Sources struct {
	Transport func() transport.Stats
	Hub       func() hub.Stats
	Events    func() int // open streams of GET /events
}

// Watch adds what the sources tell, whenever it is scraped. Call it once.
func (m *Metrics) Watch(s Sources) {
	gauge := func(name, help string, labels prometheus.Labels, value func() int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(value()) }))
	}
	const streams, streamsHelp = "wigwag_streams", "Open listening streams. mcp are GET /mcp, subscriptions/listen and GET /sse; events are GET /events."
	gauge(streams, streamsHelp, prometheus.Labels{"surface": surfaceMCP}, func() int { return s.Transport().Streams })
	gauge(streams, streamsHelp, prometheus.Labels{"surface": surfaceEvents}, s.Events)
	gauge("wigwag_sessions", "MCP sessions.", nil, func() int { return s.Transport().Sessions })
	gauge("wigwag_calls_running", "MCP requests that are running.", nil, func() int { return s.Transport().Calls })
	gauge("wigwag_listeners", "Listeners of the hub: streams of GET /events, and calls of wait_for_messages.", nil, func() int { return s.Hub().Listeners })
	gauge("wigwag_messages_in_parts", "Messages on their way in parts.", nil, func() int { return s.Hub().Streams })
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeWithin})
}

// values are those that a label has had.
type values struct {
	mu   sync.RWMutex
	seen map[string]struct{} // at most maxValues
}

func newValues() *values { return &values{seen: map[string]struct{}{}} }

// bound is the value, or "other" if there are too many already.
func (v *values) bound(value string) string {
	v.mu.RLock()
	_, known := v.seen[value]
	v.mu.RUnlock()
	if known {
		return value
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) >= maxValues {
		return "other"
	}
	v.seen[value] = struct{}{}
	return value
}
