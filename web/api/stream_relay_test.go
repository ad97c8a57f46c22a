package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"wigwag/hub"
)

// prose is a text of at least so many bytes, with characters of every length and
// lines of most.
func prose(random *rand.Rand, size int) string {
	words := []string{"plain", "é", "né", "€", "日本語", "👨‍👩‍👧‍👦", "🇩🇪", "e\u0301", "\r\n", "\n", " ", "\t", strings.Repeat("long", 50)}
	var text strings.Builder
	for text.Len() < size {
		text.WriteString(words[random.IntN(len(words))])
		text.WriteByte(' ')
	}
	return text.String()
}

// inPieces gives a text in pieces of all sizes.
type inPieces struct {
	text   []byte
	random *rand.Rand
}

func (p *inPieces) Read(into []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := min(len(into), len(p.text), 1+p.random.IntN(1<<p.random.IntN(16)))
	copy(into, p.text[:n])
	p.text = p.text[n:]
	return n, nil
}

// checkMessages checks that messages are a text in order: none is too long, each
// answers the one before, and what an answer says of them is true.
func checkMessages(t *testing.T, messages []hub.Message, said []streamed, text string) {
	t.Helper()
	var joined strings.Builder
	for i, m := range messages {
		joined.WriteString(m.Message)
		if before := i - 1; before >= 0 && m.ReplyTo != messages[before].ID || m.Interrupted {
			t.Errorf("message %d answers %q: %+v", i, m.ReplyTo, m.ID)
		}
		if want := (streamed{m.ID, m.Room, m.StreamID, m.Time, len(m.Message)}); i >= len(said) || fmt.Sprint(said[i]) != fmt.Sprint(want) {
			t.Errorf("of message %d is said other than %+v", i, want)
		}
		lines := strings.TrimLeftFunc(m.Message, unicode.IsSpace) // what is before them is no message
		if last := i == len(messages)-1; !last && strings.Contains(lines, "\n") && !strings.HasSuffix(lines, "\n") {
			t.Errorf("message %d does not end at the end of a line", i)
		}
	}
	if joined.String() != text || len(said) != len(messages) {
		t.Errorf("%d messages of %d bytes together, %d said; want %d bytes", len(messages), joined.Len(), len(said), len(text))
	}
}

// A long text arrives whole, in order, in as many messages as it takes.
func TestStreamLong(t *testing.T) {
	byProtocol(t, func(t *testing.T, f *streamHost) {
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // of a test
		text := prose(random, 1<<20)
		w := f.watch(t)
		said, _ := f.sendBody(t, http.MethodPost, generalStream, "alice", &inPieces{[]byte(text), random}).stored()
		if n := len(said); n < 16 || n > 20 {
			t.Errorf("%d messages", n)
		}
		checkMessages(t, storedIn(t, f.hub), said, text)
		for _, s := range said {
			if m := w.message(); m.ID != s.ID {
				t.Errorf("%s came in place of %s", m.ID, s.ID)
			}
		}
	})
}

// What a message holds is one message; what is more is not lost.
func TestStreamOverflow(t *testing.T) {
	f := streamTCP(t, false)
	x := strings.Repeat("x", hub.MaxText)
	for _, c := range []struct {
		text string
		want []int
	}{
		{x, []int{hub.MaxText}},
		{x[1:] + "\n", []int{hub.MaxText}},
		{x + "\n", []int{hub.MaxText, 1}},
		{x[:100] + "\n" + x, []int{101, hub.MaxText}},
		{x[:100] + "\n" + x + x[:100], []int{101, hub.MaxText, 100}},
		{x[2:] + "日", []int{hub.MaxText - 2, 3}},
		{x + "\u0301", []int{hub.MaxText - 1, 3}},
		{"\r\n" + x, []int{hub.MaxText, 2}},
	} {
		for _, pieces := range []bool{false, true} {
			var body io.Reader = strings.NewReader(c.text)
			if pieces {
				body = &inPieces{[]byte(c.text), rand.New(rand.NewPCG(3, 4))} //nolint:gosec // of a test
			}
			said, _ := f.sendBody(t, http.MethodPut, generalStream, "alice", body).stored()
			var got []int
			for _, s := range said {
				got = append(got, s.Bytes)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%d bytes became messages of %v, want %v", len(c.text), got, c.want)
			}
		}
	}
}

// With the same key and the same text nothing is stored twice, and the answer is
// the first one; with another text it is refused.
func TestStreamKey(t *testing.T) {
	byProtocol(t, func(t *testing.T, f *streamHost) {
		const key = "Idempotency-Key: k"
		text := strings.Repeat("a line\n", 20_000)
		ask := func(body string) *sender {
			return f.sendBody(t, http.MethodPut, generalStream, "alice", strings.NewReader(body), key)
		}
		first, replayed := ask(text).stored()
		if len(first) != 3 || replayed {
			t.Errorf("first %v, %t", first, replayed)
		}
		again, replayed := ask(text).stored()
		if fmt.Sprint(again) != fmt.Sprint(first) || !replayed {
			t.Errorf("again %v, %t; first %v", again, replayed, first)
		}
		for _, other := range []string{text + "x", text[:100], "x"} {
			if a := ask(other).told(http.StatusConflict); !strings.Contains(a.text, "idempotency_key") {
				t.Errorf("told %s", a.text)
			}
		}
		checkMessages(t, storedIn(t, f.hub), first, text)
	})
}

