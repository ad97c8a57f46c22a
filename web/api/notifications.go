package api

import (
	"net/http"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

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
