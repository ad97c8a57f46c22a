package hub

import (
	"fmt"
	"sync"
	"testing"
)

// TestFrame: an event is encoded once for each format, whoever asks and
// however many.
func TestFrame(t *testing.T) {
	h := newHub(t)
	var listeners []*Listener
	for i := range 20 {
		listeners = append(listeners, listen(t, h, []Actor{alice, bob, carol}[i%3], ListenOptions{Types: []string{"message", "notification", "log", "typing", "partial-message"}}))
	}
	send(t, h, alice, General, "message")
	if _, _, err := h.Notify(t.Context(), alice, NotificationDraft{Level: LevelInfo, Message: "notification"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "line"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Typing(t.Context(), Actor{Name: "dave"}, Target{}); err != nil {
		t.Fatal(err)
	}
	s := begin(t, h, alice, Draft{})
	defer s.Cancel()
	s.Part("part", 1, 2)

	var mu sync.Mutex
	made := map[string]int{}
	var wg sync.WaitGroup
	for i, l := range listeners {
		wg.Go(func() {
			format := fmt.Sprint("format ", i%2)
			for given := 0; given < 5; {
				for _, e := range next(t, l) {
					given++
					want := format + " of " + show([]Event{e})
					data := e.Frame(format, func() []byte {
						mu.Lock()
						defer mu.Unlock()
						made[want]++
						return []byte(want)
					})
					if string(data) != want {
						t.Errorf("got %q, want %q", data, want)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(made) != 10 {
		t.Errorf("made: %v", made)
	}
	for what, n := range made {
		if n != 1 {
			t.Errorf("%s was made %d times", what, n)
		}
	}
}

// TestFrameBound: not more encodings are kept than there are formats.
func TestFrameBound(t *testing.T) {
	e := Event{Typing: &Typing{}, frames: &frames{}}
	made := 0
	for range 2 {
		for i := range maxFormats + 3 {
			want := fmt.Sprint(i)
			if got := e.Frame(want, func() []byte { made++; return []byte(want) }); string(got) != want {
				t.Errorf("format %s is %q", want, got)
			}
		}
	}
	if made != maxFormats+2*3 || len(e.frames.made) != maxFormats {
		t.Errorf("%d were made, %d are kept", made, len(e.frames.made))
	}
	if got := (Event{}).Frame("x", func() []byte { return []byte("y") }); string(got) != "y" {
		t.Errorf("an event of no hub is %q", got)
	}
}

func TestTypes(t *testing.T) {
	h := newHub(t)
	for _, bad := range [][]string{{""}, {"messages"}, {"message", "ping"}, {"Message"}, {"message\n"}} {
		_, err := h.Listen(t.Context(), alice, ListenOptions{Types: bad})
		wantCode(t, err, Invalid, "types")
	}
	_, err := h.Listen(t.Context(), alice, ListenOptions{LineLevel: "fatal"})
	wantCode(t, err, Invalid, "log_level")
	if h.live.tapCount != 0 {
		t.Error("a listener that was refused is left")
	}
	// What each type, and the default, gives.
	all := "message|info: notification|part…|[info] line|+alice|dave types"
	want := map[string]string{
		"message": "message", "notification": "info: notification", "partial-message": "part…", "log": "[info] line", "typing": "dave types", "presence": "+alice",
	}
	byType := map[string]*Listener{}
	for name := range want {
		byType[name] = listen(t, h, bob, ListenOptions{Types: []string{name}})
	}
	listenAll := func(o ListenOptions) *Listener {
		l, err := h.Listen(t.Context(), bob, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	none, most, everything := listenAll(ListenOptions{Types: []string{}}), listenAll(ListenOptions{}), listenAll(ListenOptions{LineLevel: LineDebug})

	send(t, h, alice, General, "message")
	if _, _, err := h.Notify(t.Context(), alice, NotificationDraft{Level: LevelInfo, Message: "notification"}); err != nil {
		t.Fatal(err)
	}
	stored, _, err := h.WriteLog(t.Context(), alice, LineDraft{Level: LineInfo, Message: "line"})
	if err != nil {
		t.Fatal(err)
	}
	awaitLine(t, h, stored) // by a listener of alice
	if err := h.Typing(t.Context(), Actor{Name: "dave"}, Target{}); err != nil {
		t.Fatal(err)
	}
	s := begin(t, h, alice, Draft{})
	defer s.Cancel()
	s.Part("part", 1, 2)
	for name, l := range byType {
		if got := show(drain(t, l)); got != want[name] {
			t.Errorf("of type %s came %q", name, got)
		}
	}
	nothing(t, none)
	if got := show(drain(t, everything)); got != all {
		t.Errorf("everything is %q", got)
	}
	if got := show(drain(t, most)); got != "message|info: notification|part…|+alice|dave types" {
		t.Errorf("without a level of lines came %q", got)
	}
}

// awaitLine waits until a log line is before listeners.
func awaitLine(t *testing.T, h *Hub, line LogLine) {
	t.Helper()
	l := listen(t, h, alice, ListenOptions{Types: []string{"log"}, LineLevel: LineDebug})
	c, _ := parseCursor(line.ID)
	l.line = c.seq - 1
	for {
		for _, e := range next(t, l) {
			if e.Line.ID == line.ID {
				return
			}
		}
	}
}
