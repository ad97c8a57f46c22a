package transport

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/server"
)

// FuzzGroup: what was encoded is decoded as it was; anything else is refused or
// decoded to something that encodes the same.
func FuzzGroup(f *testing.F) {
	f.Add(group{}.encode())
	f.Add(group{
		owed:  []json.RawMessage{json.RawMessage(`1`), json.RawMessage(`"a"`)},
		items: []item{{seq: 1, data: []byte(`{}`)}, {seq: 300, response: true, data: []byte(`{"id":1}`)}},
	}.encode())
	f.Add([]byte{groupVersion, 0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := decodeGroup(data)
		if err != nil {
			return
		}
		back, err := decodeGroup(g.encode())
		if err != nil || !reflect.DeepEqual(back, g) {
			t.Fatalf("%+v became %+v, %v", g, back, err)
		}
	})
}

// TestUnrecorded: every message is in one group, groups are bounded, and of
// what is too large to be kept the answer is still owed.
func TestUnrecorded(t *testing.T) {
	large := strings.Repeat("x", maxGroup/2)
	st := newStream(2, true)
	st.requests = []json.RawMessage{json.RawMessage("1"), json.RawMessage("2")}
	st.record = &record{to: newRecorder(nil, nil)}
	for range 3 {
		st.mu.Lock()
		st.pushLocked(item{data: []byte(large)})
		st.mu.Unlock()
	}
	st.appendResponse(json.RawMessage("1"), []byte("small"))
	st.appendResponse(json.RawMessage("2"), []byte(large+large+large))
	_, groups := st.unrecorded()

	var seqs []uint64
	for i, g := range groups {
		size := 0
		for _, it := range g.items {
			seqs = append(seqs, it.seq)
			size += len(it.data)
		}
		if size > maxGroup {
			t.Errorf("group %d has %d bytes", i, size)
		}
	}
	if want := []uint64{1, 2, 3, 4}; !reflect.DeepEqual(seqs, want) {
		t.Errorf("messages %d, want %d", seqs, want)
	}
	if owed := groups[len(groups)-1].owed; len(owed) != 1 || string(owed[0]) != "2" {
		t.Errorf("owed %s, want 2", owed)
	}
	if _, again := st.unrecorded(); len(again) != 1 || len(again[0].items) != 0 {
		t.Errorf("written twice: %+v", again)
	}
}

// hangingLog never answers.
type hangingLog struct{}

func (hangingLog) Append(ctx context.Context, _ LogEntry) (LogRecord, error) {
	<-ctx.Done()
	return LogRecord{}, ctx.Err()
}

func (hangingLog) Read(ctx context.Context, _ LogRange) ([]LogRecord, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestHangingLog: however many streams have something to be written, a log that
// does not answer is waited for once.
func TestHangingLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder(hangingLog{}, slog.New(slog.DiscardHandler))
		for range 100 {
			st := newStream(1, true)
			st.mu.Lock()
			st.pushLocked(item{data: []byte("{}")})
			st.mu.Unlock()
			r.keep("session", st)
		}
		began := time.Now()
		r.flush(t.Context())
		if took := time.Since(began); took > recordTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAdoptOnce: of two requests that bring back the same stream of an earlier
// process both get the one that is kept.
func TestAdoptOnce(t *testing.T) {
	s := New(server.NewMCPServer("test", "1"), Options{
		Owner: func(*http.Request) Owner { return Owner{User: "alice"} }, Logger: slog.New(slog.DiscardHandler),
	})
	defer func() { _ = s.Shutdown(t.Context()) }()
	sess := newSession(s, "session", Owner{User: "alice"}, false)
	for n := range 20_000 {
		id := "stream" + strconv.Itoa(n)
		start, got := make(chan struct{}), make(chan *stream)
		for range 2 {
			go func() {
				past := newStream(0, true)
				past.name = id
				<-start
				got <- sess.adopt(past)
			}()
		}
		close(start)
		if a, b := <-got, <-got; a != b || sess.findStream(id) != a {
			t.Fatal("two streams of one name")
		}
	}
}
