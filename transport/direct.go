package transport

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// direct is the short way of a tools/call. MCPServer.HandleMessage reads a
// message from its text, several times over, which costs more than all else that
// a small call does here. The transport has read the message already, and what
// remains is little: make the request, call the handler, put on the result what
// the revision asks for.
//
// Whatever is unusual goes the long way: a message that the scanner did not
// take, parameters beside name, arguments and _meta, a tool that is not known.
// So does the outcome of a handler that is not a plain result, such as an error
// or a question to the client. It is handed to HandleMessage, which finds it in
// place of the handler (see replay) and answers as it always does.
type direct struct {
	mcp   *server.MCPServer
	tools map[string]*directTool
	key   any       // by which server.ServerFromContext finds the server
	meta  *mcp.Meta // of results that have none of their own (2026-07-28)
	text  []byte    // meta, encoded
}

type directTool struct {
	handle   server.ToolHandlerFunc
	mirrored bool // it has parameters that travel in headers, too (2026-07-28)
}

// newDirect returns nil where a hook wants to see calls: then none is direct.
func newDirect(m *server.MCPServer) *direct {
	hooks := m.GetHooks()
	if len(hooks.OnBeforeAny)+len(hooks.OnSuccess)+len(hooks.OnRequestInitialization)+len(hooks.OnBeforeCallTool)+len(hooks.OnAfterCallTool) > 0 {
		return nil
	}
	d := &direct{mcp: m, tools: make(map[string]*directTool), key: serverKey()}
	for name, tool := range m.ListTools() {
		if tool.Tool.Execution == nil { // else it may want to be a task
			d.tools[name] = &directTool{tool.Handler, len(mcp.ExtractParamHeaderBindings(&tool.Tool)) > 0}
		}
	}
	if d.meta = serverMeta(m); d.meta == nil {
		return nil
	}
	var err error
	if d.text, err = json.Marshal(d.meta); err != nil {
		return nil
	}
	m.Use(replay)
	return d
}

