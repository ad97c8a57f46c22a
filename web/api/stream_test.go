package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wigwag/hub"
)

// What is sent is seen while it comes, and stored at its end.
func TestStream(t *testing.T) {
	byProtocol(t, func(t *testing.T, f *streamHost) {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			w := f.watch(t)
			s := f.send(t, method, "alice", "Content-Type: application/x-www-form-urlencoded")
			s.say("one ")
			w.shown("one ")
			s.say("two €"[:5])
			w.shown("one two ")
			s.say("two €"[5:])
			w.shown("one two €")
			s.end()
			m := w.message()
			if m.Message != "one two €" || m.Sender.Name != "alice" || m.Interrupted || m.StreamID == "" {
				t.Errorf("the message is %+v", m)
			}
			want := []streamed{{m.ID, "general", m.StreamID, m.Time, len(m.Message)}}
			if got, replayed := s.stored(); len(got) != 1 || got[0].ID != want[0].ID || fmt.Sprint(got) != fmt.Sprint(want) || replayed {
				t.Errorf("answered %v, want %v", got, want)
			}
		}
	})
}

// A body whose length is known is no other, and people have a stream of theirs.
func TestStreamToPerson(t *testing.T) {
	byProtocol(t, func(t *testing.T, f *streamHost) {
		w := f.watch(t)
		for _, path := range []string{"/api/people/bob/stream", "/api/rooms/dm/alice/bob/stream"} {
			f.sendBody(t, http.MethodPost, path, "alice", strings.NewReader("a\x00b\xff\n")).stored()
			if m := w.message(); m.Room != "dm/alice/bob" || m.Message != "a\ufffdb\ufffd\n" {
				t.Errorf("%s: %+v", path, m)
			}
		}
	})
}

// What is refused is refused before anything is read, and nothing is left on its
// way.
func TestStreamRefused(t *testing.T) {
	byProtocol(t, func(t *testing.T, f *streamHost) {
		for name, c := range map[string]struct {
			path, body string
			headers    []string
			status     int
			says       string
		}{
			"JSON":            {generalStream, `{"message":"x"}`, []string{"Content-Type: application/json; charset=utf-8"}, 415, "/messages"},
			"compressed":      {generalStream, "\x1f\x8b", []string{"Content-Encoding: gzip"}, 415, "Content-Encoding"},
			"no such room":    {"/api/rooms/nowhere/stream", "x", nil, 404, "nowhere"},
			"no such person":  {"/api/people/nobody/stream", "x", nil, 404, "nobody"},
			"a parameter":     {generalStream + "?x=1", "x", nil, 400, "parameter"},
			"a long key":      {generalStream, "x", []string{"Idempotency-Key: " + strings.Repeat("k", 129)}, 400, "idempotency_key"},
			"nothing":         {generalStream, "", nil, 400, "no text"},
			"white space":     {generalStream, " \r\n\t\u3000", nil, 400, "no text"},
			"a lot of it":     {generalStream, strings.Repeat(" \n", hub.MaxText) + "x", nil, 400, "no text"},
			"and text, later": {generalStream, strings.Repeat(" \n", hub.MaxText/2) + "x", nil, 400, "no text"},
		} {
			a := f.sendBody(t, http.MethodPut, c.path, "alice", strings.NewReader(c.body), c.headers...).told(c.status)
			if !strings.Contains(a.text, c.says) || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %s", name, a.text)
			}
		}
		if all := storedIn(t, f.hub); len(all) != 0 {
			t.Errorf("stored are %v", all)
		}
	})
}

// curl asks first.
func TestStreamExpectContinue(t *testing.T) {
	f := streamTCP(t, false)
	for path, want := range map[string]string{generalStream: "HTTP/1.1 100 Continue", "/api/rooms/nowhere/stream": "HTTP/1.1 404 Not Found"} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.addr, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", path)
		if line, _ := bufio.NewReader(conn).ReadString('\n'); strings.TrimSpace(line) != want {
			t.Errorf("%s: %q, want %q", path, line, want)
		}
	}
}

// Of a sender that breaks off, what had arrived is stored and says so, and the
// room is free of it.
func TestStreamBrokenOff(t *testing.T) {
	byProtocol(t, func(t *testing.T, f *streamHost) {
		w := f.watch(t)
		s := f.send(t, http.MethodPost, "alice")
		s.say("half a tho")
		w.shown("half a tho")
		s.breakOff()
		if m := w.message(); m.Message != "half a tho" || !m.Interrupted {
			t.Errorf("the message is %+v", m)
		}
		s = f.send(t, http.MethodPost, "alice")
		s.say("\n")
		s.breakOff()
		<-s.answer
		f.shutdown(t)
		if all := storedIn(t, f.hub); len(all) != 1 {
			t.Errorf("stored are %v", all)
		}
	})
}

