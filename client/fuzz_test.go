package client

import (
	"net/http"
	"testing"
)

// FuzzListen: whatever a server says, every event is one thing, and the places
// of one epoch rise until there is a reset.
func FuzzListen(f *testing.F) {
	reset := event("", "reset", "{}").bytes
	f.Add(greeting().bytes+message("e-1").bytes+message("e-2").bytes, "e-1")
	f.Add(message("e-2").bytes+message("e-1").bytes+message("f-1").bytes+reset+message("e-1").bytes, "")
	f.Add("id: e--1\ndata: null\n\nevent: shutdown\ndata: 1\n\n", "e-18446744073709551615")
	f.Fuzz(func(t *testing.T, said, after string) {
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			return recorded(r, stream(frame{bytes: said}, properly)), nil
		})
		l := &listening{
			client: New(Options{Server: "http://wigwag.test", HTTP: &http.Client{Transport: transport}}),
			after:  after, seen: placeOf(after),
		}
		before := l.seen
		l.yield = func(ev Event, _ error) bool {
			if word(ev) == "nothing" {
				t.Error("an event is nothing")
			}
			if ev.Reset == nil && l.seen.epoch == before.epoch && l.seen.seq < before.seq {
				t.Errorf("after %v came %v", before, l.seen)
			}
			before = l.seen
			return true
		}
		if err := l.connection(t.Context()); err == nil {
			t.Error("the connection ended for no reason")
		}
	})
}