// A stream that was interrupted leaves its key free: who sends the text again
// gets what is missing stored, and only that.
func TestStreamKeyAfterInterruption(t *testing.T) {
	byProtocol(t, func(t *testing.T, f *streamHost) {
		const key = "Idempotency-Key: k"
		text := strings.Repeat("a line\n", 20_000)
		w := f.watch(t)
		s := f.send(t, http.MethodPut, "alice", key)
		s.say(text[:70_000])
		whole := w.message()
		s.breakOff()
		part := w.message()
		if whole.Interrupted || !part.Interrupted || whole.Message+part.Message != text[:70_000] {
			t.Errorf("%d bytes, then %d", len(whole.Message), len(part.Message))
		}
		said, replayed := f.sendBody(t, http.MethodPut, generalStream, "alice", strings.NewReader(text), key).stored()
		if replayed || len(said) != 3 || said[0].ID != whole.ID {
			t.Errorf("%v, %t", said, replayed)
		}
		all := storedIn(t, f.hub)
		if len(all) != 4 || all[1] != part {
			t.Fatalf("%d are stored", len(all))
		}
		checkMessages(t, append(all[:1:1], all[2:]...), said, text)
	})
}

// slowLog takes its time, which is as long as nobody lets it go on.
type slowLog struct {
	hub.Log
	turn chan struct{}
}

func (l slowLog) Append(ctx context.Context, e hub.Entry) (hub.Record, error) {
	select {
	case <-l.turn:
		return l.Log.Append(ctx, e)
	case <-ctx.Done():
		return hub.Record{}, ctx.Err()
	}
}

// A sender gets no further than what can be stored; and when that fails for
// good, it is told.
func TestStreamBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slowLog{hub.NewMemoryLog(256 << 20), make(chan struct{})}
		h, err := hub.New(t.Context(), hub.Options{Log: log, Users: streamUsers{"alice"}, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		c, text := receptionOf(t, h)
		body, w := io.Pipe()
		c.body = body
		sent := 0
		go func() {
			for {
				n, err := w.Write([]byte(strings.Repeat("x", 1000)))
				if sent += n; err != nil {
					return
				}
			}
		}()
		result := make(chan error, 1)
		go func() { result <- c.run(t.Context()) }()
		synctest.Wait()
		for round := 1; round < 5; round++ {
			if most := round*hub.MaxText + 2*chunk; sent > most || sent < round*hub.MaxText {
				t.Errorf("with %d stored it has sent %d bytes", round-1, sent)
			}
			log.turn <- struct{}{}
			synctest.Wait()
		}
		<-time.After(storeWithin + time.Second)
		if err := <-result; err == nil || len(text.stored) != 4 {
			t.Errorf("it ended by %v, with %d stored", err, len(text.stored))
		}
		_ = body.Close()
		synctest.Wait()
	})
}

// When the storage is full in the middle of a text, its sender is told what is
// stored of it.
func TestStreamStorageFull(t *testing.T) {
	for size, whole := range map[int]int{50_000: 0, 180_000: 1} {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f := streamOver(t, hub.NewMemoryLog(int64(size)-40_000), false, listener, (&net.Dialer{}).DialContext)
		text := strings.Repeat("a line\n", size/7)
		a := f.sendBody(t, http.MethodPut, generalStream, "alice", strings.NewReader(text)).told(http.StatusServiceUnavailable)
		all := storedIn(t, f.hub)
		says := "; nothing of the text is stored"
		if whole > 0 && len(all) == whole {
			says = fmt.Sprintf("; stored are %d whole messages, the last of which is %s, and nothing after it", whole, all[whole-1].ID)
		}
		if len(all) != whole || !strings.Contains(a.text, "storage is full") || !strings.Contains(a.text, says) || a.header.Get("Retry-After") == "" {
			t.Errorf("of %d bytes %d messages are stored, and told is %s", size, len(all), a.text)
		}
	}
}

// receptionOf is for a text of alice's, read from nothing.
func receptionOf(t *testing.T, h *hub.Hub) (*reception, *relay) {
	t.Helper()
	text := &relay{hub: h, actor: hub.Actor{Name: "alice"}, pace: func(context.Context) {}}
	if err := text.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(text.cancel)
	return &reception{
		relay: text, most: maxStream, beat: streamBeat,
		unblock: func() {}, revoked: func() bool { return false }, seen: func() {},
	}, text
}

// Whatever is sent, in whatever pieces, is stored: as it is, if it is text.
func FuzzStream(f *testing.F) {
	f.Add([]byte("line\n"), uint(20_000), uint64(1))
	f.Add([]byte("x"), uint(70_000), uint64(2))
	f.Add([]byte("👨‍👩‍👧‍👦"), uint(6_000), uint64(3))
	f.Add([]byte("e\u0301"), uint(50_000), uint64(4))
	f.Add([]byte("\u0301"), uint(70_000), uint64(5))
	f.Add([]byte("\xff\x00a"), uint(40_000), uint64(6))
	f.Add([]byte(" \r\n"), uint(10), uint64(7))
	f.Fuzz(func(t *testing.T, unit []byte, times uint, seed uint64) {
		data := bytes.Repeat(unit, min(int(times%100_000), 1+150_000/(1+len(unit))))
		h, err := hub.New(t.Context(), hub.Options{Log: hub.NewMemoryLog(64 << 20), Users: streamUsers{"alice"}, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		c, text := receptionOf(t, h)
		c.body = &inPieces{data, rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // of a test
		err = c.run(t.Context())
		want := decodeIn(data, max(1, len(data)))
		if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
			want = string(data)
		}
		first := want
		if len(want) > hub.MaxText {
			first = want[:hub.FirstMessage(want)]
		}
		if isBlank := strings.TrimSpace(first) == ""; isBlank != (err != nil) {
			t.Fatalf("it ended by %v", err)
		} else if isBlank {
			want = ""
		}
		checkMessages(t, storedIn(t, h), text.stored, want)
	})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
