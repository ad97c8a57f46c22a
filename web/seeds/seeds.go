// Package seeds serves the routes of four published examples of Server-Sent
// Events, with the names and the shapes that their own clients know: a chat
// (/send-message, /stream-message, /secure-events), notifications
// (/notifications, /api/notify, /stream), a log (/api/logs/stream) and a talk
// with the server itself (/downward, /upward). There is nothing behind them but
// the one hub; what is sent here is seen everywhere else, and the other way round.
//
// Errors are problems (RFC 9457) that also have the member "error", which is
// what those clients show.
package seeds

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/transport/sse"
	"wigwag/web"
	"wigwag/web/endpoint"
	"wigwag/web/gate"
)

// maxPlays bounds the messages that arrive word by word at a time. Those of a
// user are bounded by the hub.
const maxPlays = 500

// Options are what a server is made of. All are required but Revoked and Cookies.
type Options struct {
	Hub    *hub.Hub
	Events *web.Server
	// Actor tells who asks, from the identity in the request's context.
	Actor func(context.Context) hub.Actor
	// Call makes an endpoint one for requests whose token has the scopes, within
	// all limits of calls.
	Call func(needed auth.Scopes, do endpoint.Func, parameters ...string) endpoint.Func
	// Revoked tells whether a request, whose context it gets, may no longer come
	// in. Nil: never.
	Revoked func(context.Context) bool
	Cookies *Cookies // nil: there are no accounts
	Logger  *slog.Logger
}

// Server serves the seeds' routes. A nil one serves none. Its methods are safe
// for concurrent use.
type Server struct {
	o         Options
	endpoints endpoint.Server
	talks     talks
	playing   *gate.Gate
	inboxes   *gate.Gate // streams of notifications
	cookies   *cookies   // nil: none are taken

	hurry context.Context //nolint:containedctx // the life of the server, not of a request
	stop  context.CancelFunc
}

// New returns a server. Call Shutdown when done.
func New(o Options) (*Server, error) {
	s := &Server{
		o: o, endpoints: endpoint.Server{Translate: endpoint.FromHub, Logger: o.Logger},
		talks: talks{open: map[string]*talk{}}, playing: gate.New(maxPlays, -1), inboxes: gate.New(-1, -1),
	}
	if s.o.Revoked == nil {
		s.o.Revoked = func(context.Context) bool { return false }
	}
	if o.Cookies != nil {
		var err error
		if s.cookies, err = newCookies(*o.Cookies, s.refuse); err != nil {
			return nil, err
		}
	}
	s.hurry, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Calls are the handlers of what is answered at once, by path.
func (s *Server) Calls() map[string]http.Handler {
	if s == nil {
		return nil
	}
	return map[string]http.Handler{
		"/send-message":   s.post(auth.ScopeChatWrite, s.sendMessage),
		"/stream-message": s.post(auth.ScopeChatWrite, s.streamMessage),
		"/api/notify":     s.post(auth.ScopeNotify, s.notify),
		"/upward":         s.post(auth.ScopeChatWrite, s.upward),
	}
}

// Streams are the handlers of the streams, by path.
func (s *Server) Streams() map[string]http.Handler {
	if s == nil {
		return nil
	}
	return map[string]http.Handler{
		"/secure-events":   http.HandlerFunc(s.o.Events.ServeEvents),
		"/notifications":   http.HandlerFunc(s.notifications),
		"/stream":          http.HandlerFunc(s.updates),
		"/api/logs/stream": http.HandlerFunc(s.logs),
		"/downward":        http.HandlerFunc(s.downward),
	}
}

// Shutdown takes no more messages that arrive word by word, has those that are
// on their way arrive at once, and waits until they are stored or ctx has ended,
// whose error it returns then.
func (s *Server) Shutdown(ctx context.Context) error {
	if s == nil {
		return nil
	}
	done := s.playing.Close()
	s.stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post serves what an actor does whose token is good for it.
func (s *Server) post(needed auth.Scopes, do func(http.ResponseWriter, *http.Request, hub.Actor) error) http.Handler {
	post := s.o.Call(needed, func(w http.ResponseWriter, r *http.Request) error {
		return do(w, r, s.o.Actor(r.Context()))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			s.refuse(w, r, &endpoint.Problem{Status: http.StatusMethodNotAllowed, Detail: "Allowed here is POST."})
			return
		}
		if err := post(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})
}

// refuse answers with an error, in the words of all the seeds.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := s.endpoints.ProblemOf(r, err)
	p.WriteBody(w, struct {
		endpoint.Body
		Success bool   `json:"success"`
		Error   string `json:"error"`
	}{p.Body(), false, p.Detail})
}

// moment is when something happened, in the seeds' word.
type moment struct {
	Timestamp hub.Time `json:"timestamp"`
}

func now() moment { return moment{hub.Time{Time: time.Now()}} }

// failed is the last event of a stream on which something has failed.
func failed(message string) sse.Event {
	return web.Event("", "error", struct {
		Message string `json:"message"`
		moment
	}{message, now()})
}

// notAdmitted tells why nothing more is let in.
func notAdmitted(err error) error {
	p := &endpoint.Problem{Status: http.StatusServiceUnavailable, RetryAfter: endpoint.Soon(), Detail: "The server is shutting down. Try again shortly."}
	if errors.Is(err, gate.ErrFull) {
		p.Detail = "Too many messages are on their way. Try again shortly."
	}
	return p
}
