package seeds

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/hub"
)

// TestUpdates: a welcome, and then a number every two seconds, which goes on
// where the client was.
func TestUpdates(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		for last, first := range map[string]int{"": 1, "41": 42, "k3f9-1": 1, "-5": 1, "99999999999999999999": 1} {
			began := time.Now()
			s := l.open(t, "bob", "/stream", "Last-Event-ID: "+last)
			ev, data := s.want(t, "welcome", nil)
			if wantTime(t, data, "timestamp"); ev.Retry == 0 || data["message"] == "" {
				t.Errorf("first %+v", ev)
			}
			for i := range 20 { // beyond a heartbeat
				ev, data := s.want(t, "update", map[string]any{"id": first + i})
				if ev.ID != strconv.Itoa(first+i) {
					t.Errorf("the ID is %q", ev.ID)
				}
				wantTime(t, data, "timestamp")
				if since := time.Since(began); since != time.Duration(i+1)*updateEvery {
					t.Errorf("update %d after %v", i, since)
				}
			}
			s.close()
		}
	})
}

func (l *lab) writeLog(t *testing.T, level hub.LineLevel, text string) hub.LogLine {
	t.Helper()
	line, _, err := l.hub.WriteLog(t.Context(), hub.Actor{Name: "alice"}, hub.LineDraft{Level: level, Logger: "build", Message: text, Fields: map[string]any{"n": 1}})
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// lateLog is a log whose followers hear of nothing until they may.
type lateLog struct {
	hub.Log
	hear chan struct{}
}

func (l lateLog) Follow(fn func(hub.Record)) (stop func()) {
	return l.Log.Follow(func(r hub.Record) {
		<-l.hear
		fn(r)
	})
}

// TestLogsHeardLate: a line that is heard of when later ones have been given is
// not given after them, nor one that the client has.
func TestLogsHeardLate(t *testing.T) {
	for name, resumes := range map[string]bool{"from the latest": false, "from the newest on": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logger, late := slog.New(slog.DiscardHandler), lateLog{hub.NewEvictingMemoryLog(1 << 20), make(chan struct{})}
				h, err := hub.New(t.Context(), hub.Options{Log: hub.NewMemoryLog(1 << 20), Lines: late, Users: people, Logger: logger})
				if err != nil {
					t.Fatal(err)
				}
				defer h.Close()
				l, after := &lab{hub: h, seeds: &Server{o: Options{Hub: h}}}, ""
				for range earlierLines + 20 {
					id := l.writeLog(t, hub.LineInfo, "earlier").ID
					if resumes {
						after = id
					}
				}
				source, err := l.seeds.openLogs(t.Context(), hub.Actor{Name: "bob"}, after)
				if err != nil {
					t.Fatal(err)
				}
				defer source.Close()
				close(late.hear)
				l.writeLog(t, hub.LineInfo, "live")
				synctest.Wait()
				given := map[string]int{}
				for given["live"] == 0 {
					frames, err := source.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for frame := range frames {
						for _, text := range []string{"earlier", "live"} {
							given[text] += strings.Count(string(frame), `"message":"`+text+`"`)
						}
					}
				}
				want := earlierLines
				if resumes {
					want = 0
				}
				if given["earlier"] != want || given["live"] != 1 {
					t.Errorf("given: %v, want %d of the earlier ones", given, want)
				}
			})
		})
	}
}

// TestLogs: events named by level, the latest lines first, none of them twice;
// with Last-Event-ID those that were missed.
func TestLogs(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		var lines []hub.LogLine
		for i := range 250 {
			lines = append(lines, l.writeLog(t, hub.LineInfo, fmt.Sprint(i)))
		}
		s := l.open(t, "bob", "/api/logs/stream")
		defer s.close()
		for i := 150; i < 250; i++ {
			s.want(t, "info", map[string]any{"message": strconv.Itoa(i), "level": "info"})
		}
		for _, level := range []hub.LineLevel{hub.LineDebug, hub.LineInfo, hub.LineWarn, hub.LineError} {
			line := l.writeLog(t, level, "live")
			ev, data := s.want(t, string(level), map[string]any{"id": line.ID, "level": level, "message": "live", "logger": "build", "fields": map[string]any{"n": 1}})
			if ev.ID != line.ID {
				t.Errorf("the ID is %q", ev.ID)
			}
			if data["timestamp"] != line.Time.String() {
				t.Errorf("timestamp %v, want %s", data["timestamp"], line.Time)
			}
		}
		again := l.open(t, "bob", "/api/logs/stream", "Last-Event-ID: "+lines[9].ID)
		defer again.close()
		for i := 10; i < 250; i++ {
			again.want(t, "info", map[string]any{"message": strconv.Itoa(i), "id": lines[i].ID})
		}
		lost := l.open(t, "bob", "/api/logs/stream", "Last-Event-ID: other-1")
		defer lost.close()
		lost.want(t, "reset", nil)
		lost.want(t, "info", map[string]any{"message": "154"})
		if resp := l.ask(t, http.MethodGet, "bob/chat.read", "/api/logs/stream", ""); resp.StatusCode != http.StatusForbidden {
			t.Errorf("without the scope: %s", resp.Status)
		}
	})
}

