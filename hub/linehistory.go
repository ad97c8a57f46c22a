package hub

import (
	"context"
	"slices"
	"time"
)

// LineQuery asks for log lines. At most one of After and Before is set.
type LineQuery struct {
	Level  LineLevel // the lowest; empty: every level
	Logger string    // exactly; empty: every one
	Since  time.Time // stored then or later; zero: whenever
	Until  time.Time // stored earlier; zero: whenever
	After  string    // a line's ID; "0": from the oldest one held
	Before string    // a line's ID
	// Limit is 1 to 100; 0 means 50. Of long lines there are fewer.
	Limit int
}

// LinePage is a run of log lines, oldest first, and where to go on.
type LinePage struct {
	Lines []LogLine
	// Next is what to pass to go on: as After if the query had that, or only
	// Since; otherwise as Before. It is set even when Lines is empty.
	Next string
	// More tells that there may be more in that direction, and Cut that the
	// reading stopped at Next because it had looked at as many lines as one may.
	More, Cut bool
}

// Lines reads log lines of all users: the first after a line, or after Since,
// or else the last before one or of all.
func (h *Hub) Lines(ctx context.Context, a Actor, q LineQuery) (LinePage, error) {
	if err := a.mustBeUser(); err != nil {
		return LinePage{}, err
	}
	limit, err := limitOf(q.Limit, defaultPage)
	if err != nil {
		return LinePage{}, err
	}
	if q.Level == "" {
		q.Level = LineDebug
	}
	if err := checkLevel("level", q.Level); err != nil {
		return LinePage{}, err
	}
	if err := checkLine("logger", q.Logger, maxLogger); err != nil {
		return LinePage{}, err
	}
	log := h.logOf(lineSubject)
	part, err := h.spanOf(ctx, a, log, bounds{q.After, q.Before, q.Since})
	if err != nil {
		return LinePage{}, err
	}
	if !q.Until.IsZero() {
		end, err := h.seqAt(ctx, a, log, q.Until)
		if err != nil {
			return LinePage{}, err
		}
		if part.before == 0 || end+1 < part.before {
			part.before = end + 1
		}
	}
	lowest := slices.Index(lineLevels, q.Level)
	got, err := h.scanLog(ctx, a, log, part, nil, limit, func(rec Record) (entry, bool) {
		event, err := h.decodeLine(rec)
		if err != nil { // it was logged when it came
			return entry{}, false
		}
		line := event.Line
		return entry{seq: rec.Seq, bytes: len(rec.Data), event: event},
			slices.Index(lineLevels, line.Level) >= lowest && (q.Logger == "" || line.Logger == q.Logger)
	})
	if err != nil {
		return LinePage{}, err
	}
	page := LinePage{Next: cursor{log.epoch, got.next}.String(), More: got.more, Cut: got.cut}
	for _, e := range got.found {
		page.Lines = append(page.Lines, *e.event.Line)
	}
	if part.backwards {
		slices.Reverse(page.Lines)
	}
	return page, nil
}
