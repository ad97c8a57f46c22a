package api

import (
	"net/http"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

// listLines looks through log lines within bounds; cut says that it stopped at
// one, and goes on from next.
func (s *Server) listLines(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	asked := hub.LineQuery{
		Level: hub.LineLevel(q.text("level")), Logger: q.text("logger"), Since: q.time("since"), Until: q.time("until"),
		After: q.text("after"), Before: q.text("before"), Limit: q.limit(),
	}
	if q.err != nil {
		return q.err
	}
	found, err := s.hub.Lines(r.Context(), s.actor(r.Context()), asked)
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, struct {
		Lines []hub.LogLine `json:"lines"`
		Next  string        `json:"next"`
		More  bool          `json:"more"`
		Cut   bool          `json:"cut"`
	}{list(found.Lines), found.Next, found.More, found.Cut})
	return nil
}

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
