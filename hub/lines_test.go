package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWriteLog(t *testing.T) {
	h := newHub(t)
	l := listen(t, h, bob, ListenOptions{LineLevel: LineDebug, Types: []string{"log"}})
	line, _, err := h.WriteLog(t.Context(), alice, LineDraft{
		Level: LineWarn, Logger: "ci", Message: "slow", Fields: map[string]any{"took": 1.5, "step": map[string]any{"n": 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(line)
	wire := fmt.Sprintf(`{"id":%q,"level":"warn","logger":"ci","message":"slow","fields":{"step":{"n":3},"took":1.5},"sender":{"name":"alice","via":"Claude Code"},"time":%q}`, line.ID, line.Time)
	if err != nil || string(data) != wire {
		t.Errorf("on the wire: %s, %v; want %s", data, err, wire)
	}
	got := next(t, l)[0].Line
	if data, _ := json.Marshal(got); string(data) != wire {
		t.Errorf("a listener got %s", data)
	}
	// It is in no order with messages.
	if h.Head() != h.id(0) || strings.HasPrefix(line.ID, h.epoch) {
		t.Errorf("the head is %s, the line's ID %s", h.Head(), line.ID)
	}
	nothing(t, listen(t, h, bob, ListenOptions{LineLevel: LineDebug, Types: []string{"log"}, After: "0"}))
}

func TestLineLevels(t *testing.T) {
	h := newHub(t)
	byLevel := map[LineLevel]*Listener{}
	for _, level := range append(lineLevels, "") {
		byLevel[level] = listen(t, h, bob, ListenOptions{LineLevel: level, Types: []string{"log"}})
	}
	nobody := listen(t, h, Actor{}, ListenOptions{LineLevel: LineDebug, Types: []string{"log"}})
	for _, level := range lineLevels {
		line, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: level, Message: "x"})
		if err != nil {
			t.Fatal(err)
		}
		awaitLine(t, h, line)
	}
	for level, want := range map[LineLevel]string{
		LineDebug: "[debug] x|[info] x|[warn] x|[error] x",
		LineInfo:  "[info] x|[warn] x|[error] x",
		"":        "[info] x|[warn] x|[error] x",
		LineWarn:  "[warn] x|[error] x",
		LineError: "[error] x",
	} {
		if got := show(drain(t, byLevel[level])); got != want {
			t.Errorf("from %s on came %q", level, got)
		}
	}
	nothing(t, nobody)
}

func TestWriteLogRefuses(t *testing.T) {
	h := newHub(t)
	nested := func(depth int) map[string]any {
		var v any = "x"
		for i := range depth - 1 {
			if i%2 == 0 {
				v = []any{v}
			} else {
				v = map[string]any{"k": v}
			}
		}
		return map[string]any{"k": v}
	}
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	for _, test := range []struct {
		arg   string
		draft LineDraft
	}{
		{"level", LineDraft{Message: "x"}},
		{"level", LineDraft{Level: "success", Message: "x"}},
		{"logger", LineDraft{Level: LineInfo, Message: "x", Logger: strings.Repeat("x", maxLogger+1)}},
		{"logger", LineDraft{Level: LineInfo, Message: "x", Logger: "a\r\nb"}},
		{"message", LineDraft{Level: LineInfo}},
		{"message", LineDraft{Level: LineInfo, Message: strings.Repeat("x", MaxNotice+1)}},
		{"message", LineDraft{Level: LineInfo, Message: "\xff"}},
		{"fields", LineDraft{Level: LineInfo, Message: "x", Fields: map[string]any{"k": strings.Repeat("x", maxFields)}}},
		{"fields", LineDraft{Level: LineInfo, Message: "x", Fields: map[string]any{"k": math.NaN()}}},
		{"fields", LineDraft{Level: LineInfo, Message: "x", Fields: nested(maxFieldDepth + 1)}},
		{"fields", LineDraft{Level: LineInfo, Message: "x", Fields: cyclic}},
		{"idempotency_key", LineDraft{Level: LineInfo, Message: "x", IdempotencyKey: "é"}},
	} {
		_, _, err := h.WriteLog(t.Context(), alice, test.draft)
		wantCode(t, err, Invalid, test.arg)
	}
	_, _, err := h.WriteLog(t.Context(), Actor{}, LineDraft{Level: LineInfo, Message: "x"})
	wantCode(t, err, NotFound, "")
	if s, _ := h.lines.State(t.Context()); s.Last != 0 {
		t.Error("something was stored")
	}
	for _, fields := range []map[string]any{nil, {}, nested(maxFieldDepth), {"k": strings.Repeat("x", maxFields-8)}} {
		line, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "x", Fields: fields})
		if err != nil || len(fields) == 0 && line.Fields != nil {
			t.Errorf("%.60v: %v", fields, err)
		}
	}
}

