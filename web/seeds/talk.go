package seeds

import (
	"context"
	"crypto/rand"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web"
	"wigwag/web/endpoint"
)

const (
	maxUpward     = 8 << 10  // bytes of a text
	maxUpwardBody = 64 << 10 // as maxMessage
	maxAnswers    = 16       // that wait for a stream to be written
)

// talks are the sessions of open streams of GET /downward, by ID. There are no
// more than there may be streams.
type talks struct {
	mu   sync.Mutex // guards open
	open map[string]*talk
}

// talk is a session. It is a source of the answers to what its user sends up.
type talk struct {
	all     *talks
	id      string
	user    string
	answers chan []byte // frames
}

// reply is an event of a talk.
type reply struct {
	SessionID string `json:"sessionId,omitempty"`
	Text      string `json:"text"`
	moment
}

// downward is GET /downward.
func (s *Server) downward(w http.ResponseWriter, r *http.Request) {
	id := rand.Text()
	s.o.Events.ServeFeed(w, r, web.Feed{
		Scopes: auth.ScopeChatRead,
		Greet:  []sse.Event{web.Event("", "welcome", reply{id, "Welcome. Send a text by POST /upward, with this session ID in the header X-Session-ID.", now()})},
		Open: func(_ context.Context, a hub.Actor, _ string) (web.Source, error) {
			return s.talks.add(id, a.Name), nil
		},
		Failed: failed,
	})
}

func (t *talks) add(id, user string) *talk {
	one := &talk{all: t, id: id, user: user, answers: make(chan []byte, maxAnswers)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[id] = one
	return one
}

// of returns a user's session, or nil.
func (t *talks) of(user, id string) *talk {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one := t.open[id]; one != nil && one.user == user {
		return one
	}
	return nil
}

// Close implements web.Source.
func (t *talk) Close() {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	delete(t.all.open, t.id)
}

// Next implements web.Source.
func (t *talk) Next(ctx context.Context) (iter.Seq[[]byte], error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case frame := <-t.answers:
		return slices.Values([][]byte{frame}), nil
	}
}

// upward is POST /upward. Whose a session is that the user does not have, nobody
// is told.
func (s *Server) upward(w http.ResponseWriter, r *http.Request, a hub.Actor) error {
	var in struct {
		Text *string `json:"text"`
	}
	if err := endpoint.ReadJSON(w, r, maxUpwardBody, &in); err != nil {
		p := s.endpoints.ProblemOf(r, err)
		p.Status = http.StatusBadRequest // of all that can be wrong with a body
		return p
	}
	switch {
	case in.Text == nil || strings.TrimSpace(*in.Text) == "":
		return endpoint.Invalid("text", `is missing; the body must be {"text": "…"}`)
	case len(*in.Text) > maxUpward:
		return endpoint.Invalid("text", "is %d bytes long; allowed are %d", len(*in.Text), maxUpward)
	}
	one := s.talks.of(a.Name, r.Header.Get("X-Session-ID"))
	if one == nil {
		return endpoint.Invalid("X-Session-ID", `is not a session of yours that is open; open GET /downward, and send the "sessionId" of its event "welcome"`)
	}
	select {
	case one.answers <- sse.Append(nil, web.Event("", "", reply{Text: "You said: " + *in.Text, moment: now()})):
	default:
		return &endpoint.Problem{
			Status: http.StatusTooManyRequests, RetryAfter: endpoint.Soon(),
			Detail: "The stream of this session is not read as fast as you send. Try again shortly.",
		}
	}
	endpoint.WriteJSON(w, http.StatusCreated, map[string]string{"status": "sent"})
	return nil
}
