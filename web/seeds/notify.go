package seeds

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web"
	"wigwag/web/endpoint"
)

// maxNotify bounds a body as maxMessage does.
const maxNotify = 64 << 10

// notification is one as the seeds' clients know it, and as it is elsewhere.
type notification struct {
	hub.Notification
	Type      string   `json:"type"`
	UserID    string   `json:"userId,omitempty"`
	Timestamp hub.Time `json:"timestamp"`
}

// newNotification gives a notification the type that POST /api/notify would take
// for it: its level, or what was made a title of one word.
func newNotification(n hub.Notification) notification {
	out := notification{Notification: n, Type: string(n.Level), UserID: n.To, Timestamp: n.Time}
	if n.Level == hub.LevelInfo && n.Title != "" && !strings.Contains(n.Title, " ") {
		out.Type = n.Title
	}
	return out
}

// notifications is GET /notifications: what is for the user, and for everybody.
// What the user has sent to others is not among it.
func (s *Server) notifications(w http.ResponseWriter, r *http.Request) {
	a := s.o.Actor(r.Context())
	query := r.URL.Query()
	if user := query.Get("userId"); query.Has("userId") && user != a.Name {
		s.refuse(w, r, &endpoint.Problem{
			Status: http.StatusForbidden, Argument: "userId",
			Detail: "userId: may be your own name only, which is " + a.Name + "; leave it out, or give that",
		})
		return
	}
	s.o.Events.ServeFeed(w, r, web.Feed{
		Scopes: auth.ScopeChatRead,
		After:  cmp.Or(r.Header.Get("Last-Event-ID"), query.Get("last_event_id")),
		Greet: []sse.Event{web.Event("", "", struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			moment
		}{"connected", "You are connected to the notifications of " + a.Name + ".", now()})},
		Open: func(ctx context.Context, a hub.Actor, after string) (web.Source, error) {
			listener, err := s.o.Hub.Listen(ctx, a, hub.ListenOptions{After: after, Types: []string{"notification"}})
			if err != nil {
				return nil, err
			}
			leave, err := s.inboxes.Enter(a.Name)
			if err != nil {
				listener.Close()
				return nil, notAdmitted(err)
			}
			return &inbox{listening{listener, func(ev hub.Event) []byte { return notificationFrame(a, ev) }}, leave}, nil
		},
		Failed: failed,
	})
}

// inbox is the source of a stream of notifications, which is counted.
type inbox struct {
	listening
	leave func()
}

// Close implements web.Source.
func (i *inbox) Close() {
	i.listening.Close()
	i.leave()
}

// Cursor tells the client where it begins, to come back to.
func (i *inbox) Cursor() string { return i.listener.Cursor() }

func notificationFrame(a hub.Actor, ev hub.Event) []byte {
	n := ev.Notification
	if n == nil || n.To != "" && n.To != a.Name {
		return nil
	}
	return ev.Frame("seeds", func() []byte {
		return sse.Append(nil, web.Event(n.ID, "notification", newNotification(*n)))
	})
}

// notify is POST /api/notify.
func (s *Server) notify(w http.ResponseWriter, r *http.Request, a hub.Actor) error {
	var in struct {
		UserID  string `json:"userId"`
		Message string `json:"message"`
		Type    string `json:"type"`
		Title   string `json:"title"`
	}
	if err := endpoint.ReadJSON(w, r, maxNotify, &in); err != nil {
		return err
	}
	draft := hub.NotificationDraft{To: in.UserID, Message: in.Message, Title: in.Title}
	switch level := hub.Level(cmp.Or(in.Type, string(hub.LevelInfo))); level {
	case hub.LevelInfo, hub.LevelSuccess, hub.LevelWarning, hub.LevelError:
		draft.Level = level
	default:
		if in.Title != "" {
			return endpoint.Invalid("type", "beside a title it must be info, success, warning or error; any other becomes the title")
		}
		draft.Level, draft.Title = hub.LevelInfo, in.Type
	}
	n, _, err := s.o.Hub.Notify(r.Context(), a, draft)
	if err != nil {
		return inSeedWords(err)
	}
	open := s.inboxes.Inside()
	if n.To != "" {
		open = s.inboxes.InsideOf(n.To)
	}
	endpoint.WriteJSON(w, http.StatusCreated, struct {
		Success   bool   `json:"success"`
		Delivered int    `json:"delivered"` // streams of notifications that were open for it
		ID        string `json:"id"`
	}{true, open, n.ID})
	return nil
}

// inSeedWords makes an error of the hub name the member that was wrong.
func inSeedWords(err error) error {
	p := endpoint.FromHub(err)
	if p == nil {
		return err
	}
	name, ok := map[string]string{"to": "userId", "level": "type"}[p.Argument]
	if ok {
		p.Detail = name + strings.TrimPrefix(p.Detail, p.Argument)
		p.Argument = name
	}
	return p
}
