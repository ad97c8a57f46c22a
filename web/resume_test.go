package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"wigwag/hub"
	"wigwag/transport/sse"
)

// cutConn is a connection that breaks after so many bytes were read.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		_ = c.Close()
		return 0, errors.New("cut")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// TestResume: whoever comes back with the ID of the last event they got misses
// nothing and gets nothing twice, wherever the connection broke, while several
// people write.
func TestResume(t *testing.T) {
	const writers, each = 4, 100
	f := start(t, Limits{MaxStreamsPerUser: -1})
	f.openRoom(t, alice, hub.RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	f.openRoom(t, alice, hub.RoomSpec{Name: "hidden", Private: true})
	from := f.hub.Head()

	rooms := []string{hub.General, "den", "dm/alice/bob", "hidden", "dm/alice/carol"} // the last two are not for bob
	expected := map[string]bool{}
	var writing sync.WaitGroup
	for w := range writers {
		drafts := make([]hub.Draft, each)
		for i := range drafts {
			room := (w + i) % len(rooms)
			text := fmt.Sprintf("%s %d/%d %s", rooms[room], w, i, strings.Repeat("…", i))
			drafts[i] = hub.Draft{Target: hub.Target{Room: rooms[room]}, Text: text}
			if room < 3 {
				expected[text] = true
			}
		}
		writing.Go(func() {
			for _, d := range drafts {
				if _, _, err := f.hub.Send(t.Context(), alice, d); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer writing.Wait()

	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that fails must fail again
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &cutConn{Conn: c, left: 2000 + random.IntN(20_000)}, err
	}}
	f.client = &http.Client{Transport: transport}
	got := map[string]bool{}
	last, connections := from, 0
	for ; len(got) < len(expected); connections++ {
		s := f.open(t, "bob", "?types=message&last_event_id="+last)
		if connections%2 == 1 { // as a browser does it, whose query is old
			s.close()
			s = f.open(t, "bob", "?types=message&last_event_id="+from, "Last-Event-ID: "+last)
		}
		for len(got) < len(expected) {
			ev, err := s.read()
			if err != nil {
				break
			}
			var m hub.Message
			if err := json.Unmarshal(ev.Data, &m); err != nil || ev.Name != eventMessage || got[m.Message] {
				t.Fatalf("%v: %s, had it: %t", err, show(ev), got[m.Message])
			}
			if before, now := sequence(t, last), sequence(t, ev.ID); now <= before {
				t.Fatalf("%d after %d", now, before)
			}
			got[m.Message], last = true, ev.ID
		}
		s.close()
	}
	if connections < 5 {
		t.Errorf("only %d connections were needed", connections)
	}
	for text := range got {
		if !expected[text] {
			t.Errorf("%q is not for bob", text)
		}
	}
}

func sequence(t *testing.T, id string) (seq uint64) {
	t.Helper()
	_, digits, _ := strings.Cut(id, "-")
	if _, err := fmt.Sscan(digits, &seq); err != nil {
		t.Fatalf("ID %q: %v", id, err)
	}
	return seq
}

// TestResumeFromLog: what is no longer in memory comes from the log, then what
// is, then what happens.
func TestResumeFromLog(t *testing.T) {
	const n = 200
	f := start(t, Limits{})
	text := func(i int) string { return fmt.Sprint(i, strings.Repeat(".", 60_000)) }
	for i := range n {
		f.send(t, alice, hub.General, text(i))
	}
	s := f.open(t, "bob", "?last_event_id=0")
	defer s.close()
	for i := range n {
		s.want(t, "message "+text(i))
	}
	f.send(t, alice, hub.General, "live")
	s.want(t, "message live")
}

// oddLog is a log with faults.
type oddLog struct {
	*hub.MemoryLog
	first atomic.Uint64 // when not 0, what is before has expired
	fails atomic.Bool   // no record can be read
	asked func()        // called with every State, when not nil
}

func (l *oddLog) State(ctx context.Context) (hub.State, error) {
	state, err := l.MemoryLog.State(ctx)
	state.First = max(state.First, l.first.Load())
	if l.asked != nil {
		l.asked()
	}
	return state, err
}

func (l *oddLog) Read(ctx context.Context, r hub.Range) ([]hub.Record, error) {
	if l.fails.Load() {
		return nil, errors.New("secret: the disk is on fire")
	}
	return l.MemoryLog.Read(ctx, r)
}

// TestReset: a cursor that does not work gets a reset with the oldest one that
// does, and the stream goes on with what happens.
func TestReset(t *testing.T) {
	log := &oddLog{MemoryLog: newLog()}
	f := startOver(t, log, Limits{})
	for range 10 {
		f.send(t, alice, hub.General, "old")
	}
	epoch, _, _ := strings.Cut(f.hub.Head(), "-")
	log.first.Store(5)
	for after, reason := range map[string]string{
		"zzzz-3":        "another log",
		epoch + "-9999": "ahead",
		epoch + "-3":    "expired",
	} {
		head := f.hub.Head()
		for _, s := range []*feed{f.open(t, "bob", "?last_event_id="+after), f.open(t, "bob", "", "Last-Event-ID: "+after)} {
			ev := s.next(t)
			var v struct{ Oldest, Reason string }
			if err := json.Unmarshal(ev.Data, &v); err != nil || ev.Name != eventReset || ev.ID != head || v.Oldest != epoch+"-4" || !strings.Contains(v.Reason, reason) {
				t.Errorf("%s: %v: %s %s, want %q", after, err, ev.Name, ev.Data, reason)
			}
			f.send(t, alice, hub.General, "new")
			s.want(t, "message new")
			s.close()

			// The cursor that it names works.
			s = f.open(t, "bob", "?last_event_id="+v.Oldest)
			s.want(t, "message old", "message old")
			s.close()
		}
	}
	for after, want := range map[string]string{epoch + "-4": "message old", "0": "message old", f.hub.Head(): "message live"} {
		s := f.open(t, "bob", "?last_event_id="+after)
		if after == f.hub.Head() {
			f.send(t, alice, hub.General, "live")
		}
		if ev := s.next(t); show(ev) != want {
			t.Errorf("after %s: %s", after, show(ev))
		}
		s.close()
	}
}

// TestResetLater: the log may also lose what an open stream has not had yet.
func TestResetLater(t *testing.T) {
	log := &oddLog{MemoryLog: newLog()}
	f := startOver(t, log, Limits{})
	for range 200 { // more than is held in memory
		f.send(t, alice, hub.General, strings.Repeat(".", 60_000))
	}
	epoch, _, _ := strings.Cut(f.hub.Head(), "-")
	log.asked = func() { log.first.Store(20) } // from the second time on
	s := f.open(t, "bob", "?last_event_id="+epoch+"-1")
	defer s.close()
	if ev := s.next(t); ev.Name != eventReset || !strings.Contains(string(ev.Data), `"oldest":"`+epoch+`-19"`) {
		t.Fatalf("got %s", show(ev))
	}
	f.send(t, alice, hub.General, "live")
	s.want(t, "message live")
}

// TestStreamError: a stream whose log fails says so, keeps the reason to the
// server's own log, and ends.
func TestStreamError(t *testing.T) {
	log := &oddLog{MemoryLog: newLog()}
	f := startOver(t, log, Limits{})
	for range 200 { // more than is held in memory
		f.send(t, alice, hub.General, strings.Repeat(".", 60_000))
	}
	log.fails.Store(true)
	s := f.open(t, "bob", "?last_event_id=0")
	ev := s.next(t)
	var v struct{ Message, Time string }
	if err := json.Unmarshal(ev.Data, &v); err != nil || ev.Name != eventError || v.Message == "" || v.Time == "" || ev.Retry == 0 || strings.Contains(v.Message, "secret") {
		t.Errorf("%v: %s %s", err, ev.Name, ev.Data)
	}
	s.wantEnd(t)
	if n := strings.Count(f.logged.String(), "the disk is on fire"); n != 1 {
		t.Errorf("logged %d times: %s", n, f.logged)
	}
}

// TestDisconnect: a client that goes leaves nothing behind, at once.
func TestDisconnect(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		s := f.open(t, "bob", "")
		if f.opened() != 1 {
			t.Fatal("no stream is open")
		}
		s.close()
		synctest.Wait()
		if f.opened() != 0 {
			t.Error("the stream is still open")
		}
	})
}

// TestManyListeners: a thousand listeners get every message once, in order,
// and it is encoded once for all of them.
func TestManyListeners(t *testing.T) {
	const listeners, messages = 1000, 100
	f := start(t, Limits{MaxStreamsPerUser: -1})
	var encoded atomic.Int64
	f.web.encode = func(id, name string, v any) []byte {
		encoded.Add(1)
		return encodeFrame(id, name, v)
	}
	var ready, reading sync.WaitGroup
	failed := make(chan error, listeners)
	ready.Add(listeners)
	for range listeners {
		reading.Go(func() {
			s := f.open(t, "bob", "?types=message")
			ready.Done()
			defer s.close()
			for i := range messages {
				ev, err := s.read()
				if want := fmt.Sprintf(`"message":"%d"`, i); err != nil || ev.Name != eventMessage || !strings.Contains(string(ev.Data), want) {
					failed <- fmt.Errorf("got %s, %w; want %s", show(ev), err, want)
					return
				}
			}
		})
	}
	ready.Wait()
	for i := range messages {
		f.send(t, alice, hub.General, fmt.Sprint(i))
	}
	reading.Wait()
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
	if n := encoded.Load(); n != messages {
		t.Errorf("%d frames were encoded for %d messages", n, messages)
	}
}

// TestEncodedOncePerFormat: partial messages, too, whole and as differences.
func TestEncodedOncePerFormat(t *testing.T) {
	inBubble(t, Limits{}, func(t *testing.T, f *fixture) {
		var encoded atomic.Int64
		f.web.encode = func(id, name string, v any) []byte {
			encoded.Add(1)
			return encodeFrame(id, name, v)
		}
		for range 10 {
			for _, query := range []string{"", "?partials=delta"} {
				s := f.open(t, "bob", query)
				defer s.close()
				go func() { _, _ = io.Copy(io.Discard, s.resp.Body) }()
			}
		}
		st := f.begin(t, alice, hub.General)
		for i := range 3 {
			encoded.Store(0)
			st.Part("x", i, 3)
			pass()
			if n := encoded.Load(); n != 2 {
				t.Errorf("part %d: %d frames were encoded, want 2", i, n)
			}
		}
	})
}

// TestResumeFromTheGreeting: also who has got nothing yet has an ID to come back
// with.
func TestResumeFromTheGreeting(t *testing.T) {
	f := start(t, Limits{})
	f.send(t, alice, hub.General, "before")
	s := &feed{resp: f.ask(t, http.MethodGet, "bob", "")}
	s.reader = sse.NewReader(s.resp.Body, 1<<20)
	greeting := s.next(t)
	s.close()
	if greeting.Name != "system" || greeting.ID == "" {
		t.Fatalf("got %s with the ID %q", greeting.Name, greeting.ID)
	}
	f.send(t, alice, hub.General, "meanwhile")
	again := f.open(t, "bob", "", "Last-Event-ID: "+greeting.ID)
	again.want(t, "message meanwhile")

	// What has no place in the log has none.
	lines := &feed{resp: f.ask(t, http.MethodGet, "bob", "?types=log")}
	lines.reader = sse.NewReader(lines.resp.Body, 1<<20)
	defer lines.close()
	if greeting := lines.next(t); greeting.ID != "" {
		t.Errorf("a stream of log lines begins with the ID %q", greeting.ID)
	}
}
