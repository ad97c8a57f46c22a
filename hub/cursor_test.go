package hub

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParseCursor(t *testing.T) {
	for _, good := range []cursor{{"a", 0}, {"0", 0}, {"k3f9", 1042}, {"zzzzzzzz", math.MaxInt64}, {strings.Repeat("9", maxEpoch), 1}} {
		if got, ok := parseCursor(good.String()); !ok || got != good {
			t.Errorf("%q is %v, %t", good, got, ok)
		}
	}
	for _, bad := range []string{
		"", "0", "-", "a", "a-", "-1", "--1", "a--1", "a-+1", "a- 1", "a-1 ", " a-1", "a -1", "a-01", "a-00", "a-0x1", "a-1_000", "a-1e3", "a-1.0",
		"A-1", "ä-1", "a_b-1", "a-b-1", "a-1-", "a-9223372036854775808", "a-18446744073709551616", "a-99999999999999999999999999",
		"a-１", "a-1\n", "a\x00-1", strings.Repeat("a", maxEpoch+1) + "-1",
	} {
		if got, ok := parseCursor(bad); ok {
			t.Errorf("%q is accepted as %v", bad, got)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"k3f9-1042", "a-0", "a-01", "a-+1", "-1", "0", "a-9223372036854775807", "a-9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseCursor(s)
		if !ok {
			return
		}
		if c.String() != s {
			t.Errorf("%q came back as %q", s, c)
		}
		if c.seq > math.MaxInt64 || !validEpoch(c.epoch) || strings.ContainsAny(s, " +_\r\n\x00") {
			t.Errorf("%q is accepted", s)
		}
	})
}

func TestNewEpoch(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		e := newEpoch()
		if len(e) != 8 || !validEpoch(e) || seen[e] {
			t.Fatalf("epoch %q", e)
		}
		seen[e] = true
	}
}

// TestReset: a cursor that does not work is refused everywhere, with one that
// does.
func TestReset(t *testing.T) {
	var first uint64 = 1
	log := &oddLog{Log: NewMemoryLog(1 << 20)}
	log.state = func(s State) (State, error) { s.First = first; return s, nil }
	h := newHubOver(t, log)
	for range 6 {
		send(t, h, alice, General, "x")
	}
	asked := map[string]func(cursor string) error{
		"after": func(c string) error {
			_, err := h.History(t.Context(), alice, HistoryQuery{After: c})
			return err
		},
		"before": func(c string) error {
			_, err := h.History(t.Context(), alice, HistoryQuery{Before: c})
			return err
		},
		"wait": func(c string) error {
			_, err := h.Wait(t.Context(), alice, WaitQuery{After: c})
			return err
		},
		"listen": func(c string) error {
			l, err := h.Listen(t.Context(), alice, ListenOptions{After: c})
			if err == nil {
				l.Close()
			}
			return err
		},
	}
	for name, ask := range asked {
		arg := name
		if name != "before" {
			arg = "after"
		}
		for _, test := range []struct {
			first  uint64
			cursor string
			code   Code
			oldest string
		}{
			{1, "0", "", ""},
			{1, h.id(0), "", ""},
			{1, h.id(5), "", ""},
			{1, h.id(7), Reset, `"0"`},
			{1, h.id(math.MaxInt64), Reset, `"0"`},
			{1, "other-1", Reset, `"0"`},
			{1, "1", Invalid, `"0"`},
			{1, h.id(1) + " ", Invalid, `"0"`},
			{5, "0", "", ""},
			{5, h.id(4), "", ""},
			{5, h.id(3), Reset, h.id(4)},
			{5, h.id(0), Reset, h.id(4)},
			{5, "other-1", Reset, h.id(4)},
		} {
			first = test.first
			err := ask(test.cursor)
			if test.code == "" {
				if err != nil {
					t.Errorf("%s %s with first %d: %v", name, test.cursor, test.first, err)
				}
				continue
			}
			wantCode(t, err, test.code, arg)
			if err != nil && !strings.Contains(err.Error(), test.oldest) {
				t.Errorf("%s %s with first %d: %q does not name %s", name, test.cursor, test.first, err, test.oldest)
			}
			var e *Error
			oldest := strings.Trim(test.oldest, `"`)
			if errors.As(err, &e) && e.Code == Reset && (e.Oldest != oldest || e.Reason == "" || strings.Contains(e.Reason, oldest+"-")) {
				t.Errorf("%s %s with first %d: %+v", name, test.cursor, test.first, e)
			}
			if e != nil && e.Code != Reset && (e.Oldest != "" || e.Reason != "") {
				t.Errorf("%s %s: %+v", name, test.cursor, e)
			}
		}
	}
}

// TestCursorAheadOfThisHub: another node may have shown what this one has not
// been given yet.
func TestCursorAheadOfThisHub(t *testing.T) {
	log := &lazyLog{MemoryLog: NewMemoryLog(1 << 20)}
	h := newHubOver(t, log)
	rec, err := log.Append(t.Context(), bobSays("elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, h, alice, ListenOptions{After: h.id(rec.Seq)})
	early := listen(t, h, alice, ListenOptions{After: h.id(rec.Seq - 1)})
	nothing(t, l)
	nothing(t, early)
	log.deliver(rec)
	wantEvents(t, early, "elsewhere")
	nothing(t, l)
	rec, _ = log.Append(t.Context(), bobSays("more"))
	log.deliver(rec)
	wantEvents(t, l, "more")
	wantEvents(t, early, "more")
}

// lazyLog gives its follower a record when the test says so.
type lazyLog struct {
	*MemoryLog
	deliver func(Record)
}

func (l *lazyLog) Follow(fn func(Record)) func() {
	l.deliver = fn
	return func() {}
}
