package transport

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/transport/sse"
)

const jsonType = "application/json"

// supportedVersions are the revisions served on the one endpoint, newest
// first. 2024-11-05 lives on the HTTP+SSE pair; on the endpoint an initialize
// that names it is answered and held to the rules of 2025-03-26.
var supportedVersions = []string{
	mcp.ProtocolVersion20260728,
	mcp.ProtocolVersion20251125,
	mcp.ProtocolVersion20250618,
	mcp.ProtocolVersion20250326,
}

func versionServed(v string) bool { return slices.Contains(supportedVersions, v) }

// headerVersion returns the revision that the request's header names, "" for
// none, and refuses one that is not known here.
func headerVersion(r *http.Request) (string, error) {
	v := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case v == "" || versionServed(v):
		return v, nil
	case v == mcp.ProtocolVersion20241105:
		return mcp.ProtocolVersion20250326, nil
	default:
		return "", unsupportedVersion(nil, v)
	}
}

// accepts is what the client can read (RFC 9110, section 12.5.1).
type accepts struct{ json, sse bool }

func parseAccept(r *http.Request) accepts {
	values := r.Header.Values("Accept")
	switch {
	case len(values) == 0, len(values) == 1 && values[0] == "application/json, text/event-stream": // nearly all
		return accepts{json: true, sse: true}
	}
	// Of the ranges that match a type the most specific one decides.
	var json, events int // its rank; negative when it excludes the type
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		typ, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		sign := 1
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q <= 0 {
			sign = -1
		}
		prefer := func(rank int, of *int) {
			if rank > max(*of, -*of) {
				*of = rank * sign
			}
		}
		switch typ {
		case "*/*":
			prefer(1, &json)
			prefer(1, &events)
		case "application/*":
			prefer(2, &json)
		case "text/*":
			prefer(2, &events)
		case jsonType:
			prefer(3, &json)
		case sse.ContentType:
			prefer(3, &events)
		}
	}
	return accepts{json: json > 0, sse: events > 0}
}

func notAcceptable(msg string) *fault {
	return &fault{status: http.StatusNotAcceptable, code: codeRefused, msg: msg}
}

// checkContentType wants JSON declared as such: it is what curl's --json does
// and what a cross-site form cannot do.
func checkContentType(r *http.Request) error {
	declared := r.Header.Get("Content-Type")
	if declared == jsonType {
		return nil
	}
	if typ, _, err := mime.ParseMediaType(declared); err == nil && typ == jsonType {
		return nil
	}
	return &fault{
		status: http.StatusUnsupportedMediaType, code: codeRefused,
		msg: "Content-Type must be application/json (with curl: --json '{…}' instead of -d)",
	}
}
