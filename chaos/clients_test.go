package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"wigwag/transport/sse"
)

// writer sends messages, each with a key of its own until it is acknowledged.
type writer struct {
	*client
	sent int
}

// write sends until the attacks are over.
func (w *writer) write(ctx context.Context) {
	pace := max(2*time.Millisecond, *lasts/20_000) // hours of messages are not to fill the disk
	for !w.run.over() && ctx.Err() == nil {
		words := strings.Repeat(" and so on", w.rand.IntN(20))
		w.send(ctx, rooms[w.rand.IntN(len(rooms))], fmt.Sprintf("%s says %d%s", w.name, w.sent, words))
		wait(ctx, pace)
	}
}

// send sends one message, at once or in parts.
func (w *writer) send(ctx context.Context, room, text string) {
	s := send{writer: w.name, n: w.sent, room: room, text: text}
	w.sent++
	arguments := object{"room": room, "message": text, "idempotency_key": fmt.Sprint(w.name, " ", s.n)}
	tool := "send_message"
	if w.rand.IntN(2) == 0 {
		tool, arguments["interval_ms"] = "stream_message", 5
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for s.id == "" && ctx.Err() == nil {
		hangUp := 0
		if !w.run.steady && w.rand.IntN(4) == 0 {
			hangUp = 1 + w.rand.IntN(8)
		}
		if s.tries++; s.tries > 1 {
			w.run.count.repeated.Add(1)
		}
		var got struct {
			ID        string
			Duplicate bool
		}
		session := w.session
		answer := w.tool(ctx, tool, arguments, hangUp, &got)
		w.run.record(func(h *history) {
			if answer.outcome != answered || len(h.calls) < 1000 { // those say nothing more
				h.calls = append(h.calls, call{fmt.Sprintf("%q, try %d", text, s.tries), answer.outcome, answer.detail})
			}
		})
		if answer.outcome == answered {
			s.id, s.duplicate = got.ID, got.Duplicate
			break
		}
		s.last = fmt.Sprintf("%s: %s", answer.outcome, answer.detail)
		if answer.status == http.StatusNotFound && session != "" { // which has been noted
			if err := w.open(ctx); err != nil {
				w.run.complain("%s: %v", w.name, err)
				break
			}
		}
		w.run.pause(ctx, w.rand)
	}
	if s.duplicate {
		w.run.count.doubled.Add(1)
	}
	w.run.record(func(h *history) { h.sends = append(h.sends, s) })
}

// goesOn tells whether the session is there after all.
func (w *writer) goesOn(ctx context.Context) {
	err := w.insist(ctx, "tools/list", nil)
	w.run.record(func(h *history) {
		for i := range h.sessions {
			if h.sessions[i].name == w.name && err != nil {
				h.sessions[i].last = err.Error()
			}
		}
	})
}

// lifetime is how long a client keeps a stream open before it leaves, to come
// back at once. Some stay until they are made to leave; behind a proxy none
// does, since it could be alone without knowing.
func (r *run) lifetime(ctx context.Context, random *rand.Rand) (context.Context, context.CancelFunc) {
	if r.steady || random.IntN(3) == 0 && !r.faulty {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(200+random.IntN(2800))*time.Millisecond)
}

// events opens a stream and hands its events to took until that returns false.
// It returns the status, 0 if there was none, and what a refusal says.
func (c *client) events(ctx context.Context, path, lastEventID string, took func(sse.Event) bool) (status int, detail string) {
	c.run.count.reconnected.Add(1)
	ctx, cancel := c.run.lifetime(ctx, c.rand)
	defer cancel()
	req, err := c.request(ctx, http.MethodGet, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.URL.Path = path
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body) // what there is of it
		return res.StatusCode, fmt.Sprintf("%s: %s", res.Status, text)
	}
	for events := sse.NewReader(res.Body, 1<<20); ; {
		ev, err := events.Next()
		if err != nil {
			return http.StatusOK, err.Error()
		}
		if !took(ev) {
			return http.StatusOK, ""
		}
	}
}

// listen follows /events to the end, from a cursor on, or from now on if that
// is "".
func (c *client) listen(ctx context.Context, after string) {
	l := listener{name: c.name, after: after}
	for ended := false; !ended && ctx.Err() == nil; {
		status, detail := c.events(ctx, "/events", after, func(ev sse.Event) bool {
			switch ev.Name {
			case "reset":
				l.resets = append(l.resets, string(ev.Data))
			case "message":
				var m message
				if err := json.Unmarshal(ev.Data, &m); err != nil || m.ID != ev.ID {
					c.run.complain("%s got the ID %q with %s (%v)", c.name, ev.ID, ev.Data, err)
				}
				l.heard = append(l.heard, m)
				ended = m.Text == theEnd
			}
			if ev.ID != "" {
				after = ev.ID
			}
			return !ended
		})
		c.refusedStream(status, detail)
		c.run.pause(ctx, c.rand)
	}
	c.run.record(func(h *history) { h.listeners = append(h.listeners, l) })
}

// follow keeps the session's own stream open until it tells of a change after
// the end.
func (c *client) follow(ctx context.Context) {
	s, last := stream{name: c.name}, ""
	gone := false
	for !s.told && !gone && ctx.Err() == nil {
		status, detail := c.events(ctx, "/mcp", last, func(ev sse.Event) bool {
			ending := c.run.ending.Load()
			if ev.ID != "" {
				last = ev.ID
				s.events = append(s.events, streamEvent{ev.ID, string(ev.Data)})
			}
			s.told = ending && strings.Contains(string(ev.Data), `"notifications/resources/updated"`)
			return !s.told
		})
		switch status {
		case http.StatusNotFound:
			c.run.gone(c, detail)
			gone = true
		case http.StatusBadRequest: // a place that a killed server could not note
			last = ""
		default:
			c.refusedStream(status, detail)
		}
		c.run.pause(ctx, c.rand)
	}
	c.run.record(func(h *history) { h.streams = append(h.streams, s) })
}

// refusedStream complains of what may not be the answer to who wants a stream.
func (c *client) refusedStream(status int, detail string) {
	switch status {
	case 0, http.StatusOK, http.StatusServiceUnavailable, http.StatusTooManyRequests:
	default:
		c.run.complain("%s: %s", c.name, detail)
	}
}
