package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/time/rate"
)

// Event is something that an administrator may have to know about later. It
// holds no secret.
type Event struct {
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`             // what, such as "sign-in" or "token.revoke"
	Actor   string    `json:"actor,omitempty"`    // who; empty: the operator, at the machine
	Client  string    `json:"client,omitempty"`   // the OAuth client that did it, or that it was for
	Target  string    `json:"target,omitempty"`   // on whom or what
	Remote  string    `json:"remote,omitempty"`   // from which address
	Outcome string    `json:"outcome"`            // "ok", or why not
	Detail  string    `json:"detail,omitempty"`   // what else there is to say
	Left    int64     `json:"left_out,omitempty"` // refusals before this one that were too many to record
}

// Audit records events. Its methods are safe for concurrent use.
type Audit interface {
	// Record adds an event. What is not set of time, actor, client and remote
	// it takes from the clock and ctx; an empty outcome is "ok".
	Record(ctx context.Context, e Event)
}

// auditOrNone stands in for an Audit that is not there.
func auditOrNone(a Audit) Audit {
	if a == nil {
		return noAudit{}
	}
	return a
}

type noAudit struct{}

func (noAudit) Record(context.Context, Event) {}

type remoteKey struct{}

// WithRemote returns a context that says from which address a request comes.
func WithRemote(ctx context.Context, remote netip.Addr) context.Context {
	return context.WithValue(ctx, remoteKey{}, remote)
}

const (
	auditSubject  = "audit"
	maxAuditField = 200 // bytes
	maxAuditRead  = 1000
	auditWait     = 5 * time.Second
)

// Log keeps audit events in order. It may let go of the oldest.
type Log interface {
	Append(ctx context.Context, e LogEntry) (LogRecord, error)
	Read(ctx context.Context, r LogRange) ([]LogRecord, error)
}

// What goes into a [Log] and comes out of it are aliases of unnamed types, so
// that an implementation can spell them itself and need not know this package.
type (
	// LogEntry is what is to be stored.
	LogEntry = struct {
		Subject string
		Data    []byte
		TTL     time.Duration
		ID      string
	}
	// LogRecord is a stored entry.
	LogRecord = struct {
		Seq     uint64
		Time    time.Time
		Subject string
		Data    []byte
	}
	// LogRange selects records with After < Seq < Before (0: no bound), in
	// order; with Latest the last Limit of them. Bytes is not used.
	LogRange = struct {
		Subjects      []string
		After, Before uint64
		Limit         int
		Bytes         int
		Latest        bool
	}
)

// AuditLog is an [Audit] that writes to a [Log], as JSON. Anybody can cause
// refusals at any rate, so of those at most fifty in a burst and one a second
// are recorded; the next one recorded says how many were not.
type AuditLog struct {
	log     Log
	logger  *slog.Logger
	limiter *rate.Limiter
	left    atomic.Int64
}

// NewAuditLog returns an audit in a log.
func NewAuditLog(log Log, logger *slog.Logger) *AuditLog {
	return &AuditLog{log: log, logger: logger, limiter: rate.NewLimiter(1, 50)}
}

// Record implements [Audit]. It returns when the event is stored, or after
// five seconds: what cannot be recorded is logged, and still happens. Fields
// are cut to 200 bytes, and what is not printable in them is a dot.
func (a *AuditLog) Record(ctx context.Context, e Event) {
	if e.Outcome = cmp.Or(e.Outcome, "ok"); e.Outcome != "ok" {
		if !a.limiter.Allow() {
			a.left.Add(1)
			return
		}
		e.Left = a.left.Swap(0)
	}
	if e.Time.IsZero() {
		e.Time = now()
	}
	if id, ok := FromContext(ctx); ok {
		e.Actor = cmp.Or(e.Actor, id.Subject)
		e.Client = cmp.Or(e.Client, id.Client)
	}
	if remote, ok := ctx.Value(remoteKey{}).(netip.Addr); ok && e.Remote == "" && remote.IsValid() {
		e.Remote = remote.String()
	}
	for _, field := range []*string{&e.Action, &e.Actor, &e.Client, &e.Target, &e.Remote, &e.Outcome, &e.Detail} {
		*field = clipTo(visible(*field), maxAuditField)
	}
	line, err := json.Marshal(e)
	if err == nil {
		// What happened is recorded also when nobody waits for it any more.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditWait)
		defer cancel()
		_, err = a.log.Append(ctx, LogEntry{Subject: auditSubject, Data: line})
	}
	if err != nil {
		a.logger.LogAttrs(ctx, slog.LevelError, "audit: not recorded", slog.Any("err", err), slog.String("event", string(line)))
	}
}

// visible is a text without what steers terminals, or is not seen.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '·'
		}
		return c
	}, s)
}

// Read returns at most limit of the events before a position (0: the end), in
// order, and the position to go on from; 0 when there is no more.
func (a *AuditLog) Read(ctx context.Context, before uint64, limit int) (events []Event, next uint64, err error) {
	limit = min(max(limit, 1), maxAuditRead)
	records, err := a.log.Read(ctx, LogRange{Subjects: []string{auditSubject}, Before: before, Limit: limit, Latest: true})
	if err != nil {
		return nil, 0, fmt.Errorf("read the audit: %w", err)
	}
	for _, r := range records {
		var e Event
		if err := json.Unmarshal(r.Data, &e); err != nil {
			e = Event{Time: r.Time, Action: "damaged", Outcome: "cannot be read"}
		}
		events = append(events, e)
	}
	if len(records) == limit {
		next = records[0].Seq
	}
	return events, next, nil
}
