package api

import (
	"net/http"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

// What idempotency keys are of: the same one may be used once with each.
const (
	sending   = "api/messages"
	notifying = "api/notifications"
	logging   = "api/logs"
)

func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	asked := hub.HistoryQuery{Target: target(r), After: q.text("after"), Before: q.text("before"), Since: q.time("since"), Limit: q.limit()}
	if q.err != nil {
		return q.err
	}
	found, err := s.hub.History(r.Context(), s.actor(r.Context()), asked)
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, struct {
		Messages []hub.Message `json:"messages"`
		Next     string        `json:"next"`
		More     bool          `json:"more"`
	}{list(found.Messages), found.Next, found.More})
	return nil
}

func (s *Server) send(w http.ResponseWriter, r *http.Request) error {
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	var in struct {
		Message string `json:"message"`
		ReplyTo string `json:"reply_to"`
	}
	if err := endpoint.ReadJSON(w, r, maxText, &in); err != nil {
		return err
	}
	m, replayed, err := s.hub.Send(r.Context(), s.actor(r.Context()), hub.Draft{
		Target: target(r), Text: in.Message, ReplyTo: in.ReplyTo, Tool: sending, Key: key,
	})
	if err != nil {
		return err
	}
	created(w, m, replayed)
	return nil
}

// created answers with what is stored. One that an earlier request with the same
// key has stored is answered with as that was.
func created(w http.ResponseWriter, v any, replayed bool) {
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	endpoint.WriteJSON(w, http.StatusCreated, v)
}

func (s *Server) typing(w http.ResponseWriter, r *http.Request) error {
	if err := s.hub.Typing(r.Context(), s.actor(r.Context()), target(r)); err != nil {
		return err
	}
	endpoint.NoContent(w)
	return nil
}

// search looks through messages within bounds; cut says that there may be more
// than was looked at.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	asked := hub.SearchQuery{
		Text: q.text("q"), Target: hub.Target{Room: q.text("room"), To: q.text("to")},
		Sender: q.text("sender"), Before: q.text("before"), Limit: q.limit(),
	}
	if q.err != nil {
		return q.err
	}
	found, err := s.hub.Search(r.Context(), s.actor(r.Context()), asked)
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, struct {
		Messages []hub.Message `json:"messages"`
		Next     string        `json:"next,omitempty"`
		More     bool          `json:"more"`
		Cut      bool          `json:"cut"`
	}{list(found.Messages), found.Next, found.More, found.Cut})
	return nil
}
