package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	tendEvery  = time.Second
	probeName  = "probe"
	probeBytes = 1 << 20
)

// tend looks after the disk until the store closes.
func (st *Store) tend() {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	var next time.Time // to try again after a failure
	for {
		select {
		case <-st.done:
			return
		case <-tick.C:
		}
		st.room.look()
		if !st.cannotWrite() || time.Now().Before(next) || !st.probe() {
			continue
		}
		if err := st.mend(); err != nil {
			st.logger.Error("the store could not be started anew; trying again", "error", err)
			next = time.Now().Add(10 * tendEvery)
		}
	}
}

// cannotWrite tells whether the server has given up writing a stream, which it
// does for good at the first error of the disk. Such a stream refuses at once
// from now on, so that nobody waits for an answer that does not come.
func (st *Store) cannotWrite() bool {
	unanswered := false
	for _, s := range st.streams {
		unanswered = unanswered || s.unanswered.Load()
	}
	if !unanswered {
		return false
	}
	given := st.engine.writeErrors()
	for _, s := range st.streams {
		why, ok := given[s.name]
		if !ok || s.refusing.Load() != nil {
			continue
		}
		kind := ErrUnavailable
		for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
			if strings.HasSuffix(why, full.Error()) {
				kind = ErrFull
			}
		}
		err := fmt.Errorf("%w: %s is not written until the disk can be written again: %s", kind, s.name, why)
		s.refusing.Store(&err)
		s.unanswered.Store(true)
		st.logger.Error("the disk refused a write: nothing more is written until it can be written again; reading goes on", "log", s.name, "error", why)
	}
	return len(given) > 0
}

// writeErrors are the errors for which the server has given up writing, by
// stream. Nil while there is no server.
func (e *engine) writeErrors() map[string]string {
	e.mu.Lock()
	srv := e.server
	e.mu.Unlock()
	given := map[string]string{}
	if srv == nil { // the last attempt to start it failed
		given[""] = "it was not started"
		return given
	}
	for _, h := range srv.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if _, why, ok := strings.Cut(h.Error, "write error: "); ok && h.Stream != "" {
			given[h.Stream] = why
		}
	}
	return given
}

// probe tells whether the disk can be written.
func (st *Store) probe() bool {
	name := filepath.Join(st.folder.path, probeName)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return false
	}
	_, err = f.Write(make([]byte, probeBytes))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(name)) == nil
}

// mend starts the server anew, which reads what is on disk and writes again.
// Meanwhile nothing is written; reads fail for a moment.
func (st *Store) mend() error {
	for _, s := range st.streams {
		s.writing.Lock()
		defer s.writing.Unlock()
	}
	if err := st.engine.stopServer(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := st.engine.start(ctx); err != nil {
		return err
	}
	if err := st.engine.reconnected(ctx); err != nil {
		return err
	}
	lost := false
	for _, s := range st.streams {
		js, err := s.js.Stream(ctx, s.name)
		if err != nil {
			return err
		}
		if last := js.CachedInfo().State.LastSeq; last < s.feed.limit() && !s.journal {
			err := fmt.Errorf("%w: the end of %s is lost: start wigwag again", ErrUnavailable, s.name)
			s.refusing.Store(&err)
			st.logger.Error("the end of a log is lost: it is not written any more; start wigwag again", "log", s.name, "had_come_to", s.feed.limit(), "ends_at", last)
			lost = true
			continue
		}
		s.refusing.Store(nil)
		s.unanswered.Store(false)
	}
	if !lost {
		st.logger.Info("the disk can be written again, and is")
	}
	return nil
}

// reconnected waits until both connections have found the server.
func (e *engine) reconnected(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !e.conn.IsConnected() || !e.reads.IsConnected() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the store is not ready: %w", context.Cause(ctx))
		}
	}
	return e.conn.FlushTimeout(answerTimeout)
}
