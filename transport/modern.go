package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// serveModern serves 2026-07-28: stateless, every request carries all there is
// to know of its client.
func (p *post) serveModern() error {
	msg := p.msgs[0]
	switch {
	case p.batch:
		return invalid(nil, "revision 2026-07-28 has no batches: send one message in a body")
	case msg.kind == response:
		return invalid(nil, "on 2026-07-28 the server sends no requests, so there is nothing to respond to; answers go into inputResponses")
	case msg.kind == notification:
		if err := p.checkHeaders(msg); err != nil {
			return err
		}
		p.w.WriteHeader(http.StatusAccepted) // closing the response stream is what cancels
		return nil
	}
	if err := p.checkMeta(msg); err != nil {
		return err
	}
	if err := p.checkHeaders(msg); err != nil {
		return err
	}
	level, asked := msg.meta.text(mcp.MetaKeyLogLevel)
	if l := mcp.LoggingLevel(level); asked && !l.ShouldSendTo(l) {
		return badParams(msg.id, fmt.Sprintf("%s is %q, which is no level; allowed are debug, info, notice, warning, error, critical, alert and emergency", mcp.MetaKeyLogLevel, level))
	}
	p.peer = &peer{
		id: newSessionID(), owner: p.owner, modern: true, initialized: true,
		version: mcp.ProtocolVersion20260728, level: mcp.LoggingLevel(level),
	}
	if msg.method == string(mcp.MethodSubscriptionsListen) {
		return p.serveListen(msg)
	}
	return p.answerCalls(p.msgs)
}

// checkMeta checks what every request of 2026-07-28 must declare (base
// protocol, "_meta"; transports, "Protocol Version Header").
func (p *post) checkMeta(msg message) error {
	version, ok := msg.meta.text(mcp.MetaKeyProtocolVersion)
	switch {
	case !ok:
		return badParams(msg.id, "params._meta must hold "+mcp.MetaKeyProtocolVersion)
	case p.version == "":
		return badHeader(msg.id, "the header MCP-Protocol-Version is missing; it must equal "+mcp.MetaKeyProtocolVersion)
	case p.version != version:
		return badHeader(msg.id, fmt.Sprintf("the header MCP-Protocol-Version is %q and %s is %q; they must be equal", p.version, mcp.MetaKeyProtocolVersion, version))
	}
	var caps *mcp.ClientCapabilities
	raw := msg.meta[mcp.MetaKeyClientCapabilities]
	if string(raw) != "{}" && (json.Unmarshal(raw, &caps) != nil || caps == nil) {
		return badParams(msg.id, "params._meta must hold "+mcp.MetaKeyClientCapabilities+", an object that may be empty")
	}
	return nil
}

func badParams(id json.RawMessage, text string) *fault {
	return &fault{status: http.StatusBadRequest, code: mcp.INVALID_PARAMS, id: id, msg: text}
}

// checkHeaders compares the headers that repeat parts of the body for whoever
// routes on them (2026-07-28, transports, "Standard Request Headers").
func (p *post) checkHeaders(msg message) error {
	h := p.r.Header
	names := []string{mcp.HeaderProtocolVersion, mcp.HeaderMethod, mcp.HeaderName}
	tool := p.mirroring(&msg)
	if tool != nil {
		for _, b := range mcp.ExtractParamHeaderBindings(&tool.Tool) {
			names = append(names, b.HeaderName())
		}
	}
	for _, name := range names {
		if err := checkHeader(name, h.Values(name)); err != nil {
			return err.withID(msg.id)
		}
	}
	var err error
	if !p.namesTool(&msg) {
		err = mcp.ValidateStandardHeaders(h.Get, mcp.ProtocolVersion20260728, mcp.MCPMethod(msg.method), msg.params)
	}
	if err == nil && tool != nil {
		err = mcp.ValidateParamHeadersLookup(func(name string) (string, bool) {
			return h.Get(name), len(h.Values(name)) > 0
		}, &tool.Tool, msg.params)
	}
	if err == nil {
		return nil
	}
	if mismatch, ok := errors.AsType[mcp.HeaderMismatchError](err); ok {
		return badHeader(msg.id, mismatch.Error())
	}
	return badParams(msg.id, err.Error())
}

// mirroring returns the tool that the message calls, nil for one that is known
// to have no parameters that travel in headers, too.
func (p *post) mirroring(msg *message) *server.ServerTool {
	if tool := p.srv.direct.tool(msg); tool != nil && !tool.mirrored || msg.method != string(mcp.MethodToolsCall) {
		return nil
	}
	name := msg.tool.name
	if name == "" {
		var call struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(msg.params, &call) // mcp-go answers what does not fit
		name = call.Name
	}
	return p.srv.mcp.GetTool(name)
}

// namesTool reports whether the headers say without any encoding which tool the
// message calls: all that ValidateStandardHeaders wants, which reads the
// parameters from their text.
func (p *post) namesTool(msg *message) bool {
	name := p.r.Header.Get(mcp.HeaderName)
	return msg.tool.name != "" && name == msg.tool.name && !strings.HasPrefix(name, "=?") &&
		p.r.Header.Get(mcp.HeaderMethod) == msg.method
}

// checkHeader wants a header once at most, in visible ASCII, space and tab.
func checkHeader(name string, values []string) *fault {
	if len(values) > 1 {
		return badHeader(nil, "the header "+name+" comes more than once")
	}
	if len(values) == 1 && strings.ContainsFunc(values[0], func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }) {
		return badHeader(nil, "the header "+name+" holds more than visible ASCII, space and tab; such values are sent as =?base64?…?=")
	}
	return nil
}

// modernStatus is the HTTP status of a lone response with this error code, 0 for
// a result (2026-07-28, transports,
// "Sending Messages to the Server").
func modernStatus(code int) int {
	switch code {
	case mcp.METHOD_NOT_FOUND:
		return http.StatusNotFound
	case mcp.PARSE_ERROR, mcp.INVALID_REQUEST, mcp.INVALID_PARAMS, mcp.HEADER_MISMATCH,
		mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, mcp.UNSUPPORTED_PROTOCOL_VERSION:
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

// serveListen serves subscriptions/listen: a response stream that stays open.
func (p *post) serveListen(msg message) error {
	if !p.accepts.sse {
		return withID(notAcceptable("subscriptions/listen is answered with text/event-stream: Accept must allow it"), msg.id)
	}
	if err := p.srv.permitted(p.r.Context(), msg); err != nil {
		return err
	}
	release, err := p.srv.quota.stream(p.owner.User)
	if err != nil {
		return withID(err, msg.id)
	}
	defer release()
	p.stream = newStream(1, false)
	c, err := p.srv.newListen(p.r.Context(), msg, p.peer, p.stream)
	if err != nil {
		return err
	}
	p.calls = []*call{c}
	lifetime := time.AfterFunc(p.srv.lifetime(p.owner), func() { c.cancel(errLifetime) })
	defer lifetime.Stop()
	conn := p.stream.attach()
	defer p.stream.detach(conn)
	p.srv.start(c)
	return p.answer(conn)
}
