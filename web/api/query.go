package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

const maxLimit = 100 // of what one page may hold

// checkQuery looks at which parameters the query has.
func checkQuery(r *http.Request, allowed []string) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return endpoint.BadRequest("the query is not well-formed")
	}
	for name, given := range values {
		switch {
		case len(allowed) == 0:
			return endpoint.BadRequest("there are no parameters here")
		case !slices.Contains(allowed, name):
			return endpoint.BadRequest("there is no parameter " + endpoint.Quote(name) + "; allowed are " + strings.Join(allowed, ", "))
		case len(given) > 1:
			return endpoint.Invalid(name, "is given %d times; give it once", len(given))
		}
	}
	return nil
}

// query reads parameters, of which an empty one is none. Its err is the first
// mistake.
type query struct {
	values url.Values
	err    error
}

func queryOf(r *http.Request) *query { return &query{values: r.URL.Query()} }

func (q *query) text(name string) string { return q.values.Get(name) }

// limit is how many are wanted, by default 0.
func (q *query) limit() int {
	text := q.text("limit")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		q.wrong("limit", "is %s; 1 to %d are allowed", endpoint.Quote(text), maxLimit)
	}
	return n
}

// time is a moment, by default the zero one.
func (q *query) time(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.wrong(name, "is %s; give a time as of RFC 3339, such as 2026-11-20T08:00:00Z", endpoint.Quote(text))
	}
	return t
}

// flag is true or false, by default false.
func (q *query) flag(name string) bool {
	text := q.text(name)
	if text != "" && text != "true" && text != "false" {
		q.wrong(name, "is %s; true and false are allowed", endpoint.Quote(text))
	}
	return text == "true"
}

func (q *query) wrong(name, format string, args ...any) {
	if q.err == nil {
		q.err = endpoint.Invalid(name, format, args...)
	}
}

// target is the room that a path names: by its name, or by the user with whom
// it is the direct one.
func target(r *http.Request) hub.Target {
	if room := r.PathValue("room"); room != "" {
		return hub.Target{Room: room}
	}
	return hub.Target{To: r.PathValue("user")}
}

// keyOf is the header Idempotency-Key of a request; empty: none. What it may be
// is the hub's to check.
func keyOf(r *http.Request) (string, error) {
	switch keys := r.Header.Values("Idempotency-Key"); {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return "", endpoint.Invalid("idempotency_key", "is given %d times; give it once", len(keys))
	case keys[0] == "":
		return "", endpoint.Invalid("idempotency_key", "is empty; leave it out, or give 1 to 128 printable ASCII characters")
	default:
		return keys[0], nil
	}
}

// page returns those of a list in order whose names come after one, at most
// limit, and the name to go on after; empty: there are no more.
func page[T any](all []T, name func(T) string, after string, limit int) (some []T, next string) {
	if limit == 0 {
		limit = maxLimit
	}
	first, found := slices.BinarySearchFunc(all, after, func(one T, after string) int { return strings.Compare(name(one), after) })
	if found {
		first++
	}
	some = all[first:]
	if len(some) > limit {
		some = some[:limit]
		next = name(some[limit-1])
	}
	return some, next
}

// list is never null in JSON.
func list[T any](some []T) []T {
	if some == nil {
		return []T{}
	}
	return some
}
