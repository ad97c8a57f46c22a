package seeds

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

const (
	// maxMessage bounds a body, in bytes: of the longest message, each character
	// may be written as an escape of six.
	maxMessage = 512 << 10

	// A text is shown in parts, an interval apart: in 20 s at most.
	maxParts     = 200
	partInterval = 100 * time.Millisecond
	// finishWithin bounds storing it in the end.
	finishWithin = 10 * time.Second
)

// sent is the answer to who sends a message.
type sent struct {
	Success    bool   `json:"success"`
	Message    string `json:"message"`
	Recipients int    `json:"recipients"` // streams that are open
	ID         string `json:"id,omitempty"`
	StreamID   string `json:"stream_id,omitempty"`
}

// sendMessage is POST /send-message.
func (s *Server) sendMessage(w http.ResponseWriter, r *http.Request, a hub.Actor) error {
	text, err := readMessage(w, r)
	if err != nil {
		return err
	}
	m, _, err := s.o.Hub.Send(r.Context(), a, hub.Draft{Target: hub.Target{Room: hub.General}, Text: text})
	if err != nil {
		return err
	}
	n := s.o.Events.Streams()
	endpoint.WriteJSON(w, http.StatusOK, sent{Success: true, Message: fmt.Sprintf("Message sent to %d open streams.", n), Recipients: n, ID: m.ID})
	return nil
}

// streamMessage is POST /stream-message. The answer does not wait for the words.
func (s *Server) streamMessage(w http.ResponseWriter, r *http.Request, a hub.Actor) error {
	text, err := readMessage(w, r)
	if err != nil {
		return err
	}
	leave, err := s.playing.Enter(a.Name)
	if err != nil {
		return notAdmitted(err)
	}
	stream, _, err := s.o.Hub.Stream(r.Context(), a, hub.Draft{Target: hub.Target{Room: hub.General}, Text: text})
	if err != nil {
		leave()
		return err
	}
	ctx := context.WithoutCancel(r.Context())
	go func() { // ends within its 20 s, or by Shutdown
		defer leave()
		s.play(ctx, stream, hub.Split(text, hub.Word, maxParts))
	}()
	n := s.o.Events.Streams()
	endpoint.WriteJSON(w, http.StatusOK, sent{Success: true, Message: fmt.Sprintf("Streaming has started, to %d open streams.", n), Recipients: n, StreamID: stream.ID()})
	return nil
}

func readMessage(w http.ResponseWriter, r *http.Request) (string, error) {
	var in struct {
		Message *string `json:"message"`
	}
	if err := endpoint.ReadJSON(w, r, maxMessage, &in); err != nil {
		return "", err
	}
	if in.Message == nil || *in.Message == "" {
		return "", endpoint.Invalid("message", `is missing; the body must be {"message": "…"}`)
	}
	return *in.Message, nil
}

// play shows the parts of a message one by one and stores it. When the server
// ends, the rest is shown at once; when its sender may no longer come in, nothing
// is stored.
func (s *Server) play(ctx context.Context, stream *hub.Streaming, parts []string) {
	defer stream.Cancel() // nothing, after Finish
	tick := time.NewTicker(partInterval)
	defer tick.Stop()
	for i, part := range parts {
		if s.o.Revoked(ctx) {
			return
		}
		stream.Part(part, i+1, len(parts))
		if i+1 == len(parts) || s.hurry.Err() != nil {
			continue
		}
		select {
		case <-tick.C:
		case <-s.hurry.Done():
		}
	}
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	if _, err := stream.Finish(ctx); err != nil {
		s.o.Logger.LogAttrs(ctx, slog.LevelWarn, "a message that arrived word by word was not stored", slog.String("stream_id", stream.ID()), slog.Any("error", err))
	}
}
