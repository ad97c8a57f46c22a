package hub_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/hub"
	"wigwag/hub/buckettest"
	"wigwag/hub/logtest"
)

func TestMemoryLog(t *testing.T) {
	logtest.Run(t, func(*testing.T) hub.Log { return hub.NewMemoryLog(4 << 20) })
}

func TestMemoryBucket(t *testing.T) {
	buckettest.Run(t, func(*testing.T) hub.Bucket { return hub.NewMemoryBucket(8 << 20) })
}

// TestMemoryLogTimes: a record ends, and an ID is forgotten, when their time
// has come and not before.
func TestMemoryLogTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := hub.NewMemoryLog(1000)
		add := func(e hub.Entry) hub.Record {
			t.Helper()
			r, err := l.Append(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		check := func(first, last uint64, n int) {
			t.Helper()
			s, _ := l.State(t.Context())
			records, _ := l.Read(t.Context(), hub.Range{Limit: 100})
			if s.First != first || s.Last != last || len(records) != n {
				t.Errorf("%d records, bounds %d and %d; want %d, %d, %d", len(records), s.First, s.Last, n, first, last)
			}
		}
		big := bytes.Repeat([]byte{'x'}, 500)
		add(hub.Entry{Data: big, TTL: 90*time.Second + time.Millisecond, ID: "a"})
		<-time.After(time.Minute)
		if _, err := l.Append(t.Context(), hub.Entry{Data: big}); err == nil {
			t.Error("the log is not full")
		}
		add(hub.Entry{Data: big[:1], TTL: 2 * time.Minute, ID: "b"})
		<-time.After(31*time.Second - time.Millisecond)
		check(1, 2, 2)
		<-time.After(time.Millisecond) // 90.001 s are 91
		check(2, 2, 1)
		add(hub.Entry{Data: big}) // there is room again
		if r := add(hub.Entry{Data: big, ID: "a"}); r.Seq != 1 {
			t.Errorf("an ID whose record has expired is stored as %d", r.Seq)
		}
		<-time.After(29 * time.Second)
		if r := add(hub.Entry{ID: "a"}); r.Seq != 4 {
			t.Errorf("an ID of two minutes ago is answered with %d", r.Seq)
		}
		if r := add(hub.Entry{ID: "b"}); r.Seq != 2 {
			t.Errorf("an ID of a minute ago is stored as %d", r.Seq)
		}
		<-time.After(time.Minute)
		check(3, 4, 2)
	})
}

// TestEvictingMemoryLog: the oldest records give way, and only to what needs
// their room.
func TestEvictingMemoryLog(t *testing.T) {
	l := hub.NewEvictingMemoryLog(10 * (128 + 100))
	data := bytes.Repeat([]byte{'x'}, 100)
	for i := range uint64(50) {
		if _, err := l.Append(t.Context(), hub.Entry{Data: data}); err != nil {
			t.Fatal(err)
		}
		s, _ := l.State(t.Context())
		records, _ := l.Read(t.Context(), hub.Range{Limit: 100})
		if want := min(i+1, 10); s.Last != i+1 || s.First != i+2-want || uint64(len(records)) != want || records[0].Seq != s.First {
			t.Fatalf("after %d: %d records, bounds %d and %d", i+1, len(records), s.First, s.Last)
		}
	}
	if _, err := l.Append(t.Context(), hub.Entry{Data: make([]byte, 10_000)}); err == nil {
		t.Error("what never fits is stored")
	}
}

// TestMemoryBucketBound: a full bucket refuses what makes it larger and nothing
// else.
func TestMemoryBucketBound(t *testing.T) {
	b := hub.NewMemoryBucket(10 * (128 + 2 + 100))
	data := bytes.Repeat([]byte{'x'}, 100)
	put := func(key string, value []byte) error {
		_, rev := b.Get(key)
		_, err := b.Put(t.Context(), key, value, rev)
		return err
	}
	for i := range 10 {
		if err := put(fmt.Sprint("k", i), data); err != nil {
			t.Fatal(err)
		}
	}
	if err := put("x", nil); err == nil || put("k1", append(data, 'x')) == nil {
		t.Error("a full bucket takes more")
	}
	if err := put("k1", data); err != nil {
		t.Error(err)
	}
	_, rev := b.Get("k2")
	if ok, err := b.Delete(t.Context(), "k2", rev); !ok || err != nil {
		t.Errorf("a full bucket does not delete: %t, %v", ok, err)
	}
	if err := put("kx", data); err != nil {
		t.Error(err)
	}
}
