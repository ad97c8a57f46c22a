package web

import (
	"errors"
	"net/http"
	"net/netip"

	"wigwag/hub"
	"wigwag/web/gate"
)

// enter counts a stream of an actor, or says why there may not be one more.
// Guests are counted by address, and all of them together have at most half of
// the streams.
func (s *Server) enter(r *http.Request, a hub.Actor) (leave func(), err error) {
	if !a.Guest {
		leave, err = s.gate.Enter(a.Name)
		return leave, s.notAdmitted(err)
	}
	who := "guest " + addressOf(r) // no user's name
	leaveGuests, err := s.guests.Enter(who)
	switch {
	case errors.Is(err, gate.ErrFull):
		return nil, unavailable(RefusedStreams, "all %d streams that are for guests are in use; sign in, or come again later", s.limits.MaxStreams/2)
	case errors.Is(err, gate.ErrUserFull):
		return nil, tooMany(RefusedStreams, "your address has %d streams open as a guest, which is as many as one may; close one first", s.limits.MaxStreamsPerUser)
	}
	leaveAll, err := s.gate.Enter(who)
	if err != nil {
		leaveGuests()
		return nil, s.notAdmitted(err)
	}
	return func() {
		leaveAll()
		leaveGuests()
	}, nil
}

// notAdmitted tells why the gate lets no one in; nil: it does.
func (s *Server) notAdmitted(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gate.ErrFull):
		return unavailable(RefusedStreams, "all %d streams of this server are in use", s.limits.MaxStreams)
	case errors.Is(err, gate.ErrUserFull):
		return tooMany(RefusedStreams, "you have %d streams open, which is as many as one user may; close one first", s.limits.MaxStreamsPerUser)
	default:
		return unavailable(RefusedDraining, "the server is shutting down; ask again in a moment")
	}
}

// addressOf is what tells guests apart: the address, with IPv6 the /64 that one
// of them has.
func addressOf(r *http.Request) string {
	const unknown = "unknown" // all of those are one
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return unknown
	}
	addr, bits := from.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return unknown
	}
	return prefix.String()
}
