package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func write(t testing.TB, j *Journal, subject, data string) Record {
	t.Helper()
	r, err := j.Append(t.Context(), Entry{Subject: subject, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// all pages through what a journal has of a subject.
func all(t testing.TB, j *Journal, subject string, page int) (data []string) {
	t.Helper()
	var after uint64
	for {
		got, err := j.Read(t.Context(), Range{Subjects: []string{subject}, After: after, Limit: page})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			if r.Subject != subject || r.Seq <= after || r.Time.IsZero() {
				t.Fatalf("in %s: %+v after %d", subject, r, after)
			}
			data, after = append(data, string(r.Data)), r.Seq
		}
		if len(got) < page {
			return data
		}
	}
}

// TestJournal: what is written in parallel to many subjects can be read at once
// and, in a folder, after a clean end.
func TestJournal(t *testing.T) {
	const subjects, each = 40, 30
	for kind, o := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			check := func(j *Journal) {
				for w := range subjects {
					got := all(t, j, fmt.Sprint("Session", w, "/Stream9z"), 7)
					if len(got) != each {
						t.Fatalf("subject %d has %d records, want %d", w, len(got), each)
					}
					for i, data := range got {
						if data != fmt.Sprint(w, ":", i) {
							t.Fatalf("record %d of subject %d is %q", i, w, data)
						}
					}
				}
			}
			st := open(t, o)
			var wg sync.WaitGroup
			for w := range subjects {
				wg.Go(func() {
					for i := range each {
						e := Entry{Subject: fmt.Sprint("Session", w, "/Stream9z"), Data: fmt.Append(nil, w, ":", i)}
						r, err := st.Streams().Append(t.Context(), e)
						if err != nil || r.Seq == 0 || r.Subject != e.Subject || !bytes.Equal(r.Data, e.Data) {
							t.Errorf("%+v is answered with %+v, %v", e, r, err)
							return
						}
					}
				})
			}
			wg.Wait()
			check(st.Streams())
			if err := st.Ready(); err != nil {
				t.Error(err)
			}
			if big := write(t, st.Streams(), "S/big", strings.Repeat("x", MaxData)); big.Seq != subjects*each+1 {
				t.Errorf("the sequence of the next is %d", big.Seq)
			}
			closeNow(t, st)
			if o.Memory {
				return
			}
			st = open(t, o)
			check(st.Streams())
			if next := write(t, st.Streams(), "S/next", "x"); next.Seq != subjects*each+2 {
				t.Errorf("the sequence of the next is %d", next.Seq)
			}
		})
	}
}

// TestJournalEvicts: a full journal lets go of its oldest records.
func TestJournalEvicts(t *testing.T) {
	for kind, o := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			o.StreamBytes = 2 << 20
			j := open(t, o).Streams()
			text := strings.Repeat("x", 20_000)
			for i := range 300 {
				write(t, j, fmt.Sprint("S", i/3), text)
			}
			if got := all(t, j, "S0", 10); len(got) != 0 {
				t.Errorf("%d of the oldest are left", len(got))
			}
			if got := all(t, j, "S99", 10); len(got) != 3 {
				t.Errorf("%d of the newest are left, want 3", len(got))
			}
			left, err := j.Read(t.Context(), Range{Limit: 1000})
			if err != nil || len(left) < 80 || len(left) > 105 {
				t.Errorf("%d records are left, %v", len(left), err)
			}
		})
	}
}

// TestJournalKilled: what is in the journal after a kill is the beginning of
// what was acknowledged, nearly all of it; and it goes on.
func TestJournalKilled(t *testing.T) {
	dir := t.TempDir()
	const n = 3000
	_, _, stored := killChild(t, dir, SyncAlways, n, "journal")
	var told bytes.Buffer
	st := open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	left := 0
	for w := range childWriters {
		got := all(t, st.Streams(), fmt.Sprint("S/", w), 500)
		for i, data := range got {
			if want := fmt.Sprintf("%d:%d", w, i); !strings.HasSuffix(data, ":"+want) {
				t.Fatalf("record %d of writer %d is %q", i, w, data)
			}
		}
		left += len(got)
	}
	t.Logf("%d of %d acknowledged are left\n%s", left, len(stored), told.String())
	if left == 0 {
		t.Error("nothing is left")
	}
	if strings.Contains(told.String(), "level=ERROR") {
		t.Errorf("it is taken for damage: %s", told.String())
	}
	write(t, st.Streams(), "S/next", "goes on")
	if got := all(t, st.Streams(), "S/next", 10); len(got) != 1 {
		t.Errorf("after it: %q", got)
	}
}

// TestSessionsSurvive a clean end; without their end, or all of them, the store
// opens and says so.
func TestSessionsSurvive(t *testing.T) {
	dir := t.TempDir()
	st := open(t, Options{Dir: dir})
	for i := range 50 {
		put(t, st.Bucket(Sessions), fmt.Sprint(i), strings.Repeat("v", 32<<10), 0, true)
	}
	closeNow(t, st)
	st = open(t, Options{Dir: dir})
	get(t, st.Bucket(Sessions), "49", strings.Repeat("v", 32<<10))
	closeNow(t, st)

	names := blocks(t, dir, Sessions)
	if err := os.Truncate(names[len(names)-1], 100_000); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(names[0]), "index.db")); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	st = open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	if !strings.Contains(told.String(), "level=ERROR") || !strings.Contains(told.String(), "sessions") {
		t.Errorf("it is not told that sessions are lost: %s", told.String())
	}
	get(t, st.Bucket(Sessions), "0", strings.Repeat("v", 32<<10))
	put(t, st.Bucket(Sessions), "new", "v", 0, true)
}

// BenchmarkJournal compares with BenchmarkAppend.
func BenchmarkJournal(b *testing.B) {
	for _, writers := range []int{1, 50} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			j := open(b, Options{Dir: b.TempDir(), Sync: SyncAlways}).Streams()
			data := make([]byte, 200)
			b.SetParallelism(max(1, writers/2))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := j.Append(context.Background(), Entry{Subject: "Session/Stream", Data: data}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
