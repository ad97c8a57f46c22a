package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// Bounds of the fields of a log line.
const (
	maxFields     = 8_192 // bytes of JSON
	maxFieldDepth = 8     // of objects and arrays in each other
)

// typeLine is the type of a log line in its log.
const typeLine = "line"

// lineSubject is the subject of all log lines.
const lineSubject = "lines"

// LineLevel says how grave a log line is.
type LineLevel string

// The levels of log lines.
const (
	LineDebug LineLevel = "debug"
	LineInfo  LineLevel = "info"
	LineWarn  LineLevel = "warn"
	LineError LineLevel = "error"
)

// lineLevels are in rising order.
var lineLevels = []LineLevel{LineDebug, LineInfo, LineWarn, LineError}

// LogLine is a stored log line, and its wire form. Log lines have a log and an
// order of their own, so the ID is no cursor.
type LogLine struct {
	ID      string          `json:"id"`
	Level   LineLevel       `json:"level"`
	Logger  string          `json:"logger,omitempty"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"` // an object
	Sender  Sender          `json:"sender"`
	Time    Time            `json:"time"`
}

// LineDraft is a log line to be written.
type LineDraft struct {
	Level   LineLevel
	Logger  string         // one line of at most 64 bytes, or empty
	Message string         // 1 to [MaxNotice] bytes of valid UTF-8 without NUL
	Fields  map[string]any // at most 8 KiB as JSON, nested at most 8 deep
	// Tool and IdempotencyKey are as in [Draft].
	Tool           string
	IdempotencyKey string
}

// lineRecord is the part of a log line that its log keeps as data.
type lineRecord struct {
	Version int             `json:"v"`
	Type    string          `json:"type"`
	Sender  Sender          `json:"sender"`
	Level   LineLevel       `json:"level"`
	Logger  string          `json:"logger,omitempty"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"`
}

// WriteLog stores a log line and shows it to everybody who listens for its
// level. The oldest lines give way when there is no room for more. duplicate is
// as in [Hub.Send].
func (h *Hub) WriteLog(ctx context.Context, a Actor, d LineDraft) (l LogLine, duplicate bool, err error) {
	if err := h.mayWrite(a); err != nil {
		return LogLine{}, false, err
	}
	fields, err := checkLogLine(d)
	if err != nil {
		return LogLine{}, false, err
	}
	line := lineRecord{
		Version: recordVersion, Type: typeLine, Sender: sender(a), Level: d.Level, Logger: d.Logger, Message: d.Message, Fields: fields,
	}
	claim, first, err := h.claim(ctx, a, d.Tool, d.IdempotencyKey, lineSubject, line.payload()...)
	if err != nil {
		return LogLine{}, false, err
	}
	if first.Line != nil {
		return *first.Line, true, nil
	}
	rec, duplicate, err := h.put(ctx, lineSubject, line, 0, claim)
	if err != nil {
		return LogLine{}, false, err
	}
	e, err := h.decodeLine(rec)
	if err != nil {
		return LogLine{}, false, fmt.Errorf("decode a stored log line: %w", err)
	}
	got := *e.Line // with a key, it may be that of an earlier call
	if !slices.Equal(got.record().payload(), line.payload()) {
		return LogLine{}, false, errKeyUsed()
	}
	return got, duplicate, nil
}

// payload is what a line says.
func (r lineRecord) payload() []string {
	return []string{string(r.Level), r.Logger, r.Message, string(r.Fields)}
}

func (l LogLine) record() lineRecord {
	return lineRecord{Level: l.Level, Logger: l.Logger, Message: l.Message, Fields: l.Fields}
}

// checkLogLine returns the fields as JSON.
func checkLogLine(d LineDraft) (json.RawMessage, error) {
	if err := checkLevel("level", d.Level); err != nil {
		return nil, err
	}
	if err := checkLine("logger", d.Logger, maxLogger); err != nil {
		return nil, err
	}
	if err := checkTextOf(d.Message, MaxNotice); err != nil {
		return nil, err
	}
	if err := checkKey("idempotency_key", d.IdempotencyKey); err != nil {
		return nil, err
	}
	if len(d.Fields) == 0 {
		return nil, nil
	}
	if !shallow(d.Fields, maxFieldDepth) {
		return nil, refuse(Invalid, "fields", "are nested more than %d deep", maxFieldDepth)
	}
	fields, err := json.Marshal(d.Fields)
	switch {
	case err != nil:
		return nil, refuse(Invalid, "fields", "are not JSON")
	case len(fields) > maxFields:
		return nil, refuse(Invalid, "fields", "are %d bytes of JSON; at most %d are allowed", len(fields), maxFields)
	}
	return fields, nil
}

func checkLevel(arg string, level LineLevel) error {
	if !slices.Contains(lineLevels, level) {
		return refuse(Invalid, arg, `is %s; "debug", "info", "warn" and "error" are allowed`, quote(string(level)))
	}
	return nil
}

// shallow tells whether decoded JSON is nested at most so deep.
func shallow(v any, depth int) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			if depth == 0 || !shallow(inner, depth-1) {
				return false
			}
		}
	case []any:
		for _, inner := range v {
			if depth == 0 || !shallow(inner, depth-1) {
				return false
			}
		}
	}
	return true
}

// applyLine puts a stored line before listeners. Only the follower of the lines'
// log calls it, one record at a time.
func (h *Hub) applyLine(r Record) {
	event, err := h.decodeLine(r)
	if err != nil {
		h.logger.Error("a record of the log of lines is unreadable", slog.Uint64("seq", r.Seq), slog.Any("error", err))
		return
	}
	h.live.appendLine(entry{seq: r.Seq, bytes: len(r.Data), event: event})
}

func (l *live) appendLine(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.add(e)
	l.wakeSoonLocked(nil, lines)
}

// decodeLine reads a record of the log of lines. Its errors do not quote it.
func (h *Hub) decodeLine(r Record) (Event, error) {
	var rec lineRecord
	if err := json.Unmarshal(r.Data, &rec); err != nil || rec.Type != typeLine {
		return Event{}, errors.New("it is not a log line")
	}
	if rec.Version != recordVersion {
		return Event{}, fmt.Errorf("it has version %d, and this is known up to %d", rec.Version, recordVersion)
	}
	return Event{frames: &frames{}, Line: &LogLine{
		ID:      cursor{h.linesEpoch, r.Seq}.String(),
		Level:   rec.Level,
		Logger:  rec.Logger,
		Message: rec.Message,
		Fields:  rec.Fields,
		Sender:  rec.Sender,
		Time:    timeOf(r.Time),
	}}, nil
}