// A connection that ends in the middle of a body, or holds what is no body, is
// told what was stored, as far as it still reads.
func TestStreamCutOff(t *testing.T) {
	for name, rest := range map[string]string{"ends": "", "ends in a chunk": "5\r\nabc", "is no body": "no chunk\r\n"} {
		f := streamTCP(t, false)
		w := f.watch(t)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.addr, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n", generalStream)
		w.shown("foo")
		fmt.Fprint(conn, rest)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		m := w.message()
		if !m.Interrupted || m.Message != "foo"+strings.TrimSuffix(strings.TrimPrefix(rest, "5\r\n"), "no chunk\r\n") {
			t.Errorf("%s: the message is %+v", name, m)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") || !strings.Contains(string(answer), m.ID) {
			t.Errorf("%s: answered %s, %v", name, answer, err)
		}
	}
}

// A sender may be silent for as long as it is there: neither the hub's bound of
// silence nor the deadlines of other requests end it.
func TestStreamSilent(t *testing.T) {
	inTime(t, func(t *testing.T, f *streamHost) {
		w := f.watch(t)
		s := f.send(t, http.MethodPut, "alice")
		s.say("make: ")
		w.shown("make: ")
		for _, silence := range []time.Duration{40 * time.Second, 20 * time.Minute} {
			<-time.After(silence)
			s.say(".")
		}
		w.shown("make: ..")
		if people, err := f.hub.People(t.Context(), hub.Actor{Name: "bob"}, hub.Target{}); err != nil || !people[0].Online {
			t.Errorf("the sender is not here: %+v, %v", people, err)
		}
		<-time.After(30 * time.Minute)
		s.say("done")
		s.end()
		s.stored()
		if m := w.message(); m.Message != "make: ..done" || m.Interrupted {
			t.Errorf("the message is %+v", m)
		}
	})
}

// What ends a stream stores what had arrived, and tells the sender.
func TestStreamEnds(t *testing.T) {
	for name, c := range map[string]struct {
		token  string
		end    func(t *testing.T, f *streamHost, s *sender)
		status int
		says   string
	}{
		"after an hour":       {"alice", func(*testing.T, *streamHost, *sender) { <-time.After(2 * time.Hour) }, 408, "hour"},
		"with the token":      {"alice/20m", func(*testing.T, *streamHost, *sender) { <-time.After(time.Hour) }, 401, "expired"},
		"revoked, and silent": {"alice", func(_ *testing.T, f *streamHost, _ *sender) { f.revoked.Store(true) }, 401, "revoked"},
		"revoked, and not": {"alice", func(_ *testing.T, f *streamHost, s *sender) {
			f.revoked.Store(true)
			s.say("not this")
		}, 401, "revoked"},
		"by a drain": {"alice", func(t *testing.T, f *streamHost, _ *sender) { f.shutdown(t) }, 503, "shutting down"},
		"by its length": {"alice", func(_ *testing.T, _ *streamHost, s *sender) {
			s.say(strings.Repeat("x", 900))
		}, 413, "MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, f *streamHost) {
				f.api.streams.bytes = 900
				w := f.watch(t)
				s := f.send(t, http.MethodPut, c.token)
				s.say("so far")
				w.shown("so far")
				began := time.Now()
				c.end(t, f, s)
				m := w.message()
				if m.Message != "so far" || !m.Interrupted {
					t.Errorf("the message is %+v", m)
				}
				a := s.told(c.status)
				if !strings.Contains(a.text, c.says) || !strings.Contains(a.text, m.ID) {
					t.Errorf("told %s", a.text)
				}
				if challenge := a.header.Get("WWW-Authenticate"); (c.status == 401) != strings.Contains(challenge, `error="invalid_token"`) {
					t.Errorf("WWW-Authenticate is %q", challenge)
				}
				if took := time.Since(began); c.says == "revoked" && took > streamBeat {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// What ends the sender's right to the room ends the stream at the next message;
// and whoever is over its rate waits instead of losing text.
func TestStreamPace(t *testing.T) {
	inTime(t, func(t *testing.T, f *streamHost) {
		s := f.send(t, http.MethodPut, "alice")
		s.say(strings.Repeat("x", hub.MaxText))
		synctest.Wait()
		if n := f.paced.Load(); n != 1 {
			t.Errorf("it took %d turns", n)
		}
		f.wait.Store(int64(time.Minute))
		began := time.Now()
		s.say("y")
		s.end()
		got, _ := s.stored()
		if n := f.paced.Load(); len(got) != 2 || n != 3 || time.Since(began) < time.Minute {
			t.Errorf("%v, after %v, with %d turns", got, time.Since(began), n)
		}
	})
}