func TestLineScripts(t *testing.T) {
	for name, text := range scripts {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			l := listen(t, h, bob, ListenOptions{Types: []string{"log"}})
			_, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: text, Fields: map[string]any{text: []any{text}}})
			if err != nil {
				t.Fatal(err)
			}
			got := next(t, l)[0].Line
			var fields map[string][]string
			if err := json.Unmarshal(got.Fields, &fields); err != nil || got.Message != text || len(fields[text]) != 1 || fields[text][0] != text {
				t.Errorf("%q became %+v, %v", text, got, err)
			}
		})
	}
}

// TestLineFlood: a flood of lines takes nothing away from messages, and of a
// slow listener's lines the newest are kept.
func TestLineFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Lines: NewEvictingMemoryLog(100_000)})
		slow := listen(t, h, bob, ListenOptions{Types: []string{"log", "message"}, LineLevel: LineDebug})
		send(t, h, alice, General, "message")
		woken := 0
		waker := listen(t, h, carol, ListenOptions{Types: []string{"log"}})
		go func() {
			for {
				if _, err := waker.Next(t.Context()); err != nil {
					return
				}
				woken++
			}
		}()
		const n = 3000
		for i := range n {
			if _, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				pass(time.Millisecond)
			}
		}
		pass(time.Second)
		if most := n/10/40 + 3; woken > most || woken < 2 {
			t.Errorf("a listener was woken %d times, want at most %d", woken, most)
		}
		events := drain(t, slow)
		if events[0].Message == nil || len(events) < 100 || len(events) == n+1 {
			t.Fatalf("%d events came, the first %+v", len(events), events[0])
		}
		for i, e := range events[1:] {
			if want := fmt.Sprint(n + 1 - len(events) + i); e.Line.Message != want {
				t.Fatalf("line %q, want %s", e.Line.Message, want)
			}
		}
		h.Close()
	})
}

func TestWriteLogFails(t *testing.T) {
	broken := errors.New("broken")
	h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Lines: NewMemoryLog(300)})
	var err error
	for range 10 {
		if _, _, err = h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "x"}); err != nil {
			break
		}
	}
	wantCode(t, err, Full, "")
	h.Close()
	_, _, err = h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "x"})
	wantCode(t, err, Unavailable, "")
	_, err = New(t.Context(), Options{
		Log: NewMemoryLog(1), Users: people,
		Lines: &oddLog{Log: NewMemoryLog(1), state: func(State) (State, error) { return State{}, broken }},
	})
	if !errors.Is(err, broken) {
		t.Errorf("New: %v", err)
	}
}

func TestWriteLogIdempotency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		d := LineDraft{Level: LineInfo, Logger: "ci", Message: "x", Fields: map[string]any{"n": 1}, Tool: "write_log", IdempotencyKey: "k"}
		first, duplicate, err := h.WriteLog(t.Context(), alice, d)
		if err != nil || duplicate {
			t.Fatalf("duplicate %t, %v", duplicate, err)
		}
		again, duplicate, err := h.WriteLog(t.Context(), Actor{Name: "alice", Via: "another client"}, d)
		if err != nil || !duplicate || again.ID != first.ID || again.Time != first.Time || again.Sender != first.Sender {
			t.Errorf("again: %+v, duplicate %t, %v; want %+v", again, duplicate, err, first)
		}
		for name, change := range map[string]func(*LineDraft){
			"level":   func(d *LineDraft) { d.Level = LineError },
			"logger":  func(d *LineDraft) { d.Logger = "" },
			"message": func(d *LineDraft) { d.Message = "y" },
			"fields":  func(d *LineDraft) { d.Fields = map[string]any{"n": 2} },
		} {
			other := d
			change(&other)
			_, _, err := h.WriteLog(t.Context(), alice, other)
			if wantCode(t, err, Conflict, "idempotency_key"); err == nil {
				t.Errorf("another %s with the same key was written", name)
			}
		}
		if state, _ := h.lines.State(t.Context()); state.Last != 1 || h.Head() != h.id(0) {
			t.Errorf("%d lines were written, the head is %s", state.Last, h.Head())
		}
		// Another user's key, and one whose time is over, are new.
		if _, duplicate, err := h.WriteLog(t.Context(), bob, d); err != nil || duplicate {
			t.Errorf("bob: duplicate %t, %v", duplicate, err)
		}
		pass(keyLife + time.Nanosecond)
		if later, duplicate, err := h.WriteLog(t.Context(), alice, d); err != nil || duplicate || later.ID == first.ID {
			t.Errorf("after more than 24 h: %+v, duplicate %t, %v", later, duplicate, err)
		}
		h.Close()
	})
}

// TestWriteLogIdempotencyOfWhatIsGone: a line that has given way is not written
// again, and the caller is told so.
func TestWriteLogIdempotencyOfWhatIsGone(t *testing.T) {
	h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Lines: NewEvictingMemoryLog(1000)})
	d := LineDraft{Level: LineInfo, Message: "x", IdempotencyKey: "k"}
	if _, _, err := h.WriteLog(t.Context(), alice, d); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, _, err := h.WriteLog(t.Context(), bob, LineDraft{Level: LineInfo, Message: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := h.WriteLog(t.Context(), alice, d)
	wantCode(t, err, Conflict, "idempotency_key")
}
