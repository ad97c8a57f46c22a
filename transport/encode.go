package transport

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/mark3labs/mcp-go/mcp"
)

// What is said most often, results of tools and notifications, is encoded here:
// mcp-go's types make a map of themselves, which encoding/json sorts, encodes by
// reflection, checks and copies. The bytes are the same.

// encode is json.Marshal without the escaping of <, > and &, as far as mcp-go's
// own types leave it to the encoder.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// appendToolResult adds a result that is final, not one that needs input. meta
// is its _meta, if that has been encoded already; else nil.
func appendToolResult(dst []byte, r *mcp.CallToolResult, meta []byte) (_ []byte, err error) {
	dst = append(dst, '{')
	if r.Meta != nil {
		dst = append(dst, `"_meta":`...)
		if meta != nil {
			dst = append(dst, meta...)
		} else if dst, err = appendJSON(dst, r.Meta, 1); err != nil {
			return nil, err
		}
		dst = append(dst, ',')
	}
	dst = append(dst, `"content":[`...)
	for i, c := range r.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, c, 1); err != nil {
			return nil, err
		}
	}
	dst = append(dst, ']')
	if r.IsError {
		dst = append(dst, `,"isError":true`...)
	}
	if r.ResultType != "" {
		dst = appendText(append(dst, `,"resultType":`...), string(r.ResultType))
	}
	switch {
	case len(r.RawStructuredContent) > 0:
		dst, err = appendJSON(append(dst, `,"structuredContent":`...), r.RawStructuredContent, 1)
	case r.StructuredContent != nil:
		dst, err = appendJSON(append(dst, `,"structuredContent":`...), r.StructuredContent, 1)
	}
	return append(dst, '}'), err
}

// encodeNotification encodes a notification, with the progress token it is to
// have; nil: none.
func encodeNotification(n *mcp.JSONRPCNotification, token json.RawMessage) ([]byte, error) {
	dst := make([]byte, 0, 256)
	dst = appendText(append(dst, `{"jsonrpc":`...), n.JSONRPC)
	dst = appendText(append(dst, `,"method":`...), n.Method)
	p := &n.Params
	if p.Meta == nil && p.AdditionalFields == nil && token == nil {
		return append(dst, '}'), nil
	}
	keys := make([]string, 0, 16)
	for key := range p.AdditionalFields {
		if key != "_meta" && (key != progressToken || token == nil) {
			keys = append(keys, key)
		}
	}
	if p.Meta != nil {
		keys = append(keys, "_meta")
	}
	if token != nil {
		keys = append(keys, progressToken)
	}
	dst, err := appendObject(append(dst, `,"params":`...), keys, func(dst []byte, key string) ([]byte, error) {
		switch {
		case key == "_meta":
			return appendJSON(dst, p.Meta, 1)
		case key == progressToken && token != nil:
			return appendJSON(dst, token, 1)
		default:
			return appendJSON(dst, p.AdditionalFields[key], 1)
		}
	})
	return append(dst, '}'), err
}

const progressToken = "progressToken"

// appendJSON is json.Marshal. A value that holds itself is left to it to find
// out.
func appendJSON(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return appendText(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		if v == math.Trunc(v) && v != 0 && math.Abs(v) < 1<<53 { // 0 has a sign
			return strconv.AppendInt(dst, int64(v), 10), nil
		}
	case json.RawMessage:
		if isPlain(v) {
			return append(dst, v...), nil
		}
	case map[string]any:
		if v != nil && depth < maxNesting {
			keys := make([]string, 0, 16)
			for key := range v {
				keys = append(keys, key)
			}
			return appendObject(dst, keys, func(dst []byte, key string) ([]byte, error) { return appendJSON(dst, v[key], depth+1) })
		}
	case mcp.LoggingLevel:
		return appendText(dst, string(v)), nil
	case mcp.TextContent:
		if v.Annotations == nil && v.Meta == nil {
			dst = appendText(append(dst, `{"type":`...), v.Type)
			return append(appendText(append(dst, `,"text":`...), v.Text), '}'), nil
		}
	}
	data, err := json.Marshal(v)
	return append(dst, data...), err
}

// appendObject adds an object with these keys, sorted.
func appendObject(dst []byte, keys []string, value func(dst []byte, key string) ([]byte, error)) (_ []byte, err error) {
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = value(append(appendText(dst, key), ':'), key); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// appendText adds a JSON string.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if !standsForItself(s[i]) {
			data, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string
			}
			return append(dst, data...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

func standsForItself(c byte) bool {
	return c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

// isPlain reports whether a raw value is a number, or a string whose bytes all
// stand for themselves: json.Marshal would leave it as it is.
func isPlain(raw json.RawMessage) bool {
	s := scanner{data: raw}
	if text, plain := s.text(); plain {
		for _, c := range text[1 : len(text)-1] {
			plain = plain && standsForItself(c)
		}
		return plain && s.pos == len(raw)
	}
	return s.number() != nil && s.pos == len(raw)
}