// serverMeta asks the server for the _meta of its results.
func serverMeta(m *server.MCPServer) *mcp.Meta {
	resp, _ := m.HandleMessage(context.Background(), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{`+
		`"`+mcp.MetaKeyProtocolVersion+`":"`+mcp.ProtocolVersion20260728+`","`+mcp.MetaKeyClientCapabilities+`":{}}}}`)).(mcp.JSONRPCResponse)
	result, ok := resp.Result.(mcp.DiscoverResult)
	if !ok || result.Meta == nil {
		return nil
	}
	info := result.Meta.ServerInfo()
	if info == nil {
		return nil
	}
	meta := &mcp.Meta{}
	meta.SetServerInfo(*info)
	return meta
}

// keyProbe is a context that is asked for one value and keeps the key.
type keyProbe struct {
	context.Context //nolint:containedctx // it is one
	key             any
}

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

// serverKey finds out under which key, which mcp-go does not export, a context
// has its server.
func serverKey() any {
	p := &keyProbe{Context: context.Background()}
	server.ServerFromContext(p)
	return p.key
}

// tool returns the tool that the message calls, if it can be called directly.
func (d *direct) tool(m *message) *directTool {
	if d == nil || m.kind != request || m.tool.name == "" {
		return nil
	}
	return d.tools[m.tool.name]
}

// outcome is what a handler returned that mcp-go has to answer.
type outcome struct {
	result *mcp.CallToolResult
	err    error
	told   bool
}

type outcomeKey struct{}

// replay lets a handler whose outcome is known already return it, once.
func replay(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if o, ok := ctx.Value(outcomeKey{}).(*outcome); ok && !o.told {
			o.told = true
			return o.result, o.err
		}
		return next(ctx, req)
	}
}

// call calls the tool for c. It returns the result, or nil and the context with
// which HandleMessage has to go on.
func (d *direct) call(ctx context.Context, c *call) (*mcp.CallToolResult, context.Context) {
	tool := d.tool(&c.msg)
	if tool == nil {
		return nil, ctx
	}
	req, err := c.msg.toolRequest()
	if err != nil {
		return nil, ctx
	}
	info, ok := c.protocolInfo(req.Params.Meta)
	if !ok {
		return nil, ctx
	}
	ctx = server.WithRequestProtocolInfo(context.WithValue(ctx, d.key, d.mcp), info)
	result, err := tool.handle(ctx, req)
	if err != nil || result == nil || result.NeedsInput() {
		return nil, context.WithValue(ctx, outcomeKey{}, &outcome{result: result, err: err})
	}
	if info.Modern {
		result = d.decorate(*result)
	}
	return result, ctx
}

// protocolInfo is what mcp-go tells handlers of a request. The peer learns from
// it what a session learns from initialize.
func (c *call) protocolInfo(meta *mcp.Meta) (*server.RequestProtocolInfo, bool) {
	info := &server.RequestProtocolInfo{Modern: c.peer.modern, ProtocolVersion: meta.ProtocolVersion()}
	if mcp.IsModernProtocol(info.ProtocolVersion) != info.Modern {
		return nil, false
	}
	if !info.Modern {
		return info, true
	}
	info.ClientInfo, info.ClientCapabilities, info.LogLevel = clientInfo(meta), clientCapabilities(meta), meta.LogLevel()
	if info.ClientInfo != nil {
		c.peer.SetClientInfo(*info.ClientInfo)
	}
	if info.ClientCapabilities != nil {
		c.peer.SetClientCapabilities(*info.ClientCapabilities)
	}
	return info, info.ClientCapabilities != nil
}

// clientInfo is meta.ClientInfo, which encodes and decodes what has been decoded,
// for clients that have little to say.
func clientInfo(meta *mcp.Meta) *mcp.Implementation {
	fields, _ := meta.GetMetaField(mcp.MetaKeyClientInfo).(map[string]any)
	name, named := fields["name"].(string)
	version, versioned := fields["version"].(string)
	if named && versioned && len(fields) == 2 {
		return &mcp.Implementation{Name: name, Version: version}
	}
	return meta.ClientInfo()
}

// clientCapabilities is meta.ClientCapabilities, likewise.
func clientCapabilities(meta *mcp.Meta) *mcp.ClientCapabilities {
	if fields, ok := meta.GetMetaField(mcp.MetaKeyClientCapabilities).(map[string]any); ok && len(fields) == 0 {
		return &mcp.ClientCapabilities{}
	}
	return meta.ClientCapabilities()
}

// decorate puts on a result what 2026-07-28 asks for.
func (d *direct) decorate(result mcp.CallToolResult) *mcp.CallToolResult {
	if result.ResultType == "" {
		result.ResultType = mcp.ResultTypeComplete
	}
	switch {
	case result.Meta == nil:
		result.Meta = d.meta
	case result.Meta.ServerInfo() == nil:
		result.Meta.SetServerInfo(*d.meta.ServerInfo())
	}
	return &result
}

// encodedMeta returns a result's _meta if it is the server's; else nil.
func (d *direct) encodedMeta(result *mcp.CallToolResult) []byte {
	if d == nil || result.Meta != d.meta {
		return nil
	}
	return d.text
}

// toolRequest is the request that mcp-go would hand to the handler.
func (m *message) toolRequest() (mcp.CallToolRequest, error) {
	req := mcp.CallToolRequest{Request: mcp.Request{Method: m.method}, Header: make(map[string][]string)}
	req.Params.Name = m.tool.name
	if m.meta != nil {
		fields := make(map[string]any, len(m.meta))
		for key, raw := range m.meta {
			value, err := decodeAny(raw)
			if err != nil {
				return req, err
			}
			fields[key] = value
		}
		req.Params.Meta = &mcp.Meta{ProgressToken: fields["progressToken"], AdditionalFields: fields}
		delete(fields, "progressToken")
	}
	if m.tool.arguments == nil {
		return req, nil
	}
	req.Params.RawArguments = m.tool.arguments
	var err error
	req.Params.Arguments, err = decodeAny(m.tool.arguments)
	return req, err
}
