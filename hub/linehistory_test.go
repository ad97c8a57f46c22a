package hub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func line(t *testing.T, h *Hub, level LineLevel, logger, text string) LogLine {
	t.Helper()
	l, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: level, Logger: logger, Message: text})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func lineTexts(page LinePage) string {
	var all []string
	for _, l := range page.Lines {
		all = append(all, l.Message)
	}
	return strings.Join(all, "|")
}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		start := time.Now()
		var lines []LogLine
		for i, level := range []LineLevel{LineInfo, LineDebug, LineError, LineWarn, LineInfo, LineError} {
			lines = append(lines, line(t, h, level, []string{"db", "web"}[i%2], fmt.Sprint(i)))
			pass(time.Second)
		}
		at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
		for name, test := range map[string]struct {
			q    LineQuery
			want string
			more bool
			next string // the ID of the line that it is; empty: not looked at
		}{
			"all":                   {LineQuery{}, "0|1|2|3|4|5", false, ""},
			"the latest":            {LineQuery{Limit: 2}, "4|5", true, lines[4].ID},
			"before":                {LineQuery{Before: lines[4].ID, Limit: 2}, "2|3", true, lines[2].ID},
			"the first":             {LineQuery{After: "0", Limit: 2}, "0|1", true, lines[1].ID},
			"after":                 {LineQuery{After: lines[3].ID, Limit: 2}, "4|5", false, lines[5].ID},
			"after the last":        {LineQuery{After: lines[5].ID}, "", false, lines[5].ID},
			"of a level":            {LineQuery{Level: LineWarn}, "2|3|5", false, ""},
			"of a level, the last":  {LineQuery{Level: LineWarn, Limit: 1}, "5", true, ""},
			"of a level, the first": {LineQuery{Level: LineWarn, After: "0", Limit: 1}, "2", true, ""},
			"of a logger":           {LineQuery{Logger: "web"}, "1|3|5", false, ""},
			"of no logger":          {LineQuery{Logger: "we"}, "", false, ""},
			"of both":               {LineQuery{Logger: "db", Level: LineWarn}, "2", false, ""},
			"since":                 {LineQuery{Since: at(3), Limit: 2}, "3|4", true, lines[4].ID},
			"since, then after":     {LineQuery{Since: at(3), After: lines[4].ID}, "5", false, ""},
			"since, after before":   {LineQuery{Since: at(3), After: lines[0].ID}, "3|4|5", false, ""},
			"since, before":         {LineQuery{Since: at(3), Before: lines[5].ID}, "3|4", false, ""},
			"until":                 {LineQuery{Until: at(3), Limit: 2}, "1|2", true, lines[1].ID},
			"until, after":          {LineQuery{Until: at(3), After: lines[0].ID}, "1|2", false, ""},
			"until, before":         {LineQuery{Until: at(3), Before: lines[5].ID}, "0|1|2", false, ""},
			"from to":               {LineQuery{Since: at(1), Until: at(4)}, "1|2|3", false, ""},
			"from to, none":         {LineQuery{Since: at(4), Until: at(4)}, "", false, ""},
			"since the future":      {LineQuery{Since: at(100)}, "", false, lines[5].ID},
			"until the past":        {LineQuery{Until: at(-1)}, "", false, ""},
		} {
			page, err := h.Lines(t.Context(), bob, test.q)
			if got := lineTexts(page); err != nil || got != test.want || page.More != test.more || page.Cut || page.Next == "" || test.next != "" && page.Next != test.next {
				t.Errorf("%s: %q, more %t, cut %t, next %s, %v; want %q, more %t, next %s", name, got, page.More, page.Cut, page.Next, err, test.want, test.more, test.next)
			}
		}
		for _, got := range must(t, h, LineQuery{}).Lines {
			written := lines[0]
			for _, l := range lines {
				if l.ID == got.ID {
					written = l
				}
			}
			a, _ := json.Marshal(got)
			if b, _ := json.Marshal(written); string(a) != string(b) {
				t.Errorf("%s was written as %s", a, b)
			}
		}
		h.Close()
	})
}

func must(t *testing.T, h *Hub, q LineQuery) LinePage {
	t.Helper()
	page, err := h.Lines(t.Context(), bob, q)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestLinesRefuses(t *testing.T) {
	lines := NewEvictingMemoryLog(4 << 10)
	h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Lines: lines})
	first := line(t, h, LineInfo, "", "first")
	for range 100 {
		line(t, h, LineInfo, "", "x")
	}
	for name, test := range map[string]struct {
		actor Actor
		q     LineQuery
		code  Code
		arg   string
	}{
		"a guest":           {guest, LineQuery{}, NotFound, ""},
		"nobody":            {Actor{}, LineQuery{}, NotFound, ""},
		"a level":           {bob, LineQuery{Level: "loud"}, Invalid, "level"},
		"a logger":          {bob, LineQuery{Logger: strings.Repeat("x", maxLogger+1)}, Invalid, "logger"},
		"a limit":           {bob, LineQuery{Limit: -1}, Invalid, "limit"},
		"two ways":          {bob, LineQuery{After: "0", Before: "0"}, Invalid, "before"},
		"no cursor":         {bob, LineQuery{After: "x"}, Invalid, "after"},
		"one of messages":   {bob, LineQuery{After: h.Head()}, Reset, "after"},
		"one that is gone":  {bob, LineQuery{After: first.ID}, Reset, "after"},
		"one that is ahead": {bob, LineQuery{Before: cursor{h.linesEpoch, 1000}.String()}, Reset, "before"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Lines(t.Context(), test.actor, test.q)
			wantCode(t, err, test.code, test.arg)
		})
	}
}

// TestLinesIsBounded: a rare level is looked for in so many lines at a time,
// from either end, and whoever goes on finds all of it.
func TestLinesIsBounded(t *testing.T) {
	lines := NewEvictingMemoryLog(64 << 20)
	put := func(level LineLevel) {
		t.Helper()
		data, err := json.Marshal(lineRecord{Version: 1, Type: typeLine, Sender: Sender{Name: "bob"}, Level: level, Message: string(level)})
		if err == nil {
			_, err = lines.Append(t.Context(), Entry{Subject: lineSubject, Data: data})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(LineError)
	for range maxScanned + 1000 {
		put(LineDebug)
	}
	put(LineError)
	h := newHubWith(t, Options{Log: NewMemoryLog(1 << 20), Lines: lines})
	for _, q := range []LineQuery{{Level: LineError}, {Level: LineError, After: "0"}} {
		forwards, cuts, found := q.After != "", 0, 0
		for more := true; more; {
			page := must(t, h, q)
			if found += len(page.Lines); page.Cut {
				cuts++
			}
			if more = page.More; forwards {
				q.After = page.Next
			} else {
				q.Before = page.Next
			}
		}
		if found != 2 || cuts != 1 {
			t.Errorf("forwards %t: found %d, cut %d times", forwards, found, cuts)
		}
	}
}
