package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func texts(items []item) []string {
	var out []string
	for _, it := range items {
		out = append(out, string(it.data))
	}
	return out
}

func mustAppend(t *testing.T, st *stream, data string) {
	t.Helper()
	if err := st.append(t.Context(), []byte(data)); err != nil {
		t.Fatalf("append %q: %v", data, err)
	}
}

// fill appends until one more would have to wait.
func fill(t *testing.T, st *stream) {
	t.Helper()
	for i := range maxPendingItems {
		mustAppend(t, st, fmt.Sprint(i))
	}
}

func TestStreamEndsWithItsLastResponse(t *testing.T) {
	st := newStream(2, false)
	conn := st.attach()
	st.appendResponse(nil, []byte("a"))
	if _, done := st.sole(); done {
		t.Fatal("ended with one of two responses")
	}
	st.appendResponse(nil, []byte("b"))
	responses, done := st.sole()
	if !done || len(responses) != 2 {
		t.Fatalf("sole() = %q, %v; want both responses", responses, done)
	}
	if err := st.append(t.Context(), []byte("late")); !errors.Is(err, errStreamEnded) {
		t.Fatalf("append after the end: %v, want errStreamEnded", err)
	}
	if items, done := st.take(conn); !done || !reflect.DeepEqual(texts(items), []string{"a", "b"}) {
		t.Fatalf("take() = %q, %v", texts(items), done)
	}
}

// A connection that has taken everything sleeps until there is more.
func TestStreamSleepsWhenEmpty(t *testing.T) {
	st := newStream(1, true)
	conn := st.attach()
	mustAppend(t, st, "a")
	<-st.wake
	st.take(conn)
	select {
	case <-st.wake:
		t.Fatal("taking wakes the one that takes")
	default:
	}
}

// A producer waits for the reader, and loses nothing.
func TestStreamBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream(1, true)
		conn := st.attach()
		fill(t, st)
		appended := make(chan error, 1)
		go func() { appended <- st.append(t.Context(), []byte("one more")) }()
		synctest.Wait()
		select {
		case err := <-appended:
			t.Fatalf("append did not wait: %v", err)
		default:
		}
		if items, _ := st.take(conn); len(items) != maxPendingItems {
			t.Fatalf("took %d items, want %d", len(items), maxPendingItems)
		}
		if err := <-appended; err != nil {
			t.Fatal(err)
		}
		if items, _ := st.take(conn); !reflect.DeepEqual(texts(items), []string{"one more"}) {
			t.Fatalf("took %q", texts(items))
		}
	})
}

// With a connection that does not read, a producer waits as long as its call
// may, not only a minute.
func TestStreamWaitsForConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream(1, true)
		st.attach()
		fill(t, st)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errTooLong)
		defer cancel()
		began := time.Now()
		if err := st.append(ctx, []byte("x")); !errors.Is(err, errTooLong) || time.Since(began) != time.Hour {
			t.Fatalf("append = %v after %v, want errTooLong after an hour", err, time.Since(began))
		}
	})
}

// Without a connection the oldest gives way, but only after a minute, never a
// response, and the client that comes back is told.
func TestStreamAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream(2, true)
		st.detach(st.attach())
		st.appendResponse(nil, []byte("response"))
		for i := range maxPendingItems - 1 {
			mustAppend(t, st, fmt.Sprint(i))
		}
		gone := time.Now()
		time.Sleep(abandonedAfter / 3) //nolint:forbidigo // the fake clock
		mustAppend(t, st, "newest")
		if waited := time.Since(gone); waited != abandonedAfter {
			t.Fatalf("waited %v, want %v", waited, abandonedAfter)
		}
		if _, complete, _ := st.replay(0); complete {
			t.Error("a replay across the gap calls itself complete")
		}
		items, _ := st.take(st.attach())
		got := texts(items)
		if got[0] != "response" || got[1] != "1" || got[len(got)-1] != "newest" {
			t.Errorf("got %q … %q, want the response, everything from 1, and the newest", got[:2], got[len(got)-1])
		}
		if _, complete, _ := st.replay(items[len(items)-1].seq); !complete {
			t.Error("a replay after the gap calls itself incomplete")
		}
	})
}

// On the stream of a whole session responses wait too, or a client that never
// reads could pile them up.
func TestSharedStreamBoundsResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream(0, false)
		st.shared = true
		st.attach()
		fill(t, st)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := st.awaitRoom(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("awaitRoom = %v, want it to wait", err)
		}
	})
}

func TestStreamReplay(t *testing.T) {
	st := newStream(1, true)
	conn := st.attach()
	if id := st.prime(); id != st.id()+"-0.1" {
		t.Fatalf("primed with %q", id)
	}
	for i := range 3 {
		mustAppend(t, st, fmt.Sprint(i))
	}
	items, _ := st.take(conn)
	st.detach(conn)
	mustAppend(t, st, "while away")

	replayed, complete, over := st.replay(items[0].seq)
	if !complete || over || !reflect.DeepEqual(texts(replayed), []string{"1", "2"}) {
		t.Fatalf("replay = %q, %v, %v", texts(replayed), complete, over)
	}
	conn = st.attach()
	if items, _ := st.take(conn); !reflect.DeepEqual(texts(items), []string{"while away"}) || items[0].seq != 4 {
		t.Fatalf("took %+v", items)
	}
	st.appendResponse(nil, []byte("r"))
	st.take(conn)
	if _, _, over := st.replay(4); over {
		t.Error("over, with the response still to be replayed")
	}
	if _, _, over := st.replay(5); !over {
		t.Error("not over, with everything seen")
	}
}

