package seeds

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web"
)

const (
	earlierLines = 100 // that a stream begins with
	// maxMissed bounds the lines that one gets which goes on: as many as the
	// seed's page shows.
	maxMissed = 1_000
)

// line is a log line as the seed's client knows it.
type line struct {
	ID        string          `json:"id"`
	Level     hub.LineLevel   `json:"level"`
	Message   string          `json:"message"`
	Timestamp hub.Time        `json:"timestamp"`
	Logger    string          `json:"logger,omitempty"`
	Fields    json.RawMessage `json:"fields,omitempty"`
}

// logs is GET /api/logs/stream: lines of every level, each an event named by it,
// first the latest ones, or with Last-Event-ID those after it. An event "error"
// is a line here; that something failed is "stream-error".
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	s.o.Events.ServeFeed(w, r, web.Feed{
		Scopes: auth.ScopeLogsRead,
		After:  r.Header.Get("Last-Event-ID"),
		Open:   s.openLogs,
	})
}

func (s *Server) openLogs(ctx context.Context, a hub.Actor, after string) (web.Source, error) {
	listener, err := s.o.Hub.Listen(ctx, a, hub.ListenOptions{Types: []string{"log"}, LineLevel: hub.LineDebug})
	if err != nil {
		return nil, err
	}
	earlier, err := s.earlier(ctx, a, after)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return newLogSource(listener, earlier, after), nil
}

// earlier returns the latest lines, or all those after one. It fails with
// [hub.Reset] when that would be too many.
func (s *Server) earlier(ctx context.Context, a hub.Actor, after string) ([]hub.LogLine, error) {
	var lines []hub.LogLine
	for len(lines) < maxMissed {
		page, err := s.o.Hub.Lines(ctx, a, hub.LineQuery{After: after, Limit: earlierLines})
		if err != nil {
			return nil, err
		}
		lines = append(lines, page.Lines...)
		if after == "" || !page.More {
			return lines, nil
		}
		after = page.Next
	}
	return nil, &hub.Error{
		Code: hub.Reset, Arg: "after", Msg: "more log lines were missed than are given", Oldest: after, Reason: "too many lines were missed",
	}
}

// logSource gives lines that were there, and then those that come. The listener
// may hear late of what was there, so of its lines only those count that are newer.
type logSource struct {
	listening
	earlier []hub.LogLine
}

// newLogSource makes one of a listener and the lines up to now, which are those
// after one, if that is given.
func newLogSource(l *hub.Listener, earlier []hub.LogLine, after string) *logSource {
	newest := after
	if n := len(earlier); n > 0 {
		newest = earlier[n-1].ID
	}
	return &logSource{listening{l, func(ev hub.Event) []byte {
		if ev.Line == nil || !isNewer(ev.Line.ID, newest) {
			return nil
		}
		return ev.Frame("seeds", func() []byte { return encodeLine(*ev.Line) })
	}}, earlier}
}

// isNewer compares the IDs of lines of one log: they begin alike and end in
// numbers. Every one is newer than "0", and than none.
func isNewer(id, than string) bool {
	return cmp.Or(cmp.Compare(len(id), len(than)), cmp.Compare(id, than)) > 0
}

// Next implements web.Source.
func (s *logSource) Next(ctx context.Context) (iter.Seq[[]byte], error) {
	if len(s.earlier) == 0 {
		return s.listening.Next(ctx)
	}
	lines := s.earlier
	s.earlier = nil
	return func(yield func([]byte) bool) {
		for _, one := range lines {
			if !yield(encodeLine(one)) {
				return
			}
		}
	}, nil
}

func encodeLine(l hub.LogLine) []byte {
	return sse.Append(nil, web.Event(l.ID, string(l.Level), line{l.ID, l.Level, l.Message, l.Time, l.Logger, l.Fields}))
}
