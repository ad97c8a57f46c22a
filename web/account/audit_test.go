package account

import (
	"context"
	"sync"

	"wigwag/auth"
)

// auditLog is an [auth.Log] in memory.
type auditLog struct {
	mu      sync.Mutex
	records []auth.LogRecord
}

func (l *auditLog) Append(_ context.Context, e auth.LogEntry) (auth.LogRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := auth.LogRecord{Seq: uint64(len(l.records) + 1), Subject: e.Subject, Data: e.Data}
	l.records = append(l.records, r)
	return r, nil
}

func (l *auditLog) Read(context.Context, auth.LogRange) ([]auth.LogRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records, nil
}
