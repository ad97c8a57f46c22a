package api

import (
	"net/http"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

// unread is what an actor has not read.
type unread struct {
	Unread int    `json:"unread"`
	More   bool   `json:"unread_more"` // there are more than were counted
	ReadTo string `json:"read_to,omitempty"`
}

func (s *Server) listNotifications(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	asked := hub.NotificationQuery{After: q.text("after"), Before: q.text("before"), Limit: q.limit(), Unread: q.flag("unread")}
	if q.err != nil {
		return q.err
	}
	actor := s.actor(r.Context())
	found, err := s.hub.Notifications(r.Context(), actor, asked)
	if err != nil {
		return err
	}
	count, err := s.hub.Unread(r.Context(), actor)
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, struct {
		Notifications []hub.Notification `json:"notifications"`
		Next          string             `json:"next"`
		More          bool               `json:"more"`
		unread
	}{list(found.Notifications), found.Next, found.More, unread{count.Count, count.More, count.ReadTo}})
	return nil
}

func (s *Server) unread(w http.ResponseWriter, r *http.Request) error {
	count, err := s.hub.Unread(r.Context(), s.actor(r.Context()))
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, unread{count.Count, count.More, count.ReadTo})
	return nil
}

func (s *Server) markRead(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		UpTo string `json:"up_to"`
	}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	count, err := s.hub.MarkRead(r.Context(), s.actor(r.Context()), in.UpTo)
	if err != nil {
		return err
	}
	endpoint.WriteJSON(w, http.StatusOK, unread{count.Count, count.More, count.ReadTo})
	return nil
}

func (s *Server) notify(w http.ResponseWriter, r *http.Request) error {
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	in := struct {
		To       string    `json:"to"`
		Level    hub.Level `json:"level"`
		Title    string    `json:"title"`
		Message  string    `json:"message"`
		Progress *int      `json:"progress"`
		Key      string    `json:"key"`
	}{Level: hub.LevelInfo}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	n, replayed, err := s.hub.Notify(r.Context(), s.actor(r.Context()), hub.NotificationDraft{
		To: in.To, Level: in.Level, Title: in.Title, Message: in.Message, Progress: in.Progress, Key: in.Key,
		Tool: notifying, IdempotencyKey: key,
	})
	if err != nil {
		return err
	}
	created(w, n, replayed)
	return nil
}
