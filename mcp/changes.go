package mcp

import "wigwag/hub"

// Notifier tells subscribed clients that something changed. It must not block.
// may says whether a user, by name, may be told.
type Notifier interface {
	ResourceUpdated(uri string, may func(user string) bool)
	ResourcesListChanged(may func(user string) bool)
}

// Announce tells n of every change in the hub from now on: of a message to
// those who may see its room, of a new room to those who may see it. Call it
// before the first message is sent.
func Announce(h *hub.Hub, n Notifier) {
	h.OnChange(func(c hub.Change) {
		may := func(user string) bool { return h.May(hub.Actor{Name: user}, c.Room) }
		if c.New {
			n.ResourcesListChanged(may)
			n.ResourceUpdated(roomsURI, may)
			return
		}
		for _, address := range uris(c.Room) {
			n.ResourceUpdated(address, may)
		}
	})
}

// Subscribable returns a function that reports whether there is a resource at
// an address that the user may see.
func Subscribable(h *hub.Hub) func(user, uri string) bool {
	return func(user, uri string) bool {
		if uri == roomsURI {
			return true
		}
		room, ok := roomOf(uri)
		return ok && h.May(hub.Actor{Name: user}, room)
	}
}