// TestTalk: the answer to what is sent up comes down on that stream alone.
func TestTalk(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		first, second := l.open(t, "bob", "/downward"), l.open(t, "bob", "/downward")
		defer second.close()
		var ids []string
		for _, s := range []*stream{first, second} {
			_, data := s.want(t, "welcome", nil)
			if wantTime(t, data, "timestamp"); data["text"] == "" || len(fmt.Sprint(data["sessionId"])) < 26 {
				t.Errorf("welcome: %v", data)
			}
			ids = append(ids, fmt.Sprint(data["sessionId"]))
		}
		if ids[0] == ids[1] {
			t.Error("two streams have one session")
		}
		answer := l.post(t, http.StatusCreated, "bob", "/upward", `{"text":"to the first"}`, "X-Session-ID: "+ids[0])
		if fmt.Sprint(answer) != "map[status:sent]" {
			t.Errorf("answered %v", answer)
		}
		_, data := first.want(t, "", nil)
		if wantTime(t, data, "timestamp"); !strings.Contains(fmt.Sprint(data["text"]), "to the first") || data["sessionId"] != nil {
			t.Errorf("got %v", data)
		}
		l.post(t, http.StatusCreated, "bob", "/upward", `{"text":"to the second"}`, "X-Session-ID: "+ids[1])
		if _, data := second.want(t, "", nil); !strings.Contains(fmt.Sprint(data["text"]), "to the second") {
			t.Errorf("got %v", data)
		}
		first.close()
		synctest.Wait()
		wantError(t, l.post(t, http.StatusBadRequest, "bob", "/upward", `{"text":"gone"}`, "X-Session-ID: "+ids[0]), "not a session of yours")
		if n := len(l.seeds.talks.open); n != 1 {
			t.Errorf("%d sessions are kept", n)
		}
	})
}

func TestUpwardRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		s := l.open(t, "bob", "/downward")
		defer s.close()
		_, data := s.want(t, "welcome", nil)
		session := fmt.Sprint("X-Session-ID: ", data["sessionId"])
		for body, detail := range map[string]string{
			`{}`:              "text: is missing",
			`{"text":""}`:     "text: is missing",
			`{"text":" \n"}`:  "text: is missing",
			`{"text":null}`:   "text: is missing",
			`{"text":1}`:      "text has the wrong type",
			`{"message":"x"}`: "Allowed are text",
			`text`:            "not one JSON object",
			`[]`:              "not a JSON object",
			`{"text":"` + strings.Repeat("x", maxUpward+1) + `"}`: "text: is 8193 bytes long; allowed are 8192",
			strings.Repeat(" ", maxUpwardBody+1):                  "longer than",
		} {
			wantError(t, l.post(t, http.StatusBadRequest, "bob", "/upward", body, session), detail)
		}
		for _, other := range []string{"X-Session-ID: unknown", "X-Session-ID: ", "X-Other: x"} {
			wantError(t, l.post(t, http.StatusBadRequest, "bob", "/upward", `{"text":"x"}`, other), "X-Session-ID: is not a session of yours that is open")
		}
		known := l.post(t, http.StatusBadRequest, "mallory", "/upward", `{"text":"x"}`, session)
		unknown := l.post(t, http.StatusBadRequest, "mallory", "/upward", `{"text":"x"}`, "X-Session-ID: unknown")
		if fmt.Sprint(known) != fmt.Sprint(unknown) {
			t.Errorf("another's session: %v, one that is not there: %v", known, unknown)
		}
		l.post(t, http.StatusCreated, "bob", "/upward", `{"text":"`+strings.Repeat("x", maxUpward)+`"}`, session)
		s.want(t, "", nil)
	})
}

// TestUpwardFull: who sends more than is read is told to wait.
func TestUpwardFull(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		s := l.open(t, "bob", "/downward")
		defer s.close()
		_, data := s.want(t, "welcome", nil)
		text := `{"text":"` + strings.Repeat("x", maxUpward) + `"}`
		for sent := 0; ; sent++ {
			resp := l.ask(t, http.MethodPost, "bob", "/upward", text, fmt.Sprint("X-Session-ID: ", data["sessionId"]))
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if resp.StatusCode == http.StatusTooManyRequests {
				if sent < maxAnswers || resp.Header.Get("Retry-After") == "" {
					t.Errorf("after %d, Retry-After %q", sent, resp.Header.Get("Retry-After"))
				}
				break
			}
			if resp.StatusCode != http.StatusCreated || sent > 2*maxAnswers {
				t.Fatalf("%s after %d", resp.Status, sent)
			}
		}
	})
}

// TestDrain: every stream is told.
func TestDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		var all []*stream
		for path, first := range map[string]string{"/stream": "welcome", "/downward": "welcome", "/notifications": "", "/secure-events": "system"} {
			s := l.open(t, "bob", path)
			s.want(t, first, nil)
			all = append(all, s)
		}
		all = append(all, l.open(t, "bob", "/api/logs/stream"))
		go l.drain(t)
		for _, s := range all {
			s.want(t, "shutdown", nil)
		}
	})
}

// TestNil: a server that is not there serves nothing and changes nothing.
func TestNil(t *testing.T) {
	var s *Server
	h := http.NewServeMux()
	if len(s.Calls())+len(s.Streams()) != 0 || s.Shutdown(t.Context()) != nil {
		t.Error("it does something")
	}
	for _, wrapped := range []http.Handler{s.WithCookie(h), s.Login(h), s.Logout(h)} {
		if wrapped != http.Handler(h) {
			t.Error("it changes something")
		}
	}
}
