package seeds

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web"
)

const updateEvery = 2 * time.Second

// updates is GET /stream: a number every two seconds. With Last-Event-ID it goes
// on after that.
func (s *Server) updates(w http.ResponseWriter, r *http.Request) {
	last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 53)
	if err != nil {
		last = 0 // of another stream, or none
	}
	s.o.Events.ServeFeed(w, r, web.Feed{
		Scopes: auth.ScopeChatRead,
		Greet:  []sse.Event{web.Event("", "welcome", greeting{"Welcome. There is an update every two seconds.", now()})},
		Open: func(context.Context, hub.Actor, string) (web.Source, error) {
			return &counter{last: last, due: time.Now().Add(updateEvery)}, nil
		},
		Failed: failed,
	})
}

type greeting struct {
	Message string `json:"message"`
	moment
}

// counter is a source of numbers.
type counter struct {
	last uint64
	due  time.Time // of the next
}

// Close implements web.Source.
func (*counter) Close() {}

// Next implements web.Source.
func (c *counter) Next(ctx context.Context) (iter.Seq[[]byte], error) {
	timer := time.NewTimer(time.Until(c.due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	}
	c.last++
	c.due = time.Now().Add(updateEvery)
	return slices.Values([][]byte{sse.Append(nil, web.Event(strconv.FormatUint(c.last, 10), "update", struct {
		ID uint64 `json:"id"`
		greeting
	}{c.last, greeting{"Update " + strconv.FormatUint(c.last, 10), now()}}))}), nil
}
