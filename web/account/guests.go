package account

import (
	"net/http"

	"wigwag/auth"
)

// IdentifyGuests is IdentifyStream for what everybody may see. Who shows nothing
// at all, no token, no ticket and no cookie, is a guest; who shows something that
// is no good is refused.
func (s *Server) IdentifyGuests(next http.Handler) http.Handler {
	known, guest := s.IdentifyStream(next), auth.Guest(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _ := s.cookie(r)
		query := r.URL.Query()
		shows := len(r.Header.Values("Authorization")) > 0 || len(r.CookiesNamed(name)) > 0 || query.Has("ticket") || query.Has("token")
		if shows {
			known.ServeHTTP(w, r)
			return
		}
		guest.ServeHTTP(w, r)
	})
}
