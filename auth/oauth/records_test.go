package oauth

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/auth"
)

func TestRecordsOfNewerVersionsAreNotGuessedAt(t *testing.T) {
	store := auth.NewMemoryStore()
	rs := newRecords(store, time.Now)
	defer rs.close()
	for value, want := range map[string]string{
		`{"version":2,"ends":"2999-01-01T00:00:00Z","data":{}}`: "version 2",
		`{"ends":"2999-01-01T00:00:00Z","data":{}}`:             "version 0",
		`{"version":1,`: "damaged",
	} {
		key := clientPrefix + want
		if _, err := store.Put(t.Context(), key, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
		_, revision, err := load[client](rs, key)
		if err == nil || revision != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: revision %d, %v; want an error with %q", value, revision, err, want)
		}
	}
}

func TestSweepDeletesWhatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := auth.NewMemoryStore()
		rs := newRecords(store, time.Now)
		defer rs.close()
		ctx, cancel := context.WithCancel(t.Context())
		var sweeper sync.WaitGroup
		sweeper.Go(func() { rs.sweep(ctx, slog.New(slog.DiscardHandler)) })
		defer sweeper.Wait()
		defer cancel()
		for key, ends := range map[string]time.Duration{"code/a": time.Minute, "client/b": time.Hour} {
			must(t, create(t.Context(), rs, key, record[code]{heading: heading{Ends: time.Now().Add(ends)}}))
		}
		there := func(key string) bool { _, revision := store.Get(key); return revision != 0 }
		<-time.After(sweepEvery / 2)
		if !there("code/a") {
			t.Error("a code is gone before it has ended")
		}
		<-time.After(2 * sweepEvery)
		synctest.Wait()
		if there("code/a") || !there("client/b") {
			t.Errorf("ended %v, other %v: want the ended one gone alone", there("code/a"), there("client/b"))
		}
	})
}

func TestChangeReplacesWhatHasEnded(t *testing.T) {
	store, c := auth.NewMemoryStore(), &clock{}
	rs := newRecords(store, c.now)
	defer rs.close()
	must(t, create(t.Context(), rs, "consent/a", record[consents]{heading: heading{Ends: c.now().Add(time.Minute)}}))
	c.advance(time.Hour)
	must(t, change(t.Context(), rs, "consent/a", func(r *record[consents], found bool) bool {
		if found {
			t.Error("an ended record was found")
		}
		r.Ends = c.now().Add(time.Hour)
		return true
	}))
	if _, revision, err := load[consents](rs, "consent/a"); revision == 0 || err != nil {
		t.Errorf("revision %d, %v", revision, err)
	}
}
