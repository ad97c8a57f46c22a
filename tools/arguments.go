package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mark3labs/mcp-go/mcp"

	"wigwag/hub"
)

// arguments reads a call's arguments one by one. The first thing that is wrong
// is kept and every later read gives a zero, so that a tool reads all of them
// and then asks err once. A null is an argument that was not given. A number,
// a boolean or an object in quotes is read as what it says: some models send
// them so.
type arguments struct {
	raw   map[string]json.RawMessage
	wrong *hub.Error
}

// parseArguments refuses what the tool does not know; exact names only.
func parseArguments(req mcp.CallToolRequest, def mcp.Tool) (*arguments, error) {
	if !utf8.Valid(req.Params.RawArguments) {
		return nil, invalid("arguments", "must be valid UTF-8")
	}
	a := &arguments{}
	if err := req.BindArguments(&a.raw); err != nil {
		return nil, invalid("arguments", "must be an object")
	}
	known := def.InputSchema.Properties
	for _, name := range slices.Sorted(maps.Keys(a.raw)) {
		if _, ok := known[name]; ok {
			continue
		}
		if len(known) == 0 {
			return nil, invalid(shown(name), "unknown argument; this tool takes none")
		}
		return nil, invalid(shown(name), "unknown argument; allowed are "+strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	return a, nil
}

func invalid(arg, msg string) *hub.Error {
	return &hub.Error{Code: hub.Invalid, Arg: arg, Msg: msg}
}

// shown is what a caller sent, fit to be said back to it: quoted and short.
func shown(s string) string {
	const most = 40
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return strconv.Quote(s)
}

func (a *arguments) err() error {
	if a.wrong == nil {
		return nil
	}
	return a.wrong
}

func (a *arguments) fail(name, format string, args ...any) {
	if a.wrong == nil {
		a.wrong = invalid(name, fmt.Sprintf(format, args...))
	}
}

// value reports whether the argument was given.
func (a *arguments) value(name string) (json.RawMessage, bool) {
	v, ok := a.raw[name]
	return v, ok && string(v) != "null"
}

// text returns a string, empty if it was not given.
func (a *arguments) text(name string) string {
	v, ok := a.value(name)
	if !ok {
		return ""
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		a.fail(name, "must be a string, not %s", kind(v))
	}
	return s
}

// required returns a string that must be given and not be empty.
func (a *arguments) required(name string) string {
	s := a.text(name)
	if s == "" {
		a.fail(name, "required, a string that is not empty")
	}
	return s
}

// choice returns one of the allowed strings, the first if none was given.
func (a *arguments) choice(name string, allowed ...string) string {
	if _, ok := a.value(name); !ok {
		return allowed[0]
	}
	s := a.text(name)
	if !slices.Contains(allowed, s) {
		a.fail(name, "%s is none of the allowed: %s", shown(s), strings.Join(allowed, ", "))
	}
	return s
}

// oneOf returns one of the allowed strings, of which one must be given.
func oneOf[T ~string](a *arguments, name string, allowed ...T) T {
	all := stringsOf(allowed)
	if _, ok := a.value(name); !ok {
		a.fail(name, "required, one of: %s", strings.Join(all, ", "))
	}
	return T(a.choice(name, all...))
}

// stringsOf is a list of strings of a type of their own.
func stringsOf[T ~string](list []T) []string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = string(s)
	}
	return all
}

// optional returns a whole number from least to most, or nil if none was
// given.
func (a *arguments) optional(name string, least, most int) *int {
	if _, ok := a.value(name); !ok {
		return nil
	}
	n := a.integer(name, least, most, least)
	return &n
}

// integer returns a whole number from least to most, or what it is otherwise.
func (a *arguments) integer(name string, least, most, otherwise int) int {
	v, ok := a.value(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseFloat(unquoted(v), 64)
	if err != nil || n != math.Trunc(n) {
		a.fail(name, "must be an integer from %d to %d, not %s", least, most, kind(v))
		return otherwise
	}
	if n < float64(least) || n > float64(most) {
		a.fail(name, "%s is out of range; allowed is %d to %d", strconv.FormatFloat(n, 'g', -1, 64), least, most)
		return otherwise
	}
	return int(n)
}

// boolean returns a boolean, false if it was not given.
func (a *arguments) boolean(name string) bool {
	v, ok := a.value(name)
	if !ok {
		return false
	}
	switch unquoted(v) {
	case "true":
		return true
	case "false":
		return false
	}
	a.fail(name, "must be true or false, not %s", kind(v))
	return false
}

// list returns an array of strings. One string alone is a list of one.
func (a *arguments) list(name string) []string {
	v, ok := a.value(name)
	if !ok {
		return nil
	}
	var one string
	if json.Unmarshal(v, &one) == nil {
		return []string{one}
	}
	var all []*string
	if json.Unmarshal(v, &all) != nil || slices.Contains(all, nil) {
		a.fail(name, "must be an array of strings, not %s", kind(v))
		return nil
	}
	items := make([]string, len(all))
	for i, s := range all {
		items[i] = *s
	}
	return items
}

// object returns an object, its numbers with all their digits. A string that
// holds one is read as it.
func (a *arguments) object(name string) map[string]any {
	v, ok := a.value(name)
	if !ok {
		return nil
	}
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(unquoted(v)))
	d.UseNumber()
	err := d.Decode(&fields)
	if _, after := d.Token(); err != nil || fields == nil || !errors.Is(after, io.EOF) {
		a.fail(name, "must be an object, not %s", kind(v))
		return nil
	}
	return fields
}

// unquoted is a JSON value's text, without the quotes if it is a string.
func unquoted(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// kind describes a JSON value for an error.
func kind(v json.RawMessage) string {
	switch v[0] {
	case '"':
		return "the string " + shown(unquoted(v))
	case '{':
		return "an object"
	case '[':
		return "this array"
	case 't', 'f':
		return "a boolean"
	}
	return shown(string(v))
}
