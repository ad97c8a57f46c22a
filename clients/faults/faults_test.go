// Package faults drives the built program with wigwag's own Go client, with
// everything in between that breaks.
package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wigwag/client"
	"wigwag/clients/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

const (
	// patience bounds a test. Among what it waits for are 37.5 seconds of
	// silence.
	patience = 5 * time.Minute
	senders  = 3
	portion  = 10 // messages of each sender, before a fault and again after it
)

// TestFaults: whatever happens between a listener and several senders and their
// server, and to the server itself, every message arrives once and in order,
// and the listener's states tell what happened.
func TestFaults(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.start()
	r.listen("message")
	for _, fault := range []struct {
		name string
		make func()
		told string // by a state, why it reconnects; empty: it does not
	}{
		{"nothing", func() {}, ""},
		{"delay", func() { r.fault(servertest.Fault{Delay: 20 * time.Millisecond}); r.proxy.Cut(0) }, "the connection has broken"},
		{"cut in mid-frame", func() { r.fault(servertest.Fault{}); r.proxy.Cut(700) }, "the connection has broken"},
		{"503 for a while", func() {
			r.fault(servertest.Fault{Then: servertest.Unavailable})
			r.proxy.Cut(0)
		}, "503"},
		{"half-open", r.proxy.Vanish, "not been heard for 37.5s"},
		{"SIGTERM", r.stop, "shutting down"},
		{"kill -9", r.kill, "the connection has broken"},
	} {
		before := r.heard.stateCount()
		r.send()
		sent := make(chan struct{})
		go func() { r.send(); close(sent) }() // ends with the run
		fault.make()
		if fault.told != "" {
			r.heard.waitFor(r.ctx, t, func() bool {
				return slices.ContainsFunc(r.heard.states[before:], func(s client.State) bool {
					return s.Err != nil && strings.Contains(s.Err.Error(), fault.told)
				})
			}, fault.name+" to be told")
		}
		if r.between.Load().Then == servertest.Unavailable {
			r.fault(servertest.Fault{})
		}
		<-sent
		r.heard.waitFor(r.ctx, t, func() bool { return len(r.heard.messages) >= r.sent }, fault.name+": all messages")
		t.Logf("after %s: %d messages, states %s", fault.name, r.sent, r.heard.told(before))
	}
	r.check()
}

// TestLifetime: a stream that the server ends in the normal way is gone on with,
// and nobody is told of a failure.
func TestLifetime(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.start("--stream-lifetime", "1s")
	r.listen("message")
	for n := range 3 {
		r.send()
		r.heard.waitFor(r.ctx, t, func() bool {
			return len(r.heard.messages) == r.sent && len(r.heard.states) >= 2+2*(n+1)
		}, "all messages of a stream's life")
	}
	r.check()
	for _, s := range r.heard.states {
		if s.Err != nil || s.Attempt > 1 {
			t.Errorf("%+v", s)
		}
	}
}

// TestBeforeTheFirst: who loses the connection before there was anything to go on
// from misses nothing either.
func TestBeforeTheFirst(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.start()
	r.listen("message")
	r.fault(servertest.Fault{Then: servertest.Unavailable})
	r.proxy.Cut(0)
	r.heard.waitFor(r.ctx, t, func() bool { return len(r.heard.states) > 2 }, "the fault to be told")
	r.fault(servertest.Fault{})
	r.send()
	r.heard.waitFor(r.ctx, t, func() bool { return len(r.heard.messages) == r.sent }, "all messages")
	r.check()
}

// TestStream: the room sees a text as it comes; what breaks off is kept, and its
// sender told.
func TestStream(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.start()
	r.listen("message", "partial-message")
	text := func(upTo *string, parts ...string) (*io.PipeWriter, <-chan error) {
		reader, writer := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			got, err := r.clients[0].Stream(r.ctx, client.Target{}, reader)
			if err == nil && (len(got.Messages) != 1 || got.Interrupted) {
				err = fmt.Errorf("it became %+v", got)
			}
			ended <- err
		}()
		for _, part := range parts {
			if _, err := io.WriteString(writer, part); err != nil {
				t.Fatal(err)
			}
			*upTo += part
			r.heard.waitFor(r.ctx, t, func() bool { return slices.Contains(r.heard.partials, *upTo) }, "the part "+part)
		}
		return writer, ended
	}
	var whole, broken string
	writer, ended := text(&whole, "one ", "two ", "thrée ")
	_ = writer.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_, ended = text(&broken, "four ", "five ")
	r.proxy.Cut(0)
	if err := <-ended; !errors.Is(err, client.ErrInterrupted) {
		t.Errorf("%v", err)
	}
	r.heard.waitFor(r.ctx, t, func() bool { return len(r.heard.messages) == 2 }, "both messages")
	for i, want := range []string{whole, broken} {
		if m := r.heard.messages[i]; strings.TrimSpace(m.Message) != strings.TrimSpace(want) || m.Interrupted != (i == 1) || m.StreamID == "" {
			t.Errorf("%+v, want %q", m, want)
		}
	}
}
