package transport

import (
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// peer is what is known of a client: of a session's, or of a single request's
// where there is no session. It has the parts of mcp-go's session interfaces
// that are state.
type peer struct {
	id     string // mcp-go keys by it
	owner  Owner
	modern bool // the request is of 2026-07-28

	stateMu     sync.Mutex
	initialized bool
	version     string
	level       mcp.LoggingLevel // "" lets no notifications/message through
	info        mcp.Implementation
	caps        mcp.ClientCapabilities
}

func (p *peer) SessionID() string { return p.id }

func (p *peer) Initialize() {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.initialized = true
}

func (p *peer) Initialized() bool {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	return p.initialized
}

func (p *peer) ProtocolVersion() string {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	return p.version
}

func (p *peer) SetProtocolVersion(v string) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.version = v
}

func (p *peer) GetLogLevel() mcp.LoggingLevel {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	return p.level
}

func (p *peer) SetLogLevel(l mcp.LoggingLevel) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.level = l
}

func (p *peer) GetClientInfo() mcp.Implementation {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	return p.info
}

func (p *peer) SetClientInfo(info mcp.Implementation) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.info = info
}

func (p *peer) GetClientCapabilities() mcp.ClientCapabilities {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	return p.caps
}

func (p *peer) SetClientCapabilities(caps mcp.ClientCapabilities) {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	p.caps = caps
}

// primes reports whether the peer's SSE streams begin with an event that has
// only an ID (2025-11-25, transports, "Sending Messages to the Server").
func (p *peer) primes() bool {
	return p.ProtocolVersion() >= mcp.ProtocolVersion20251125 && !p.modern
}
