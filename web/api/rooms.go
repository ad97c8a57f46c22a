package api

import (
	"net/http"

	"wigwag/hub"
	"wigwag/web/endpoint"
)

// shownMembers is how many members an answer names of a room; /members has all.
const shownMembers = 50

// room is a room as it is shown.
type room struct {
	hub.Room
	MemberCount int `json:"member_count,omitempty"` // where not all are named
}

func showRoom(r hub.Room) room {
	n := len(r.Members)
	if n <= shownMembers {
		return room{Room: r}
	}
	r.Members = r.Members[:shownMembers]
	return room{r, n}
}

func (s *Server) listRooms(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	after, limit := q.text("after"), q.limit()
	if q.err != nil {
		return q.err
	}
	all, err := s.hub.Rooms(r.Context(), s.actor(r.Context()))
	if err != nil {
		return err
	}
	some, next := page(all, func(r hub.Room) string { return r.Name }, after, limit)
	rooms := make([]room, len(some))
	for i, one := range some {
		rooms[i] = showRoom(one)
	}
	endpoint.WriteTagged(w, r, struct {
		Rooms []room `json:"rooms"`
		Next  string `json:"next,omitempty"`
	}{rooms, next})
	return nil
}

// openRoom needs no idempotency key: what is asked for is how the room should
// be.
func (s *Server) openRoom(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name    string   `json:"name"`
		Topic   string   `json:"topic"`
		Private bool     `json:"private"`
		Invite  []string `json:"invite"`
	}
	if err := endpoint.ReadJSON(w, r, maxBody, &in); err != nil {
		return err
	}
	opened, created, err := s.hub.OpenRoom(r.Context(), s.actor(r.Context()), hub.RoomSpec{
		Name: in.Name, Topic: in.Topic, Private: in.Private, Invite: in.Invite,
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	endpoint.WriteJSON(w, status, showRoom(opened))
	return nil
}

func (s *Server) showRoom(w http.ResponseWriter, r *http.Request) error {
	found, err := s.hub.Room(r.Context(), s.actor(r.Context()), target(r))
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, showRoom(found))
	return nil
}

func (s *Server) listMembers(w http.ResponseWriter, r *http.Request) error {
	people, next, err := s.people(r, target(r))
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, struct {
		Members []hub.Person `json:"members"`
		Next    string       `json:"next,omitempty"`
	}{people, next})
	return nil
}

// listPresent tells who is here: of a room, or without one of all users.
func (s *Server) listPresent(w http.ResponseWriter, r *http.Request) error {
	people, next, err := s.people(r, hub.Target{Room: queryOf(r).text("room")})
	if err != nil {
		return err
	}
	endpoint.WriteTagged(w, r, struct {
		People []hub.Person `json:"people"`
		Next   string       `json:"next,omitempty"`
	}{people, next})
	return nil
}

// people returns the page of a room's people that a request asks for.
func (s *Server) people(r *http.Request, of hub.Target) (people []hub.Person, next string, err error) {
	q := queryOf(r)
	after, limit := q.text("after"), q.limit()
	if q.err != nil {
		return nil, "", q.err
	}
	all, err := s.hub.People(r.Context(), s.actor(r.Context()), of)
	if err != nil {
		return nil, "", err
	}
	people, next = page(all, func(p hub.Person) string { return p.Name }, after, limit)
	return list(people), next, nil
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.hub.Invite(r.Context(), s.actor(r.Context()), r.PathValue("room"), r.PathValue("user")); err != nil {
		return err
	}
	endpoint.NoContent(w)
	return nil
}

// expel ends a membership: one's own, or as the room's creator anybody's.
func (s *Server) expel(w http.ResponseWriter, r *http.Request) error {
	if err := s.hub.Expel(r.Context(), s.actor(r.Context()), r.PathValue("room"), r.PathValue("user")); err != nil {
		return err
	}
	endpoint.NoContent(w)
	return nil
}
