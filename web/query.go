package web

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web/endpoint"
)

// The names of events on the wire.
const (
	eventMessage      = "message"
	eventPartial      = "partial-message"
	eventNotification = "notification"
	eventLog          = "log"
	eventPresence     = "presence"
	eventTyping       = "typing"
	eventPing         = "ping"

	// These come whatever types are asked for.
	eventSystem   = "system"
	eventReset    = "reset"
	eventShutdown = "shutdown"
	eventError    = "stream-error"
)

// What may be given, in the order it is shown in.
var (
	parameters = []string{"rooms", "types", "partials", "log_level", "last_event_id", "since"}
	eventTypes = []string{eventMessage, eventPartial, eventNotification, eventLog, eventPresence, eventTyping, eventPing, eventSystem}
	partialsAs = []string{"full", "delta"}
	logLevels  = []string{"debug", "info", "warn", "error"}

	// guestTypes are the types that a guest may ask for.
	guestTypes = []string{eventMessage, eventPartial, eventPing}
)

// query is what a stream is asked to be.
type query struct {
	rooms    []string  // empty: all
	types    []string  // of eventTypes; empty: all
	deltas   bool      // partial messages as differences
	logLevel string    // of logLevels; empty: the hub's choice
	after    string    // a cursor; empty: from now on
	since    time.Time // zero, or with an empty after: what was stored then and later
}

func (q query) wants(event string) bool {
	return len(q.types) == 0 || slices.Contains(q.types, event)
}

// scopes are what a token has to be good for.
func (q query) scopes() (needed auth.Scopes) {
	if q.logLevel != "" || slices.Contains(q.types, eventLog) {
		needed = auth.ScopeLogsRead
	}
	if len(q.types) != 1 || q.types[0] != eventLog {
		needed |= auth.ScopeChatRead
	}
	return needed
}

// kinds are the types to get from the hub; nil: all, empty: none. Messages are
// the ends of partial ones.
func (q query) kinds() []string {
	if len(q.types) == 0 {
		return nil
	}
	kinds := []string{}
	for _, name := range q.types {
		switch name {
		case eventPing, eventSystem:
		case eventPartial:
			kinds = append(kinds, eventPartial, eventMessage)
		default:
			kinds = append(kinds, name)
		}
	}
	return kinds
}

// listen are the options of the listener that gives what is asked for.
func (q query) listen(after string) hub.ListenOptions {
	return hub.ListenOptions{After: after, Rooms: q.rooms, Types: q.kinds(), LineLevel: hub.LineLevel(q.logLevel)}
}

// checkGuest refuses what is not for guests. Which rooms are, the hub decides.
func (q query) checkGuest() error {
	hidden := slices.IndexFunc(q.types, func(name string) bool { return name != eventSystem && !slices.Contains(guestTypes, name) })
	if hidden < 0 && q.logLevel == "" {
		return nil
	}
	what := "log_level"
	if hidden >= 0 {
		what = "types: " + q.types[hidden]
	}
	return &refusal{&endpoint.Problem{
		Status: http.StatusForbidden,
		Detail: what + " is for users: sign in, or send a token. Without one there are the messages of public rooms; types may be " + list(guestTypes),
	}, RefusedScope}
}

// parseQuery reads the query and the header Last-Event-ID. That header goes
// before last_event_id and since: a browser that reconnects by itself asks for
// the same address again, in which those have become old.
func parseQuery(r *http.Request) (q query, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, badRequest("the query is not well-formed: %v", err)
	}
	for name, given := range values {
		switch {
		case !slices.Contains(parameters, name):
			return q, badRequest("there is no parameter %s; allowed are %s", endpoint.Quote(name), list(parameters))
		case len(given) > 1:
			return q, badRequest("%s is given %d times; give it once, several values with commas between them", name, len(given))
		case given[0] == "" && name != "last_event_id":
			return q, badRequest("%s is empty; leave it out, or give it a value", name)
		}
	}
	if rooms := values.Get("rooms"); rooms != "" {
		q.rooms = strings.Split(rooms, ",")
	}
	if types := values.Get("types"); types != "" {
		q.types = strings.Split(types, ",")
	}
	for _, name := range q.types {
		if err := oneOf("types", name, eventTypes); err != nil {
			return q, err
		}
	}
	if as := values.Get("partials"); as != "" {
		q.deltas = as == "delta"
		if err := oneOf("partials", as, partialsAs); err != nil {
			return q, err
		}
	}
	if q.logLevel = values.Get("log_level"); q.logLevel != "" {
		if err := oneOf("log_level", q.logLevel, logLevels); err != nil {
			return q, err
		}
	}
	q.after = values.Get("last_event_id")
	if since := values.Get("since"); since != "" {
		if values.Has("last_event_id") {
			return q, badRequest("since and last_event_id are given; give one of them")
		}
		if q.since, err = time.Parse(time.RFC3339, since); err != nil {
			return q, badRequest("since: %s is not a time; allowed is one of RFC 3339, such as 2026-01-31T12:00:00Z", endpoint.Quote(since))
		}
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		q.after, q.since = id, time.Time{}
	}
	return q, nil
}

func oneOf(name, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return badRequest("%s: there is no %s; allowed are %s", name, endpoint.Quote(value), list(allowed))
}

func list(allowed []string) string { return strings.Join(allowed, ", ") }

// acceptsEvents tells whether the client can read an event stream (RFC 9110,
// section 12.5.1). Of several ranges that match the most specific one counts.
func acceptsEvents(r *http.Request) bool {
	values := r.Header.Values("Accept")
	if len(values) == 0 {
		return true
	}
	ranges := []string{"*/*", "text/*", sse.ContentType} // rising
	best, accepted := -1, false
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		typ, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		if i := slices.Index(ranges, typ); i >= best && i >= 0 {
			q, err := strconv.ParseFloat(params["q"], 64)
			best, accepted = i, err != nil || q > 0
		}
	}
	return accepted
}