// The connection that was replaced gets nothing more, and what it had taken can
// be replayed.
func TestStreamReplaced(t *testing.T) {
	st := newStream(1, true)
	first := st.attach()
	mustAppend(t, st, "a")
	st.take(first)
	second := st.attach()
	select {
	case <-first:
	default:
		t.Fatal("the first connection was not told")
	}
	mustAppend(t, st, "b")
	if items, done := st.take(first); len(items) > 0 || !done {
		t.Fatalf("the replaced connection took %q, %v", texts(items), done)
	}
	st.detach(first) // must not detach the second
	if items, _ := st.take(second); !reflect.DeepEqual(texts(items), []string{"b"}) {
		t.Fatalf("the second took %q", texts(items))
	}
}

func TestStreamCoalesces(t *testing.T) {
	st := newStream(0, true)
	st.shared = true
	conn := st.attach()
	for range 1000 {
		st.appendCoalesced("updated a", []byte("a"))
		st.appendCoalesced("updated b", []byte("b"))
	}
	if items, _ := st.take(conn); !reflect.DeepEqual(texts(items), []string{"a", "b"}) {
		t.Fatalf("took %q", texts(items))
	}
	st.appendCoalesced("updated a", []byte("a"))
	if items, _ := st.take(conn); len(items) != 1 {
		t.Fatal("what was delivered stands for what comes later")
	}
}

func TestStreamAbandonFreesProducers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStream(1, false)
		conn := st.attach()
		fill(t, st)
		var producers sync.WaitGroup
		for range 5 {
			producers.Go(func() { _ = st.append(t.Context(), []byte("x")) })
		}
		synctest.Wait()
		st.abandon()
		producers.Wait()
		st.appendResponse(nil, []byte("r"))
		if items, done := st.take(conn); len(items) > 0 || !done {
			t.Fatalf("took %d items, done %v; want none and the end", len(items), done)
		}
	})
}

func TestRingBounds(t *testing.T) {
	var r ring
	for i := range 3 * maxHistoryItems {
		r.add([]item{{seq: uint64(i + 1), data: []byte("x")}})
	}
	if items, complete := r.after(0); complete || len(items) != maxHistoryItems {
		t.Errorf("after(0) = %d items, complete %v", len(items), complete)
	}
	if items, complete := r.after(2 * maxHistoryItems); !complete || len(items) != maxHistoryItems {
		t.Errorf("after the evicted = %d items, complete %v", len(items), complete)
	}
	big := make([]byte, maxHistoryBytes/2+1)
	for i := range 4 {
		r.add([]item{{seq: uint64(4*maxHistoryItems + i), data: big}})
	}
	if r.size() > maxHistoryBytes || len(r.items) != 1 {
		t.Errorf("holds %d bytes in %d items", r.size(), len(r.items))
	}
	huge := make([]byte, 2*maxHistoryBytes)
	r.add([]item{{seq: 9 * maxHistoryItems, data: huge}})
	if items, _ := r.after(0); len(items) != 1 {
		t.Errorf("the newest is not held when it alone is over the bound: %d items", len(items))
	}
}

func TestShelfBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sh shelf
		sess := &session{streams: map[string]*resumable{}}
		put := func(bytes int) *stream {
			st := newStream(1, true)
			st.bytes = bytes
			sess.streams[st.id()] = &resumable{stream: st}
			sh.put(sess, st)
			return st
		}
		first := put(maxFinishedBytes / 2)
		second := put(maxFinishedBytes / 2)
		if sess.findable(first) || !sess.findable(second) {
			t.Error("over the bound the oldest, and only it, gives way")
		}
		time.Sleep(finishedHeldFor) //nolint:forbidigo // the fake clock
		sh.sweep(time.Now())
		if !sess.findable(second) {
			t.Error("let go before its time")
		}
		time.Sleep(time.Second) //nolint:forbidigo // the fake clock
		sh.sweep(time.Now())
		if sess.findable(second) || sh.bytes != 0 {
			t.Errorf("still held after its time; %d bytes counted", sh.bytes)
		}
	})
}

func (sess *session) findable(st *stream) bool {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	return sess.streams[st.id()] != nil
}

// A connection whose place another has taken leaves everything to that one, also
// the signal that it was itself just woken by, and does not take the stream for
// written.
func TestReplacedConnection(t *testing.T) {
	st := newStream(1, true)
	old := st.attach()
	st.attach()
	mustAppend(t, st, "a")
	<-st.wake
	s := &Server{limits: Limits{}.withDefaults(), base: t.Context()}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/mcp", http.NoBody)
	if got := s.pump(r, nil, st, old, nil, nil); got != released {
		t.Errorf("the connection ended as %d, not as released", got)
	}
	if st.written {
		t.Error("the stream is taken for written")
	}
	select {
	case <-st.wake:
	default:
		t.Error("the new connection is not woken")
	}
}
