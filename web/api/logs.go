package api

import (
	"net/http"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

func (s *Server) writeLog(w http.ResponseWriter, r *http.Request) error {
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	in := struct {
		Level   hub.LineLevel  `json:"level"`
		Logger  string         `json:"logger"`
		Message string         `json:"message"`
		Fields  map[string]any `json:"fields"`
	}{Level: hub.LineInfo}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	line, replayed, err := s.hub.WriteLog(r.Context(), s.actor(r.Context()), hub.LineDraft{
		Level: in.Level, Logger: in.Logger, Message: in.Message, Fields: in.Fields, Tool: logging, IdempotencyKey: key,
	})
	if err != nil {
		return err
	}
	created(w, line, replayed)
	return nil
}
