package metrics

import (
	"time"

	"wigwag/hub"
	"wigwag/transport"
)

// Surfaces.
const (
	surfaceMCP    = "mcp"
	surfaceEvents = "events"
	surfaceHTTP   = "http" // before a request gets to one of the others
)

// Transport is what the transport tells.
func (m *Metrics) Transport() transport.Observer { return ofTransport{m} }

// Hub is what the hub tells.
func (m *Metrics) Hub() hub.Observer { return ofHub{m} }

// EventsRefused is told why a stream of GET /events was not let in.
func (m *Metrics) EventsRefused(reason string) { m.refuse(surfaceEvents, reason) }

// HTTPRefused is told why a request was turned away before it got anywhere.
func (m *Metrics) HTTPRefused(reason string) { m.refuse(surfaceHTTP, reason) }

func (m *Metrics) refuse(surface, reason string) {
	m.refused.WithLabelValues(surface, m.reasons.bound(reason)).Inc()
}

type ofTransport struct{ *Metrics }

// Call implements transport.Observer.
func (m ofTransport) Call(method, tool, outcome string, took time.Duration) {
	method, tool = m.methods.bound(method), m.tools.bound(tool)
	m.calls.WithLabelValues(method, tool, m.kinds.bound(outcome)).Inc()
	m.took.WithLabelValues(method, tool).Observe(took.Seconds())
}

// Refused implements transport.Observer.
func (m ofTransport) Refused(reason string) { m.refuse(surfaceMCP, reason) }

// Replayed implements transport.Observer.
func (m ofTransport) Replayed(events int) {
	m.resumes.Inc()
	m.resumed.Add(float64(events))
}

type ofHub struct{ *Metrics }

// Stored implements hub.Observer.
func (m ofHub) Stored(what string) { m.stored.WithLabelValues(m.kinds.bound(what)).Inc() }

// Delivered implements hub.Observer. Clocks of two machines may differ.
func (m ofHub) Delivered(lag time.Duration) { m.lag.Observe(max(lag, 0).Seconds()) }

// FellBehind implements hub.Observer.
func (m ofHub) FellBehind() { m.misses.Inc() }

// Replayed implements hub.Observer.
func (m ofHub) Replayed(records int) {
	m.pages.Inc()
	m.replayed.Add(float64(records))
}

// StoreFailed implements hub.Observer.
func (m ofHub) StoreFailed(operation, kind string) {
	m.failed.WithLabelValues(m.kinds.bound(operation), m.kinds.bound(kind)).Inc()
}
