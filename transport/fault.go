package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

const (
	codeRefused         = -32000 // a limit, or draining
	codeSessionNotFound = -32001
)

// fault is a refusal by the transport: an HTTP status with a JSON-RPC error as
// its body. Handlers return it, [Server.answerError] writes it.
type fault struct {
	status    int
	code      int
	id        json.RawMessage // of the request it answers; nil is written as null
	msg       string
	data      any
	allow     string        // for 405
	retry     time.Duration // Retry-After, for 429 and 503
	challenge string        // WWW-Authenticate, for 403
	reason    string        // one of the Refused…; "" when it is the request that is wrong
}

func (f *fault) Error() string { return f.msg }

func (f *fault) withID(id json.RawMessage) *fault {
	g := *f
	g.id = id
	return &g
}

func invalid(id json.RawMessage, msg string) *fault {
	return &fault{status: http.StatusBadRequest, code: mcp.INVALID_REQUEST, id: id, msg: msg}
}

func notJSON(err error) *fault {
	return &fault{status: http.StatusBadRequest, code: mcp.PARSE_ERROR, msg: "the body is not valid JSON: " + err.Error()}
}

func badHeader(id json.RawMessage, msg string) *fault {
	return &fault{status: http.StatusBadRequest, code: mcp.HEADER_MISMATCH, id: id, msg: msg}
}

func unsupportedVersion(id json.RawMessage, requested string) *fault {
	return &fault{
		status: http.StatusBadRequest, code: mcp.UNSUPPORTED_PROTOCOL_VERSION, id: id,
		msg:  fmt.Sprintf("protocol version %q is not supported here; supported: %s", requested, strings.Join(supportedVersions, ", ")),
		data: mcp.UnsupportedProtocolVersionData{Supported: supportedVersions, Requested: requested},
	}
}

// errSessionNotFound is the one answer for a session that ended, never was, or
// belongs to somebody else.
var errSessionNotFound = &fault{
	status: http.StatusNotFound, code: codeSessionNotFound,
	msg: "session not found: it ended or never was; send initialize without Mcp-Session-Id to begin a new one",
}

func methodNotAllowed(allow, msg string) *fault {
	return &fault{status: http.StatusMethodNotAllowed, code: codeRefused, msg: msg, allow: allow}
}

// tooMany is for what a user has too much of.
func tooMany(reason, msg string) *fault {
	return &fault{status: http.StatusTooManyRequests, code: codeRefused, msg: msg, retry: time.Second, reason: reason}
}

// busy is for what the server has too much of.
func busy(reason, msg string) *fault {
	return &fault{status: http.StatusServiceUnavailable, code: codeRefused, msg: msg + "; try again later", retry: 10 * time.Second, reason: reason}
}

func overloaded() *fault {
	return busy(RefusedMemory, "the server is short of memory and takes nothing new")
}

func revoked(id json.RawMessage) *fault {
	return &fault{status: http.StatusUnauthorized, code: codeRefused, id: id, msg: "the token has been revoked", reason: RefusedRevoked}
}

func draining() *fault {
	return &fault{
		status: http.StatusServiceUnavailable, code: codeRefused, msg: "the server is shutting down; try again shortly",
		retry: 2 * time.Second, reason: RefusedDraining,
	}
}

// rpcError is the JSON-RPC form of the fault.
func (f *fault) rpcError() []byte {
	id := f.id
	if id == nil {
		id = json.RawMessage("null")
	}
	details, err := encode(mcp.JSONRPCErrorDetails{Code: f.code, Message: f.msg, Data: f.data})
	if err != nil { // a tool's data: it has been logged as the call's error
		details, _ = encode(mcp.JSONRPCErrorDetails{Code: f.code, Message: f.msg})
	}
	return envelope(id, "error", details)
}

// answerError is where every refusal becomes an answer.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errGone) {
		return
	}
	f, ok := errors.AsType[*fault](err)
	if !ok {
		s.log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		f = &fault{status: http.StatusInternalServerError, code: mcp.INTERNAL_ERROR, msg: "internal error"}
	}
	if f.reason != "" {
		s.observer.Refused(f.reason)
	}
	h := w.Header()
	if f.allow != "" {
		h.Set("Allow", f.allow)
	}
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retry.Seconds()))))
	}
	s.writeJSON(w, f.status, f.rpcError())
	_ = http.NewResponseController(w).Flush() // the request may not have been read to its end; the answer does not wait for that
}

// envelope is a JSON-RPC response: the ID exactly as it was sent, and a result
// or an error.
func envelope(id json.RawMessage, key string, value []byte) []byte {
	body := openEnvelope(id, key)
	return append(append(slices.Grow(body, len(value)+1), value...), '}')
}

// openEnvelope is an envelope up to the value.
func openEnvelope(id json.RawMessage, key string) []byte {
	body := make([]byte, 0, len(id)+256)
	body = append(append(body, `{"jsonrpc":"2.0","id":`...), id...)
	return append(append(append(body, `,"`...), key...), `":`...)
}

func (s *Server) writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{jsonType}
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout)) // unsupported only by test recorders
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // JSON, declared as such; a client that is gone has no use for the error
}
