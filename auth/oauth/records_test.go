package oauth

import (
	"strings"
	"testing"
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
	store, c := auth.NewMemoryStore(), &clock{}
	rs := newRecords(store, c.now)
	defer rs.close()
	for key, ends := range map[string]time.Duration{"code/a": time.Minute, "client/b": time.Hour} {
		must(t, create(t.Context(), rs, key, record[code]{heading: heading{Ends: c.now().Add(ends)}}))
	}
	waitFor(t, func() bool { rs.mu.Lock(); defer rs.mu.Unlock(); return len(rs.index) == 2 })
	c.advance(time.Minute)
	must(t, rs.sweepOnce(t.Context()))
	_, ended := store.Get("code/a")
	_, kept := store.Get("client/b")
	if ended != 0 || kept == 0 {
		t.Errorf("revisions %d and %d, want the ended one gone", ended, kept)
	}
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
