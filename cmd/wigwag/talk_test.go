package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wigwag/client"
)

func TestEventLines(t *testing.T) {
	half := 50
	bob := client.Sender{Name: "bob", Via: "Claude Code"}
	yesterday := noon.Add(-24 * time.Hour)
	inColour := lineStyle{colour: true, columns: 60, zone: time.UTC}
	inPipe := lineStyle{zone: time.FixedZone("", 3600)}
	for _, tt := range []struct {
		name  string
		style lineStyle
		ev    client.Event
		want  []string
	}{
		{"message", inPipe, client.Event{Message: &client.Message{Room: "general", Sender: bob, Message: "two\nlines\n", Time: noon}}, []string{"13:00:00 general bob (via Claude Code): two lines"}},
		{"of another day", inPipe, client.Event{Message: &client.Message{Room: "general", Sender: client.Sender{Name: "al"}, Message: "x", Time: yesterday}}, []string{"2026-02-28 13:00:00 general al: x"}},
		{
			"in colour", inColour,
			client.Event{Message: &client.Message{Room: "general", Sender: bob, Message: "two\nlines", Time: noon}},
			[]string{"\x1b[2m12:00:00\x1b[0m \x1b[2mgeneral\x1b[0m \x1b[1mbob (via Claude Code):\x1b[0m two", "    lines"},
		},
		{
			"a hostile name", inColour,
			client.Event{Message: &client.Message{Room: "general", Sender: client.Sender{Name: "eve", Via: "\x1b[0mx\n12:00:00"}, Message: "x", Time: noon}},
			[]string{"\x1b[2m12:00:00\x1b[0m \x1b[2mgeneral\x1b[0m \x1b[1meve (via x 12:00:00):\x1b[0m x"},
		},
		{"a narrow terminal", lineStyle{colour: true, columns: 12, zone: time.UTC}, client.Event{Message: &client.Message{Room: "general", Sender: client.Sender{Name: "al"}, Message: "x", Time: noon}}, []string{"12:00:00", "    general", "    al: x"}},
		{"notification", inPipe, client.Event{Notification: &client.Notification{Level: "info", Sender: bob, Message: "x", Time: noon}}, []string{"13:00:00 [info] bob (via Claude Code): x"}},
		{
			"notification with all", inPipe,
			client.Event{Notification: &client.Notification{Level: "error", To: "al", Title: "T", Sender: bob, Message: "x", Progress: &half, Time: noon}},
			[]string{"13:00:00 [error] bob (via Claude Code) to al: T: x (50 %)"},
		},
		{"log line", inPipe, client.Event{Line: &client.LogLine{Level: "warn", Logger: "make", Sender: bob, Message: "x", Fields: json.RawMessage(`{"a":1}`), Time: noon}}, []string{`13:00:00 warn make bob (via Claude Code): x {"a":1}`}},
		{"partial", inPipe, client.Event{Partial: &client.Partial{Room: "general", Sender: bob, Message: "x", Progress: 7, Time: noon}}, []string{"13:00:00 general bob (via Claude Code) is writing (7 %): x"}},
		{"presence", inPipe, client.Event{Presence: &client.Presence{User: "bob", Online: true, Time: noon}}, []string{"13:00:00 bob is here"}},
		{"typing", inPipe, client.Event{Typing: &client.Typing{User: "bob", Room: "general", Time: noon}}, []string{"13:00:00 general bob is writing"}},
		{"state", inPipe, client.Event{State: &client.State{State: client.Connected}}, nil},
	} {
		if got := tt.style.event(tt.ev, noon); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestColours(t *testing.T) {
	for _, tt := range []struct {
		mode string
		env  environment
		want bool
	}{
		{"always", environment{"NO_COLOR": "1"}, true},
		{"never", nil, false},
		{"auto", nil, false}, // no terminal
	} {
		if got := colours(tt.mode, tt.env, new(bytes.Buffer)); got != tt.want {
			t.Errorf("%s, %v: %v", tt.mode, tt.env, got)
		}
	}
}

func TestBegin(t *testing.T) {
	for since, want := range map[string]string{
		"":                          "",
		"all":                       "0",
		"10m":                       "2026-03-01T11:50:00Z",
		"2026-01-31T08:00:00+01:00": "2026-01-31T07:00:00Z",
		"k3f9-1042":                 "k3f9-1042",
		"-10m":                      "error",
		"0s":                        "error",
		"-5":                        "error",
		"k3f9-x":                    "error",
		"yesterday":                 "error",
	} {
		at, after, err := begin(since, noon)
		got := after
		if !at.IsZero() {
			got += at.UTC().Format(time.RFC3339)
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", since, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"one\r\ntwo\n\nthree", []string{"one", "two", "", "three"}},
		{strings.Repeat("x", 40), []string{strings.Repeat("x", 16), strings.Repeat("x", 16), strings.Repeat("x", 8)}},
		{"012345678901234世界", []string{"012345678901234", "世界"}},
		{strings.Repeat("\xff", 17), []string{strings.Repeat("\xff", 16), "\xff"}},
	} {
		var got []string
		for line, err := range lines(strings.NewReader(tt.in), 20) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
	broken := errors.New("broken")
	if err := eachLine(&failing{err: broken}, 20, func(string) error { return nil }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// failing fails to be read and written.
type failing struct{ err error }

func (f *failing) Read([]byte) (int, error)  { return 0, f.err }
func (f *failing) Write([]byte) (int, error) { return 0, f.err }

// Lines of JSON hold nothing that a terminal would obey, and all that was there.
func TestPrintJSON(t *testing.T) {
	want := "<a>\x1b[31m\u009b\u202e\U000e0041\u2028\x7f世界 🙂\n"
	var out bytes.Buffer
	if err := printJSON(&out, want); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != `"<a>\u001b[31m\u009b\u202e\udb40\udc41\u2028\u007f世界 🙂\n"`+"\n" {
		t.Errorf("%s", got)
	}
	var back string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != want {
		t.Errorf("%q, %v", back, err)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{usagef("x"), 2},
		{signedOutError{errors.New("x")}, 3},
		{&client.Error{Status: http.StatusUnauthorized}, 3},
		{toldError{&client.Error{Status: http.StatusForbidden}}, 4},
		{&client.Error{Status: http.StatusGone}, 4},
		{&client.Error{Status: http.StatusTooManyRequests}, 1},
		{&client.Error{Status: http.StatusInternalServerError}, 1},
		{fmt.Errorf("%w (%w)", errGaveUp, &client.Error{Status: http.StatusServiceUnavailable}), 5},
		{client.ErrInterrupted, 5},
		{fmt.Errorf("%w (%w)", errInterrupted, client.ErrInterrupted), 130},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v is %d, want %d", tt.err, got, tt.want)
		}
	}
}

// Who does not want more is not told that there is more.
func TestBrokenPipe(t *testing.T) {
	p := start(t, nil, "--auth=none", "--memory")
	env := []string{"WIGWAG_SERVER=" + p.url, "XDG_CONFIG_HOME=" + t.TempDir()}
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"send", "x"}, env, &out, &errOut); code != 0 {
		t.Fatal(errOut.String())
	}
	for _, args := range [][]string{{"tail", "--since", "all"}, {"tail", "--since", "all", "--json"}, {"send", "x"}, {"rooms"}} {
		errOut.Reset()
		if code := run(t.Context(), args, env, &failing{err: syscall.EPIPE}, &errOut); code == 0 || errOut.Len() > 0 {
			t.Errorf("%v: %d, %s", args, code, errOut.String())
		}
	}
}
